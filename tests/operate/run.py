#!/usr/bin/env python3
"""What is deployed: the image's steps, the entrypoint, the compose file, the unit, without a container.

    tests/operate/run.py --bin DIR                 # omnigraph and omnigraph-server of DIR
    tests/operate/run.py --bin DIR --only entrypoint

Every variable, flag, port and mount that the files name is looked up in what the programs say of
themselves; the entrypoint runs under sh with the real programs; scripts/package.sh fills a folder, from
which the server is started as a user who owns nothing else. Ends with `N passed, M failed`.
"""

import argparse
import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
# What the entrypoint adds to the server's own variables.
OF_ENTRYPOINT = {"OMNIGRAPH_CLUSTER_APPLY"}
# The tool's.
OF_TOOL = {"OMNIGRAPH_ACTOR", "OMNIGRAPH_LOG"}
# Names of the compose file's own.
OF_COMPOSE = {"OMNIGRAPH_DEMO_TOKEN"}
NOBODY = 65534

CASES = []


class Failed(Exception):
    pass


def case(function):
    CASES.append(function)
    return function


def ok(condition, what):
    if not condition:
        raise Failed(what)


def eq(got, want, what):
    ok(got == want, f"{what}: got {got!r}, want {want!r}")


class Bench:
    """The programs under test and a folder of one's own."""

    def __init__(self, bin_dir, folder):
        self.bin, self.folder = bin_dir, folder
        # The programs' reference: what `make docs` writes, made from their own help.
        self.reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")

    def variables(self):
        return set(re.findall(r"\[env: ([A-Z_]+)=", self.reference)) | set(re.findall(r"OMNIGRAPH_SERVER_BEARER_TOKENS?(?:_JSON)?\b", self.reference))

    def environment(self, **more):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMNIGRAPH_", "AWS_", "PG"))}
        return {**clean, "PATH": f"{self.bin}:{clean.get('PATH', '')}", **more}

    def run(self, *command, status=0, environment=None, **options):
        done = subprocess.run([str(part) for part in command], env=environment or self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, **options)
        ok(status is None or done.returncode == status, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def store(self, name="store"):
        """A store with one small graph."""
        store = self.folder / name
        if not store.exists():
            (store / "graphs").mkdir(parents=True)
            (self.folder / "people.pg").write_text("node Person { slug: String @key  name: String }\n")
            self.run("omnigraph", "init", "--schema", self.folder / "people.pg", store / "graphs" / "people.omni")
        return store

    def cluster(self, name):
        """A declared cluster that nobody has applied."""
        config = self.folder / name
        config.mkdir()
        (config / "people.pg").write_text("node Person { slug: String @key  name: String }\n")
        (config / "policy.yaml").write_text("version: 1\ngroups: { all: [ada] }\nrules:\n  - id: all\n    allow: { actors: { group: all }, actions: [read, change], branch_scope: any }\n")
        (config / "cluster.yaml").write_text("version: 1\ngraphs:\n  people: { schema: people.pg }\npolicies:\n  base: { file: policy.yaml, applies_to: [people] }\n")
        return config

    @contextlib.contextmanager
    def started(self, command, environment, **options):
        """A server that says where it listens; stopped with SIGTERM, which has to end it well."""
        process = subprocess.Popen([str(part) for part in command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **options)
        said, log = {}, []
        threading.Thread(target=lambda: log.extend(process.stderr), daemon=True).start()

        def listen():
            for line in process.stdout:
                name, _, address = line.strip().partition("=")
                said[name] = address

        threading.Thread(target=listen, daemon=True).start()
        try:
            until = time.monotonic() + 60
            off = environment.get("OMNIGRAPH_HTTP_BIND") == "off"
            while "OMNIGRAPH_LISTEN_ADDR" not in said or not (off or "OMNIGRAPH_HTTP_LISTEN_ADDR" in said):
                ok(process.poll() is None, f"ended with {process.poll()}: {''.join(log)}")
                ok(time.monotonic() < until, "does not listen")
                time.sleep(0.02)
            yield said, log
            process.send_signal(signal.SIGTERM)
            eq(process.wait(40), 0, "exit status after SIGTERM")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def psql(self, address, sql, user="ada", password="ada", status=0):
        host, _, port = address.rpartition(":")
        return self.run("psql", "-XAtq", "-h", host.replace("0.0.0.0", "127.0.0.1"), "-p", port, "-U", user, "-d", "people", "-c", sql,
                        environment=self.environment(PGPASSWORD=password, PGCONNECT_TIMEOUT="20"), status=status)

    @staticmethod
    def get(address, path):
        try:
            with urllib.request.urlopen(f"http://{address.replace('0.0.0.0', '127.0.0.1')}{path}", timeout=20) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()


def text_of(*names):
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


@case
def files_name_only_variables_that_there_are(bench):
    known = bench.variables() | OF_ENTRYPOINT | OF_TOOL
    ok("OMNIGRAPH_HTTP_BIND" in known and "OMNIGRAPH_STORE" in known, f"the reference has {sorted(known)}")
    for name, text in text_of("Dockerfile", "docker/entrypoint.sh", "docker-compose.yml", "packaging/omnigraph-server.service",
                              "docs/operate/containers.md", "docs/operate/bare-metal.md").items():
        more = OF_COMPOSE if name == "docker-compose.yml" else set()
        unknown = set(re.findall(r"OMNIGRAPH_[A-Z_]+[A-Z]", text)) - known - more - {"OMNIGRAPH_LISTEN_ADDR", "OMNIGRAPH_HTTP_LISTEN_ADDR"}
        ok(not unknown, f"{name} names {sorted(unknown)}, which nobody reads")


@case
def the_page_of_containers_has_every_variable(bench):
    page = text_of("docs/operate/containers.md")["docs/operate/containers.md"]
    server = bench.reference.partition("\n## omnigraph-server")[2]
    for variable in sorted(set(re.findall(r"\[env: ([A-Z_]+)=", server)) | OF_ENTRYPOINT):
        ok(f"`{variable}`" in page, f"{variable} is not in docs/operate/containers.md")


@case
def ports_and_mounts_agree(bench):
    files = text_of("Dockerfile", "docker/entrypoint.sh", "docker-compose.yml")
    exposed = set(re.search(r"^EXPOSE (.*)$", files["Dockerfile"], re.M)[1].split())
    defaults = set(re.findall(r"0\.0\.0\.0:(\d+)\}", files["docker/entrypoint.sh"]))
    eq(exposed, defaults, "EXPOSE and the entrypoint's ports")
    gateway = re.search(r"\n  gateway:\n(.*?)\n  \w+:\n", files["docker-compose.yml"], re.S)[1]
    eq(set(re.findall(r'"127\.0\.0\.1:(\d+):\1"', gateway)), exposed, "the gateway's ports in the compose file")
    volume = re.search(r"^VOLUME (.*)$", files["Dockerfile"], re.M)[1]
    ok(f"OMNIGRAPH_STORE={volume}" in files["docker/entrypoint.sh"], f"the entrypoint's store is not the volume {volume}")
    ok(f"-o omnigraph -g omnigraph {volume}" in files["Dockerfile"], f"{volume} is not the user's")
    ok(re.search(r"^USER (?!root)", files["Dockerfile"], re.M), "the image runs as root")
    for source in re.findall(r'"(\./[^:"]+):', files["docker-compose.yml"]):
        ok((ROOT / source).exists(), f"the compose file mounts {source}, which is not there")
    readyz = re.search(r"HEALTHCHECK.*http://127\.0\.0\.1:(\d+)(/\w+)", files["Dockerfile"])
    ok(readyz and readyz[1] in exposed and readyz[2] == "/readyz", "the health check asks something else")
    timeout = int(re.search(r"stop_grace_period: (\d+)s", gateway)[1])
    drain = int(re.search(r"--drain.*?\[default: (\d+)s\]", bench.reference, re.S)[1])
    ok(timeout > drain, "the container is killed before it has drained")
    unit = text_of("packaging/omnigraph-server.service")["packaging/omnigraph-server.service"]
    ok(int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > drain, "the unit is killed before it has drained")


@case
def entrypoint_is_plain_sh(bench):
    for script in (ENTRYPOINT, ROOT / "docker" / "seed-metabase.sh"):
        bench.run("sh", "-n", script)


@case
def entrypoint_listens_as_variables_say(bench):
    tokens = bench.folder / "tokens.json"
    tokens.write_text('{"ada": "ada"}')
    tokens.chmod(0o600)
    free = {"OMNIGRAPH_BIND": "127.0.0.1:0", "OMNIGRAPH_HTTP_BIND": "127.0.0.1:0"}
    store = {"OMNIGRAPH_STORE": str(bench.store())}
    settings = bench.folder / "server.yaml"
    settings.write_text(f"store: {bench.store()}\ndrain: 1s\n")
    for name, more in {
        "file": {**store, "OMNIGRAPH_SERVER_BEARER_TOKENS_FILE": str(tokens)},
        "json": {**store, "OMNIGRAPH_SERVER_BEARER_TOKENS_JSON": '{"ada": "ada"}'},
        "unauthenticated": {**store, "OMNIGRAPH_UNAUTHENTICATED": "1"},
        "config": {"OMNIGRAPH_CONFIG": str(settings), "OMNIGRAPH_SERVER_BEARER_TOKENS_FILE": str(tokens)},
        "others": {**store, "OMNIGRAPH_SERVER_BEARER_TOKENS_FILE": str(tokens), "OMNIGRAPH_DURABILITY": "none", "OMNIGRAPH_DRAIN": "2s",
                   "OMNIGRAPH_MAX_CONNECTIONS": "3", "OMNIGRAPH_LOG_FORMAT": "json", "OMNIGRAPH_LOG": "info"},
    }.items():
        with bench.started(["sh", ENTRYPOINT], bench.environment(**free, **more)) as (said, log):
            eq(bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "select count(*) from person").stdout.strip(), "0", name)
            eq(bench.get(said["OMNIGRAPH_HTTP_LISTEN_ADDR"], "/healthz")[0], 200, name)
            if name == "others":
                eq(bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "show durability").stdout.strip(), "none", name)
                eq(bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "show max_connections").stdout.strip(), "3", name)
                ok(all(json.loads(line) for line in log), "the log is not JSON")
    token = {**free, **store, "OMNIGRAPH_SERVER_BEARER_TOKEN": "one"}
    with bench.started(["sh", ENTRYPOINT], bench.environment(**token)) as (said, _):
        bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "select 1", user="default", password="one")
        bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "select 1", user="default", password="two", status=2)
    off = {**free, **store, "OMNIGRAPH_UNAUTHENTICATED": "true", "OMNIGRAPH_HTTP_BIND": "off"}
    with bench.started(["sh", ENTRYPOINT], bench.environment(**off)) as (said, _):
        ok("OMNIGRAPH_HTTP_LISTEN_ADDR" not in said, "HTTP is spoken")


