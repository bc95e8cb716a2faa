"""Large blobs: written and read in memory that does not grow with them, and never half there."""

import hashlib
import json
import os
import signal
import subprocess
import time

from harness import case, eq, ok

SCHEMA = "node Document { slug: String @key  title: String?  content: Blob? }\n"
PIECE = 1 << 20
MEMORY_KB = 200 << 10


def make(bench):
    """A graph of documents, and a file with as many random bytes as the case is to take."""
    schema = bench.folder / "documents.pg"
    schema.write_text(SCHEMA)
    store = bench.store()
    store.folder.parent.mkdir(parents=True)
    store.tool("init", "--schema", schema, store.graph)
    files = bench.folder / "files"
    files.mkdir()
    digest = hashlib.sha256()
    with open(files / "large", "wb") as out:
        for _ in range(bench.blob_mb):
            piece = os.urandom(PIECE)
            digest.update(piece)
            out.write(piece)
    return store, files, digest.hexdigest()


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while piece := source.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def lines(bench, files):
    data = bench.folder / "documents.jsonl"
    rows = [{"slug": "large", "content": f"file://{files}/large"}, {"slug": "empty", "content": "base64:"}, {"slug": "none"}]
    data.write_text("".join(json.dumps({"type": "Document", "data": row}) + "\n" for row in rows))
    return data


def within_memory(store, *arguments, output=subprocess.DEVNULL):
    """Runs the tool; its memory at its highest."""
    process = subprocess.Popen([str(store.bench.bin_dir / "omnigraph"), *map(str, arguments)],
                               stdin=subprocess.DEVNULL, stdout=output, stderr=store.bench.log, env=store.environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    eq(process.returncode, 0, f"exit of omnigraph {arguments[0]}")
    ok(usage.ru_maxrss < MEMORY_KB, f"omnigraph {arguments[0]} took {usage.ru_maxrss >> 10} MiB of memory")


@case("blobs")
def a_large_blob_is_written_and_read_in_little_memory(bench):
    store, files, digest = make(bench)
    allow = ["--allow-blobs", f"file://{files}/"]
    within_memory(store, "load", "--mode", "append", "--data", lines(bench, files), *allow, store.graph)
    (files / "large").unlink()
    store.tool("branch", "create", "put", store.graph)
    out = bench.folder / "out"
    within_memory(store, "blob", "get", "Document.content", "large", "--output", out, store.graph)
    eq(digest_of(out), digest, "the bytes that were read")
    within_memory(store, "blob", "put", "Document.content", "none", "--input", out, "--branch", "put", store.graph)
    out.unlink()
    eq(json.loads(store.tool("blob", "stat", "--json", "Document.content", "none", "--branch", "put", store.graph).stdout)["sha256"], digest, "the bytes that were put")
    stat = json.loads(store.tool("blob", "stat", "--json", "Document.content", "large", store.graph).stdout)
    eq(stat, {"length": bench.blob_mb << 20, "sha256": digest, "uri": None}, "what is known of it")
    eq(json.loads(store.tool("blob", "stat", "--json", "Document.content", "empty", store.graph).stdout)["length"], 0, "an empty blob")
    ok("is NULL" in store.tool("blob", "get", "Document.content", "none", store.graph, code=1).stderr, "no blob is no empty one")
    # Out as lines and files, and in again.
    exported = bench.folder / "exported.jsonl"
    with open(exported, "w", encoding="utf-8") as target:
        within_memory(store, "export", "--blobs", bench.folder / "aside", store.graph, output=target)
    copy = f"{store.url}/graphs/copy.omni"
    store.tool("init", "--schema", bench.folder / "documents.pg", copy)
    within_memory(store, "load", "--mode", "append", "--data", exported, "--allow-blobs", f"file://{bench.folder}/aside/", copy)
    eq(json.loads(store.tool("blob", "stat", "--json", "Document.content", "large", copy).stdout)["sha256"], digest, "the copy")


@case("blobs")
def a_server_gives_a_large_blob_in_parts(bench):
    store, files, digest = make(bench)
    store.tool("load", "--mode", "append", "--data", lines(bench, files), "--allow-blobs", f"file://{files}/", store.graph)
    server = store.start()
    read = hashlib.sha256()
    with server.connect() as connection:
        [length] = connection.execute("SELECT blob_length(content) FROM document WHERE slug = 'large'").fetchone()
        eq(length, bench.blob_mb << 20, "the length")
        for offset in range(0, length, 4 * PIECE):
            row = connection.execute("SELECT blob_read(content, %s, %s) FROM document WHERE slug = 'large'", [offset, 4 * PIECE], binary=True).fetchone()
            read.update(row[0])
        # Other columns, other rows, and the same blob in more rows cost nothing of it.
        connection.execute("UPDATE document SET title = 'titled'")
        connection.execute("INSERT INTO document (slug, content) SELECT 'again', content FROM document WHERE slug = 'large'")
        eq(connection.execute("SELECT slug, content IS NULL FROM document ORDER BY slug").fetchall(),
           [("again", False), ("empty", False), ("large", False), ("none", True)], "the rows")
    eq(read.hexdigest(), digest, "the bytes that were read")
    status = open(f"/proc/{server.process.pid}/status", encoding="utf-8").read()
    [peak] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    ok(peak < MEMORY_KB, f"the server took {peak >> 10} MiB of memory")


@case("blobs")
def a_load_that_is_killed_leaves_no_row_and_vacuum_takes_its_bytes(bench):
    store, files, _ = make(bench)
    data = lines(bench, files)
    blobs = store.folder / "_graph" / "blobs"
    process = store.start_tool("load", "--mode", "append", "--data", data, "--allow-blobs", f"file://{files}/", store.graph)
    while process.poll() is None and not (blobs.exists() and any(blobs.iterdir())):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    rows = len(store.export())
    ok(rows in (0, 3), f"{rows} rows of three")
    store.tool("load", "--mode", "overwrite", "--data", os.devnull, store.graph)
    time.sleep(0.05)
    store.tool("cleanup", "--older-than", "0s", "--grace", "0s", "--confirm", store.graph)
    eq(sorted(blobs.rglob("*")) if blobs.exists() else [], [], "what is left of the bytes")
