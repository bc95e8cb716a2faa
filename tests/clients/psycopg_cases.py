"""psycopg 3: parameters and results in text and binary, transactions, errors, cancelling."""

import datetime
import decimal
import threading
import time

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from support import BRANCH, USER, Failed, Fixture, case, eq, fails, ok, unique

FACTS = Fixture()
UTC = datetime.timezone.utc


def connect(server, graph="knowledge", **more):
    return psycopg.connect(**server.parameters(graph), **more)


def expected_person(slug):
    row = FACTS.person[slug]
    born = row.get("born") and datetime.date.fromisoformat(row["born"])
    created = row.get("created_at") and datetime.datetime.fromisoformat(row["created_at"].replace("Z", "+00:00"))
    return (slug, row["name"], row.get("age"), row.get("score"), row.get("active"), born, created, row.get("tags"))


@case("psycopg")
def reads_every_row_in_text_and_binary(server):
    columns = "slug, name, age, score, active, born, created_at, tags"
    with connect(server) as connection:
        for binary in (False, True):
            rows = connection.cursor(binary=binary).execute(f"select {columns} from person order by slug").fetchall()
            eq(rows, [expected_person(slug) for slug in sorted(FACTS.person)], f"binary={binary}")
            rows = connection.cursor(binary=binary).execute("select slug, big, ratio, kind, nums, vals, note from sample order by slug").fetchall()
            want = [(s, r.get("big"), r.get("ratio"), r.get("kind"), r.get("nums"), r.get("vals"), r.get("note")) for s, r in sorted(FACTS.sample.items())]
            eq(rows, want, f"sample, binary={binary}")


@case("psycopg", gateway_only=True)
def reads_every_type_in_text_and_binary(server):
    with connect(server, "everything") as connection:
        connection.execute("set timezone = 'UTC'")
        for binary in (False, True):
            row = connection.cursor(binary=binary, row_factory=dict_row).execute("select * from everything where slug = %s", ["full"]).fetchone()
            point = row.pop("point")
            eq(point if isinstance(point, str) else bytes(point), b"\x00\x03\x00\x00\x3f\x80\x00\x00\xbf\x00\x00\x00\x3e\x80\x00\x00" if binary else "[1,-0.5,0.25]", "point")
            eq(row, {
                "id": "full", "slug": "full", "flag": True, "small": -10, "big": 2**63 - 1, "natural": 2**32 - 1,
                "huge": decimal.Decimal(2**64 - 1), "single": 1.5, "double": 0.1, "day": datetime.date(2024, 2, 29),
                "moment": datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, UTC), "bytes": b"\x00\x01\x02\xfe\xff",
                "colour": "light-blue", "words": ["a", "b,c", 'd"e', "NULL", ""], "numbers": [1, -2, 3], "bigs": [2**63 - 1],
                "flags": [True, False], "doubles": [1.5, -0.25], "code": "ABC-1", "serial": "s-1",
            }, f"binary={binary}")
            row = connection.cursor(binary=binary).execute("select single, double from everything where slug = 'odd'").fetchone()
            ok(row[0] == float("inf") and row[1] != row[1], f"odd floats: {row}")


@case("psycopg")
def sends_parameters_of_every_type(server):
    moment = datetime.datetime(2023, 1, 2, 3, 4, 5, 678901, UTC)
    values = ["q'\"\\é😀", 7, -1.25, False, datetime.date(1999, 12, 31), moment, ["a,b", 'c"d', None, ""]]
    for binary in ("%t", "%b", "%s"):
        slug = unique()
        holes = ", ".join([binary] * 9)
        with connect(server, "scratch") as connection:
            row = connection.execute(
                f"insert into person (id, slug, name, age, score, active, born, created_at, tags) values ({holes}) "
                "returning name, age, score, active, born, created_at, tags", [slug, slug, *values]).fetchone()
            eq(list(row), values, binary)
            eq(connection.execute(f"select slug from person where created_at = {binary} and tags = {binary} and slug = {binary}", [moment, values[-1], slug]).fetchone(), (slug,), binary)
            connection.rollback()
    with connect(server) as connection:
        eq(connection.execute("select slug from person where age = any(%s) order by slug", [[36, 78]]).fetchall(), [("ada",), ("guido",), ("radia",)])
        eq(connection.execute("select slug from person where slug = any(%b) order by slug limit %s", [["ada", "alan", "nobody"], 1]).fetchall(), [("ada",)])
        eq(connection.execute("select %s::text, %s::int8, %s::numeric, %s::bool, %s::jsonb", ["x", 2**40, decimal.Decimal("12.50"), None, '{"a": 1}']).fetchone(),
           ("x", 2**40, decimal.Decimal("12.50"), None, {"a": 1}))
        eq(connection.execute("select name from person where name like %s and born > %s", ["Ada%", datetime.date(1800, 1, 1)]).fetchone(), ("Ada Lovelace",))
        eq(connection.execute("select length(%s)", ["x" * 1_000_000]).fetchone(), (1_000_000,))