@case
def entrypoint_applies_a_cluster_and_takes_over_what_changes(bench):
    config = bench.cluster("applied")
    settings = bench.environment(OMNIGRAPH_BIND="127.0.0.1:0", OMNIGRAPH_HTTP_BIND="127.0.0.1:0", OMNIGRAPH_CLUSTER=str(config), OMNIGRAPH_CLUSTER_APPLY="true",
                                 OMNIGRAPH_ACTOR="container", OMNIGRAPH_POLL="100ms", OMNIGRAPH_REQUIRE_ALL_GRAPHS="1", OMNIGRAPH_SERVER_BEARER_TOKENS_JSON='{"ada": "ada"}')
    for _ in range(2):
        with bench.started(["sh", ENTRYPOINT], settings) as (said, _):
            bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "select count(*) from person")
    ledger = json.loads((config / "__cluster" / "state.json").read_text())
    eq(ledger["state_revision"], 2, "the second start applied nothing")


@case
def entrypoint_refuses_with_reasons(bench):
    for more, status, told in [
        ({"OMNIGRAPH_CLUSTER_APPLY": "true"}, 64, "OMNIGRAPH_CLUSTER_APPLY needs OMNIGRAPH_CLUSTER"),
        ({"OMNIGRAPH_CLUSTER_APPLY": "perhaps"}, 64, "true or false"),
        ({"OMNIGRAPH_STORE": str(bench.store())}, 2, "who may connect is not said"),
        ({"OMNIGRAPH_STORE": str(bench.store()), "OMNIGRAPH_UNAUTHENTICATED": "1"}, 2, "only loopback addresses"),
        ({"OMNIGRAPH_STORE": str(bench.store()), "OMNIGRAPH_SERVER_BEARER_TOKENS_JSON": ""}, 2, "OMNIGRAPH_SERVER_BEARER_TOKENS_JSON"),
        ({"OMNIGRAPH_STORE": str(bench.store()), "OMNIGRAPH_SERVER_BEARER_TOKENS_AWS_SECRET": "x"}, 2, "AWS Secrets Manager"),
        ({"OMNIGRAPH_STORE": "/nowhere", "OMNIGRAPH_DURABILITY": "none"}, 2, "/nowhere"),
    ]:
        done = bench.run("sh", ENTRYPOINT, environment=bench.environment(**more), status=status)
        ok(told in done.stderr, f"{more}: {done.stderr}")
    # All mistakes at once.
    done = bench.run("sh", ENTRYPOINT, environment=bench.environment(OMNIGRAPH_STORE="/nowhere", OMNIGRAPH_HTTP_BIND="nonsense"), status=2)
    for told in ("/nowhere", "nonsense", "who may connect"):
        ok(told in done.stderr, done.stderr)
    done = bench.run("sh", ENTRYPOINT, "omnigraph", "version")
    ok("omnigraph" in done.stdout, "a command is run instead")


