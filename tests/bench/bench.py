#!/usr/bin/env python3
"""The standing benchmark: the gateway and PostgreSQL on the same machine, in one run.

    tests/bench/bench.py --bin DIR                      # the Debian example and the uniform graph
    tests/bench/bench.py --bin DIR --data FULL.jsonl.xz # the whole Debian graph instead
    tests/bench/bench.py --bin DIR --short              # a few minutes' worth, to see that it works
    tests/bench/bench.py --bin DIR --write              # also put the table into docs/performance.md

Both sides are asked over the wire on loopback by the same client (psycopg, C
implementation, binary results, prepared statements), one after the other, and both sync
every commit to disk. Before anything is timed, both have to give the same answers.
PostgreSQL gets indexes on both ends of every edge, ANALYZE, 1 GB of shared buffers and
64 MB of work memory; its load is timed the quick way round: COPY first, keys and
indexes after. What cannot be compared fairly is not put side by side.
"""

import argparse
import collections
import gzip
import json
import lzma
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
sys.dont_write_bytecode = True
import catalogs  # noqa: E402 - beside this file
import run as clients  # noqa: E402 - it knows where the Python clients are installed

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


class Edge:
    def __init__(self, kind, table, source, target, properties):
        self.kind, self.table, self.source, self.target, self.properties = kind, table, source, target, properties


class Dataset:
    """A graph, as a file for `omnigraph load` and as tables for COPY."""

    def __init__(self, name, title, schema, jsonl, nodes, edges, walk, group, lookup, insert):
        self.name, self.title, self.schema, self.jsonl = name, title, schema, jsonl
        self.nodes, self.edges, self.walk = nodes, edges, walk
        self.group, self.lookup, self.insert = group, lookup, insert
        self.keys, self.rows, self.landmark = [], 0, None


SQL_TYPES = {"text": "text", "int": "bigint", "small": "integer", "bool": "boolean", "date": "date"}


def debian(jsonl):
    alt = [("alt", "small"), ("constraint", "text")]
    dataset = Dataset(
        "debian", "Debian package graph", ROOT / "examples" / "debian" / "debian.pg", jsonl,
        nodes={
            "Package": ("package", "name", [("name", "text"), ("version", "text"), ("section", "text"), ("priority", "text"),
                                            ("installed_size", "int"), ("summary", "text"), ("description", "text")]),
            "Maintainer": ("maintainer", "email", [("email", "text"), ("name", "text")]),
        },
        edges=[Edge("DependsOn", "depends_on", "package", "package", alt + [("pre", "bool")]), Edge("Recommends", "recommends", "package", "package", alt),
               Edge("Suggests", "suggests", "package", "package", alt), Edge("MaintainedBy", "maintained_by", "package", "maintainer", [])],
        walk="depends_on", group="select section, count(*) from package group by section", lookup="select id, version, section, summary from package where id = %s",
        insert=("maintainer", "email", "name"),
    )
    # Half of all packages depend on two others or fewer; this one on 1,180.
    dataset.landmark = "gnome"
    return dataset


def uniform(jsonl, schema):
    return Dataset(
        "uniform", "uniform graph", schema, jsonl,
        nodes={"Person": ("person", "slug", [("slug", "text"), ("name", "text"), ("city", "text"), ("age", "small")])},
        edges=[Edge("Knows", "knows", "person", "person", [("since", "date")])],
        walk="knows", group="select city, count(*) from person group by city", lookup="select id, name, city, age from person where id = %s",
        insert=("person", "slug", "name"),
    )


def make_uniform(folder, people, edges):
    """`people` persons and `edges` Knows edges between persons drawn uniformly."""
    schema, jsonl = folder / "uniform.pg", folder / f"uniform-{people}-{edges}.jsonl"
    schema.write_text("node Person { slug: String @key  name: String  city: String?  age: I32? }\nedge Knows: Person -> Person { since: Date? }\n")
    chance = random.Random(7)
    with open(jsonl, "w", encoding="utf-8") as out:
        for i in range(people):
            out.write(f'{{"type":"Person","data":{{"slug":"p{i:07}","name":"Person {i}","city":"city-{chance.randrange(100)}","age":{chance.randrange(18, 90)}}}}}\n')
        for _ in range(edges):
            a, b = chance.randrange(people), chance.randrange(people)
            out.write(f'{{"edge":"Knows","from":"p{a:07}","to":"p{b:07}","data":{{"since":"20{chance.randrange(10, 25)}-0{chance.randrange(1, 10)}-1{chance.randrange(10)}"}}}}\n')
    return schema, jsonl


