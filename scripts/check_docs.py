#!/usr/bin/env python3
"""Checks that every link between the pages of this repository leads somewhere, and that the
generated example is what its script makes."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def pages():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def broken_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in LINK.findall(text):
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        if not (page.parent / target.partition("#")[0]).exists():
            yield target


def main():
    problems = [f"{page.relative_to(ROOT)}: {target} does not exist" for page in pages() for target in broken_links(page)]
    if subprocess.run([sys.executable, str(ROOT / "scripts" / "make_company_example.py"), "--check"]).returncode:
        problems.append("examples/company/company.jsonl is stale")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
