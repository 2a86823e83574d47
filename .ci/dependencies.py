#!/usr/bin/env python3
"""Checks the dependencies of the library: allowed licences, and no crate in two versions.

Development dependencies of tests, benches and examples are not distributed and not checked.
"""

import re
import subprocess
import sys
from collections import defaultdict

# Permissive licences without obligations beyond notices. An `OR` needs one of them, an `AND` all.
ALLOWED = {"MIT", "MIT-0", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib",
           "0BSD", "BSL-1.0", "CC0-1.0", "Unlicense", "Unicode-3.0"}


def allowed(expression: str) -> bool:
    """Whether an SPDX expression can be satisfied by the allowed licences: `AND` binds tighter than `OR`."""
    expression = re.sub(r"\(([^()]*)\)", lambda inner: "MIT" if allowed(inner[1]) else "refused", expression.replace("/", " OR "))
    return any(all(one.strip() in ALLOWED for one in both.split(" AND ")) for both in expression.split(" OR "))


def main() -> int:
    # Not `cargo metadata`: its graph contains optional dependencies that nothing enables.
    command = ["cargo", "tree", "--package", "wasserflow", "--all-features", "--target", "all", "--edges", "normal,build",
               "--prefix", "none", "--format", "{p}|{l}", "--locked"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    licences = dict(line.removesuffix(" (*)").split("|") for line in lines if line)

    faults, versions = [], defaultdict(set)
    for package, licence in licences.items():
        name, version = package.split()[:2]
        versions[name].add(version)
        if not allowed(licence):
            faults.append(f"{name} {version}: licence {licence!r}")
    faults += [f"{name}: versions {', '.join(sorted(found))}" for name, found in versions.items() if len(found) > 1]
    print("\n".join(sorted(faults)) or f"{len(licences)} crates, all of allowed licences, none in two versions")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
