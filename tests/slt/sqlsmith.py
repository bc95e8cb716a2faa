#!/usr/bin/env python3
"""Sends a server random queries over its own catalogs and tables.

    sqlsmith.py --target 'host=127.0.0.1 port=5432 user=ada password=… dbname=people' --queries 20000

sqlsmith (the Debian package) makes them from what the catalogs list. Errors are fine; a lost
connection and an internal error are not, and are printed."""

import argparse
import re
import subprocess
import sys
import time

WRONG = re.compile(r"internal error|schema error|error during planning|server closed|connection", re.I)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    command = ["sqlsmith", "--verbose", f"--target={arguments.target}", f"--max-queries={arguments.queries}", f"--seed={arguments.seed}"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    wrong = sorted({line.strip() for line in run.stdout.splitlines() if "ERROR" in line and WRONG.search(line)})
    sent = [int(count) for count in re.findall(r"^queries: (\d+)", run.stdout, re.M)]
    print(f"{max(sent, default=0)} queries, {len(wrong)} that went wrong inside")
    print("\n".join(wrong))
    return 0 if run.returncode == 0 and not wrong and max(sent, default=0) >= arguments.queries else 1


if __name__ == "__main__":
    sys.exit(main())
