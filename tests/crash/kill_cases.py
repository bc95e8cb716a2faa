"""kill -9: what was acknowledged is there, nothing is half there, and the next start is
only a start."""

import random
import subprocess
import time

from harness import Failed, case, eq, fails, ok
from storm import Storm, load_file, read

# The promise is two seconds; a machine that runs other tests beside it gets some more.
READY_LIMIT_S = 5


def restarted(store):
    """A server that answers, and how long that took. It must not write to the store."""
    before = store.fingerprint()
    server = store.start()
    server.rows("SELECT count(*) FROM note")
    took = time.monotonic() - server.started
    eq(store.fingerprint(), before, "the files of the store after a restart")
    ok(took <= READY_LIMIT_S, f"the server answered {took:.1f} s after its start, {READY_LIMIT_S} s are allowed")
    return server, took


def refused_by_id(store, server, commit):
    """A commit that was never published cannot be read by its id."""
    with server.connect("reader") as connection:
        error = fails(lambda: connection.execute("SELECT * FROM commits(%s)", [commit]).fetchall(), "42704")
        ok(commit in str(error), f"the error does not name {commit}: {error}")
    for arguments in (("export", "--branch", commit), ("commits", "--branch", commit)):
        done = store.tool(*arguments, store.graph, code=1)
        ok(commit in done.stderr and "does not exist" in done.stderr, f"omnigraph {arguments[0]}: {done.stderr}")


@case("kill")
def a_storm_of_small_commits_survives_every_kill(bench):
    store = bench.store().make()
    chance = random.Random(bench.seed)
    storm = Storm(4, bench.seed)
    server, slowest = store.start(), 0
    try:
        for _ in range(bench.kills):
            storm.blow(server)
            time.sleep(chance.uniform(0.2, 0.9))
            server.kill()
            storm.calm()
            server, took = restarted(store)
            slowest = max(slowest, took)
            storm.verify(server)
        listed = set(store.commit_ids())
        unpublished = sorted(store.pointers() - listed)
        eq(sorted(listed - store.pointers()), [], "commits that nothing points to")
        for commit in unpublished[:5]:
            refused_by_id(store, server, commit)
        ok(storm.commits >= 5 * bench.kills, f"only {storm.commits} commits in {bench.kills} rounds: that was no storm")
        print(f"      {bench.kills} kills, {storm.commits} commits; of those on their way {storm.made_it} made it, "
              f"{storm.did_not} did not; {len(unpublished)} ids were never published; slowest start {slowest:.1f} s", flush=True)
        eq(server.stop(), 0, "the exit status after SIGTERM")
    finally:
        storm.end()


