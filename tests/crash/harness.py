"""What the crash cases share: a store with one graph, servers and tools as processes, and
what of the store's folder can be seen from outside."""

import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))

from support import Failed, eq, fails, ok, short, sqlstate  # noqa: E402, F401 - shared with the cases

GRAPH = "crash"
SCHEMA = """
node Note    { slug: String @key  writer: String  n: I64 }
node Debit   { slug: String @key  writer: String  n: I64  pad: String }
node Credit  { slug: String @key  writer: String  n: I64  pad: String }
node Counter { slug: String @key  n: I64 }
edge Transfer: Debit -> Credit { writer: String  n: I64 }
"""
CASES = []
# How long a server may take to listen. What the promise allows is asserted by the cases;
# this only ends a wait.
LISTEN_LIMIT_S = 60


def case(group):
    """Registers a case; its name is the claim."""

    def register(function):
        function.group = group
        CASES.append(function)
        return function

    return register


def module(name, path):
    """A Python file as a module; two folders may both have a `run.py`."""
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def has_reason(error, reason):
    """The system's own words have to reach whoever can free the disk."""
    ok(reason in str(error), f"the error hides the reason {reason!r}: {error}")


class Runner:
    """Runs cases, each in a folder of its own, and counts."""

    def __init__(self, only, keep=False):
        self.only, self.keep, self.passed, self.failed = set(only), keep, 0, []

    def run(self, function, bench_of):
        """`bench_of` makes from a folder what the case is given."""
        name = f"{function.group}.{function.__name__}"
        if self.only and not {function.group, function.__name__, name} & self.only:
            return
        folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-crash-"))
        started = time.monotonic()
        bench = bench_of(folder)
        try:
            function(bench)
            detail = None
        except Exception as error:  # noqa: BLE001 - whatever it is, this case failed
            detail = described(error)
        finally:
            bench.end()
        took = f"({time.monotonic() - started:.1f} s)"
        if detail is None:
            self.passed += 1
            print(f"ok    {name} {took}", flush=True)
            if not self.keep:
                shutil.rmtree(folder, ignore_errors=True)
        else:
            self.failed.append(name)
            print(f"FAIL  {name} {took}, left behind in {folder}\n      " + detail.strip().replace("\n", "\n      "), flush=True)

    def end(self):
        """The closing lines, and the exit status."""
        for name in self.failed:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed or not self.passed else 0