@case("psycopg", gateway_only=True)
def a_numeric_parameter_is_exact_or_refused(server):
    with connect(server, autocommit=True) as connection:
        for slot in ("%t", "%b"):
            for number in ("0.12345678901234567890", "-12345678901234567890.5", "1.5000000000000000000000000"):
                eq(connection.execute(f"select {slot}::numeric * 2", [decimal.Decimal(number)]).fetchone(), (decimal.Decimal(number) * 2,), f"{slot} {number}")
            too_fine = decimal.Decimal("0.123456789012345678901")
            error = fails(lambda: connection.execute(f"select {slot}::numeric", [too_fine]), "0A000")
            ok("20 digits" in str(error), str(error))


@case("psycopg")
def keeps_prepared_statements(server):
    with connect(server, prepare_threshold=0) as connection:
        for slug in ("ada", "alan", "grace", "ada"):
            eq(connection.execute("select age from person where slug = %s", [slug], prepare=True).fetchone(), (FACTS.person[slug]["age"],))
        for binary in (True, False, True):
            eq(connection.cursor(binary=binary).execute("select count(*), sum(age) from person where age > %b", [40], prepare=True).fetchone(),
               (sum(1 for p in FACTS.person.values() if p.get("age", 0) > 40), sum(p["age"] for p in FACTS.person.values() if p.get("age", 0) > 40)))
        kinds = [column.type_code for column in connection.execute("select slug, age, score, active, born, created_at, tags, count(*) over (), 1, 1.5, 'x' from person").description]
        eq(kinds, [25, 23, 701, 16, 1082, 1184, 1009, 20, 23, 1700, 25], "type OIDs")
        names = [c.name for c in connection.execute("select count(*), max(age), 1, coalesce(null, 2), 'x'::text, array[1] from person").description]
        eq(names, ["count", "max", "?column?", "coalesce", "text", "array"], "column names")


@case("psycopg", gateway_only=True)
def sees_its_own_writes_and_nobody_elses(server):
    slug = unique()
    with connect(server, "scratch") as one, connect(server, "scratch", autocommit=True) as two:
        count = "select count(*) from company where slug = %s"
        eq(one.execute(count, [slug]).fetchone(), (0,))
        two.execute("insert into company (slug, name) values (%s, 'theirs')", [slug + "2"])
        eq(one.execute(count, [slug + "2"]).fetchone(), (0,), "a snapshot is one commit")
        one.execute("insert into company (slug, name) values (%s, 'mine')", [slug])
        eq(one.execute(count, [slug]).fetchone(), (1,))
        eq(two.execute(count, [slug]).fetchone(), (0,), "not before COMMIT")
        one.commit()
        eq(two.execute(count, [slug]).fetchone(), (1,), "visible to the next statement of any client")
        two.execute("delete from company where slug like %s", [slug + "%"])


