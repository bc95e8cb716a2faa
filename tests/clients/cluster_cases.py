"""The example cluster end to end: declared, applied, loaded, served, called by real clients."""

import psycopg
from psycopg import errors

from support import case, eq, has, ok


def connect(server, actor="act-yuki", **more):
    cluster = server.cluster
    return psycopg.connect(host=cluster.host, port=cluster.port, user=actor, password=actor, dbname="company", connect_timeout=20, **more)


@case("cluster", gateway_only=True)
def psycopg_calls_stored_queries_with_typed_parameters(server):
    with connect(server, autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            found = cursor.execute("select \"p.name\", \"p.title\" from find_person(%s) order by 1", ["an"]).fetchall()
            want = cursor.execute("select name, title from person where name like %s order by name limit 20", ["%an%"]).fetchall()
            ok(found, "nobody was found")
            eq(found, want, f"binary={binary}")
            # A Python float is float8, the parameter real: there is one query of the name.
            eq(cursor.execute("select count(*) from one_way_doors(below => %s)", [0.9]).fetchone(),
               cursor.execute("select count(*) from decision where not reversible and confidence < 0.9 and status = 'accepted'").fetchone())
            eq([column.name for column in cursor.execute("select * from decisions_about(%s, %s)", ["gauge-four", None]).description],
               ["decided", "decision", "outcome", "confidence"])
        try:
            connection.execute("select * from find_person(%s)", [None])
            ok(False, "a required parameter was NULL")
        except errors.InvalidParameterValue:
            pass


@case("cluster", gateway_only=True)
def psycopg_calls_changes_on_a_branch(server):
    with connect(server, autocommit=True) as connection:
        connection.execute('create schema "draft/calls"')
        connection.execute("set search_path to \"draft/calls\"")
        row = connection.execute("call record_signal(%s, %s, %s, %s, %s, now())", ["sig-call", "idea", "clients", "Somebody called", 2]).fetchone()
        eq(row[:2], (1, 0))
        eq(connection.execute("select text from signal where slug = 'sig-call'").fetchone(), ("Somebody called",))
        eq(connection.execute("call forget_signal('sig-call')").fetchone()[:1], (1,))
        connection.execute("set search_path to main")
        try:
            connection.execute("call forget_signal('sig-call')")
            ok(False, "main is protected")
        except errors.InsufficientPrivilege:
            pass
        connection.execute('drop schema "draft/calls" cascade')


@case("cluster", gateway_only=True)
def psql_lists_stored_queries(server):
    cluster = server.cluster
    options = {"graph": None, "user": "act-yuki", "password": "act-yuki"}
    target = ["-h", cluster.host, "-p", str(cluster.port), "-U", "act-yuki", "-d", "company"]
    listed = server.psql(*target, "-At", "-c", "\\df *.find_person", **options).stdout
    has(listed, 'pg_omnigraph|find_person|TABLE("p.slug" text, "p.name" text, "p.title" text, "p.email" text)|name text|func')
    described = server.psql(*target, "-At", "-c", "\\df+ *.record_signal", **options).stdout
    has(described, "Write down something the world told us")
    has(described, "|proc|")
