"""The programs with their graphs in a bucket."""

import concurrent.futures
import contextlib
import json
import random
import subprocess
import sys
import time

from harness import ROOT, SCHEMA, Failed, Store, case, eq, fails, has_reason, ok
from storm import Storm, load_file, read


def client(bench, endpoint=None):
    import boto3
    from botocore.config import Config

    return boto3.client("s3", endpoint_url=endpoint or bench.endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                        config=Config(retries={"max_attempts": 1, "mode": "standard"}, max_pool_connections=32))


def keys(bench, bucket, prefix):
    pages = client(bench).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def place(bench):
    """The bucket and prefix of this case."""
    bucket, _, prefix = bench.url.removeprefix("s3://").partition("/")
    return bucket, prefix


def store_of(bench):
    return Store(bench, bench.url, bench.environment).make()


@contextlib.contextmanager
def another_s3(bench, bucket, *arguments):
    """A test S3 with other manners; its endpoint. It ends with the block."""
    process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "s3" / "server.py"), "--bucket", bucket, *arguments],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=bench.log, text=True)
    try:
        yield process.stdout.readline().strip().partition("=")[2]
    finally:
        process.kill()
        process.wait()


@case("s3")
def a_store_without_conditional_writes_is_refused(bench):
    """Two writers of one log would overwrite each other there."""
    with another_s3(bench, "graphs", "--overwrites") as endpoint:
        store = Store(bench, "s3://graphs/old", {**bench.environment, "AWS_ENDPOINT_URL": endpoint})
        schema = bench.folder / "crash.pg"
        schema.write_text(SCHEMA)
        refused = store.tool("init", "--schema", schema, store.graph, code=None)
        ok(refused.returncode != 0, "the graph was made")
        has_reason(refused.stderr, "put-if-absent")
        eq([found for found in client(bench, endpoint).list_objects_v2(Bucket="graphs").get("Contents", []) if found["Key"].endswith("graph.json")], [], "graphs made")


@case("s3")
def the_test_s3_lets_one_of_many_creators_win(bench):
    """What the other cases rest on, with a thread switch after every few instructions."""
    from botocore.exceptions import ClientError

    def double_wins():
        with another_s3(bench, "race", "--switch", "1e-6") as endpoint:
            s3 = client(bench, endpoint)

            def create(key):
                try:
                    s3.put_object(Bucket="race", Key=key, Body=b"x" * 2000, IfNoneMatch="*")
                    return 1
                except ClientError as error:
                    eq(error.response["ResponseMetadata"]["HTTPStatusCode"], 412, "the status of the losers")
                    return 0

            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                wins = [sum(pool.map(create, [f"k{turn}"] * 16)) for turn in range(20)]
            ok(all(wins), "nobody won a round")
            return sum(win > 1 for win in wins)

    eq(double_wins(), 0, "rounds of 20 with two winners")


@case("s3")
def the_tool_makes_loads_branches_and_exports(bench):
    store = store_of(bench)
    bucket, prefix = place(bench)
    ok(any(key.endswith("_graph/graph.json") for key in keys(bench, bucket, prefix + "/")), "nothing in the bucket says that there is a graph")
    again = store.tool("init", "--schema", bench.folder / "crash.pg", store.graph, code=1)
    ok("already exists" in again.stderr, again.stderr)

    source = load_file(bench, "load", 500)
    store.tool("load", "--data", source, "--mode", "append", store.graph)
    rows = store.export()
    eq(len(rows), 2000, "rows exported")
    eq(sorted(row["data"]["n"] for row in rows if row.get("type") == "Debit"), list(range(500)), "the numbers of the debits")

    before = len(keys(bench, bucket, prefix + "/"))
    store.tool("branch", "create", "review/1", store.graph)
    ok(len(keys(bench, bucket, prefix + "/")) - before <= 4, "a branch wrote more than a few objects")
    small = load_file(bench, "more", 3)
    store.tool("load", "--data", small, "--branch", "review/1", "--mode", "merge", store.graph)
    eq((len(store.export()), len(store.export("review/1"))), (2000, 2012), "rows of main and of the branch")
    names = [branch["branch"] for branch in json.loads(store.tool("branch", "list", "--json", store.graph).stdout)["branches"]]
    eq(sorted(names), ["main", "review/1"], "branches")
    eq(len(store.commit_ids()), 2, "commits of main")

    overwritten = store.tool("load", "--data", small, "--mode", "overwrite", store.graph)
    eq(overwritten.returncode, 0, "the overwrite")
    eq((len(store.export()), len(store.export("review/1"))), (12, 2012), "rows after main was overwritten")
    store.tool("branch", "delete", "review/1", "--cascade", store.graph)
    store.tool("export", "--branch", "review/1", store.graph, code=1)


