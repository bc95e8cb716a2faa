"""The Debian graph: counts, degrees and reachability equal the figures that were found
without the product (examples/debian/facts.json, or those of the file that DATA names)."""

import json

import psycopg

from support import ROOT, case, eq

EDGES = {"DependsOn": "depends_on", "Recommends": "recommends", "Suggests": "suggests", "MaintainedBy": "maintained_by"}


def facts(server):
    with open(server.debian_facts or ROOT / "examples" / "debian" / "facts.json", encoding="utf-8") as file:
        return json.load(file)


def connect(server):
    return psycopg.connect(**server.parameters("debian"), autocommit=True)


@case("debian", gateway_only=True)
def has_every_package_and_edge(server):
    want = facts(server)["counts"]
    with connect(server) as connection:
        for kind, count in want.items():
            table = EDGES.get(kind, kind.lower())
            eq(connection.execute(f"select count(*) from {table}").fetchone()[0], count, table)
        eq(connection.execute("select count(distinct id) from depends_on").fetchone()[0], want["DependsOn"], "edge ids")


@case("debian", gateway_only=True)
def has_the_same_degrees_and_sections(server):
    want = facts(server)
    with connect(server) as connection:
        for column, name in (("src", "out_degree"), ("dst", "in_degree")):
            rows = connection.execute(f"select {column}, count(*) from depends_on group by 1 order by 2 desc, 1 limit 5").fetchall()
            eq([list(row) for row in rows], want[name], name)
        sections = dict(connection.execute("select section, count(*) from package group by section").fetchall())
        eq({name: sections.get(name) for name, _ in want["sections"]}, dict(map(tuple, want["sections"])), "sections")


@case("debian", gateway_only=True)
def reaches_the_same_packages(server):
    with connect(server) as connection:
        for start, reach in facts(server)["reach"].items():
            name, _, back = start.partition(" ")
            direction = "in" if back else "out"
            row = connection.execute("select count(*), max(depth), count(distinct id) from traverse('depends_on', start => %s, direction => %s, max_hops => 99)",
                                     [name, direction]).fetchone()
            eq(row, (reach["packages"], reach["depth"], reach["packages"]), start)


@case("debian", gateway_only=True)
def agrees_with_a_recursive_query(server):
    with connect(server) as connection:
        walk = connection.execute("select id, depth from traverse('depends_on', start => 'postgresql', max_hops => 3) order by id").fetchall()
        plain = connection.execute(
            "with recursive w(id, depth) as (select 'postgresql', 0 union select d.dst, w.depth + 1 from w join depends_on d on d.src = w.id where w.depth < 3) "
            "select id, min(depth) from w where id <> 'postgresql' group by id order by id").fetchall()
        eq(walk, [tuple(row) for row in plain])
        eq(connection.execute("select p.name, p.summary from package p where p.name = 'gnome'").fetchone(), ("gnome", "Full GNOME Desktop Environment, with extra components"))
