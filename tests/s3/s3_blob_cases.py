"""Blobs of graphs in a bucket, and blobs in buckets outside of the graph."""

import hashlib
import json
import random

from harness import case, eq, fails, ok
from s3_cases import client, keys, place, store_of

SCHEMA = "node Document { slug: String @key  title: String?  content: Blob? }\n"
LARGE = 20 << 20


def noise(bench, length):
    return random.Random(bench.seed).randbytes(length)


def documents(bench, graph):
    """A graph of documents; its URL."""
    schema = bench.folder / "documents.pg"
    schema.write_text(SCHEMA)
    store = store_of(bench)
    url = f"{store.url}/graphs/{graph}.omni"
    store.tool("init", "--schema", schema, url)
    return store, url


def lines(bench, name, *rows):
    data = bench.folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps({"type": "Document", "data": row}) + "\n" for row in rows))
    return data


def digest_of(store, graph, slug, *more):
    return json.loads(store.tool("blob", "stat", "--json", "Document.content", slug, *more, graph).stdout)


def objects(bench, graph):
    bucket, prefix = place(bench)
    return keys(bench, bucket, f"{prefix}/graphs/{graph}.omni/_graph/blobs/")


@case("s3")
def blobs_are_kept_by_all_that_a_graph_goes_through(bench):
    store, graph = documents(bench, "docs")
    large, outside = noise(bench, LARGE), noise(bench, 3 << 20)
    bucket, prefix = place(bench)
    (bench.folder / "large").write_bytes(large)
    client(bench).put_object(Bucket=bucket, Key=f"{prefix}-outside/a", Body=outside)
    base = f"s3://{bucket}/{prefix}-outside/"
    data = lines(bench, "data", {"slug": "large", "content": f"file://{bench.folder}/large"}, {"slug": "outside", "content": f"{base}a"},
                 {"slug": "short", "content": "base64:aGk="}, {"slug": "empty", "content": "base64:"}, {"slug": "none"})
    refused = store.tool("load", "--mode", "append", "--data", data, graph, code=1)
    ok("may not be read" in refused.stderr, refused.stderr)
    store.tool("load", "--mode", "append", "--data", data, "--allow-blobs", f"file://{bench.folder}/", "--allow-blobs", base, graph)
    sha = {"large": hashlib.sha256(large).hexdigest(), "outside": hashlib.sha256(outside).hexdigest()}
    # What was copied is not asked for outside again.
    client(bench).delete_object(Bucket=bucket, Key=f"{prefix}-outside/a")
    for slug, digest in sha.items():
        eq(digest_of(store, graph, slug)["sha256"], digest, slug)

    # Put from a file, and read at a commit, a branch, and after a merge.
    store.tool("branch", "create", "edit", graph)
    (bench.folder / "new").write_bytes(large[::-1])
    store.tool("blob", "put", "Document.content", "large", "--input", bench.folder / "new", "--branch", "edit", graph)
    store.tool("blob", "put", "Document.content", "none", "--input", bench.folder / "new", graph)
    eq(digest_of(store, graph, "large")["sha256"], sha["large"], "of main")
    store.tool("branch", "merge", "edit", "--into", "main", graph)
    out = bench.folder / "out"
    store.tool("blob", "get", "Document.content", "large", "--output", out, graph)
    ok(out.read_bytes() == large[::-1], "the merged bytes are others")
    eq(digest_of(store, graph, "large", "--branch", "main~1")["sha256"], sha["large"], "before the merge")

    server = store.start()
    with server.connect(graph="docs") as connection:
        read = "SELECT blob_read(content, %s, %s) FROM document WHERE slug = 'large'"
        for offset, length in ((0, 10), (LARGE // 2, 100_000), (LARGE - 5, 100)):
            [[part]] = connection.execute(read, [offset, length], binary=True).fetchall()
            ok(part == large[::-1][offset:offset + length], f"bytes from {offset} on")
        eq(connection.execute("SELECT slug, blob_length(content) FROM document ORDER BY slug").fetchall(),
           [("empty", 0), ("large", LARGE), ("none", LARGE), ("outside", len(outside)), ("short", 2)], "lengths")

    # Out as lines and files, and in again; then only what is referred to is left.
    exported = bench.folder / "exported.jsonl"
    exported.write_text(store.tool("export", "--blobs", bench.folder / "aside", graph).stdout)
    copy = f"{store.url}/graphs/copy.omni"
    store.tool("init", "--schema", bench.folder / "documents.pg", copy)
    store.tool("load", "--mode", "append", "--data", exported, "--allow-blobs", f"file://{bench.folder}/aside/", copy)
    for slug in ("large", "none", "outside"):
        eq(digest_of(store, copy, slug)["sha256"], digest_of(store, graph, slug)["sha256"], f"the copy of {slug}")
    store.tool("branch", "delete", "edit", "--cascade", graph)
    before = len(objects(bench, "docs"))
    store.tool("cleanup", "--older-than", "0s", "--grace", "0s", "--confirm", graph)
    after = len(objects(bench, "docs"))
    ok(after < before, f"{before} objects before the vacuum, {after} after")
    for slug in ("large", "none", "outside"):
        eq(digest_of(store, graph, slug)["sha256"], digest_of(store, copy, slug)["sha256"], f"{slug} after the vacuum")


@case("s3")
def a_server_reads_from_the_buckets_that_its_cluster_allows(bench):
    store = store_of(bench)
    bucket, prefix = place(bench)
    outside = noise(bench, 100_000)
    for name in ("allowed/a", "closed/a"):
        client(bench).put_object(Bucket=bucket, Key=f"{prefix}-{name}", Body=outside)
    allowed, closed = (f"s3://{bucket}/{prefix}-{name}/a" for name in ("allowed", "closed"))
    config = bench.folder / "cluster"
    config.mkdir()
    (config / "documents.pg").write_text(SCHEMA)
    (config / "cluster.yaml").write_text(f"""version: 1
metadata: {{ name: documents }}
storage: {bench.url}/cluster
graphs:
  docs: {{ schema: documents.pg, external_blobs: {{ allow: [{{ base: "s3://{bucket}/{prefix}-allowed/", scope: server_safe }}] }} }}
policies:
  base: {{ file: base.policy.yaml, applies_to: [docs] }}
""")
    (config / "base.policy.yaml").write_text("""version: 1
groups: { all: [ada] }
rules:
  - { id: all, allow: { actors: { group: all }, actions: [read, change], branch_scope: any } }
""")
    (config / "credentials.json").write_text(json.dumps({"ada": "ada"}))
    for command in (["import"], ["apply", "--as", "andrew"]):
        store.tool("cluster", *command, "--config", config)
    store.served = ["--cluster", str(config), "--credentials", str(config / "credentials.json")]
    server = store.start()
    insert = "INSERT INTO document (slug, content) VALUES (%s, blob_from_uri(%s))"
    query = "query add($slug: String, $content: Blob) { insert Document { slug: $slug, content: $content } }"
    gq = f"SELECT * FROM gq($q${query}$q$, %s)"
    with server.connect("ada", graph="docs", password="ada") as connection:
        connection.execute(insert, ["sql", allowed])
        connection.execute(gq, [json.dumps({"slug": "gq", "content": allowed})])
        with connection.cursor().copy("COPY omnigraph.ndjson FROM STDIN") as copy:
            copy.write(json.dumps({"type": "Document", "data": {"slug": "copy", "content": allowed}}) + "\n")
        fails(lambda: connection.execute(insert, ["closed", closed]), "42501")
        fails(lambda: connection.execute(gq, [json.dumps({"slug": "closed", "content": closed})]), "42501")
        client(bench).delete_object(Bucket=bucket, Key=f"{prefix}-allowed/a")
        found = connection.execute("SELECT slug, content, blob_uri(content) FROM document ORDER BY slug", binary=True).fetchall()
        eq([(slug, content == outside, uri) for slug, content, uri in found], [(slug, True, None) for slug in ("copy", "gq", "sql")], "what was copied")
