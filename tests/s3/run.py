#!/usr/bin/env python3
"""The product on S3: a test S3 on loopback, the store contract over it, and the real
programs with their graphs in a bucket.

    tests/s3/run.py --bin DIR                                  # the programs
    tests/s3/run.py --bin DIR -- cargo test --lib contract::   # and the engine's contract suite, by this command
    tests/s3/run.py --bin DIR --only a_server_killed_in_a_storm_loses_nothing

The command after `--` runs with OMNIGRAPH_TEST_S3 and the AWS_* variables set. moto, boto3
and psycopg are installed into the cache folder of the client tests. Ends with
`N passed, M failed`; the exit status is 0 only when nothing failed.
"""

import argparse
import contextlib
import os
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "crash")]
sys.dont_write_bytecode = True

import harness  # noqa: E402

REQUIREMENTS = ["moto[s3,server]==5.2.5", "boto3"]
BUCKET = "graphs"


@contextlib.contextmanager
def test_s3(log):
    """The endpoint of a fresh S3; it ends with the block."""
    process = subprocess.Popen([sys.executable, str(HERE / "server.py"), "--bucket", BUCKET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("ENDPOINT="):
            raise harness.Failed(f"the test S3 did not start; see {log.name}")
        yield line.strip().partition("=")[2]
    finally:
        process.kill()
        process.wait()


def environment(endpoint):
    """What the programs are told of the store, and nothing that this machine knows of AWS."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**clean, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true"}


def the_stores_contract_holds(bench):
    """Runs the engine's contract suite, and looks whether it went to the bucket at all."""
    import s3_cases

    done = subprocess.run(the_stores_contract_holds.command, env={**bench.environment, "OMNIGRAPH_TEST_S3": f"s3://{BUCKET}/contract"}, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise harness.Failed(f"{' '.join(the_stores_contract_holds.command)} ended with {done.returncode}")
    used = {key.split("/")[1] for key in s3_cases.keys(bench, BUCKET, "contract/")}
    harness.ok(len(used) >= 4, f"the suite used {len(used)} places of the bucket: it did not run over S3")


the_stores_contract_holds.group = "s3"


def main():
    own, command = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--commits", type=int, default=150, help="commits over a store that fails")
    parser.add_argument("--only", action="append", default=[], help="a case; may be given again")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(1 << 30)))
    arguments = parser.parse_args(own)

    clients = harness.module("clients_run", harness.ROOT / "tests" / "clients" / "run.py")
    wanted = clients.python_with("python-s3", [*clients.REQUIREMENTS, *REQUIREMENTS])
    if pathlib.Path(sys.executable) != wanted:
        os.execv(wanted, [str(wanted), *sys.argv])
    import chaos_cases  # noqa: F401 - it registers its cases
    import s3_blob_cases  # noqa: F401
    import s3_cases  # noqa: F401

    print(f"seed {arguments.seed}", flush=True)
    runner = harness.Runner(arguments.only)
    with tempfile.TemporaryDirectory(prefix="omnigraph-s3-") as folder, open(pathlib.Path(folder) / "s3.log", "w", encoding="utf-8") as log, test_s3(log) as endpoint:

        def bench_of(folder):
            bench = harness.Bench(arguments.bin.resolve(), folder, arguments.seed, arguments.kills)
            bench.endpoint, bench.environment, bench.url = endpoint, environment(endpoint), f"s3://{BUCKET}/{folder.name}"
            bench.commits = arguments.commits
            return bench

        for function in harness.CASES:
            runner.run(function, bench_of)
        if command:
            the_stores_contract_holds.command = command
            runner.run(the_stores_contract_holds, bench_of)
    sys.exit(runner.end())


if __name__ == "__main__":
    main()