@case
def the_package_runs_as_a_user_who_owns_nothing_else(bench):
    out = bench.folder / "package"
    bench.run(ROOT / "scripts" / "package.sh", "--bin", bench.bin, "--out", out)
    for path in ("usr/local/bin/omnigraph", "usr/local/bin/omnigraph-server", "usr/local/bin/omnigraph-entrypoint",
                 "usr/lib/systemd/system/omnigraph-server.service", "usr/share/doc/omnigraph/docs/operate/bare-metal.md", "usr/share/doc/omnigraph/LICENSE"):
        ok((out / path).exists(), f"{path} is not in the package")
    data = bench.folder / "data"
    shutil.copytree(bench.store(), data)
    tokens = bench.folder / "nobody.json"
    tokens.write_text('{"ada": "ada"}')
    user = {}
    if os.getuid() == 0:
        # As the image's user: only the data is theirs.
        for path in [data, *data.rglob("*"), tokens]:
            os.chown(path, NOBODY, NOBODY)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    tokens.chmod(0o600)
    environment = {"PATH": f"{out}/usr/local/bin:/usr/bin:/bin", "OMNIGRAPH_STORE": str(data), "OMNIGRAPH_BIND": "127.0.0.1:0",
                   "OMNIGRAPH_HTTP_BIND": "127.0.0.1:0", "OMNIGRAPH_SERVER_BEARER_TOKENS_FILE": str(tokens)}
    with bench.started([out / "usr/local/bin/omnigraph-entrypoint"], environment, cwd="/", **user) as (said, _):
        address = said["OMNIGRAPH_LISTEN_ADDR"]
        bench.psql(address, "insert into person (slug, name) values ('ada', 'Ada')")
        eq(bench.psql(address, "select name from person").stdout.strip(), "Ada", "what was written")


