"""Several server processes on one store: nothing is lost, nothing is doubled, and each sees at
once what the others acknowledged."""

import threading
import time

from harness import case, eq, ok, sqlstate
from storm import Storm

COUNTERS = 2
WRITERS_PER_SERVER = 2


def both(store):
    return store.start(), store.start()


def in_threads(actions):
    """Runs all at once; the first error is everyone's."""
    errors = []

    def guarded(action):
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    if errors:
        raise errors[0]


@case("servers")
def two_servers_lose_and_double_no_increment(bench):
    store = bench.store().make()
    servers = both(store)
    rounds = 10 + bench.kills // 2
    with servers[0].connect("setup") as connection:
        for number in range(COUNTERS):
            connection.execute("INSERT INTO counter (slug, n) VALUES (%s, 0)", [f"c{number}"])
    returned, lock, again = {f"c{number}": [] for number in range(COUNTERS)}, threading.Lock(), [0]

    def increments(server, name):
        import psycopg

        with server.connect(name) as connection:
            for turn in range(rounds):
                slug = f"c{turn % COUNTERS}"
                while True:
                    try:
                        value = connection.execute("UPDATE counter SET n = n + 1 WHERE slug = %s RETURNING n", [slug]).fetchone()[0]
                        break
                    except psycopg.Error as error:
                        if sqlstate(error) != "40001":
                            raise
                        with lock:
                            again[0] += 1
                with lock:
                    returned[slug].append(value)

    in_threads([lambda server=server, name=f"inc{at}{number}": increments(server, name)
                for at, server in enumerate(servers) for number in range(WRITERS_PER_SERVER)])
    for server in servers:
        for slug, n in server.rows("SELECT slug, n FROM counter"):
            # Each acknowledged increment gave another number: none was lost, none made twice.
            eq(sorted(returned[slug]), list(range(1, n + 1)), f"what the increments of {slug} returned")
        total = server.rows("SELECT sum(n)::int8, count(*) FROM counter")
        eq(total, [(rounds * WRITERS_PER_SERVER * 2, COUNTERS)], "the sum of the counters")
    print(f"      {rounds * WRITERS_PER_SERVER * 2} increments, {again[0]} times 40001", flush=True)


@case("servers")
def two_servers_take_blind_inserts_without_a_conflict(bench):
    store = bench.store().make()
    servers = both(store)
    storms = [Storm(2, bench.seed, prefix=f"writer{at}") for at in range(2)]
    try:
        for storm, server in zip(storms, servers):
            storm.blow(server)
        threading.Event().wait(2 + bench.kills / 10)
        for storm in storms:
            storm.stop()
        for storm in storms:
            # An error of any kind, 40001 among them, is a failure here: the rows are disjoint.
            storm.calm()
            ok(storm.commits > 4, f"only {storm.commits} commits")
        merged = storms[0]
        merged.writers += storms[1].writers
        for server in servers:
            merged.verify(server)
        # And so does a process that has seen nothing of it.
        merged.verify(store.start())
    finally:
        for storm in storms:
            storm.end()


@case("servers")
def what_one_server_acknowledged_the_other_shows_at_once(bench):
    store = bench.store().make()
    servers = both(store)
    connections = [server.connect("ada") for server in servers]
    for turn in range(30):
        here, there = connections[turn % 2], connections[(turn + 1) % 2]
        here.execute("INSERT INTO note (slug, writer, n) VALUES (%s, 'ada', %s)", [f"n{turn}", turn])
        eq(there.execute("SELECT n FROM note WHERE slug = %s", [f"n{turn}"]).fetchall(), [(turn,)], "the other server's row by its key")
        eq(there.execute("SELECT count(*) FROM note").fetchone()[0], turn + 1, "the other server's count")
    # The same key from both: one wins, the other is told.
    import psycopg

    outcomes = []

    def insert(connection):
        try:
            connection.execute("INSERT INTO note (slug, writer, n) VALUES ('same', 'ada', 1)")
            outcomes.append("made")
        except psycopg.Error as error:
            outcomes.append(sqlstate(error))

    in_threads([lambda connection=connection: insert(connection) for connection in connections])
    eq(sorted(outcomes), ["23505", "made"], "two inserts of one key")
    for connection in connections:
        connection.close()


@case("servers")
def every_writer_of_three_servers_gets_its_share(bench):
    """The slowest of twelve commits at least a third as often as all do on the average."""
    store = bench.store().make()
    servers = [store.start() for _ in range(3)]
    storms = [Storm(4, bench.seed, f"writer{at}") for at in range(3)]
    try:
        for storm, server in zip(storms, servers):
            storm.blow(server)
        time.sleep(max(10, min(bench.kills, 60)))
        for storm in storms:
            storm.stop()
        for storm in storms:
            storm.calm()
        shares = sorted(writer.commits for storm in storms for writer in storm.writers)
        print(f"      commits of each: {shares}", flush=True)
        ok(shares[0] * 3 * len(shares) >= sum(shares), f"the slowest got less than a third of the mean: {shares}")
        every = storms[0]
        every.writers = [writer for storm in storms for writer in storm.writers]
        for server in servers:
            every.verify(server)
    finally:
        for storm in storms:
            storm.end()