@case("kill")
def a_server_killed_while_it_starts_starts_again(bench):
    store = bench.store().make()
    chance = random.Random(bench.seed)
    server = store.start()
    with server.connect("ada") as connection:
        connection.execute("INSERT INTO note (slug, writer, n) VALUES ('a', 'ada', 1)")
    server.kill()
    for _ in range(5):
        process = subprocess.Popen([str(bench.bin_dir / "omnigraph-server"), "--store", store.url, "--bind", "127.0.0.1:0", "--unauthenticated"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=bench.log)
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.wait()
    server, _ = restarted(store)
    eq(server.rows("SELECT slug, n FROM note"), [("a", 1)])


@case("kill")
def a_killed_load_is_whole_or_nowhere(bench):
    store = bench.store().make()
    chance = random.Random(bench.seed)
    count = 4000
    started = time.monotonic()
    store.tool("load", "--data", load_file(bench, "load0", count), "--mode", "append", store.graph)
    whole = time.monotonic() - started
    # The server reads and writes the same graph all the while.
    server = store.start()
    storm = Storm(1, bench.seed)
    storm.blow(server)
    ended = {True: 0, False: 0}
    try:
        for number in range(1, max(4, bench.kills // 3) + 1):
            name = f"load{number}"
            process = store.start_tool("load", "--data", load_file(bench, name, count), "--mode", "append", store.graph)
            try:
                process.communicate(timeout=chance.uniform(0.2, 1.8) * whole)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            rows, commits = read(server)
            counts = {table: len(found) for table, found in rows.get(name, {}).items() if table != "counter"}
            there = counts == dict.fromkeys(("note", "debit", "credit", "transfer"), count)
            ok(there or not any(counts.values()), f"{name} is half there: {counts}")
            if process.returncode == 0:
                ok(there, f"{name} was acknowledged and is not there")
            ended[there] += 1
            eq(commits.get("tool", 0), 1 + 1 + ended[True], "commits of the tool: the graph's, the first load's and one for each load that made it")
        storm.calm()
        storm.verify(server)
        ok(ended[False], "every load ended before it was killed")
        print(f"      of {sum(ended.values())} loads {ended[True]} made it and {ended[False]} left nothing", flush=True)
        unpublished = sorted(store.pointers() - set(store.commit_ids()))
        for commit in unpublished[:2]:
            refused_by_id(store, server, commit)
    finally:
        storm.end()


# Where a commit is cut: at the first call of this name on this path of the store, and
# whether the commit is there afterwards. Nothing but the log entry decides.
CUTS = [
    ("rename", "any file", False),
    ("fsync", "the pointers", False),
    ("linkat", "the log entry", False),
    ("unlink", "the file that became the log entry", True),
]


@case("kill")
def a_commit_cut_between_its_data_and_its_log_entry_is_unknown(bench):
    store = bench.store().make()
    expected, unknown = [], []
    for number, (call, at, there) in enumerate(CUTS):
        entry = store.log_entry(store.head_seq() + 1)
        # An earlier cut left the file of its own try behind.
        tries = len(list(entry.parent.glob(f"{entry.name}#*")))
        path = {"the pointers": store.folder / "_graph" / "commits", "the log entry": entry, "the file that became the log entry": f"{entry}#{tries + 1}"}.get(at)
        only = ["-P", str(path)] if path else []
        known = store.pointers()
        # The call is not carried out, and the process is gone before it could look.
        inject = f"inject={call}:error=EIO:signal=SIGKILL:when=1"
        server = store.start(prefix=["strace", "-f", "-qq", "-o", str(bench.folder / "strace.out"), *only, "-e", f"trace={call}", "-e", inject])
        with server.connect("ada") as connection:
            slug = f"cut-{number}"
            connection.execute("BEGIN")
            for table in ("debit", "credit"):
                connection.execute(f"INSERT INTO {table} (slug, writer, n, pad) VALUES (%s, 'ada', %s, 'x')", [slug, number])
            try:
                connection.execute("COMMIT")
                raise Failed(f"{call} of {at}: the server went on and acknowledged")
            except Exception as error:
                if isinstance(error, Failed) or getattr(error, "sqlstate", None):
                    raise
        server.kill()
        server, _ = restarted(store)
        expected += [(slug,)] if there else []
        for table in ("debit", "credit"):
            eq(server.rows(f"SELECT slug FROM {table} ORDER BY slug"), expected, f"{table} after {call} of {at}")
        new = store.pointers() - known
        published = new & set(store.commit_ids())
        eq(len(published), int(there), f"commits published by {call} of {at}")
        if at in ("the pointers", "the log entry"):
            eq(len(new), 1, "pointers written before the log entry")
        unknown += sorted(new - published)
        for commit in unknown:
            refused_by_id(store, server, commit)
        server.kill()
    ok(unknown, "no cut left a commit that was never published")
    # The slots they were meant for are filled by others now.
    server = store.start()
    with server.connect("bob") as connection:
        for number in range(len(CUTS)):
            connection.execute("INSERT INTO note (slug, writer, n) VALUES (%s, 'bob', %s)", [f"after-{number}", number])
    for commit in unknown:
        refused_by_id(store, server, commit)