@case
def health_readiness_and_metrics_are_told(bench):
    store = bench.store("watched")
    environment = bench.environment(OMNIGRAPH_STORE=str(store), OMNIGRAPH_BIND="127.0.0.1:0", OMNIGRAPH_UNAUTHENTICATED="1", OMNIGRAPH_LOG_FORMAT="json",
                                    OMNIGRAPH_LOG="info,omnigraph_audit=debug")
    broken = store / "graphs" / "broken.omni" / "_graph"
    broken.mkdir(parents=True)
    (broken / "graph.json").write_text("damaged")
    with bench.started(["omnigraph-server"], environment) as (said, log):
        http_address, address = said["OMNIGRAPH_HTTP_LISTEN_ADDR"], said["OMNIGRAPH_LISTEN_ADDR"]
        status, headers, text = bench.get(http_address, "/readyz")
        ready = json.loads(text)
        eq((status, headers["content-type"], ready["ready"], ready["phase"]), (200, "application/json", True, "accepting"), "readiness")
        eq(ready["graphs"]["people"], {"state": "serving"}, "a graph that is served")
        eq(ready["graphs"]["broken"]["code"], "graph_unopenable", "one that is not")
        eq(bench.get(http_address, "/nothing")[0], 404, "another page")
        bench.psql(address, "insert into person (slug, name) values ('x', 'X')")
        bench.psql(address, "select 1/0", status=1)
        bench.psql(address, "select nope", status=1)
        status, headers, text = bench.get(http_address, "/metrics")
        eq((status, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "metrics")
        figures = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                figures[name] = float(value)
        eq(figures["omnigraph_gateway_connections_total"], 3, "connections")
        eq(figures['omnigraph_gateway_statements_total{outcome="done"}'], 1, "statements that were done")
        eq(figures['omnigraph_gateway_statements_total{outcome="invalid"}'], 1, "statements with wrong values")
        eq(figures['omnigraph_gateway_statements_total{outcome="rejected"}'], 1, "statements that mean nothing")
        eq(figures["omnigraph_gateway_statement_seconds_count"], 3, "times")
        eq(figures['omnigraph_gateway_statement_seconds_bucket{le="+Inf"}'], 3, "the last bucket")
        eq(figures["omnigraph_gateway_commits_total"], 1, "commits")
        eq(figures['omnigraph_catalog_graphs{state="quarantined"}'], 1, "graphs set aside")
        ok(figures['omnigraph_engine_store_requests_total{operation="put"}'] > 0, "requests to the store")
        ok(figures["omnigraph_gateway_memory_limit_bytes"] > 0, "memory")
        heads = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        bare = {re.sub(r"(_bucket|_sum|_count)?(\{.*\})?$", "", name) for name in figures}
        ok(bare <= heads, f"figures without a type: {bare - heads}")
    audit = [line for line in map(json.loads, log) if line.get("fields", {}).get("message") == "audit"]
    changes = [line["fields"] for line in audit if line["fields"]["action"] == "change"]
    eq(len(changes), 1, "lines of the audit log about changes")
    line = changes[0]
    eq((line["graph"], line["statement"], line["branch"], line["decision"], line["outcome"]), ("people", "INSERT", "main", "allow", "00000"), "the audit log")
    ok("'x'" not in json.dumps(audit), "values are in the audit log")


@case
def refusals_are_audited_with_what_was_asked(bench):
    config = bench.cluster("audited")
    text = (config / "policy.yaml").read_text()
    (config / "policy.yaml").write_text(text.replace("actions: [read, change]", "actions: [read]"))
    environment = bench.environment(OMNIGRAPH_BIND="127.0.0.1:0", OMNIGRAPH_CLUSTER=str(config), OMNIGRAPH_CLUSTER_APPLY="true", OMNIGRAPH_HTTP_BIND="off",
                                    OMNIGRAPH_SERVER_BEARER_TOKENS_JSON='{"ada": "ada"}', OMNIGRAPH_LOG_FORMAT="json", OMNIGRAPH_LOG="warn,omnigraph_audit=debug")
    with bench.started(["sh", ENTRYPOINT], environment) as (said, log):
        bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "select count(*) from person")
        bench.psql(said["OMNIGRAPH_LISTEN_ADDR"], "delete from person", status=1)
    lines = [json.loads(line)["fields"] for line in log]
    read = next(line for line in lines if line["statement"] == "SELECT")
    eq((read["actor"], read["action"], read["decision"], read["rules"]), ("ada", "read", "allow", "all"), "a read")
    denied = next(line for line in lines if line["decision"] == "deny")
    eq((denied["statement"], denied["action"], denied["branch"], denied["outcome"], denied["rules"]), ("DELETE", "change", "main", "42501", ""), "a refusal")


