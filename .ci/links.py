#!/usr/bin/env python3
"""Checks the links of README.md, CHANGELOG.md, CONTRIBUTING.md and the book, offline.

- Every relative link leads to a file of the repository, and every anchor to a heading of its target.
- Every image exists.
- SUMMARY.md lists every page of the book once, and no other.
- Commands such as `cargo run --example NAME`, `cargo bench --bench NAME` and `--test NAME` name targets that exist.

Usage: links.py [ROOT]. Prints each error with its place and exits with 1 if there is any.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
BOOK = ROOT / "docs/src"
LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s]*)?)>?(?:\s+\"[^\"]*\")?\s*\)")
TARGET = re.compile(r"--(example|bench|test) ([a-z][a-z0-9_]*)")


def without_code(text: str) -> str:
    """The text with blanks in place of code, so that the numbers of lines are kept."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731
    text = re.sub(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[^\n]*$", blank, text, flags=re.S | re.M)
    return re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", blank, text, flags=re.S)


def slug(heading: str) -> str:
    """The anchor that GitHub and mdbook give to a heading."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().rstrip("#").strip())
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    found: dict[str, int] = {}
    result = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    fenced = re.sub(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[^\n]*$", "", text, flags=re.S | re.M)
    for heading in re.findall(r"^#{1,6}[ \t]+(.+)$", fenced, flags=re.M):
        name = slug(heading)
        count = found.get(name, 0)
        found[name] = count + 1
        result.add(f"{name}-{count}" if count else name)
    return result


def targets(kind: str) -> set[str]:
    """The names of examples, benchmarks or integration tests."""
    manifests = [(ROOT / package / "Cargo.toml").read_text(encoding="utf-8") for package in ("tests", "benches")]
    names = set(re.findall(rf"\[\[{kind}\]\]\s*name = \"(\w+)\"", "\n".join(manifests)))
    if kind == "example":
        files = [*ROOT.glob("examples/*.rs"), *ROOT.glob("examples/*/main.rs")]
        names |= {file.parent.name if file.name == "main.rs" else file.stem for file in files}
    return names


def main() -> int:
    listing = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = {ROOT / name: (ROOT / name).read_text(encoding="utf-8") for name in listing.stdout.split()}
    known = {kind: targets(kind) for kind in ("example", "bench", "test")}
    errors, listed, links = [], [], 0
    for page, text in pages.items():
        prose = without_code(text)
        place = lambda match: f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"  # noqa: E731, B023
        for match in LINK.finditer(prose):
            link = match.group(2)
            if re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            links += 1
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if page == BOOK / "SUMMARY.md":
                listed.append(target)
            if not target.exists():
                errors.append(f"{place(match)}: {link}: no such file")
            elif ROOT not in target.parents:
                errors.append(f"{place(match)}: {link}: outside the repository")
            elif match.group(1) and not target.is_file():
                errors.append(f"{place(match)}: {link}: not an image")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
                errors.append(f"{place(match)}: {link}: no such heading")
        for match in TARGET.finditer(text):
            kind, name = match.groups()
            if name not in known[kind]:
                errors.append(f"{place(match)}: {match.group()}: no such {kind}")
    book = {page for page in pages if BOOK in page.parents and page.name != "SUMMARY.md"}
    name = lambda page: page.relative_to(BOOK)  # noqa: E731
    errors += [f"docs/src/SUMMARY.md: {name(page)} is not listed" for page in sorted(book - set(listed))]
    errors += [f"docs/src/SUMMARY.md: {name(page)} is listed twice" for page in sorted(book) if listed.count(page) > 1]
    print(*errors, sep="\n", end="\n" if errors else "")
    print(f"{links} links of {len(pages)} pages, {len(errors)} errors")
    return 1 if errors or not links else 0


if __name__ == "__main__":
    sys.exit(main())