def plain_file(source, folder):
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(source.suffix)
    if opener is None:
        return source
    target = folder / source.stem
    with opener(source, "rb") as packed, open(target, "wb") as out:
        shutil.copyfileobj(packed, out, 1 << 20)
    return target


def as_copy_files(dataset, folder):
    """The dataset in COPY's text format, one file a table; also notes the keys."""
    escape = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    text = lambda value: "\\N" if value is None else ("t" if value else "f") if isinstance(value, bool) else str(value).translate(escape)
    serial, kinds = 0, {edge.kind: edge for edge in dataset.edges}
    tables = [node[0] for node in dataset.nodes.values()] + [edge.table for edge in dataset.edges]
    files = {table: open(folder / f"{dataset.name}.{table}.copy", "w", encoding="utf-8") for table in tables}
    walked = next(edge.source for edge in dataset.edges if edge.table == dataset.walk)
    with open(dataset.jsonl, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            dataset.rows += 1
            if "type" in row:
                table, key, columns = dataset.nodes[row["type"]]
                data = row["data"]
                files[table].write("\t".join([text(data[key])] + [text(data.get(name)) for name, _ in columns]) + "\n")
                if table == walked:
                    dataset.keys.append(data[key])
            else:
                edge, serial = kinds[row["edge"]], serial + 1
                data = row.get("data", {})
                files[edge.table].write("\t".join([f"e{serial:026}", text(row["from"]), text(row["to"])] + [text(data.get(name)) for name, _ in edge.properties]) + "\n")
    for file in files.values():
        file.close()
    return {table: pathlib.Path(file.name) for table, file in files.items()}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    title = "PostgreSQL"

    def __init__(self, folder):
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: (path.parent.parent.name != "15", path))
        initdb = programs[0] if programs else shutil.which("initdb")
        if not initdb:
            sys.exit("PostgreSQL is not installed: scripts/setup.sh bench")
        self.bin, self.folder, self.port = pathlib.Path(initdb).parent, folder / "postgres", free_port()
        self.folder.mkdir()
        # PostgreSQL refuses to run as root.
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.as_user:
            folder.chmod(0o755)
            shutil.chown(self.folder, "postgres")
        self.data = self.folder / "data"
        self.command("initdb", "-D", self.data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c shared_buffers=1GB -c work_mem=64MB -c max_wal_size=4GB"
        self.command("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")
        import psycopg

        with psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname="postgres") as connection:
            self.title = "PostgreSQL " + connection.execute("show server_version").fetchone()[0].split()[0]
            assert connection.execute("show fsync").fetchone()[0] == "on"

    def command(self, name, *arguments):
        done = subprocess.run([*self.as_user, str(self.bin / name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/")
        if done.returncode:
            sys.exit(f"{name} ended with {done.returncode}: {done.stderr}")

    def connect(self, dataset):
        import psycopg

        connection = psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname=dataset.name, autocommit=True)
        connection.prepare_threshold = 0
        return connection

    def load(self, dataset, files):
        import psycopg

        with psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"create database {dataset.name}")
        columns = lambda given: "".join(f', "{name}" {SQL_TYPES[kind]}' for name, kind in given)
        started = time.perf_counter()
        with self.connect(dataset) as connection:
            for table, key, given in dataset.nodes.values():
                connection.execute(f"create table {table} (id text not null{columns(given)})")
            for edge in dataset.edges:
                connection.execute(f"create table {edge.table} (id text not null, src text not null, dst text not null{columns(edge.properties)})")
            for table, path in files.items():
                with connection.cursor().copy(f"copy {table} from stdin") as copy, open(path, "rb") as source:
                    while block := source.read(1 << 20):
                        copy.write(block)
            for table, key, _ in dataset.nodes.values():
                connection.execute(f'alter table {table} add primary key (id), add unique ("{key}")')
            for edge in dataset.edges:
                connection.execute(f"alter table {edge.table} add primary key (id)")
                connection.execute(f"create index on {edge.table} (src)")
                connection.execute(f"create index on {edge.table} (dst)")
                connection.execute(f"alter table {edge.table} add foreign key (src) references {edge.source} on delete cascade, add foreign key (dst) references {edge.target} on delete cascade")
        took = time.perf_counter() - started
        with self.connect(dataset) as connection:
            connection.execute("vacuum analyze")
        return took

    def walk(self, table, hops):
        if hops is None:
            return f"with recursive r(id) as (select %s::text union select e.dst from r join {table} e on e.src = r.id) select count(*) - 1 from r"
        # Every end of a path of 1 to `hops` edges, once; the start itself does not count.
        parts = []
        for length in range(1, hops + 1):
            joins = "".join(f" join {table} e{i} on e{i}.src = e{i - 1}.dst" for i in range(2, length + 1))
            parts.append(f"select e{length}.dst from {table} e1{joins} where e1.src = s.id")
        return f"select count(*) from (select %s::text as id) s, lateral (select dst from ({' union '.join(parts)}) u where dst <> s.id) found"

    def insert(self, dataset):
        table, key, other = dataset.insert
        return f"insert into {table} (id, {key}, {other}) values (%s, %s, %s)", lambda value: [value, value, "x"]

    def stop(self):
        self.command("pg_ctl", "-D", self.data, "-m", "fast", "stop")


class Gateway:
    title = "gateway"

    def __init__(self, bin_dir, folder):
        self.bin, self.store, self.log = bin_dir, folder / "store", open(folder / "server.log", "w", encoding="utf-8")
        (self.store / "graphs").mkdir(parents=True)
        self.process = self.port = None

    def start(self):
        started = time.perf_counter()
        self.process = subprocess.Popen([str(self.bin / "omnigraph-server"), "--store", str(self.store), "--unauthenticated", "--bind", "127.0.0.1:0"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.startswith("OMNIGRAPH_LISTEN_ADDR="):
                self.port = int(line.strip().rpartition(":")[2])
                break
        else:
            sys.exit(f"omnigraph-server did not start; see {self.log.name}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return time.perf_counter() - started

    def connect(self, dataset):
        import psycopg

        connection = psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname=dataset.name, autocommit=True)
        connection.prepare_threshold = 0
        return connection

    def load(self, dataset, files):
        root = self.store / "graphs" / f"{dataset.name}.omni"
        subprocess.run([str(self.bin / "omnigraph"), "init", "--schema", str(dataset.schema), str(root)], check=True, capture_output=True)
        started = time.perf_counter()
        done = subprocess.run([str(self.bin / "omnigraph"), "load", "--data", str(dataset.jsonl), "--mode", "overwrite", str(root)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        took = time.perf_counter() - started
        if done.returncode:
            sys.exit(f"omnigraph load ended with {done.returncode}: {done.stderr}")
        return took

    def walk(self, table, hops):
        return f"select count(*) from traverse('{table}', start => %s, max_hops => {hops or 'null'})"

    def insert(self, dataset):
        table, key, other = dataset.insert
        return f"insert into {table} ({key}, {other}) values (%s, %s)", lambda value: [value, "x"]

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()


def p50(connection, sql, parameters, seconds, least=5):
    """The median of as many runs as fit into `seconds`, in milliseconds."""
    cursor = connection.cursor(binary=True)
    for values in parameters[:3]:
        cursor.execute(sql, values, prepare=True).fetchall()
    times, until, i = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < until or len(times) < least:
        values = parameters[i % len(parameters)]
        started = time.perf_counter()
        cursor.execute(sql, values, prepare=True).fetchall()
        times.append(time.perf_counter() - started)
        i += 1
    return statistics.median(times) * 1000


class Commits:
    """One-row inserts, each a commit of its own."""

    def __init__(self, side, dataset):
        self.side, self.dataset, self.serial, self.lock = side, dataset, 0, threading.Lock()

    def next(self):
        with self.lock:
            self.serial += 1
            return f"bench-{self.serial:07}"

    def run(self, clients_count, seconds=None, count=None):
        """Median in milliseconds and commits a second; for a time or for a number in all."""
        sql, values = self.side.insert(self.dataset)
        times, errors, first = [], [], self.serial
        until = time.perf_counter() + seconds if seconds else float("inf")
        limit = first + count if count else float("inf")

        def work():
            try:
                with self.side.connect(self.dataset) as connection:
                    cursor = connection.cursor(binary=True)
                    while time.perf_counter() < until and self.serial < limit:
                        row = values(self.next())
                        started = time.perf_counter()
                        cursor.execute(sql, row, prepare=True)
                        times.append(time.perf_counter() - started)
            except Exception as error:  # noqa: BLE001 - told below
                errors.append(error)

        started = time.perf_counter()
        threads = [threading.Thread(target=work) for _ in range(clients_count)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if errors:
            sys.exit(f"{self.side.title}: {errors[0]}")
        return statistics.median(times) * 1000, len(times) / (time.perf_counter() - started)


class Table:
    def __init__(self, left, right):
        self.lines = [f"| | {left} | {right} | ratio |", "|---|---:|---:|---:|"]

    def add(self, what, ours, theirs, unit, faster_is_less=True):
        number = lambda value: "–" if value is None else f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}" if value >= 10 else f"{value:.2f} {unit}"
        ratio = "–"
        if ours and theirs:
            times = theirs / ours if faster_is_less else ours / theirs
            ratio = f"{times:.0f} ×" if times >= 10 else f"{times:.1f} ×" if times >= 0.95 else f"{times:.2f} ×"
        line = f"| {what} | {number(ours)} | {number(theirs)} | {ratio} |"
        self.lines.append(line)
        print("  " + line, flush=True)


def same_answers(dataset, ours, theirs, keys):
    with ours.connect(dataset) as a, theirs.connect(dataset) as b:
        for hops in (1, 2, 3, None):
            for key in keys:
                mine, other = (side.execute(system.walk(dataset.walk, hops), [key]).fetchone() for side, system in ((a, ours), (b, theirs)))
                if mine != other:
                    sys.exit(f"{dataset.name}: {hops or 'all'} hops from {key}: {mine} here, {other} in {theirs.title}")
        if sorted(a.execute(dataset.group).fetchall(), key=str) != sorted(b.execute(dataset.group).fetchall(), key=str):
            sys.exit(f"{dataset.name}: the counts by group differ")


def measure(dataset, ours, theirs, files, options):
    chance = random.Random(11)
    print(f"{dataset.title}: {dataset.rows:,} rows", flush=True)
    table = Table(ours.title, theirs.title)
    mine, other = ours.load(dataset, files), theirs.load(dataset, files)
    table.add(f"load, {dataset.rows:,} rows with keys and indexes", dataset.rows / mine, dataset.rows / other, "rows/s", faster_is_less=False)

    ready = ours.start() * 1000
    key = dataset.keys[0]
    with ours.connect(dataset) as connection:
        started = time.perf_counter()
        connection.execute(ours.walk(dataset.walk, 1), [key]).fetchone()
        cold = (time.perf_counter() - started) * 1000
    keys = [[key] for key in chance.sample(dataset.keys, min(2000, len(dataset.keys)))]
    same_answers(dataset, ours, theirs, [key for (key,) in keys[:5]])
    with ours.connect(dataset) as a, theirs.connect(dataset) as b:
        both = lambda mine, other, given, seconds: (p50(a, mine, given, seconds), p50(b, other, given, seconds))
        table.add("key lookup, prepared, p50", *both(dataset.lookup, dataset.lookup, keys, options.seconds), "ms")
        for hops, what in ((1, "1 hop, distinct, p50"), (2, "2 hops, distinct, p50"), (3, "3 hops, distinct, p50"), (None, "everything reachable, p50")):
            seconds = options.seconds * (3 if hops is None else 1)
            table.add(what, *both(ours.walk(dataset.walk, hops), theirs.walk(dataset.walk, hops), keys, seconds), "ms")
        if dataset.landmark:
            walks = [side.walk(dataset.walk, None) for side in (ours, theirs)]
            table.add(f"everything reachable from {dataset.landmark}, p50", *both(*walks, [[dataset.landmark]], options.seconds), "ms")
        table.add("count by group, p50", *both(dataset.group, dataset.group, [None], options.seconds), "ms")

    sides = [Commits(ours, dataset), Commits(theirs, dataset)]
    for at in (1, options.commits):
        if at > 1:
            for side in sides:
                side.run(8, count=max(1, at - side.serial))
        for count in (1, 8):
            results = [side.run(count, seconds=options.seconds) for side in sides]
            name = f"one-row commit, {count} client{'s' if count > 1 else ''}, from commit {at:,}"
            table.add(name + ", p50", results[0][0], results[1][0], "ms")
            if count > 1:
                table.add(name + ", together", results[0][1], results[1][1], "/s", faster_is_less=False)
    with ours.connect(dataset) as a, theirs.connect(dataset) as b:
        table.add(f"2 hops after {sides[0].serial:,} commits, p50", p50(a, ours.walk(dataset.walk, 2), keys, options.seconds), p50(b, theirs.walk(dataset.walk, 2), keys, options.seconds), "ms")
        table.add("key lookup after them, p50", p50(a, dataset.lookup, keys, options.seconds), p50(b, dataset.lookup, keys, options.seconds), "ms")
        times = collections.defaultdict(list)
        for i in range(20):
            for what, sql in (("create", f'create schema "bench-{i}"'), ("delete", f'drop schema "bench-{i}"')):
                started = time.perf_counter()
                a.execute(sql)
                times[what].append((time.perf_counter() - started) * 1000)
        table.add("branch create, p50", statistics.median(times["create"]), None, "ms")
        table.add("branch delete, p50", statistics.median(times["delete"]), None, "ms")
    table.add("first traversal after a start", cold, None, "ms")
    table.add("start until it listens", ready, None, "ms")
    table.add("memory at the end", ours.memory_mb(), None, "MiB")
    ours.stop()
    return [f"### The {dataset.title}, {dataset.rows:,} rows", "", *table.lines, ""]


def large_catalogs(options, folder):
    folder.mkdir()
    title = f"The catalogs of {catalogs.NODES + catalogs.EDGES} types on {catalogs.BRANCHES + 1} branches"
    print(title, flush=True)
    ours = Gateway(options.bin.resolve(), folder)
    table = Table(ours.title, "PostgreSQL")
    try:
        catalogs.measure(ours, folder, table)
    finally:
        ours.stop()
    return [f"### {title}", "", *table.lines, ""]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        name = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "unknown processor")
    with open("/proc/meminfo", encoding="utf-8") as info:
        memory = int(next(info).split()[1]) / 2**20
    return f"{os.cpu_count()} cores of {name}, {memory:.0f} GiB, Linux {os.uname().release.partition('-')[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("DATA") or ROOT / "examples" / "debian" / "debian.jsonl.gz", help="a Debian graph")
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=2000, help="where the second round of commits begins")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--only", choices=["debian", "uniform", "catalogs"])
    parser.add_argument("--short", action="store_true", help="5,000 people, 50,000 edges, 200 commits, half a second each")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    if options.short:
        options.people, options.edges, options.commits, options.seconds = 5_000, 50_000, 200, 0.5

    wanted = clients.python_with_clients()
    if pathlib.Path(sys.executable) != wanted:
        os.execv(wanted, [str(wanted), *sys.argv])

    folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-bench-"))
    theirs = None
    try:
        theirs = Postgres(folder)
        report = [f"Measured {time.strftime('%Y-%m-%d')} on {machine()}, load average {os.getloadavg()[0]:.1f} at the start.", ""]
        for name in ("debian", "uniform"):
            if options.only not in (None, name):
                continue
            work = folder / name
            work.mkdir()
            if name == "debian":
                dataset = debian(plain_file(pathlib.Path(options.data), work))
            else:
                schema, jsonl = make_uniform(work, options.people, options.edges)
                dataset = uniform(jsonl, schema)
            files = as_copy_files(dataset, work)
            ours = Gateway(options.bin.resolve(), work)
            try:
                report += measure(dataset, ours, theirs, files, options)
            finally:
                ours.stop()
        if options.only in (None, "catalogs"):
            report += large_catalogs(options, folder / "catalogs")
    finally:
        if theirs:
            theirs.stop()
        shutil.rmtree(folder, ignore_errors=True)
    text = "\n".join(report).rstrip() + "\n"
    print("\n" + text)
    if options.write:
        page = ROOT / "docs" / "performance.md"
        before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            sys.exit(f"{page} has no {BEGIN} … {END}")
        page.write_text(before + BEGIN + "\n" + text + END + after, encoding="utf-8")
        print(f"written to {page}")


if __name__ == "__main__":
    main()
