"""Search: pgvector's own client library, and rankings against a brute force that is written
here and knows nothing of the product."""

import collections
import math
import random
import re

import numpy
import psycopg
from pgvector.psycopg import register_vector

from support import case, eq, fails, ok


def connect(server, graph):
    return psycopg.connect(**server.parameters(graph), autocommit=True)


class Corpus:
    """BM25 over texts by id, as it stands in books."""

    def __init__(self, texts):
        self.words = {key: re.findall(r"[^\W_]+", text.lower()) for key, text in texts.items()}
        self.counts = {key: collections.Counter(words) for key, words in self.words.items()}
        self.rows = collections.defaultdict(list)
        for key, counts in self.counts.items():
            for word in counts:
                self.rows[word].append(key)
        self.average = sum(map(len, self.words.values())) / len(self.words)

    def scores(self, words):
        found = collections.defaultdict(float)
        for word in words:
            rows = self.rows.get(word, [])
            idf = math.log(1 + (len(self.words) - len(rows) + 0.5) / (len(rows) + 0.5))
            for key in rows:
                count = self.counts[key][word]
                found[key] += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(self.words[key]) / self.average))
        return found

    def best(self, words, most=10, keep=lambda key: True):
        scores = [(round(score, 9), key) for key, score in self.scores(words).items() if keep(key)]
        return sorted(scores, key=lambda pair: (-pair[0], pair[1]))[:most]


def queries(corpus, seed, count):
    """Of one to four words, the common ones more often."""
    choice = random.Random(seed)
    everything = [word for words in corpus.words.values() for word in words]
    for _ in range(count):
        yield list(dict.fromkeys(choice.choice(everything) for _ in range(choice.randint(1, 4))))


@case("search", gateway_only=True)
def ranks_the_debian_descriptions_as_a_brute_force_does(server):
    with connect(server, "debian") as connection:
        corpus = Corpus(dict(connection.execute("select id, description from package")))
        for words in queries(corpus, 7, 60):
            rows = connection.execute("select round(score::numeric, 9), id from search('package', 'description', %s)", [" ".join(words)]).fetchall()
            want = corpus.best(words)
            eq([key for _, key in rows], [key for _, key in want], f"{words}")
            ok(all(abs(float(score) - expected) < 1e-7 for (score, _), (expected, _) in zip(rows, want)), f"scores of {words}: {rows} {want}")


@case("search", gateway_only=True)
def finds_all_words_phrases_and_likenesses(server):
    with connect(server, "debian") as connection:
        texts = dict(connection.execute("select id, description from package"))
        corpus = Corpus(texts)

        def same(call, words, keep):
            rows = connection.execute(f"select id from {call}").fetchall()
            eq([key for key, in rows], [key for _, key in corpus.best(words, keep=keep)], call)

        every = lambda *words: lambda key: all(word in corpus.counts[key] for word in words)
        same("match_text('package', 'description', 'library development')", ["library", "development"], every("library", "development"))
        same("match_text('package', 'description', 'library -development')", ["library"], lambda key: every("library")(key) and "development" not in corpus.counts[key])
        follows = lambda key: " web server " in f" {' '.join(corpus.words[key])} "
        same("match_text('package', 'description', '\"web server\"')", ["web", "server"], follows)
        starts = sorted(key for key, words in corpus.words.items() if any(word.startswith("postgres") for word in words))
        rows = connection.execute("select id from match_text('package', 'description', 'postgres*', k => null) order by id").fetchall()
        eq([key for key, in rows], starts, "postgres*")
        near = sorted(key for key, words in corpus.words.items() if any(edits("sever", word) <= 1 for word in set(words) if abs(len(word) - 5) <= 1))
        rows = connection.execute("select id from fuzzy('package', 'description', 'sever', k => null) order by id").fetchall()
        eq([key for key, in rows], near, "sever within one edit")
        where = connection.execute("select count(*) from package where has_words(description, '\"web server\"')").fetchone()[0]
        eq(where, sum(map(follows, texts)), "has_words")


def edits(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(before + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@case("search", gateway_only=True)
def speaks_with_pgvectors_library(server):
    with connect(server, "company") as connection:
        connection.execute("create extension if not exists vector")
        register_vector(connection)
        vectors = dict(connection.execute("select id, embedding from document where embedding is not null").fetchall())
        ok(len(vectors) > 20, "there are documents with vectors")
        array = lambda vector: numpy.asarray(vector.to_numpy() if hasattr(vector, "to_numpy") else vector, dtype=numpy.float64)
        vectors = {key: array(vector) for key, vector in vectors.items()}
        measures = {
            "<->": lambda a, b: numpy.linalg.norm(a - b),
            "<=>": lambda a, b: 1 - a @ b / (numpy.linalg.norm(a) * numpy.linalg.norm(b)),
            "<#>": lambda a, b: -(a @ b),
            "<+>": lambda a, b: numpy.abs(a - b).sum(),
        }
        choice = numpy.random.default_rng(3)
        for binary in (False, True):
            for operator, measure in measures.items():
                query = choice.random(12).astype(numpy.float32)
                rows = connection.cursor(binary=binary).execute(
                    f"select id, embedding {operator} %s as d from document where embedding is not null order by embedding {operator} %s, id limit 5", [query, query]).fetchall()
                want = sorted((measure(vector, query.astype(numpy.float64)), key) for key, vector in vectors.items())[:5]
                eq([key for key, _ in rows], [key for _, key in want], operator)
                ok(all(abs(found - expected) < 1e-5 for (_, found), (expected, _) in zip(rows, want)), f"{operator}: {rows} {want}")
        query = choice.random(12).astype(numpy.float32)
        rows = connection.execute("select id from nearest('document', 'embedding', %s, k => 3, filter => %s)" % ("%s", "'kind = ''memo'''"), [query]).fetchall()
        memos = {key for key, in connection.execute("select id from document where kind = 'memo'")}
        want = sorted((measures["<=>"](vector, query.astype(numpy.float64)), key) for key, vector in vectors.items() if key in memos)[:3]
        eq([key for key, in rows], [key for _, key in want], "nearest among memos")
        fails(lambda: connection.execute("select embedding <-> %s from document", [query[:3]]).fetchall(), "22000")


@case("search", gateway_only=True)
def fuses_words_and_vectors_by_rank(server):
    with connect(server, "company") as connection:
        register_vector(connection)
        rows = connection.execute("select id, summary, embedding::real[] from document").fetchall()
        corpus = Corpus({key: summary for key, summary, _ in rows})
        vectors = {key: numpy.asarray(vector) for key, _, vector in rows if vector is not None}
        choice = numpy.random.default_rng(5)
        for words in queries(corpus, 11, 12):
            query = choice.random(12).astype(numpy.float32)
            cosine = lambda vector: round(float(1 - vector @ query / (numpy.linalg.norm(vector) * numpy.linalg.norm(query))), 6)
            nearest = sorted((cosine(vector), key) for key, vector in vectors.items())[:100]
            scores = collections.defaultdict(float)
            for ranking in (corpus.best(words, 100), nearest):
                for place, (_, key) in enumerate(ranking, 1):
                    scores[key] += 1 / (60 + place)
            want = sorted(((round(score, 12), key) for key, score in scores.items()), key=lambda pair: (-pair[0], pair[1]))[:10]
            found = connection.execute(
                "select round(score::numeric, 12), id from hybrid('document', text => 'summary', vector => 'embedding', query => %s, embedding => %s)",
                [" ".join(words), query]).fetchall()
            eq([(float(score), key) for score, key in found], want, f"{words}")
