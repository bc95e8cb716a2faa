"""A commit is on the disk before it is acknowledged: data before the log entry, the log
entry before the answer. kill -9 cannot show this, since the system keeps what was written;
the trace of system calls does."""

import re

import syscalls
from harness import Failed, case, eq, has_reason, ok
from storm import load_file

LOG_ENTRY = re.compile(r"/_graph/(branches|refs)/[^/]+/\d{20}/\d{20}\.json$")
ANSWER = re.compile(r"(COMMIT|INSERT 0 1|UPDATE 1|DELETE 1)\\0")
COMMITS = 6


class Watch:
    """Looks at what is unsynced whenever a log entry is linked or an answer is sent."""

    def __init__(self):
        self.entries, self.answers, self.violations = 0, 0, []

    def __call__(self, name, text, seen):
        if name in ("link", "linkat"):
            if any(LOG_ENTRY.search(path) for path in syscalls.paths(text)):
                self.entries += 1
                self.look("a log entry was linked", seen)
        elif name in ("sendto", "sendmsg", "write", "writev") and "<socket:" in text.partition(",")[0]:
            if ANSWER.search(text):
                self.answers += 1
                self.look("a commit was acknowledged", seen)

    def look(self, moment, seen):
        unsynced = seen.unsynced()
        if unsynced:
            self.violations.append(f"{moment} before {len(unsynced)} names were synced, such as {unsynced[:4]}")


def commits_watched(bench, *arguments):
    """A server under strace that makes commits of every kind, and what was seen of it."""
    store = bench.store("store" + "".join(arguments).replace("-", "")).make()
    output = bench.folder / "strace.out"
    server = store.start(prefix=syscalls.command(output), arguments=arguments)
    with server.connect("ada") as connection:
        run = connection.execute
        for number in range(COMMITS):
            slug = f"n{number}"
            run("BEGIN")
            run("INSERT INTO debit (slug, writer, n, pad) VALUES (%s, 'ada', 1, 'x')", [slug])
            run("INSERT INTO credit (slug, writer, n, pad) VALUES (%s, 'ada', 1, 'x')", [slug])
            run("INSERT INTO transfer (src, dst, writer, n) VALUES (%s, %s, 'ada', 1)", [slug, slug])
            run("COMMIT")
        run("INSERT INTO note (slug, writer, n) VALUES ('one', 'ada', 1)")
        run("UPDATE note SET n = 2 WHERE slug = 'one'")
        run("DELETE FROM debit WHERE slug = 'n0'")
        run('CREATE SCHEMA "review/1"')
        run("""INSERT INTO "review/1".note (slug, writer, n) VALUES ('two', 'ada', 1)""")
    eq(server.stop(), 0, "the exit status after SIGTERM")
    watch = Watch()
    seen = syscalls.Trace(store.url, watch)
    seen.read(output)
    return watch, seen


@case("sync")
def data_is_synced_before_the_log_entry_and_that_before_the_answer(bench):
    watch, seen = commits_watched(bench)
    if watch.violations:
        raise Failed(f"{len(watch.violations)} times: " + "\n".join(watch.violations[:5]))
    # The commits, and the new branch with its first entry and its name.
    ok(watch.entries >= COMMITS + 6, f"only {watch.entries} log entries were seen")
    ok(watch.answers >= COMMITS + 4, f"only {watch.answers} answers were seen")
    print(f"      {watch.entries} log entries, {watch.answers} answers, {seen.syncs} syncs", flush=True)


@case("sync")
def the_check_sees_a_server_that_does_not_sync(bench):
    watch, _ = commits_watched(bench, "--durability", "none")
    ok(watch.entries and watch.answers, "nothing was seen at all")
    moments = {violation.partition(" before")[0] for violation in watch.violations}
    eq(moments, {"a log entry was linked", "a commit was acknowledged"}, "moments at which something was not synced")


@case("sync")
def a_new_graph_and_a_load_are_synced_with_the_folders_above_them(bench):
    store = bench.store()
    store.folder.parent.mkdir(parents=True)
    # An existing folder is not this process's to sync; two that it makes are.
    graph = store.folder.parent / "deeper" / "still.omni"
    schema = bench.folder / "crash.pg"
    bench.store("other").make()
    for name, arguments in (("init", ["--schema", schema]), ("load", ["--data", load_file(bench, "load", 500), "--mode", "append"])):
        output = bench.folder / f"{name}.out"
        store.tool(name, *arguments, graph, prefix=syscalls.command(output))
        watch = Watch()
        seen = syscalls.Trace(store.url, watch)
        seen.read(output)
        eq(watch.violations[:5], [], f"violations by omnigraph {name}")
        eq(seen.unsynced(), [], f"names not synced when omnigraph {name} ended")
        ok(watch.entries >= 1 and seen.syncs >= 3, f"omnigraph {name}: {watch.entries} log entries, {seen.syncs} syncs")


@case("sync")
def a_log_whose_folder_cannot_be_synced_is_not_read(bench):
    """What another process wrote may not be on the disk yet. A sync that failed is not tried
    again: the kernel may have dropped what it could not write, and say that all is well."""
    import psycopg

    store = bench.store().make()
    log = store.log_entry(0).parent
    first_fails = ["strace", "-f", "-qq", "-P", str(log), "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "-o", "/dev/null"]
    server = store.start(prefix=first_fails)
    for _ in range(2):
        try:
            server.connect("ada").close()
            raise Failed("the graph is served")
        except psycopg.OperationalError as error:
            has_reason(error, "cannot be synced")
    server.stop()
    eq(store.start().rows("SELECT * FROM note"), [], "rows, once the disk is sound")