@case("psycopg")
def nests_transactions_with_savepoints(server):
    slug = unique()
    with connect(server, "scratch") as connection:
        with connection.transaction(force_rollback=True):
            connection.execute("insert into company (id, slug, name) values (%s, %s, 'outer')", [slug, slug])
            try:
                with connection.transaction():
                    connection.execute("insert into company (id, slug, name) values ('acme', 'acme', 'again')")
                raise Failed("no error")
            except errors.UniqueViolation:
                pass
            with connection.transaction():
                connection.execute("update company set name = 'inner' where slug = %s", [slug])
            eq(connection.execute("select name from company where slug = %s", [slug]).fetchone(), ("inner",))
        eq(connection.execute("select count(*) from company where slug = %s", [slug]).fetchone(), (0,))
        eq(connection.info.transaction_status.name, "INTRANS")
        connection.rollback()
        eq(connection.info.transaction_status.name, "IDLE")


@case("psycopg")
def raises_the_right_errors(server):
    with connect(server, "scratch", autocommit=True) as connection:
        slug = unique()
        do = lambda sql, *args: (lambda: connection.execute(sql, args or None))
        diag = fails(do("insert into person (id, slug, name) values ('ada', 'ada', 'x')"), "23505", errors.UniqueViolation).diag
        eq((diag.severity, diag.schema_name, diag.table_name), ("ERROR", "main", "person"))
        ok(diag.constraint_name and "already exists" in (diag.message_detail or ""), f"{diag.constraint_name} {diag.message_detail}")
        diag = fails(do("insert into knows (src, dst) values ('ada', %s)", slug), "23503", errors.ForeignKeyViolation).diag
        eq((diag.table_name, diag.constraint_name), ("knows", "knows_dst_fkey"))
        diag = fails(do("insert into person (id, slug) values (%s, %s)", slug, slug), "23502", errors.NotNullViolation).diag
        eq((diag.table_name, diag.column_name), ("person", "name"))
        fails(do("insert into sample (id, slug, kind) values (%s, %s, 'delta')", slug, slug), "23514", errors.CheckViolation)
        for sql, state in (
            ("selec 1", "42601"), ("select * from nowhere", "42P01"), ("select nope from person", "42703"), ("select nope(1)", "42883"),
            ("select id from person a, person b", "42702"), ("select 1/0", "22012"), ("select 'x'::int", "22P02"),
            ("select '2023-02-30'::date", "22008"), ("select 2147483648::int", "22003"), ("select slug, count(*) from person", "42803"),
            ("select 1 = 'x'::text", "42883"), ("select (select slug from person)", "21000"), ("create view v as select 1", "0A000"),
            ("rollback to savepoint nowhere", "25P01"), ("insert into company (slug, nope) values ('a', 'b')", "42703"),
            ("insert into person (id, slug, name, age) values ('zz', 'zz', 'x', 'y')", "22P02"), ("select * from person limit -1", "2201W"),
        ):
            if sql.startswith("create view") and server.external:
                continue
            fails(do(sql), state)
            eq(connection.execute("select 1").fetchone(), (1,), f"after {sql}")
        error = fails(do("select nope from person where slug = %s", "ada"), "42703")
        eq(error.diag.statement_position, "8")
        fails(do("select %s::int", "x"), "22P02")


@case("psycopg")
def stays_failed_until_rollback(server):
    with connect(server, "scratch") as connection:
        fails(lambda: connection.execute("select nope"), "42703")
        eq(connection.info.transaction_status.name, "INERROR")
        fails(lambda: connection.execute("select 1"), "25P02", errors.InFailedSqlTransaction)
        connection.rollback()
        eq(connection.execute("select 1").fetchone(), (1,))


@case("psycopg", gateway_only=True)
def lets_the_first_committer_win(server):
    slug = unique()
    with connect(server, "scratch") as one, connect(server, "scratch") as two, connect(server, "scratch", autocommit=True) as after:
        after.execute("insert into company (slug, name) values (%s, 'start'), (%s, 'start')", [slug, slug + "b"])
        one.execute("update company set name = 'one' where slug = %s", [slug])
        two.execute("update company set name = 'two' where slug = %s", [slug])
        one.commit()
        fails(two.commit, "40001", errors.SerializationFailure)
        two.rollback()
        eq(after.execute("select name from company where slug = %s", [slug]).fetchone(), ("one",))
        # Different rows do not stand in each other's way.
        one.execute("update company set name = 'left' where slug = %s", [slug])
        two.execute("update company set name = 'right' where slug = %s", [slug + "b"])
        one.commit()
        two.commit()
        eq(after.execute("select name from company where slug like %s order by slug", [slug + "%"]).fetchall(), [("left",), ("right",)])
        # The same new key twice is a duplicate, whoever is first.
        one.execute("insert into company (slug, name) values (%s, 'one')", [slug + "c"])
        two.execute("insert into company (slug, name) values (%s, 'two')", [slug + "c"])
        one.commit()
        fails(two.commit, "23505", errors.UniqueViolation)
        two.rollback()
        after.execute("delete from company where slug like %s", [slug + "%"])


