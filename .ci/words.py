#!/usr/bin/env python3
"""Checks the prose of comments, messages and documents against the word list of CONTRIBUTING.md.

Usage: words.py [--rate] [FILE ...]. Without files: src, docs, examples and README.md. Prints each banned form
with its place and fails if any is left; `--rate` prints their number per 10 000 words instead.
"""

import re
import subprocess
import sys

BANNED = [
    # Code returns, computes, validates, reports; it does not speak, know or believe.
    r"tells?", r"telling", r"told", r"says?", r"said", r"knows?", r"sees", r"seen", r"finds", r"believ(?:e|es|ed|ing)",
    r"tak(?:e|es|en|ing) in", r"com(?:e|es|ing) to",
    # "custom" or "user-defined".
    r"of yours", r"your own", r"one's own", r"a dependent's",
    # "not", "non-", "invalid", or the positive class.
    r"(?:is|are|was|were|be) (?:no|none|nothing)", r"has none", r"have none",
    # If, when, current, available, block size, any, via.
    r"where there (?:is|are)", r"as (?:it|they) stands?", r"at hand", r"so many", r"whoever", r"whomever", r"by way of",
]
PATTERN = re.compile(r"\b(?:" + "|".join(BANNED) + r")\b", re.IGNORECASE)

# Standard terms and quotations that contain a banned form.
ALLOWED = re.compile(r"no longer|no more than|no less than|no later than|nothing but", re.IGNORECASE)


def prose(name: str, text: str) -> list[tuple[int, str]]:
    """The lines of a document, or the comments and string literals of a source file."""
    lines = text.split("\n")
    if not name.endswith(".rs"):  # a quoted form is mentioned, not used
        return [(number, re.sub(r'"[^"]*"', '""', line)) for number, line in enumerate(lines, 1)]
    found = []
    for number, line in enumerate(lines, 1):
        comment = re.search(r"(?<![:\"'])//.*", line)
        found += [(number, comment.group())] if comment else []
        code = line[: comment.start()] if comment else line
        found += [(number, literal) for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', code)]
        if not comment and code.count('"') % 2 and code.strip().endswith("\\"):  # a literal that goes on
            found.append((number, code.split('"')[-1]))
    return found


def main() -> int:
    arguments = [a for a in sys.argv[1:] if a != "--rate"]
    command = ["git", "ls-files", "src/*.rs", "docs/*.md", "examples/*.rs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    names = arguments or subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    words, hits = 0, []
    for name in names:
        with open(name, encoding="utf-8") as file:
            text = file.read()
        for number, line in prose(name, text):
            words += len(re.findall(r"[A-Za-z']+", line))
            for match in PATTERN.finditer(line):
                if not ALLOWED.match(line, match.start()) and not ALLOWED.search(line[match.start() : match.end() + 12]):
                    hits.append((name, number, match.group(), line.strip()))
    if "--rate" in sys.argv:
        print(f"{len(hits)} banned forms in {words} words: {1e4 * len(hits) / max(words, 1):.1f} per 10 000")
        return 0
    for name, number, form, line in hits:
        print(f"{name}:{number}: {form!r}: {line[:100]}")
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