@case
def doctor_finds_each_damage(bench):
    whole = bench.folder / "whole"
    whole.mkdir()
    (bench.folder / "many.jsonl").write_text("".join(json.dumps({"type": "Person", "data": {"slug": f"p{i}", "name": "N"}}) + "\n" for i in range(50_000)))
    (bench.folder / "doctor.pg").write_text("node Person { slug: String @key  name: String }\n")
    bench.run("omnigraph", "init", "--schema", bench.folder / "doctor.pg", whole / "g.omni")
    bench.run("omnigraph", "load", "--data", bench.folder / "many.jsonl", "--mode", "overwrite", whole / "g.omni")
    healthy = json.loads(bench.run("omnigraph", "doctor", "--json", whole / "g.omni").stdout)
    eq((healthy["errors"], healthy["warnings"]), ([], []), "a graph that is whole")
    looked = next(iter(healthy["looked_at"].values()))
    ok(looked["entries"] > 2 and looked["versions"] and looked["files"], f"looked at {looked}")

    def files(root, pattern):
        return sorted(path for path in root.glob(pattern) if path.is_file())

    def garble(path):
        path.write_bytes(b"garbled" + path.read_bytes()[7:])

    def checkpoint(root):
        branch = next(path for path in (root / "_graph" / "branches").iterdir())
        folder = root / "_graph" / "checkpoints" / branch.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("9" * 20 + ".json")).write_text("garbled")

    for code, status, damage in [
        ("log_entry_damaged", 1, lambda root: garble(files(root, "_graph/branches/*/*/*.json")[0])),
        ("manifest_damaged", 1, lambda root: garble(files(root, "nodes/*/_versions/d*.manifest")[-1])),
        ("file_missing", 1, lambda root: files(root, "nodes/*/data/*.lance")[0].unlink()),
        ("index_damaged", 0, lambda root: garble(files(root, "nodes/*/lookup/*")[0])),
        ("checkpoint_damaged", 0, checkpoint),
    ]:
        root = bench.folder / f"damaged-{code}"
        shutil.copytree(whole / "g.omni", root)
        damage(root)
        before = {path: path.read_bytes() for path in files(root, "**/*")}
        done = bench.run("omnigraph", "doctor", "--json", root, status=None)
        told = json.loads(done.stdout)
        codes = {finding["code"] for finding in told.get("errors", []) + told.get("warnings", [])}
        ok(code in codes, f"{code}: {done.stdout}{done.stderr}")
        eq(done.returncode, status, code)
        eq({path: path.read_bytes() for path in files(root, "**/*")}, before, "files after looking")

    def cluster(name):
        config = bench.cluster(name)
        (config / "q.gq").write_text("query q() { match { $p: Person } return { $p.name as name } }\n")
        text = (config / "cluster.yaml").read_text().replace("schema: people.pg }", "schema: people.pg, queries: [q.gq], embedding_provider: default }\n  spare: { schema: people.pg }")
        (config / "cluster.yaml").write_text(text + "providers:\n  embedding:\n    default: { kind: openai, base_url: \"http://127.0.0.1:9\", model: m, api_key: \"${OMNIGRAPH_DOCTOR_KEY}\" }\n")
        for verb in ("import", "apply"):
            bench.run("omnigraph", "cluster", verb, "--config", config)
        return config

    def stale(config):
        text = (config / "cluster.yaml").read_text()
        (config / "cluster.yaml").write_text(text.replace("  spare: { schema: people.pg }\n", ""))
        bench.run("omnigraph", "cluster", "approve", "graph.spare", "--config", config, "--as", "andrew")
        (config / "people.pg").write_text("node Person { slug: String @key  name: String  age: I32? }\n")

    def foreign(config):
        root = config / "graphs" / "people.omni"
        shutil.rmtree(root)
        (root / "__manifest").mkdir(parents=True)
        (root / "__manifest" / "x").write_text("other")

    for code, damage in [
        ("cluster_state_invalid", lambda config: [path.write_text("garbled") for path in files(config, "__cluster/revisions/*") + [config / "__cluster" / "state.json"]]),
        ("catalog_payload_missing", lambda config: files(config, "__cluster/resources/query/**/*.gq")[0].unlink()),
        ("catalog_payload_digest_mismatch", lambda config: garble(files(config, "__cluster/resources/policy/**/*.yaml")[0])),
        ("approval_stale", stale),
        ("graph_foreign_format", foreign),
        ("embedding_provider_unresolved", lambda config: None),
        ("embedding_provider_unreachable", lambda config: None),
    ]:
        config = cluster(f"damaged-{code}")
        damage(config)
        more = {"OMNIGRAPH_DOCTOR_KEY": "k"} if code == "embedding_provider_unreachable" else {}
        done = bench.run("omnigraph", "doctor", "--json", "--config", config, status=None, environment=bench.environment(**more))
        told = json.loads(done.stdout)
        codes = {finding["code"] for finding in told.get("errors", []) + told.get("warnings", [])}
        ok(code in codes, f"{code}: {done.stdout}{done.stderr}")


