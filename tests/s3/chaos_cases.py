"""Many servers over a store that fails: every commit that was acknowledged is there once."""

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.request

from harness import ROOT, Failed, Store, case, eq, ok, sqlstate
from s3_cases import keys, place, store_of
from storm import Storm, Writer

SERVERS, WRITERS = 3, 8
# Longer than a commit waits before it says that its outcome is unknown.
DARK_S = 40
# Without a commit for so long something hangs.
STILL_S = 150


@contextlib.contextmanager
def chaos(bench):
    """The endpoint of a failing way to the bench's S3, and how to talk to it."""
    process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "s3" / "chaos.py"), "--upstream", bench.endpoint, "--seed", str(bench.seed)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=bench.log, text=True)
    try:
        endpoint = process.stdout.readline().strip().partition("=")[2]

        def tell(query=""):
            with urllib.request.urlopen(f"{endpoint}/chaos{query}", timeout=60) as answer:
                return json.load(answer)

        yield endpoint, tell
    finally:
        process.kill()
        process.wait()


class Doubter(Writer):
    """A writer that is told when an outcome is unknown, and asks."""

    def __init__(self, name, seed):
        super().__init__(name, seed)
        self.told = {}

    def one(self):
        """Mostly one row: what fails is the store, and it is asked for every commit."""
        self.number += 1
        if self.number % 10:
            self.insert(1)
        else:
            self.transaction(keep=True)

    def note(self, error):
        state = sqlstate(error)
        self.told[state] = self.told.get(state, 0) + 1
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        if state == "08007":
            self.settle(error)
        elif state in ("40001", "58030"):
            # Whatever was on its way was not committed: the states are compared in the end.
            self.proposed = None
        elif self.proposed is not None or state is not None:
            self.problems.append(f"{self.actor}: {state} {error}")
            self.go.clear()

    def settle(self, error):
        import psycopg

        commit = re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", error.diag.message_detail or "")
        if commit is None:
            self.problems.append(f"{self.actor}: nothing says which commit is unknown: {error}")
            return
        for _ in range(60):
            try:
                with self.server.connect(self.actor) as connection:
                    [[outcome]] = connection.execute("SELECT * FROM commit_outcome(%s)", [commit[0]]).fetchall()
                break
            except psycopg.Error:
                time.sleep(1)
        else:
            self.problems.append(f"{self.actor}: nobody knows what became of {commit[0]}")
            return
        self.told[outcome] = self.told.get(outcome, 0) + 1
        if outcome == "committed":
            self.acknowledge()
        self.proposed = None


def numbers_of_logs(bench):
    """The numbers of the entries in each branch's log."""
    bucket, prefix = place(bench)
    found = {}
    for key in keys(bench, bucket, f"{prefix}/graphs/crash.omni/_graph/branches/"):
        branch, _, name = key.split("/")[-3:]
        found.setdefault(branch, []).append(2**64 - 1 - int(name.removesuffix(".json")))
    return found


@case("chaos")
def commits_over_a_failing_store_are_there_once(bench):
    calm = store_of(bench)
    with chaos(bench) as (endpoint, tell):
        rough = Store(bench, bench.url, {**bench.environment, "AWS_ENDPOINT_URL": endpoint})
        servers = [rough.start() for _ in range(SERVERS)]
        storms = [Storm(WRITERS, bench.seed, f"writer{at}", Doubter) for at in range(SERVERS)]
        made = lambda: sum(storm.commits for storm in storms)
        started = time.monotonic()
        try:
            for storm, server in zip(storms, servers):
                storm.blow(server)
            dark, last, since = bench.commits // 2, 0, time.monotonic()
            while made() < bench.commits:
                time.sleep(0.1)
                if made() > last:
                    last, since = made(), time.monotonic()
                if dark is not None and last >= dark:
                    tell(f"?dark={DARK_S}")
                    dark, since = None, time.monotonic()
                problems = [problem for storm in storms for writer in storm.writers for problem in writer.problems]
                ok(not problems, "; ".join(problems[:3]))
                if time.monotonic() - since > STILL_S:
                    raise Failed(f"no commit for {STILL_S} s, after {last}")
            for storm in storms:
                storm.stop()
            for storm in storms:
                storm.calm()
            took, weather = time.monotonic() - started, tell()
            told = {}
            for storm in storms:
                for writer in storm.writers:
                    for what, times in writer.told.items():
                        told[what] = told.get(what, 0) + times
            print(f"      {made()} commits in {took:.0f} s; requests {weather}; told {told}", flush=True)
            ok(told.get("08007"), f"no outcome was unknown: {told}")
            every = storms[0]
            every.writers = [writer for storm in storms for writer in storm.writers]
            for server in [calm.start(), servers[0]]:
                every.verify(server)
        finally:
            for storm in storms:
                storm.end()
    for branch, numbers in numbers_of_logs(bench).items():
        eq(sorted(numbers), list(range(len(numbers))), f"entries of the log of {branch}")
