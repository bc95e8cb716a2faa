"""What the client tests share: the register of cases, checks that say what they saw, and
the server under test with its graphs.

Graphs: `knowledge` (fixture/, with the branch review/1) is only read, so every count is
known; `scratch` has the same contents and takes the writes; `everything` has each type;
`debian` and `company` are the examples.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURE = HERE / "fixture"
BRANCH = "review/1"
TABLES = ["company", "knows", "person", "sample", "works_at"]
USER, PASSWORD = "compat", "a-token-with-'quotes'-\"and\"-{braces}:@/"
OTHER, OTHER_PASSWORD = "second", "another-token"

CASES = []


class Failed(Exception):
    pass


def case(client, gateway_only=False):
    """Registers a case. `gateway_only`: PostgreSQL itself has nothing of the kind."""

    def register(function):
        function.client, function.gateway_only = client, gateway_only
        CASES.append(function)
        return function

    return register


def eq(got, want, what="value"):
    if got != want:
        raise Failed(f"{what}: got {short(got)}, want {short(want)}")


def ok(condition, what):
    if not condition:
        raise Failed(what)


def has(text, part, what="output"):
    if part not in text:
        raise Failed(f"{what}: {part!r} is not in {short(text)}")


def matches(text, pattern, what="output"):
    if not re.search(pattern, text, re.M):
        raise Failed(f"{what}: /{pattern}/ does not match {short(text)}")


def short(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) < 700 else text[:700] + " …"


def sqlstate(error):
    for candidate in (error, getattr(error, "orig", None), error.__cause__):
        state = getattr(candidate, "sqlstate", None)
        if state:
            return state
    return None


def fails(action, state, kind=Exception):
    """Runs `action`, which has to fail with SQLSTATE `state`; gives back the error."""
    try:
        action()
    except kind as error:
        if sqlstate(error) != state:
            raise Failed(f"SQLSTATE {sqlstate(error)}, want {state}: {type(error).__name__}: {error}") from error
        return error
    raise Failed(f"no error, want {state}")


def unique():
    return "zz-" + uuid.uuid4().hex[:12]


def fixture_rows(name="fixture.jsonl"):
    with open(FIXTURE / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


class Fixture:
    """The fixture as Python values: what a test's expectations are computed from."""

    def __init__(self):
        rows = fixture_rows()
        nodes = lambda kind: {row["data"]["slug"]: row["data"] for row in rows if row.get("type") == kind}
        edges = lambda kind: [(row["from"], row["to"], row["data"]) for row in rows if row.get("edge") == kind]
        self.person, self.company, self.sample = nodes("Person"), nodes("Company"), nodes("Sample")
        self.knows, self.works_at = edges("Knows"), edges("WorksAt")

    def reach(self, start, hops):
        found, ring = {start: 0}, [start]
        for depth in range(1, hops + 1):
            ring = sorted({b for a, b, _ in self.knows if a in ring} - set(found))
            found.update((name, depth) for name in ring)
        del found[start]
        return found


class Server:
    """Where the server listens, and how one gets in."""

    def __init__(self, host, port, user, password, external, ca=None, wrong_ca=None, bin_dir=None, store=None):
        self.host, self.port, self.user, self.password = host, port, user, password
        self.external, self.ca, self.wrong_ca = external, ca, wrong_ca
        self.bin_dir, self.store = bin_dir, store
        self.debian_facts = self.start_another = self.cluster = None

    def parameters(self, graph="knowledge", **more):
        return {"host": self.host, "port": self.port, "user": self.user, "password": self.password,
                "dbname": graph, "connect_timeout": 20, **more}

    def psql(self, *args, graph="knowledge", stdin=None, code=0, user=None, password=None, env=None, timeout=60):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        environment.update(PGPASSWORD=password or self.password, PGCONNECT_TIMEOUT="20", LC_ALL="C.UTF-8",
                           PAGER="cat", PSQLRC="/dev/null", **(env or {}))
        target = [] if graph is None else ["-h", self.host, "-p", str(self.port), "-U", user or self.user, "-d", graph]
        done = subprocess.run(["psql", "-X", *target, *args], input=stdin, capture_output=True, text=True,
                              env=environment, timeout=timeout, stdin=None if stdin is not None else subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise Failed(f"psql ended with {done.returncode}, want {code}: {short((done.stderr or done.stdout).strip())}")
        return done

    def rows(self, sql, graph="knowledge", **options):
        """Unaligned rows of one -c command, split into cells; any warning or error fails."""
        done = self.psql("-At", "-v", "ON_ERROR_STOP=1", "-c", sql, graph=graph, **options)
        if "ERROR" in done.stderr or "WARNING" in done.stderr:
            raise Failed(short(done.stderr.strip()))
        return [line.split("|") for line in done.stdout.splitlines()]

    def script(self, sql, graph="scratch", **options):
        """Rows of a script on stdin: one session, each statement for itself."""
        done = self.psql("-At", "-q", "-v", "ON_ERROR_STOP=1", graph=graph, stdin=sql, **options)
        return [line.split("|") for line in done.stdout.splitlines()]


def start_server(bin_dir, store, credentials, certificate, key, log, source="--store"):
    """Starts omnigraph-server on a free port and waits until it says where it listens."""
    command = [str(bin_dir / "omnigraph-server"), source, str(store), "--bind", "127.0.0.1:0", "--credentials", str(credentials)]
    if certificate:
        command += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    address = []

    def read():
        for line in process.stdout:
            if line.startswith("OMNIGRAPH_LISTEN_ADDR="):
                address.append(line.strip().partition("=")[2])

    threading.Thread(target=read, daemon=True).start()
    until = time.monotonic() + 60
    while not address:
        if process.poll() is not None:
            raise Failed(f"omnigraph-server ended with {process.returncode} before it listened; see {log.name}")
        if time.monotonic() > until:
            process.kill()
            raise Failed(f"omnigraph-server said no address within 60 s; see {log.name}")
        time.sleep(0.02)
    host, _, port = address[0].rpartition(":")
    return process, host, int(port)


def stop_server(process, seconds=40):
    """SIGTERM, and how it ended: a clean drain is exit status 0."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "killed after not stopping"
