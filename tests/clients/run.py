#!/usr/bin/env python3
"""Drives real PostgreSQL clients against a server started for the purpose.

    tests/clients/run.py --bin DIR                 # omnigraph and omnigraph-server of DIR
    tests/clients/run.py --bin DIR --only psql --only psycopg.cancels_a_running_statement
    tests/clients/run.py --bin DIR --data FULL     # the whole Debian graph instead of the example
    tests/clients/run.py --url postgresql://user:password@host:port   # a server that is there: the
                          # cases that PostgreSQL can answer too, as a check of the cases themselves

Installs the clients it needs (pip, npm) into a cache folder outside the clone; psql, node
and a JDK come from the system (scripts/setup.sh tests). The server runs on a free port
with SCRAM credentials and a certificate of a certificate authority made on the spot.
Ends with `N passed, M failed`; the exit status is 0 only when nothing failed.
"""

import argparse
import gzip
import hashlib
import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REQUIREMENTS = ["psycopg[binary]==3.3.9", "SQLAlchemy==2.1.9", "pgvector==0.5.1", "numpy==2.4.6"]
JDBC = pathlib.Path(os.environ.get("OMNIGRAPH_TEST_PGJDBC", "/usr/share/java/postgresql.jar"))
TIMEOUT_S = 120


