#!/usr/bin/env python3
"""Writes docs/reference/cli.md from the help texts of the built programs.

    scripts/make_cli_reference.py --bin DIR [--check]

With --check it writes nothing and fails when the page is stale.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
HEAD = """# The programs

This page is made by `make docs` from the programs' own help.

Results go to standard output, as text or with `--json` as one JSON document; progress and errors go to
standard error.

| exit status of `omnigraph` | |
|---:|---|
| 0 | done |
| 1 | failed; nothing was changed unless the message says so |
| 2 | wrong usage |
| 3 | a merge met conflicts; nothing was changed |
| 4 | another writer was first; run it again |
| 5 | policy does not allow it |
| 130 | interrupted; nothing was committed |

"""
COMMAND = re.compile(r"^  ([a-z][a-z-]*)\b", re.M)


def help_of(program, path):
    # No surroundings may leak into the page: width, colours, the values of variables.
    environment = {"PATH": os.environ.get("PATH", ""), "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run([str(program), *path, "--help"], capture_output=True, text=True, env=environment, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def sections(program, path=()):
    text = help_of(program, path)
    yield f"{'#' * min(2 + len(path), 4)} {' '.join([program.name, *path])}\n\n```\n{text}\n```\n"
    commands = text.partition("Commands:\n")[2].partition("\n\n")[0]
    for name in COMMAND.findall(commands):
        if name != "help":
            yield from sections(program, (*path, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    parts = [part for name in ("omnigraph", "omnigraph-server") for part in sections(arguments.bin.resolve() / name)]
    text = HEAD + "\n".join(parts)
    if arguments.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE} is stale: run `make docs`")
        return
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"written {PAGE}")


if __name__ == "__main__":
    main()