@case("psycopg", gateway_only=True)
def serves_eight_writers_at_once(server):
    slug, problems = unique(), []

    def write(number):
        try:
            with connect(server, "scratch", autocommit=True) as connection:
                for i in range(10):
                    connection.execute("insert into company (slug, name) values (%s, 'x')", [f"{slug}-{number}-{i}"])
        except Exception as error:  # noqa: BLE001 - told below
            problems.append(repr(error))

    with connect(server, "scratch", autocommit=True) as connection:
        before = connection.execute("select count(*) from commits() where kind = 'data'").fetchone()[0]
        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        [t.start() for t in threads]
        [t.join(90) for t in threads]
        eq(problems, [])
        eq(connection.execute("select count(*) from company where slug like %s", [slug + "%"]).fetchone(), (80,))
        eq(connection.execute("select count(*) from commits() where kind = 'data'").fetchone()[0], before + 80, "each its own commit")
        connection.execute("delete from company where slug like %s", [slug + "%"])


@case("psycopg", gateway_only=True)
def lets_two_servers_write_one_graph(server):
    slug, problems = unique(), []
    process, host, port = server.start_another()
    try:
        there = lambda: psycopg.connect(**{**server.parameters("scratch"), "host": host, "port": port}, autocommit=True)
        here = lambda: connect(server, "scratch", autocommit=True)

        def write(name, open_one):
            try:
                with open_one() as connection:
                    for i in range(20):
                        connection.execute("insert into company (slug, name) values (%s, 'x')", [f"{slug}-{name}-{i:02}"])
                        connection.execute("update company set name = name || '+' where slug = %s", [f"{slug}-shared"])
            except Exception as error:  # noqa: BLE001 - told below
                problems.append(repr(error))

        with here() as one, there() as two:
            one.execute("insert into company (slug, name) values (%s, '')", [slug + "-shared"])
            eq(two.execute("select name from company where slug = %s", [slug + "-shared"]).fetchone(), ("",), "seen by the other server at once")
            before = one.execute("select count(*) from commits() where kind = 'data'").fetchone()[0]
            threads = [threading.Thread(target=write, args=(f"{n}", opener)) for n, opener in enumerate((here, there, here, there))]
            [t.start() for t in threads]
            [t.join(110) for t in threads]
            eq(problems, [])
            for side in (one, two):
                eq(side.execute("select count(*) from company where slug like %s", [slug + "%"]).fetchone(), (81,), "rows")
                eq(side.execute("select length(name) from company where slug = %s", [slug + "-shared"]).fetchone(), (80,), "updates of one row")
                eq(side.execute("select count(*) from commits() where kind = 'data'").fetchone(), (before + 160,), "commits")
            one.execute("delete from company where slug like %s", [slug + "%"])
    finally:
        process.terminate()
        process.wait(60)


@case("psycopg")
def runs_many_at_once_and_in_a_pipeline(server):
    slug = unique()
    with connect(server, "scratch") as connection:
        cursor = connection.cursor()
        cursor.executemany("insert into company (id, slug, name) values (%s, %s, %s)", [(f"{slug}{i:03}", f"{slug}{i:03}", str(i)) for i in range(200)])
        eq(cursor.rowcount, 200)
        eq(connection.execute("select count(*), max(name) from company where slug like %s", [slug + "%"]).fetchone(), (200, "99"))
        with connection.pipeline():
            cursors = [connection.execute("select %s::int * 2", [i]) for i in range(50)]
            eq([c.fetchone()[0] for c in cursors], [i * 2 for i in range(50)])
        eq(connection.execute("update company set name = 'u' where slug like %s", [slug + "%"]).rowcount, 200)
        connection.rollback()
        eq(connection.execute("select count(*) from company where slug like %s", [slug + "%"]).fetchone(), (0,))


