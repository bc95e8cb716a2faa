#!/usr/bin/env python3
"""Kills, stops and starves the real programs, and looks at what is left.

    tests/crash/run.py --bin DIR                    # omnigraph and omnigraph-server of DIR
    tests/crash/run.py --bin DIR --kills 200        # longer
    tests/crash/run.py --bin DIR --only kill --only disk.a_load_without_room_is_refused_and_nothing_is_lost
    tests/crash/run.py --bin DIR --seed 7           # the same random choices again

Needs strace (scripts/setup.sh tests); psycopg is installed into the cache folder of the
client tests. Ends with `N passed, M failed`; the exit status is 0 only when nothing failed.
"""

import argparse
import os
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import harness  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--kills", type=int, default=20, help="kills of the server in the storm; other cases go by it")
    parser.add_argument("--blob-mb", type=int, default=64, help="size of a large blob")
    parser.add_argument("--only", action="append", default=[], help="a group, a case or group.case; may be given again")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(1 << 30)))
    parser.add_argument("--keep", action="store_true", help="leave every case's folder behind")
    arguments = parser.parse_args()

    clients = harness.module("clients_run", harness.ROOT / "tests" / "clients" / "run.py")
    wanted = clients.python_with_clients()
    if pathlib.Path(sys.executable) != wanted:
        os.execv(wanted, [str(wanted), *sys.argv, "--seed", str(arguments.seed)])
    import blob_cases, disk_cases, kill_cases, power_cases, server_cases, sync_cases  # noqa: F401, E401 - they register their cases

    print(f"seed {arguments.seed}", flush=True)
    runner = harness.Runner(arguments.only, arguments.keep)
    for function in harness.CASES:
        runner.run(function, lambda folder: harness.Bench(arguments.bin.resolve(), folder, arguments.seed, arguments.kills, arguments.blob_mb))
    sys.exit(runner.end())


if __name__ == "__main__":
    main()