@case("s3")
def a_server_killed_in_a_storm_loses_nothing(bench):
    store = store_of(bench)
    chance = random.Random(bench.seed)
    storm = Storm(3, bench.seed)
    server = store.start()
    try:
        for _ in range(bench.kills):
            storm.blow(server)
            time.sleep(chance.uniform(0.8, 2))
            server.kill()
            storm.calm()
            server = store.start()
            storm.verify(server)
        ok(storm.commits >= 3 * bench.kills, f"only {storm.commits} commits in {bench.kills} rounds: that was no storm")
        eq(server.stop(), 0, "the exit status after SIGTERM")
        print(f"      {bench.kills} kills, {storm.commits} commits; of those on their way {storm.made_it} made it, {storm.did_not} did not", flush=True)
    finally:
        storm.end()


@case("s3")
def a_killed_load_is_whole_or_nowhere(bench):
    store = store_of(bench)
    chance = random.Random(bench.seed)
    started = time.monotonic()
    store.tool("load", "--data", load_file(bench, "load0", 1000), "--mode", "append", store.graph)
    whole = time.monotonic() - started
    server, nowhere = store.start(), 0
    for number in range(1, 4):
        name = f"load{number}"
        process = store.start_tool("load", "--data", load_file(bench, name, 1000), "--mode", "append", store.graph)
        try:
            process.communicate(timeout=chance.uniform(0.1, 0.9) * whole)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        rows, _ = read(server)
        counts = {table: len(found) for table, found in rows.get(name, {}).items() if table != "counter"}
        there = counts == dict.fromkeys(("note", "debit", "credit", "transfer"), 1000)
        ok(there or not any(counts.values()), f"{name} is half there: {counts}")
        ok(there or process.returncode != 0, f"{name} was acknowledged and is not there")
        nowhere += not there
    ok(nowhere, "every load ended before it was killed")


@case("s3")
def two_servers_write_one_bucket(bench):
    store = store_of(bench)
    servers = [store.start(), store.start()]
    storms = [Storm(2, bench.seed, prefix=f"writer{at}") for at in range(2)]
    try:
        for storm, server in zip(storms, servers):
            storm.blow(server)
        # Long enough that single turns do not decide.
        time.sleep(30)
        for storm in storms:
            storm.stop()
        for storm in storms:
            storm.calm()
        shares = [storm.commits for storm in storms]
        print(f"      commits of each: {shares}", flush=True)
        ok(min(shares) * 6 >= sum(shares), f"less than a third of the mean: {shares}")
        merged = storms[0]
        merged.writers += storms[1].writers
        for server in servers:
            merged.verify(server)
    finally:
        for storm in storms:
            storm.end()
    with servers[0].connect("ada") as here, servers[1].connect("ada") as there:
        for number in range(4):
            here.execute("INSERT INTO note (slug, writer, n) VALUES (%s, 'ada', 1)", [f"seen-{number}"])
            eq(there.execute("SELECT n FROM note WHERE slug = %s", [f"seen-{number}"]).fetchall(), [(1,)], "the other server's row")
            here, there = there, here


@case("s3")
def a_store_that_is_not_there_is_named(bench):
    store = Store(bench, "s3://no-such-bucket/place", bench.environment)
    (bench.folder / "crash.pg").write_text("node A { slug: String @key }")
    done = store.tool("init", "--schema", bench.folder / "crash.pg", store.graph, code=1)
    has_reason(done.stderr, "no-such-bucket")
    for endpoint in ("", "127.0.0.1:9000"):
        wrong = Store(bench, bench.url, {**bench.environment, "AWS_ENDPOINT_URL": endpoint})
        done = wrong.tool("commits", wrong.graph, code=1)
        has_reason(done.stderr, "AWS_ENDPOINT_URL")
        ok("panicked" not in done.stderr, done.stderr)
    try:
        server = store.start()
    except Failed:
        return
    # A server may also wait for its store; then nothing is served from it.
    fails(lambda: server.rows("SELECT 1"), "3D000")