@case("psycopg")
def streams_large_results(server):
    with connect(server) as connection:
        total = count = 0
        for (value,) in connection.cursor().stream("select i from generate_series(1, 200000) as g(i)"):
            total, count = total + value, count + 1
        eq((count, total), (200_000, 200_000 * 200_001 // 2))
        rows = connection.cursor(binary=True).execute("select a.slug, b.slug from person a cross join person b").fetchall()
        eq(len(rows), len(FACTS.person) ** 2)


@case("psycopg")
def fetches_through_a_named_cursor_or_says_it_cannot(server):
    with connect(server) as connection:
        try:
            with connection.cursor(name="c", binary=True) as cursor:
                cursor.execute("select slug from person order by slug")
                first = cursor.fetchmany(7)
                rest = cursor.fetchall()
            eq([r[0] for r in first + rest], sorted(FACTS.person))
        except errors.FeatureNotSupported:
            ok(not server.external, "PostgreSQL has cursors")
            connection.rollback()
        eq(connection.execute("select 1").fetchone(), (1,))


@case("psycopg")
def cancels_a_running_statement(server):
    with connect(server, autocommit=True) as connection:
        for sql in ("select count(*) from person a, person b, person c, person d, person e, person f where a.age * b.age + c.age - d.age + e.age <> f.age", "select pg_sleep(30)"):
            timer = threading.Timer(0.4, connection.cancel)
            timer.start()
            started = time.monotonic()
            fails(lambda: connection.execute(sql), "57014", errors.QueryCanceled)
            took = time.monotonic() - started
            timer.join()
            ok(took < 5, f"cancelled after {took:.1f} s: {sql}")
            eq(connection.execute("select 1").fetchone(), (1,))


@case("psycopg")
def starts_with_options(server):
    with connect(server, options=f'-c search_path="{BRANCH}" -c statement_timeout=1234', application_name="tests") as connection:
        eq(connection.execute("select age from person where slug = 'ada'").fetchone(), (99,))
        eq(connection.execute("select current_setting('statement_timeout'), current_setting('application_name'), current_user, current_schema()").fetchone(),
           ("1234ms", "tests", USER, BRANCH))
    with connect(server) as connection:
        ok(connection.info.server_version >= 150000, connection.info.server_version)
        for name in ("server_version", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings"):
            ok(connection.info.parameter_status(name), f"no {name}")


@case("psycopg")
def accepts_isolation_levels_and_read_only(server):
    with connect(server, "scratch") as connection:
        for level in psycopg.IsolationLevel:
            connection.isolation_level = level
            with connection.transaction():
                eq(connection.execute("show transaction_isolation").fetchone()[0], level.name.lower().replace("_", " "))
        connection.isolation_level = None
        connection.read_only = True
        fails(lambda: connection.execute("delete from company"), "25006", errors.ReadOnlySqlTransaction)
        connection.rollback()


@case("psycopg", gateway_only=True)
def writes_everything_back(server):
    slug = unique()
    with connect(server, "everything") as connection:
        connection.execute("insert into everything (slug, huge, natural, bytes, point, words, flags, moment) values (%s, %s, %s, %b, %s, %s, %s, %s)",
                           [slug, decimal.Decimal(2**64 - 1), 2**32 - 1, b"\x00\xff'\\", "[0.5,1,-2]", ["x", None], [True, None], datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)])
        row = connection.execute("select huge, natural, bytes, point, words, flags, moment from everything where slug = %s", [slug]).fetchone()
        eq(row, (decimal.Decimal(2**64 - 1), 2**32 - 1, b"\x00\xff'\\", "[0.5,1,-2]", ["x", None], [True, None], datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)))
        connection.rollback()
