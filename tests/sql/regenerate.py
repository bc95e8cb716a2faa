#!/usr/bin/env python3
"""Writes functions/<chapter>.out: what PostgreSQL 15 answers to each line of functions/<chapter>.sql.

    regenerate.py postgresql://user@127.0.0.1:5432/postgres

A line of the output is one statement's rows, ` / ` between rows and `|` between columns, or `ERROR` and
the SQLSTATE. Run it against a fresh cluster (encoding UTF8, locale C)."""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent / "functions"
SETTINGS = "set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set extra_float_digits = 1;"


def answer(url: str, statement: str) -> str:
    command = ["psql", "-X", "-q", "-At", "-F", "|", "-R", " / ", "-P", "null=NULL", url]
    script = f"\\set VERBOSITY sqlstate\n{SETTINGS}\n{statement};\n"
    run = subprocess.run(command, input=script, capture_output=True, text=True, env={**os.environ, "PGCLIENTENCODING": "UTF8"})
    if "ERROR" in run.stderr:
        return "ERROR " + run.stderr.split()[-1]
    return run.stdout.removesuffix("\n").replace("\n", "\\n")


def main() -> None:
    for cases in sorted(HERE.glob("*.sql")):
        lines = [answer(sys.argv[1], line) for line in cases.read_text().splitlines()]
        cases.with_suffix(".out").write_text("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
