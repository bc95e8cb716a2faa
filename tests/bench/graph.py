#!/usr/bin/env python3
"""The graph benchmark: the gateway beside PostgreSQL, DuckDB and Ladybug, in one run.

    tests/bench/graph.py --bin DIR                        # uniform and power-law graphs, and Debian's
    tests/bench/graph.py --bin DIR --data FULL.jsonl.xz   # the whole Debian graph
    tests/bench/graph.py --bin DIR --short                # small graphs, to see that it works
    tests/bench/graph.py --bin DIR --only uniform --query hop2

Every question is asked of every engine that can be asked it, and all have to give the same
answer before a time counts. The gateway and PostgreSQL are asked over the wire on loopback
by psycopg with prepared statements; DuckDB and Ladybug run inside of this process, on all
cores, without a wire. PostgreSQL gets indexes on both ends of every edge, ANALYZE and 1 GB
of shared buffers; DuckDB's tables are sorted by source. The limit is `limit.rs`: the same on
one core over arrays of numbers, without anything around it. Each time is the least of several
runs, in milliseconds; `×` is how many times the gateway's is.

`--write` puts the tables into docs/performance.md.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import bench  # noqa: E402 - the sides that it has in common with the standing benchmark
from bench import clients  # noqa: E402

PACKAGES = ["psycopg[binary]==3.3.9", "duckdb", "real-ladybug"]
SEEDS, PAIRS = 100, 100


class Graph:
    """One node type and one edge type: what all engines load, as numbers."""

    def __init__(self, name, title, nodes, edges):
        self.name, self.title, self.nodes, self.edges = name, title, nodes, edges
        chance = random.Random(7)
        self.group = [chance.randrange(100) for _ in range(nodes)]
        self.value = [chance.randrange(1000) for _ in range(nodes)]
        busy = sorted({source for source, _ in edges})
        self.seeds = chance.sample(busy, min(SEEDS, len(busy)))
        self.pairs = [(chance.choice(busy), chance.randrange(nodes)) for _ in range(PAIRS)]

    @staticmethod
    def id(node):
        return f"n{node:07}"


def uniform(nodes, edges):
    chance = random.Random(7)
    pairs = {(chance.randrange(nodes), chance.randrange(nodes)) for _ in range(edges)}
    return Graph("uniform", f"uniform, {nodes:,} nodes, {len(pairs):,} edges", nodes, sorted(pairs))


def power_law(nodes, edges):
    """R-MAT with (0.57, 0.19, 0.19, 0.05)."""
    chance, scale = random.Random(7), max(1, (nodes - 1).bit_length())
    pairs = set()
    while len(pairs) < edges:
        a = b = 0
        for _ in range(scale):
            draw = chance.random()
            a, b = 2 * a + (draw >= 0.76), 2 * b + (0.57 <= draw < 0.76 or draw >= 0.95)
        if a < nodes and b < nodes:
            pairs.add((a, b))
    return Graph("power", f"power law, {nodes:,} nodes, {len(pairs):,} edges", nodes, sorted(pairs))


def debian(path, folder):
    numbers, pairs = {}, set()
    with open(bench.plain_file(path, folder), encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row.get("edge") == "DependsOn":
                pairs.add(tuple(numbers.setdefault(row[end], len(numbers)) for end in ("from", "to")))
            elif row.get("type") == "Package":
                numbers.setdefault(row["data"]["name"], len(numbers))
    return Graph("debian", f"Debian's dependencies, {len(numbers):,} nodes, {len(pairs):,} edges", len(numbers), sorted(pairs))


def walks(table, hops):
    """The distinct ends of all walks of so many edges from each seed, in joins."""
    joins = "".join(f" join {table} e{i} on e{i}.src = e{i - 1}.dst" for i in range(2, hops + 1))
    return f"select distinct e1.src as a, e{hops}.dst as b from {table} e1{joins}"


RECURSIVE = "with recursive r(id, depth) as (select {start}, 0 union select e.dst, r.depth + 1 from r join knows e on e.src = r.id where r.depth < 24) "
FRIENDS = "select least(src, dst) as a, greatest(src, dst) as b from knows where src <> dst group by 1, 2"
TRIANGLES = f"with f as materialized ({FRIENDS}) select count(*) from f x join f y on y.a = x.b join f z on z.a = x.a and z.b = y.b"


class Sql:
    """Questions in SQL that PostgreSQL and DuckDB have in common."""

    def questions(self, graph):
        seeds = [graph.id(seed) for seed in graph.seeds]
        mark = self.mark
        many = f"= any({mark})"
        one = graph.id(graph.seeds[0])
        yield "lookup", lambda: sum(self.one(f"select val from person where id = {mark}", [seed]) for seed in seeds)
        for hops in (1, 2, 3):
            sql = f"select count(*) from ({walks('knows', hops)} where e1.src {many}) w"
            yield f"hop{hops}", lambda sql=sql: self.one(sql, [seeds])
        each = f"select count(*) from (select distinct e2.dst from knows e1 join knows e2 on e2.src = e1.dst where e1.src = {mark}) w"
        yield "hop2_each", lambda: sum(self.one(each, [seed]) for seed in seeds)
        top = f"select sum(n) from (select p.grp, count(*) as n from ({walks('knows', 2)} where e1.src {many}) w join person p on p.id = w.b where p.val >= 500 group by p.grp order by n desc, p.grp limit 10) t"
        yield "hop2_groups", lambda: int(self.one(top, [seeds]))
        reach = f"with recursive r(id) as (select {mark}::text union select e.dst from r join knows e on e.src = r.id) select count(*) - 1 from r"
        yield "reach", lambda: self.one(reach, [one])
        levels = RECURSIVE.format(start=f"{mark}::text") + "select count(*) from (select id, min(depth) as d from r group by id) l where d = 3"
        yield "levels", lambda: self.one(levels, [one])
        yield "triangles", lambda: self.one(TRIANGLES, [])
        rings = "select count(*) from knows x join knows y on y.src = x.dst join knows z on z.src = y.dst and z.dst = x.src"
        yield "rings", lambda: self.one(rings, [])
        yield "groups", lambda: len(self.all("select grp, count(*) from person group by grp", []))
        yield "degrees", lambda: int(self.one("select sum(n) from (select count(*) as n from knows group by src order by n desc limit 10) d", []))

    def all(self, sql, parameters):
        return self.ask(sql, parameters)

    def one(self, sql, parameters):
        return self.ask(sql, parameters)[0][0]


class Postgres(Sql):
    title, mark = "PostgreSQL", "%s"

    def __init__(self, folder):
        self.side = bench.Postgres(folder)
        self.title = self.side.title

    def load(self, graph, folder):
        import psycopg

        with psycopg.connect(host="127.0.0.1", port=self.side.port, user="bench", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"create database {graph.name}")
        self.connection = psycopg.connect(host="127.0.0.1", port=self.side.port, user="bench", dbname=graph.name, autocommit=True)
        self.connection.prepare_threshold = 0
        self.connection.execute("create table person (id text, grp int, val int)")
        self.connection.execute("create table knows (src text, dst text)")
        with self.connection.cursor().copy("copy person from stdin") as copy:
            for node in range(graph.nodes):
                copy.write_row((graph.id(node), graph.group[node], graph.value[node]))
        with self.connection.cursor().copy("copy knows from stdin") as copy:
            for source, target in graph.edges:
                copy.write_row((graph.id(source), graph.id(target)))
        for statement in ("alter table person add primary key (id)", "create index on knows (src)", "create index on knows (dst)", "vacuum analyze"):
            self.connection.execute(statement)

    def ask(self, sql, parameters):
        return self.connection.cursor(binary=True).execute(sql, parameters, prepare=True).fetchall()

    def stop(self):
        self.side.stop()


class DuckDb(Sql):
    title, mark = "DuckDB", "?"

    def load(self, graph, folder):
        import duckdb

        self.connection = duckdb.connect(str(folder / "graph.duckdb"))
        people, knows = write_csv(graph, folder)
        self.connection.execute(f"create table person as select * from read_csv('{people}', header = false, columns = {{'id': 'VARCHAR', 'grp': 'INTEGER', 'val': 'INTEGER'}})")
        self.connection.execute(f"create table knows as select * from read_csv('{knows}', header = false, columns = {{'src': 'VARCHAR', 'dst': 'VARCHAR'}}) order by src")
        self.connection.execute("create unique index person_id on person (id)")

    def ask(self, sql, parameters):
        return self.connection.execute(sql, parameters).fetchall()

    def stop(self):
        pass


class Ladybug:
    title = "Ladybug"

    def load(self, graph, folder):
        import real_ladybug

        self.connection = real_ladybug.Connection(real_ladybug.Database(str(folder / "graph.lbug")))
        people, knows = write_csv(graph, folder)
        self.connection.execute("CREATE NODE TABLE person (id STRING PRIMARY KEY, grp INT32, val INT32)")
        self.connection.execute("CREATE REL TABLE knows (FROM person TO person)")
        self.connection.execute(f'COPY person FROM "{people}"')
        self.connection.execute(f'COPY knows FROM "{knows}"')

    def one(self, query, **parameters):
        return self.connection.execute(query, parameters).get_next()[0]

    def questions(self, graph):
        seeds = [graph.id(seed) for seed in graph.seeds]
        one = graph.id(graph.seeds[0])
        yield "lookup", lambda: sum(self.one("MATCH (p:person {id: $id}) RETURN p.val", id=seed) for seed in seeds)
        for hops in (1, 2, 3):
            path = "-[:knows]->()" * (hops - 1) + "-[:knows]->(b:person)"
            query = f"MATCH (a:person){path} WHERE a.id IN $ids WITH DISTINCT a, b RETURN count(*)"
            yield f"hop{hops}", lambda query=query: self.one(query, ids=seeds)
        each = "MATCH (a:person {id: $id})-[:knows]->()-[:knows]->(b:person) RETURN count(DISTINCT b)"
        yield "hop2_each", lambda: sum(self.one(each, id=seed) for seed in seeds)
        top = "MATCH (a:person)-[:knows]->()-[:knows]->(b:person) WHERE a.id IN $ids AND b.val >= 500 WITH DISTINCT a, b WITH b.grp AS g, count(*) AS n ORDER BY n DESC, g LIMIT 10 RETURN sum(n)"
        yield "hop2_groups", lambda: int(self.one(top, ids=seeds))
        yield "reach", lambda: self.one("MATCH (a:person {id: $id})-[:knows* SHORTEST 1..30]->(b:person) WHERE b.id <> $id RETURN count(*)", id=one)
        yield "levels", lambda: self.one("MATCH (a:person {id: $id})-[e:knows* SHORTEST 1..30]->(b:person) WHERE length(e) = 3 AND b.id <> $id RETURN count(*)", id=one)
        pair = "MATCH (a:person {id: $a})-[e:knows* SHORTEST 1..30]->(b:person {id: $b}) RETURN length(e)"
        yield "pairs", lambda: sum(self.length(pair, source, target) for source, target in graph.pairs)
        ring = "MATCH (a:person)-[:knows]->(b:person)-[:knows]->(c:person)-[:knows]->(a) RETURN count(*)"
        yield "rings", lambda: self.one(ring)
        yield "groups", lambda: self.one("MATCH (p:person) WITH p.grp AS g, count(*) AS n RETURN count(*)")
        yield "degrees", lambda: int(self.one("MATCH (a:person)-[e:knows]->() WITH a, count(e) AS n ORDER BY n DESC LIMIT 10 RETURN sum(n)"))

    def length(self, query, source, target):
        if source == target:
            return 0
        result = self.connection.execute(query, {"a": Graph.id(source), "b": Graph.id(target)})
        return result.get_next()[0] if result.has_next() else 0

    def stop(self):
        pass


class Gateway:
    title = "gateway"

    def __init__(self, bin_dir, folder):
        self.side = bench.Gateway(bin_dir, folder)

    def load(self, graph, folder):
        import psycopg

        schema, rows = folder / "graph.pg", folder / "graph.jsonl"
        schema.write_text("node Person { key: String @key  grp: I32  val: I32 }\nedge Knows: Person -> Person\n")
        with open(rows, "w", encoding="utf-8") as out:
            for node in range(graph.nodes):
                out.write(f'{{"type":"Person","data":{{"key":"{graph.id(node)}","grp":{graph.group[node]},"val":{graph.value[node]}}}}}\n')
            for source, target in graph.edges:
                out.write(f'{{"edge":"Knows","from":"{graph.id(source)}","to":"{graph.id(target)}"}}\n')
        dataset = argparse.Namespace(name=graph.name, schema=schema, jsonl=rows)
        self.side.load(dataset, None)
        self.side.start()
        self.connection = psycopg.connect(host="127.0.0.1", port=self.side.port, user="bench", dbname=graph.name, autocommit=True)
        self.connection.prepare_threshold = 0

    def ask(self, sql, parameters=()):
        return self.connection.cursor(binary=True).execute(sql, parameters, prepare=True).fetchall()

    def one(self, sql, parameters=()):
        return self.ask(sql, parameters)[0][0]

    def questions(self, graph):
        seeds = [graph.id(seed) for seed in graph.seeds]
        one = graph.id(graph.seeds[0])
        pattern = lambda hops, more="": f"graph_table ({graph.name} match (a is person where a.id = any(%s))-[is knows]->{{{hops}}}(b is person{more}) columns (a.id as a, b.id as b, b.grp as grp))"
        yield "lookup", lambda: sum(self.one("select val from person where id = %s", [seed]) for seed in seeds)
        for hops in (1, 2, 3):
            sql = f"select count(*) from (select distinct a, b from {pattern(hops)}) w"
            yield f"hop{hops}", lambda sql=sql: self.one(sql, [seeds])
        each = f"select count(distinct b) from graph_table ({graph.name} match (a is person where a.id = %s)-[is knows]->{{2}}(b is person) columns (b.id as b))"
        yield "hop2_each", lambda: sum(self.one(each, [seed]) for seed in seeds)
        top = f"select sum(n) from (select grp, count(*) as n from (select distinct a, b, grp from {pattern(2, ' where b.val >= 500')}) w group by grp order by n desc, grp limit 10) t"
        yield "hop2_groups", lambda: int(self.one(top, [seeds]))
        yield "reach", lambda: self.one("select count(*) from reachable('knows', %s)", [one])
        yield "levels", lambda: self.one("select count(*) from traverse('knows', %s, max_hops => null) where depth = 3", [one])
        yield "pairs", lambda: sum(self.length(source, target) for source, target in graph.pairs)
        yield "triangles", lambda: int(self.one("select sum(triangles) / 3 from triangle_count('knows')"))
        ring = f"graph_table ({graph.name} match (a is person)-[is knows]->(b is person)-[is knows]->(c is person)-[is knows]->(a) columns (1 as one))"
        yield "rings", lambda: self.one(f"select count(*) from {ring}")
        yield "pagerank", lambda: len(self.ask("select id, rank from pagerank('knows', tolerance => 0) order by rank desc limit 10"))
        yield "components", lambda: self.one("select count(distinct component) from connected_components('knows')")
        yield "groups", lambda: len(self.ask("select grp, count(*) from person group by grp"))
        yield "degrees", lambda: int(self.one("select sum(out_degree) from (select out_degree from degree('knows') order by out_degree desc limit 10) d"))

    def length(self, source, target):
        return self.one("select coalesce(max(step), 0) from shortest_path('knows', %s, %s)", [Graph.id(source), Graph.id(target)])

    def stop(self):
        self.side.stop()


class Limit:
    """The same questions over arrays of numbers, by a program of its own."""

    title = "limit"

    def load(self, graph, folder):
        self.program, self.data = folder / "limit", folder / "graph.u32"
        subprocess.run(["rustc", "-O", "--edition", "2024", "-o", str(self.program), str(HERE / "limit.rs")], check=True)
        columns = [[source for source, _ in graph.edges], [target for _, target in graph.edges], graph.group, graph.value, graph.seeds, [end for pair in graph.pairs for end in pair]]
        words = [graph.nodes, len(graph.edges), len(graph.seeds), len(graph.pairs)] + sum(columns, [])
        self.data.write_bytes(struct.pack(f"<{len(words)}I", *words))

    def answers(self, graph, options):
        told = subprocess.run([str(self.program), str(self.data), str(options.seconds / 4)], check=True, capture_output=True, text=True).stdout
        for line in told.splitlines():
            name, answer, took = line.split()
            yield name, (int(answer), float(took))

    def stop(self):
        pass


def write_csv(graph, folder):
    people, knows = folder / "people.csv", folder / "knows.csv"
    if not people.exists():
        people.write_text("".join(f"{graph.id(node)},{graph.group[node]},{graph.value[node]}\n" for node in range(graph.nodes)))
        knows.write_text("".join(f"{graph.id(source)},{graph.id(target)}\n" for source, target in graph.edges))
    return people, knows


def timed(question, seconds):
    """The answer, and the least of as many runs as fit, in milliseconds."""
    answer, best, until, runs = None, float("inf"), time.perf_counter() + seconds, 0
    while runs < 2 or (time.perf_counter() < until and runs < 1000):
        started = time.perf_counter()
        answer = question()
        best = min(best, time.perf_counter() - started)
        runs += 1
        if best > 4 * seconds:
            break
    return answer, best * 1000


def answers(engine, graph, options):
    """The questions that it answers, with the answer and the time of each."""
    for name, question in engine.questions(graph):
        if options.query and name not in options.query:
            continue
        try:
            yield name, timed(question, options.seconds)
        except Exception as error:  # noqa: BLE001 - an engine that cannot answer is told as such
            print(f"  {engine.title} does not answer {name}: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)


def measure(graph, engines, folder, options):
    print(f"\n{graph.title}", flush=True)
    found = {}
    for engine in engines:
        engine.load(graph, folder)
        told = engine.answers(graph, options) if isinstance(engine, Limit) else answers(engine, graph, options)
        for name, answer in told:
            if not options.query or name in options.query:
                found.setdefault(name, {})[engine.title] = answer
    ours = engines[0].title
    lines = ["| | " + " | ".join(engine.title for engine in engines) + " |", "|---|" + "---:|" * len(engines)]
    for name, told in found.items():
        expected, least = told.get(ours, (None, None))
        cells = []
        for engine in engines:
            answer, took = told.get(engine.title, (None, None))
            if took is None:
                cells.append("–")
            elif engine.title == ours or least is None:
                cells.append(f"{took:,.2f}")
            elif answer != expected:
                cells.append(f"{took:,.2f} (another answer: {answer}, not {expected})")
            else:
                cells.append(f"{took:,.3g} ({took / least:,.2g} ×)")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print("  " + lines[-1], flush=True)
    return [f"### {graph.title}", "", *lines, ""]


def write(report):
    path = ROOT / "docs" / "performance.md"
    begin, end = "<!-- graph:begin -->", "<!-- graph:end -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    path.write_text(f"{before}{begin}\n{report}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("DATA") or ROOT / "examples" / "debian" / "debian.jsonl.gz", help="a Debian graph")
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each question")
    parser.add_argument("--only", choices=["uniform", "power", "debian"], action="append")
    parser.add_argument("--query", action="append", help="only this question; may be repeated")
    parser.add_argument("--short", action="store_true", help="2,000 nodes, 20,000 edges, a fifth of a second each")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    if options.short:
        options.nodes, options.edges, options.seconds = 2_000, 20_000, 0.2
    wanted = clients.python_with("graph-bench", PACKAGES)
    if pathlib.Path(sys.executable) != wanted:
        os.execv(wanted, [str(wanted), *sys.argv])

    folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-graph-bench-"))
    report, postgres = [], None
    try:
        postgres = Postgres(folder)
        makers = {
            "uniform": lambda work: uniform(options.nodes, options.edges),
            "power": lambda work: power_law(options.nodes, options.edges),
            "debian": lambda work: debian(pathlib.Path(options.data), work),
        }
        for name in options.only or makers:
            work = folder / name
            work.mkdir()
            gateway = Gateway(options.bin.resolve(), work)
            try:
                report += measure(makers[name](work), [gateway, Limit(), postgres, DuckDb(), Ladybug()], work, options)
            finally:
                gateway.stop()
    finally:
        if postgres:
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    text = f"Measured {time.strftime('%Y-%m-%d')} on {bench.machine()}.\n\n" + "\n".join(report).rstrip()
    print(f"\n{text}")
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