def cache_dir():
    base = os.environ.get("OMNIGRAPH_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "omnigraph")
    return pathlib.Path(base) / "clients"


def installed(name, inputs, install):
    """A folder of the cache that `install(folder)` fills; made again when `inputs` change.
    It is filled under another name and renamed, so a broken installation is never used."""
    digest = hashlib.sha256("\n".join([name, *inputs]).encode()).hexdigest()[:16]
    folder = cache_dir() / f"{name}-{digest}"
    if not folder.exists():
        print(f"installing {name} into {folder}", flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        marker = folder.with_name(folder.name + ".new")
        shutil.rmtree(marker, ignore_errors=True)
        install(folder, marker)
    return folder


def python_with_clients():
    return python_with("python", REQUIREMENTS)


def python_with(name, requirements):
    """The Python of a virtual environment that holds `requirements`."""

    def install(folder, marker):
        # A virtual environment does not survive a rename: it is made in place and marked.
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        try:
            subprocess.run([str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *requirements], check=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    return installed(name, [sys.version, *requirements], install) / "bin" / "python"


def node_modules():
    package = (HERE / "node" / "package.json").read_text()

    def install(folder, marker):
        marker.mkdir()
        (marker / "package.json").write_text(package)
        subprocess.run(["npm", "install", "--no-progress", "--no-audit", "--no-fund", "--loglevel=error"], cwd=marker, check=True, stdin=subprocess.DEVNULL)
        marker.rename(folder)

    return installed("node", [package], install) / "node_modules"


def jdbc_classes():
    source = (HERE / "jdbc" / "Cases.java").read_text()

    def install(folder, marker):
        marker.mkdir()
        subprocess.run(["javac", "-nowarn", "-cp", str(JDBC), "-d", str(marker), str(HERE / "jdbc" / "Cases.java")], check=True)
        marker.rename(folder)

    return installed("jdbc", [source, str(JDBC)], install)


def make_certificates(folder):
    """A certificate authority, a server certificate for localhost and 127.0.0.1, and a
    second authority that nobody should trust."""
    run = lambda *arguments: subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    for name in ("ca", "wrong"):
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN=test authority {name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", "-keyout", f"{name}.key", "-out", f"{name}.crt")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", "server.crt")


def unpacked(source, folder):
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(source.suffix)
    if opener is None:
        return source
    target = folder / source.stem
    with opener(source, "rb") as packed, open(target, "wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
    return target


def make_store(bin_dir, folder, data):
    """The graphs that the cases speak of, made with the tool as a person would."""
    import support

    tool = str(bin_dir / "omnigraph")
    graphs = folder / "store" / "graphs"
    graphs.mkdir(parents=True)

    def run(*arguments):
        done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise support.Failed(f"omnigraph {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def make(name, schema, source):
        root = graphs / f"{name}.omni"
        run("init", "--schema", schema, root)
        run("load", "--data", source, "--mode", "overwrite", "--as", "loader", root)
        return root

    fixture = support.FIXTURE
    knowledge = make("knowledge", fixture / "fixture.pg", fixture / "fixture.jsonl")
    run("load", "--data", fixture / "fixture-review_1.jsonl", "--branch", support.BRANCH, "--from", "main", "--mode", "merge", "--as", "loader", knowledge)
    make("scratch", fixture / "fixture.pg", fixture / "fixture.jsonl")
    make("everything", fixture / "everything.pg", fixture / "everything.jsonl")
    company, debian = ROOT / "examples" / "company", ROOT / "examples" / "debian"
    make("company", company / "company.pg", company / "company.jsonl")
    make("debian", debian / "debian.pg", unpacked(pathlib.Path(data) if data else debian / "debian.jsonl.gz", folder))
    return folder / "store"


def make_cluster(bin_dir, folder):
    """The example cluster, applied and with its rows."""
    import support

    config = folder / "cluster"
    shutil.copytree(ROOT / "examples" / "company", config)
    tool = str(bin_dir / "omnigraph")
    for command in (["cluster", "import"], ["cluster", "apply", "--as", "andrew"], ["load", "--data", "company.jsonl", "--mode", "overwrite", "--as", "loader", "graphs/company.omni"]):
        done = subprocess.run([tool, *command], cwd=config, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise support.Failed(f"omnigraph {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    actors = ["act-yuki", "agent-scribe"]
    (folder / "actors.json").write_text(json.dumps({actor: actor for actor in actors}))
    os.chmod(folder / "actors.json", 0o600)
    return config


def facts_of(data, folder):
    """The figures of a Debian file other than the example's, counted without the product."""
    if not data:
        return None
    target = folder / "facts.json"
    with open(target, "w", encoding="utf-8") as out:
        subprocess.run([sys.executable, str(ROOT / "scripts" / "make_debian_example.py"), "--facts", data], stdout=out, check=True)
    return target


class Tally:
    def __init__(self, only):
        self.only, self.passed, self.failed = only, 0, []

    def wants(self, client, name):
        return not self.only or any(pattern in (client, name, f"{client}.{name}") for pattern in self.only)

    def add(self, client, name, detail, seconds):
        if detail is None:
            self.passed += 1
            print(f"ok    {client}.{name} ({seconds:.1f} s)", flush=True)
        else:
            self.failed.append(f"{client}.{name}")
            print(f"FAIL  {client}.{name} ({seconds:.1f} s)\n      " + detail.strip().replace("\n", "\n      "), flush=True)


def run_python(tally, server):
    import cluster_cases, debian_cases, psql_cases, psycopg_cases, search_cases, sqlalchemy_cases, wire_cases  # noqa: F401, E401 - they register their cases
    import support

    for function in support.CASES:
        if not tally.wants(function.client, function.__name__) or (server.external and function.gateway_only):
            continue
        result = []

        def target():
            try:
                function(server)
                result.append(None)
            except support.Failed as failure:
                at = traceback.extract_tb(failure.__traceback__)
                line = next((frame.lineno for frame in reversed(at) if frame.filename.endswith("_cases.py")), "?")
                result.append(f"line {line}: {failure}")
            except BaseException as error:  # noqa: BLE001 - whatever it is, this case failed
                at = traceback.extract_tb(error.__traceback__)
                line = next((frame.lineno for frame in reversed(at) if frame.filename.endswith("_cases.py")), "?")
                result.append(f"line {line}: {type(error).__name__}: {error} [{support.sqlstate(error)}]")

        started = time.monotonic()
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        thread.join(TIMEOUT_S)
        tally.add(function.client, function.__name__, result[0] if result else f"not finished after {TIMEOUT_S} s", time.monotonic() - started)


def run_lines(tally, client, command, environment):
    """A runner in another language: one JSON line a case on its stdout."""
    if tally.only and not any(pattern.partition(".")[0] == client for pattern in tally.only):
        return
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    try:
        done = subprocess.run(command, env={**clean, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=4 * TIMEOUT_S)
        output, ending = done.stdout, None if done.returncode == 0 else f"ended with {done.returncode}: {done.stderr.strip()[-1500:]}"
    except subprocess.TimeoutExpired as late:
        output, ending = (late.stdout or b"").decode(), f"not finished after {4 * TIMEOUT_S} s"
    count = 0
    for line in output.splitlines():
        if line.startswith("{"):
            result = json.loads(line)
            count += 1
            if tally.wants(client, result["name"]):
                tally.add(client, result["name"], result["detail"], result["seconds"])
    if ending or not count:
        tally.add(client, "runner", ending or "ran no case", 0)


def prepared(tally, client, install):
    """What `install` gives back, or nothing and a failed case: the other clients go on."""
    try:
        return install()
    except (OSError, subprocess.CalledProcessError) as error:
        tally.add(client, "installs", str(error), 0)
        return None


def run_all(tally, server):
    import support

    run_python(tally, server)
    fixture = str(support.FIXTURE / "fixture.jsonl")
    settings = {"host": server.host, "port": server.port, "user": server.user, "password": server.password, "branch": support.BRANCH,
                "ca": server.ca and str(server.ca), "wrong_ca": server.wrong_ca and str(server.wrong_ca),
                "cluster_port": server.cluster and server.cluster.port}
    wanted = lambda client: not tally.only or any(pattern.partition(".")[0] == client for pattern in tally.only)
    if wanted("node") and (modules := prepared(tally, "node", node_modules)):
        run_lines(tally, "node", ["node", "--no-warnings", str(HERE / "node" / "cases.cjs")],
                  {"TEST_SERVER": json.dumps(settings), "TEST_FIXTURE": fixture, "TEST_NODE_MODULES": str(modules), "TZ": "UTC"})
    if wanted("jdbc") and (classes := prepared(tally, "jdbc", jdbc_classes)):
        environment = {"TEST_HOST": server.host, "TEST_PORT": str(server.port), "TEST_USER": server.user, "TEST_PASSWORD": server.password, "TEST_BRANCH": support.BRANCH, "LC_ALL": "C.UTF-8"}
        if server.ca:
            environment.update(TEST_CA=str(server.ca), TEST_WRONG_CA=str(server.wrong_ca))
        if server.external:
            environment["TEST_EXTERNAL"] = "yes"
        run_lines(tally, "jdbc", ["java", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", f"{classes}:{JDBC}", "Cases"], environment)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--url", help="a server that is already there, with the graphs knowledge and scratch")
    parser.add_argument("--only", action="append", default=[], help="a client, a case or client.case; may be given again")
    parser.add_argument("--data", default=os.environ.get("DATA") or None, help="a Debian file other than the example")
    parser.add_argument("--keep", action="store_true", help="leave the store and the server's log behind")
    arguments = parser.parse_args()
    if not arguments.bin and not arguments.url:
        parser.error("--bin or --url is needed")

    wanted = python_with_clients()
    if pathlib.Path(sys.executable) != wanted:
        os.execv(wanted, [str(wanted), *sys.argv])
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True
    import support

    tally = Tally(arguments.only)
    if arguments.url:
        url = urllib.parse.urlsplit(arguments.url)
        server = support.Server(url.hostname, url.port or 5432, urllib.parse.unquote(url.username), urllib.parse.unquote(url.password or ""), external=True)
        run_all(tally, server)
    else:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-clients-"))
        log = open(folder / "server.log", "w", encoding="utf-8")
        process = cluster = None
        try:
            make_certificates(folder)
            (folder / "credentials.json").write_text(json.dumps({support.USER: support.PASSWORD, support.OTHER: support.OTHER_PASSWORD}))
            os.chmod(folder / "credentials.json", 0o600)
            store = make_store(arguments.bin.resolve(), folder, arguments.data)
            process, host, port = support.start_server(arguments.bin.resolve(), store, folder / "credentials.json", folder / "server.crt", folder / "server.key", log)
            server = support.Server(host, port, support.USER, support.PASSWORD, external=False, ca=folder / "ca.crt", wrong_ca=folder / "wrong.crt",
                                    bin_dir=arguments.bin.resolve(), store=store)
            server.pid = process.pid
            bin_dir = arguments.bin.resolve()
            cluster, *at = support.start_server(bin_dir, make_cluster(bin_dir, folder), folder / "actors.json", None, None, log, source="--cluster")
            server.cluster = support.Server(*at, None, None, external=False)
            server.start_another = lambda: support.start_server(arguments.bin.resolve(), store, folder / "credentials.json", folder / "server.crt", folder / "server.key", log)
            server.debian_facts = facts_of(arguments.data, folder)
            run_all(tally, server)
            support.stop_server(cluster)
            ended, process, cluster = support.stop_server(process), None, None
            if not tally.only:
                tally.add("server", "drains_and_ends_well_on_sigterm", None if ended == 0 else f"ended with {ended}", 0)
                text = (folder / "server.log").read_text(encoding="utf-8", errors="replace")
                leaked = [secret for secret in (support.PASSWORD, support.OTHER_PASSWORD) if secret in text]
                tally.add("server", "keeps_secrets_out_of_its_log", f"{len(leaked)} in {folder}/server.log" if leaked else None, 0)
                page = subprocess.run([sys.executable, str(ROOT / "scripts" / "make_cli_reference.py"), "--bin", str(arguments.bin), "--check"], capture_output=True, text=True)
                tally.add("docs", "the_page_of_the_programs_is_up_to_date", page.stderr if page.returncode else None, 0)
                tally.add("server", "does_not_panic", "a panic in its log:\n" + text[text.index("panicked at"):][:600] if "panicked at" in text else None, 0)
        except support.Failed as failure:
            tally.add("driver", "starts", str(failure), 0)
        finally:
            for left in filter(None, (process, cluster)):
                left.kill()
                left.wait()
            log.close()
            if tally.failed:
                tail = (folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()[-30:]
                print("\n-- the end of the server's log --\n" + "\n".join(tail))
            if arguments.keep:
                print(f"kept {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    if tally.failed:
        print("\nfailed: " + " ".join(tally.failed))
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    sys.stdout.flush()
    # A client that hangs in a thread must not keep the driver from ending.
    os._exit(1 if tally.failed or not tally.passed else 0)


if __name__ == "__main__":
    main()