@case
def shells_are_told_what_completes(bench):
    for shell in ("bash", "zsh", "fish"):
        script = bench.run("omnigraph", "completion", shell).stdout
        ok("doctor" in script and "queries" in script, shell)
    bench.run("bash", "-n", "-c", bench.run("omnigraph", "completion", "bash").stdout)


@case
def metabase_is_seeded_once(bench):
    asked = []
    state = {"done": False}

    class Metabase(http.server.BaseHTTPRequestHandler):
        def reply(self, document):
            text = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self):
            self.reply({"setup-token": None if state["done"] else "a-token", "has-user-setup": state["done"]})

        def do_POST(self):
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            state["done"] = True
            self.reply({"id": "x"})

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metabase)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = bench.environment(METABASE_URL=f"http://127.0.0.1:{server.server_port}", GATEWAY_HOST="gateway", GATEWAY_TOKEN="secret")
    for _ in range(2):
        bench.run("sh", ROOT / "docker" / "seed-metabase.sh", environment=environment)
    server.shutdown()
    eq(len(asked), 1, "set up")
    path, document = asked[0]
    details = document["database"]["details"]
    eq((path, document["token"], details["host"], details["dbname"], details["password"]), ("/api/setup", "a-token", "gateway", "company", "secret"), "the request")
    compose = text_of("docker-compose.yml")["docker-compose.yml"]
    ok(f'"{details["user"]}":' in compose, "the gateway does not know Metabase's user")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()
    passed, failed = 0, []
    folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-operate-"))
    folder.chmod(0o755)
    try:
        bench = Bench(arguments.bin.resolve(), folder)
        for function in CASES:
            name = function.__name__
            if arguments.only and not any(part in name for part in arguments.only):
                continue
            started = time.monotonic()
            try:
                function(bench)
                passed += 1
                print(f"ok    {name} ({time.monotonic() - started:.1f} s)", flush=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, this case failed
                failed.append(name)
                line = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == __file__), "?")
                print(f"FAIL  {name}: line {line}: {error}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
