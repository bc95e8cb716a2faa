"""A storm of small commits, and what its outside knows of it.

Each writer changes rows of its own and keeps the state that it was promised. While a commit
is on its way there are two states it may meet after a crash: the one before and the one
after, whole. Everything else is a violation: a lost commit, half a commit, a ghost.
"""

import copy
import json
import random
import threading
import zlib

from harness import Failed, short, sqlstate

TABLES = ("note", "debit", "credit", "transfer", "counter")
EMPTY = {table: {} for table in TABLES}


def pad(key):
    """Contents that can be told from any other's."""
    return f"{zlib.crc32(key.encode()):08x}" * 20


class Writer(threading.Thread):
    def __init__(self, name, seed):
        super().__init__(daemon=True)
        self.actor = name
        self.random = random.Random(f"{seed}-{name}")
        self.number = 0
        # What was acknowledged, and what is there if the commit on its way made it.
        self.state, self.proposed = copy.deepcopy(EMPTY), None
        self.commits = 0
        self.problems = []
        self.server, self.connection = None, None
        self.go, self.idle, self.over = threading.Event(), threading.Event(), False

    def run(self):
        import psycopg

        while not self.over:
            if not self.go.is_set():
                self.idle.set()
                self.go.wait(0.1)
                continue
            self.idle.clear()
            try:
                if self.connection is None:
                    self.connection = self.server.connect(self.actor)
                self.one()
            except psycopg.Error as error:
                self.note(error)
            except Exception as error:  # noqa: BLE001 - a thread's end would look like idleness
                self.problems.append(f"{self.actor}: {type(error).__name__}: {error}")
                self.go.clear()
        self.idle.set()

    def note(self, error):
        """A broken connection is what a kill looks like; any other error is one."""
        state = sqlstate(error)
        if state is None or state.startswith(("08", "57P")):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            # Nobody serves any more; the driver says when somebody does.
            self.go.clear()
            return
        self.problems.append(f"{self.actor}: {state} {error}")
        self.proposed = None
        self.connection.close()
        self.connection = None

    def one(self):
        self.number += 1
        choice = self.random.random()
        deletable = list(self.state["debit"])[-30:]
        if choice < 0.15 and deletable:
            self.delete(self.random.choice(deletable))
        elif choice < 0.35:
            self.insert(1)
        elif choice < 0.55:
            self.insert(3)
        elif choice < 0.60:
            self.transaction(keep=False)
        else:
            self.transaction(keep=True)

    def insert(self, count):
        """One statement, one commit; several rows are all there or none."""
        rows = [(f"{self.actor}-{self.number}-{part}", self.actor, self.number) for part in range(count)]
        after = copy.deepcopy(self.state)
        after["note"].update({slug: (n,) for slug, _, n in rows})
        values = ", ".join(["(%s, %s, %s)"] * count)
        self.propose(after)
        self.connection.execute(f"INSERT INTO note (slug, writer, n) VALUES {values}", [cell for row in rows for cell in row])
        self.acknowledge()

    def delete(self, slug):
        """Takes the edges of the node along."""
        after = copy.deepcopy(self.state)
        del after["debit"][slug]
        after["transfer"] = {ends: n for ends, n in after["transfer"].items() if ends[0] != slug}
        self.propose(after)
        self.connection.execute("DELETE FROM debit WHERE slug = %s", [slug])
        self.acknowledge()

    def transaction(self, keep):
        """Four tables in one commit."""
        slug = f"{self.actor}-{self.number}"
        n, text = self.number, pad(slug)
        after = copy.deepcopy(self.state)
        after["debit"][slug] = after["credit"][slug] = (n, text)
        after["transfer"][slug, slug] = (n,)
        after["counter"][self.actor] = (n,)
        run = self.connection.execute
        run("BEGIN")
        run("INSERT INTO debit (slug, writer, n, pad) VALUES (%s, %s, %s, %s)", [slug, self.actor, n, text])
        run("INSERT INTO credit (slug, writer, n, pad) VALUES (%s, %s, %s, %s)", [slug, self.actor, n, text])
        run("INSERT INTO transfer (src, dst, writer, n) VALUES (%s, %s, %s, %s)", [slug, slug, self.actor, n])
        if self.actor in self.state["counter"]:
            run("UPDATE counter SET n = %s WHERE slug = %s", [n, self.actor])
        else:
            run("INSERT INTO counter (slug, n) VALUES (%s, %s)", [self.actor, n])
        if not keep:
            run("ROLLBACK")
            return
        self.propose(after)
        run("COMMIT")
        self.acknowledge()

    def propose(self, after):
        self.proposed = after

    def acknowledge(self):
        self.state, self.proposed = self.proposed, None
        self.commits += 1


