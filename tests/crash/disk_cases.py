"""A full disk: a clear error with the system's reason, nothing lost, and once there is room
again everything goes on where it was, on the same connection.

As root the disk is a small tmpfs. Without the right to mount, files of the server are
limited in size instead: the same calls fail, with "File too large" for a reason.
"""

import contextlib
import json
import os
import resource
import subprocess

from harness import case, eq, fails, has_reason, ok, sqlstate
from storm import load_file

PAGE = 4096
DISK_BYTES = 48 << 20


class SmallDisk:
    """A tmpfs of its own, and a file that fills it."""

    reason = "No space left on device"

    def __init__(self, folder):
        self.folder, self.filler = folder, folder / "filler"

    def leave(self, _server, room):
        """Fills the disk until `room` bytes are free."""
        with open(self.filler, "ab") as filler:
            status = os.statvfs(self.folder)
            more = status.f_bavail * status.f_frsize - room
            held = filler.tell()
            if more < 0:
                filler.truncate(held + more)
            else:
                os.posix_fallocate(filler.fileno(), held, more) if more else None
        status = os.statvfs(self.folder)
        eq(status.f_bavail * status.f_frsize, room, "bytes left on the disk")

    def free(self, _server):
        self.filler.unlink(missing_ok=True)

    def tool_prefix(self, _room):
        return []


class FileSizes:
    """A limit on the size of the files that a process writes."""

    reason = "File too large"

    def __init__(self, folder):
        self.folder = folder

    def leave(self, server, room):
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    def free(self, server):
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def tool_prefix(self, room):
        return ["prlimit", f"--fsize={room}:unlimited"]


@contextlib.contextmanager
def small_disk(bench):
    folder = bench.folder / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True).returncode == 0
    try:
        yield SmallDisk(folder) if mounted else FileSizes(folder)
    finally:
        for server in bench.running:
            server.kill()
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


# A signal for too large a file would end the process; Python ignores it and its children
# inherit that, unless they are told otherwise.
INHERIT = {"restore_signals": False}


@case("disk")
def a_commit_without_room_is_refused_and_nothing_is_lost(bench):
    with small_disk(bench) as disk:
        store = bench.store(parent=disk.folder).make()
        server = store.start(**INHERIT)
        connection = server.connect("ada")
        run = connection.execute
        notes, debits = [], []

        def pair(slug):
            run("BEGIN")
            run("INSERT INTO debit (slug, writer, n, pad) VALUES (%s, 'ada', 1, 'x')", [slug])
            run("INSERT INTO credit (slug, writer, n, pad) VALUES (%s, 'ada', 1, 'x')", [slug])
            run("COMMIT")

        def everything_is_there(when):
            eq([slug for (slug,) in run("SELECT slug FROM note ORDER BY slug")], sorted(notes), f"notes {when}")
            for table in ("debit", "credit"):
                eq([slug for (slug,) in run(f"SELECT slug FROM {table} ORDER BY slug")], sorted(debits), f"{table} {when}")
            # The creation of the graph, and one for each.
            eq(run("SELECT count(*) FROM commits() WHERE actor <> 'maintenance'").fetchone()[0], 1 + len(notes) + len(debits), f"commits {when}")

        run("INSERT INTO note (slug, writer, n) VALUES ('first', 'ada', 1)")
        notes.append("first")
        pair("pair-first")
        debits.append("pair-first")
        refused = 0
        # With more and more room the commit fails at each of its files in turn, the log entry last.
        for step in range(60):
            room = step * PAGE // (1 if isinstance(disk, SmallDisk) else 16)
            disk.leave(server, room)
            slug = f"pair-{step:02}"
            try:
                pair(slug)
                debits.append(slug)
            except Exception as error:  # noqa: BLE001 - looked at in detail
                eq(sqlstate(error), "58030", f"the SQLSTATE of {error} with {room} bytes left")
                has_reason(error, disk.reason)
                refused += 1
            eq(connection.info.transaction_status.name, "IDLE", "the connection after the COMMIT")
            disk.leave(server, room)
            everything_is_there(f"with {room} bytes left")
            if slug in debits:
                break
        ok(refused >= 3, f"only {refused} commits were refused")
        ok(len(debits) == 2, "no amount of room was enough")

        disk.leave(server, 0)
        error = fails(lambda: run("INSERT INTO note (slug, writer, n) VALUES ('second', 'ada', 2)"), "58030")
        has_reason(error, disk.reason)
        disk.free(server)
        run("INSERT INTO note (slug, writer, n) VALUES ('second', 'ada', 2)")
        notes.append("second")
        everything_is_there("with room again")
        connection.close()
        server.kill()
        server = store.start()
        connection = server.connect("ada")
        run = connection.execute
        everything_is_there("after a restart")
        connection.close()
        print(f"      {type(disk).__name__}: {refused} commits were refused", flush=True)


@case("disk")
def a_load_without_room_is_refused_and_nothing_is_lost(bench):
    with small_disk(bench) as disk:
        store = bench.store(parent=disk.folder).make()
        server = store.start(**INHERIT)
        small, large = load_file(bench, "small", 10), load_file(bench, "large", 4000)
        store.tool("load", "--data", small, "--mode", "append", store.graph)
        counted = "SELECT (SELECT count(*) FROM note), (SELECT count(*) FROM debit), (SELECT count(*) FROM transfer), (SELECT count(*) FROM commits() WHERE actor <> 'maintenance')"
        connection = server.connect("ada")
        count = lambda: connection.execute(counted).fetchone()
        before = count()
        eq(before, (10, 10, 10, 2), "rows after the small load")
        for room in (0, 4 * PAGE, 24 * PAGE):
            disk.leave(server, room)
            done = store.tool("load", "--data", large, "--mode", "append", "--json", store.graph, prefix=disk.tool_prefix(room), code=1, **INHERIT)
            has_reason(done.stderr, disk.reason)
            ok(disk.reason in json.loads(done.stdout)["error"]["message"], f"the document says: {done.stdout}")
            eq(count(), before, f"rows after a load with {room} bytes left")
            disk.free(server)
        store.tool("load", "--data", large, "--mode", "append", store.graph)
        eq(count(), (4010, 4010, 4010, 3), "rows after the load with room")
        connection.execute("INSERT INTO note (slug, writer, n) VALUES ('last', 'ada', 1)")
        eq(count(), (4011, 4010, 4010, 4), "rows after an insert")
        connection.close()


@case("disk")
def a_log_that_cannot_be_written_harms_nobody(bench):
    store = bench.store().make()
    with open("/dev/full", "w", encoding="utf-8") as full:
        server = store.start(stderr=full)
    with server.connect("ada") as connection:
        for number in range(5):
            connection.execute("INSERT INTO note (slug, writer, n) VALUES (%s, 'ada', 1)", [f"n{number}"])
        fails(lambda: connection.execute("SELECT * FROM nowhere"), "42P01")
        eq(connection.execute("SELECT count(*) FROM note").fetchone(), (5,), "notes")
    eq(server.stop(), 0, "the exit status after SIGTERM")
