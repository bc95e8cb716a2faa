"""Power loss at every moment of a trace: what the disk would hold, opened and read.

Two servers work on one store under a system call trace. From it follows, for each moment,
what is certainly on the disk: the files that were synced under names that were synced. With
every such disk the graph opens, and shows whatever a server had sent to a client by then, as
an answer to a writer or to a reader. A disk may also have kept names without contents.
"""

import contextlib
import os
import pathlib
import re
import shutil
import threading

import syscalls
from harness import Failed, Store, case, eq, ok, short
from server_cases import in_threads

SERVERS = 2
WRITES, WRITES_ON_BRANCH = 8, 4
SEND = ("sendto", "sendmsg", "write", "writev")
MARK = re.compile(r"<([pq]\d+-\d+)>")
BRANCH = "review/1"
# What a process makes and takes away again to see that the store keeps its promises.
PROBE = "/_graph/probe"
# A folder of the log holds a thousand entries; the writes above go past that.
ENTRIES_BEFORE = 993


class Moments:
    """Notes, in the order of the trace, what was shown to clients and what had become durable by then."""

    def __init__(self):
        self.shown, self.list, self.syncs = set(), [(set(), set(), set(), set())], 0

    def __call__(self, name, text, seen):
        if name in SEND and "<socket:" in text.partition(",")[0]:
            self.shown.update(MARK.findall(text))
        if seen.syncs != self.syncs:
            self.syncs = seen.syncs
            kept = seen.durable()
            if kept != self.list[-1][0]:
                self.list.append((kept, seen.names - kept, set(seen.dirty), set()))
        # Until something else is synced, this disk has to hold what is being shown.
        self.list[-1][3].update(self.shown)


class Disk:
    """A copy of a store as it was before a trace, which is given what became durable."""

    def __init__(self, bench, before, after):
        self.before, self.after, self.place = before, after, bench.folder / "disk"
        shutil.copytree(before, self.place)
        self.store = Store(bench, str(self.place))
        self.held = set()

    def path(self, name):
        return self.place / pathlib.Path(name).relative_to(self.after)

    def hold(self, names):
        for name in sorted(names - self.held):
            if PROBE in name:
                continue
            if os.path.isdir(name):
                self.path(name).mkdir(exist_ok=True)
            else:
                os.link(name, self.path(name))
        self.held |= names

    @contextlib.contextmanager
    def more(self, names, empty):
        """Further names, some of them without contents, as long as the block lasts."""
        made = []
        for name in sorted(name for name in names if PROBE not in name):
            path = self.path(name)
            # A pointer may be written again under its name.
            if path.exists():
                continue
            made.append(path)
            if os.path.isdir(name):
                path.mkdir()
            elif name in empty:
                path.touch()
            else:
                os.link(name, path)
        yield
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()

    def rows(self):
        """The marks that a fresh process finds, on both branches."""
        branches = self.store.tool("branch", "list", self.store.graph).stdout
        found = {row["data"]["slug"] for row in self.store.export()}
        if BRANCH in branches:
            found |= {row["data"]["slug"] for row in self.store.export(BRANCH)}
        return {name.strip("<>") for name in found}


def traced(bench, before):
    """Two servers write and read one store; the trace, and the store afterwards."""
    place = bench.folder / "after"
    shutil.copytree(before, place)
    store = Store(bench, str(place))
    output = bench.folder / "strace.out"
    servers = store.start(prefix=syscalls.command(output, text=4000), copies=SERVERS)

    def writes(at):
        with servers.connect("ada", at) as connection:
            run = connection.execute
            for number in range(WRITES):
                run("INSERT INTO note (slug, writer, n) VALUES (%s, 'ada', %s) RETURNING slug", [f"<p{at}-{number}>", number])
            if at == 0:
                run(f'CREATE SCHEMA "{BRANCH}"')
                made.set()
            else:
                made.wait(60)
            # The first entries of a log that both have just met.
            for number in range(WRITES_ON_BRANCH):
                run(f"""INSERT INTO "{BRANCH}".note (slug, writer, n) VALUES (%s, 'ada', %s) RETURNING slug""", [f"<q{at}-{number}>", number])
        done[at].set()

    def reads(at):
        with servers.connect("eve", at) as connection:
            while not all(one.is_set() for one in done):
                connection.execute("SELECT slug FROM note WHERE writer = 'ada' ORDER BY n DESC LIMIT 6").fetchall()

    made, done = threading.Event(), [threading.Event() for _ in range(SERVERS)]
    in_threads([lambda at=at, work=work: work(at) for work in (writes, reads) for at in range(SERVERS)])
    eq(servers.stop(), 0, "the exit status after SIGTERM")
    moments = Moments()
    syscalls.Trace(store.url, moments).read(output)
    return store, moments


def violations(disk, moments):
    """The moments after which something that was shown is not there, or nothing can be read."""
    found = []

    def look(number, shown):
        try:
            lost = shown - disk.rows()
            if lost:
                found.append(f"disk {number}: {sorted(lost)[:3]} had been shown and are gone")
        except Failed as error:
            found.append(f"disk {number}: {short(str(error))}")

    for number, (kept, others, dirty, shown) in enumerate(moments):
        disk.hold(kept)
        look(number, shown)
        if others:
            with disk.more(others, dirty):
                look(number, shown)
    return found


def prepared(bench):
    """A store whose log is about to need its second folder."""
    store = bench.store("before").make()
    server = store.start(arguments=["--durability", "none"])
    with server.connect("setup") as connection:
        number = 0
        # Looking after the table makes entries, too.
        while number % 50 or store.head_seq() < ENTRIES_BEFORE - 60:
            connection.execute("INSERT INTO counter (slug, n) VALUES (%s, 0)", [f"c{number}"])
            number += 1
        while store.head_seq() < ENTRIES_BEFORE:
            connection.execute("INSERT INTO counter (slug, n) VALUES (%s, 0)", [f"c{number}"])
            number += 1
    server.stop()
    return pathlib.Path(store.url)


@case("power")
def whatever_moment_the_power_fails_what_was_shown_is_there(bench):
    before = prepared(bench)
    store, moments = traced(bench, before)
    log = max((path for path in pathlib.Path(store.url).glob("**/branches/*")), key=lambda path: len(list(path.iterdir())))
    eq(len(list(log.iterdir())), 2, "folders of the log that was written past a thousand entries")
    eq(len(list((pathlib.Path(before) / log.relative_to(store.url)).iterdir())), 1, "folders of it before")
    eq(len(moments.shown), SERVERS * (WRITES + WRITES_ON_BRANCH), "marks that were shown")
    ok(len(moments.list) > 70, f"only {len(moments.list)} disks")
    disk = Disk(bench, before, store.url)
    found = violations(disk, moments.list)
    if found:
        raise Failed(f"{len(found)} violations:\n" + "\n".join(found[:6]))
    # And a process goes on from the last of them.
    disk.store.tool("branch", "create", "later", disk.store.graph)
    print(f"      {len(moments.list)} disks, {len(moments.shown)} marks", flush=True)


@case("power")
def the_check_sees_what_a_server_without_syncs_would_lose(bench):
    before = prepared(bench)
    store, moments = traced(bench, before)
    never = [(set(), set(), set(), shown) for *_, shown in moments.list[::40]]
    found = violations(Disk(bench, before, store.url), never)
    ok(found and all("had been shown and are gone" in one for one in found), f"{len(found)} of {len(never)} disks without a sync were found wanting: {found[:2]}")