class Storm:
    def __init__(self, writers, seed, prefix="writer", kind=Writer):
        self.writers = [kind(f"{prefix}{number}", seed) for number in range(writers)]
        # How the commits that were on their way at a crash ended.
        self.made_it = self.did_not = 0
        for writer in self.writers:
            writer.start()

    @property
    def commits(self):
        return sum(writer.commits for writer in self.writers)

    def blow(self, server):
        for writer in self.writers:
            writer.server = server
            writer.go.set()

    def stop(self):
        """Asks every writer to stop after what it has on its way."""
        for writer in self.writers:
            writer.go.clear()

    def calm(self):
        """Waits until no writer has anything on its way."""
        self.stop()
        for writer in self.writers:
            while not writer.idle.wait(60):
                raise Failed(f"{writer.actor} still waits for an answer after 60 s")
        problems = [problem for writer in self.writers for problem in writer.problems]
        if problems:
            raise Failed(f"{len(problems)} statements failed: " + short("; ".join(problems)))

    def end(self):
        for writer in self.writers:
            writer.over = True
            writer.go.set()
        for writer in self.writers:
            writer.join(60)
            if writer.connection is not None:
                writer.connection.close()

    def verify(self, server):
        """Compares everything that is there with what each writer was promised."""
        for writer in self.writers:
            if writer.connection is not None:
                writer.connection.close()
                writer.connection = None
        found, commits = read(server)
        for writer in self.writers:
            held = found.pop(writer.actor, copy.deepcopy(EMPTY))
            made = commits.get(writer.actor, 0)
            if writer.proposed is not None and held == writer.proposed:
                writer.state, writer.commits = writer.proposed, writer.commits + 1
                self.made_it += 1
            elif writer.proposed is not None:
                self.did_not += 1
            if held != writer.state:
                raise Failed(f"{writer.actor}: {difference(writer.state, held)}")
            if made != writer.commits:
                raise Failed(f"{writer.actor}: commits() shows {made} commits, {writer.commits} were made")
            writer.proposed = None
        strangers = {actor for actor in found if not actor.startswith("load")}
        if strangers:
            raise Failed(f"rows of nobody: {sorted(strangers)}")


def read(server):
    """The rows of each writer, of one snapshot, and how many commits each made."""
    found = {}

    def put(actor, table, key, row):
        found.setdefault(actor, copy.deepcopy(EMPTY))[table][key] = row

    with server.connect("reader") as connection:
        run = connection.execute
        run("BEGIN")
        for slug, actor, n in run("SELECT slug, writer, n FROM note"):
            put(actor, "note", slug, (n,))
        for table in ("debit", "credit"):
            for slug, actor, n, text in run(f"SELECT slug, writer, n, pad FROM {table}"):
                put(actor, table, slug, (n, text))
        for src, dst, actor, n in run("SELECT src, dst, writer, n FROM transfer"):
            put(actor, "transfer", (src, dst), (n,))
        for slug, n in run("SELECT slug, n FROM counter"):
            put(slug, "counter", slug, (n,))
        commits = {}
        for (actor,) in run("SELECT actor FROM commits()"):
            commits[actor] = commits.get(actor, 0) + 1
        run("COMMIT")
    return found, commits


def load_file(bench, name, count):
    """Notes and transfers of one writer: `count` of each type."""
    path = bench.folder / f"{name}.jsonl"
    with open(path, "w", encoding="utf-8") as out:
        for number in range(count):
            slug = f"{name}-{number}"
            fields = {"slug": slug, "writer": name, "n": number}
            for row in ({"type": "Note", "data": fields},
                        {"type": "Debit", "data": {**fields, "pad": pad(slug)}},
                        {"type": "Credit", "data": {**fields, "pad": pad(slug)}},
                        {"edge": "Transfer", "from": slug, "to": slug, "data": {"writer": name, "n": number}}):
                out.write(json.dumps(row) + "\n")
    return path


def difference(want, got):
    """The first few rows of which the two states speak differently."""
    parts = []
    for table in TABLES:
        lost = [key for key in want[table] if key not in got[table]]
        ghosts = [key for key in got[table] if key not in want[table]]
        other = [key for key in want[table] if key in got[table] and want[table][key] != got[table][key]]
        for word, keys in (("lost", lost), ("there without leave", ghosts), ("with other contents", other)):
            if keys:
                parts.append(f"{table}: {len(keys)} {word}, such as {keys[:3]}")
    return "; ".join(parts)