def described(error):
    tests = str(HERE.parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(tests)]
    at = " < ".join(f"{pathlib.Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[1:]))
    kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
    state = sqlstate(error)
    return f"{at}: {kind}{error}" + (f" [{state}]" if state else "")


class Bench:
    """What a case is given: programs, a folder of its own, a seed and how much to do."""

    def __init__(self, bin_dir, folder, seed, kills, blob_mb=64):
        self.bin_dir, self.folder, self.seed, self.kills, self.blob_mb = bin_dir, folder, seed, kills, blob_mb
        self.log = open(folder / "server.log", "a", encoding="utf-8")
        self.running = []

    def store(self, name="store", parent=None, **environment):
        return Store(self, str((parent or self.folder) / name), environment)

    def end(self):
        """Ends whatever a case left running. Only processes that were started here."""
        for server in self.running:
            server.kill()
        self.log.close()


class Store:
    """A place for graphs, a folder or a URL, with one graph in it."""

    def __init__(self, bench, url, environment=None):
        self.bench, self.url = bench, url
        self.environment = {**os.environ, "OMNIGRAPH_ACTOR": "tool", **(environment or {})}
        self.graph = f"{url}/graphs/{GRAPH}.omni"
        # What a server is told to serve, and whom.
        self.served = ["--store", url, "--unauthenticated"]

    @property
    def folder(self):
        return pathlib.Path(self.graph)

    def make(self):
        schema = self.bench.folder / "crash.pg"
        schema.write_text(SCHEMA)
        if "://" not in self.url:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.tool("init", "--schema", schema, self.graph)
        return self

    def start_tool(self, *arguments, prefix=(), **options):
        command = [*prefix, str(self.bench.bin_dir / "omnigraph"), *map(str, arguments)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment, **options)

    def tool(self, *arguments, code=0, **options):
        process = self.start_tool(*arguments, **options)
        out, err = process.communicate(timeout=300)
        if code is not None and process.returncode != code:
            raise Failed(f"omnigraph {' '.join(map(str, arguments))} ended with {process.returncode}, want {code}:\n{short(out)}{short(err)}")
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def export(self, branch="main"):
        return [json.loads(line) for line in self.tool("export", "--branch", branch, self.graph).stdout.splitlines()]

    def commit_ids(self):
        listed = json.loads(self.tool("commits", "--json", "--limit", "0", self.graph).stdout)
        return [commit["commit"] for commit in listed["commits"]]

    def pointers(self):
        """The commits for which something points the way, published or not."""
        return {path.stem for path in (self.folder / "_graph" / "commits").glob("*.json")}

    def log_entry(self, seq):
        """Where the log entry number `seq` of `main` lies, in a graph that has no other branch."""
        [branch] = (self.folder / "_graph" / "branches").iterdir()
        inverted = lambda number: f"{2**64 - 1 - number:020}"
        return branch / inverted(seq // 1000) / f"{inverted(seq)}.json"

    def head_seq(self):
        seq = 0
        while self.log_entry(seq + 1).exists():
            seq += 1
        return seq

    def start(self, prefix=(), arguments=(), copies=1, **options):
        return Server(self, prefix, arguments, copies, options)

    def fingerprint(self):
        """Every file with its size and time: equal before and after means nobody wrote."""
        found = {}
        for path in pathlib.Path(self.url).rglob("*"):
            if path.is_file():
                status = path.stat()
                found[str(path)] = (status.st_size, status.st_mtime_ns, status.st_nlink)
        return found


class Server:
    """omnigraph-server as a process, or several of them at once. `prefix` is a command that
    runs it, such as strace."""

    def __init__(self, store, prefix, arguments, copies, options):
        self.store, self.started = store, time.monotonic()
        if copies > 1:
            prefix = [*prefix, "sh", "-c", '"$@" & ' * copies + "wait", "sh"]
        command = [*prefix, str(store.bench.bin_dir / "omnigraph-server"), *store.served, "--bind", "127.0.0.1:0", *arguments]
        # In a session of its own, so that a wrapped server ends with its wrapper.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        env=store.environment, start_new_session=True, **{"stderr": store.bench.log, **options})
        store.bench.running.append(self)
        addresses, ended = [], threading.Event()

        def read():
            for line in self.process.stdout:
                if line.startswith("OMNIGRAPH_LISTEN_ADDR="):
                    addresses.append(line.strip().partition("=")[2])
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        while len(addresses) < copies:
            if ended.wait(0.005) and len(addresses) < copies:
                raise Failed(f"omnigraph-server ended with {self.process.wait()} before it listened; see {store.bench.log.name}")
            if time.monotonic() - self.started > LISTEN_LIMIT_S:
                self.kill()
                raise Failed(f"omnigraph-server said no address within {LISTEN_LIMIT_S} s; see {store.bench.log.name}")
        self.host = addresses[0].rpartition(":")[0]
        self.ports = [int(address.rpartition(":")[2]) for address in addresses]
        self.port = self.ports[0]

    def connect(self, actor="somebody", copy=0, graph=GRAPH, **more):
        import psycopg

        return psycopg.connect(host=self.host, port=self.ports[copy], user=actor, dbname=graph, autocommit=True, connect_timeout=20, **more)

    def rows(self, sql, parameters=None, actor="reader"):
        with self.connect(actor) as connection:
            return connection.execute(sql, parameters).fetchall()

    def kill(self):
        """SIGKILL, to the wrapper too, and the wait until it is gone."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def stop(self, seconds=40):
        """SIGTERM; a drain that went well is exit status 0."""
        session = subprocess.run(["ps", "-o", "pid=,comm=", "-s", str(self.process.pid)], capture_output=True, text=True).stdout
        for pid, name in (line.split(None, 1) for line in session.splitlines()):
            if name == "omnigraph-serve":
                os.kill(int(pid), signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return "killed after not stopping"
