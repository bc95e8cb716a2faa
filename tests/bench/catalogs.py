"""How long the catalogs of a large schema take to be read, as BI tools read them when they sync.

200 types (150 of nodes, 50 of edges) on 51 branches are 10,200 tables with 71,400 columns.
The statements are shaped like Metabase's: schemas, tables, columns with keys and comments,
foreign keys, indexes, privileges, types. First by a session that has seen nothing yet, then
again.
"""

import statistics
import subprocess
import time

NODES, EDGES, BRANCHES = 150, 50, 50
OTHERS = "!~ '^information_schema|catalog_history|pg_'"
SYNC = [
    "select nspname from pg_namespace where nspname !~ '^pg_'",
    f"""select n.nspname, c.relname, c.relkind, obj_description(c.oid, 'pg_class')
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'v', 'm', 'f', 'p') and n.nspname {OTHERS}""",
    f"""select c.column_name, c.udt_name, c.ordinal_position - 1, c.table_schema, c.table_name, pk.column_name is not null,
               col_description(format('%I.%I', c.table_schema, c.table_name)::regclass::oid, c.ordinal_position::int), c.is_nullable
        from information_schema.columns c
        left join (select tc.table_schema, tc.table_name, kc.column_name
                   from information_schema.table_constraints tc
                   join information_schema.key_column_usage kc
                     on tc.constraint_name = kc.constraint_name and tc.table_schema = kc.table_schema and tc.table_name = kc.table_name
                   where tc.constraint_type = 'PRIMARY KEY') pk
          on c.table_schema = pk.table_schema and c.table_name = pk.table_name and c.column_name = pk.column_name
        where c.table_schema {OTHERS} order by 4, 5, c.ordinal_position""",
    f"""select fn.nspname, ft.relname, fa.attname, pn.nspname, pt.relname, pa.attname
        from pg_constraint c join pg_class ft on c.conrelid = ft.oid join pg_namespace fn on c.connamespace = fn.oid
        join pg_attribute fa on c.conrelid = fa.attrelid join pg_class pt on c.confrelid = pt.oid
        join pg_namespace pn on pt.relnamespace = pn.oid join pg_attribute pa on c.confrelid = pa.attrelid
        where c.contype = 'f' and fa.attnum = any(c.conkey) and pa.attnum = any(c.confkey) and fn.nspname {OTHERS}
        order by 1, 2""",
    """select t.relname, i.relname, a.attname from pg_class t join pg_index x on t.oid = x.indrelid
       join pg_class i on i.oid = x.indexrelid join pg_attribute a on a.attrelid = t.oid and a.attnum = any(x.indkey)""",
    f"""select schemaname, tablename, has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')
        from pg_tables where schemaname {OTHERS}""",
    "select t.typname, e.enumlabel from pg_type t left join pg_enum e on e.enumtypid = t.oid",
]


class Types:
    """What a connection needs to know."""

    name = "types"


def schema():
    node = "node Type{0} {{ slug: String @key name: String a: I32? b: F64? at: DateTime? tags: [String]? kind: enum(a, b, c)? }}"
    edge = "edge Rel{0}: Type{0} -> Type{1} {{ since: Date? }}"
    lines = [node.format(at) for at in range(NODES)] + [edge.format(at, at + 1) for at in range(EDGES)]
    return "\n".join(lines) + "\n"


def sync(connection):
    started = time.perf_counter()
    read = [len(connection.execute(statement).fetchall()) for statement in SYNC]
    took = (time.perf_counter() - started) * 1000
    tables = (NODES + EDGES) * (BRANCHES + 1)
    if read[0] < BRANCHES + 1 or read[1] != tables or read[5] != tables:
        raise SystemExit(f"a sync read {read} rows, not those of {tables} tables")
    return took


def measure(gateway, folder, table):
    """Adds two lines to the table; the gateway is one with an empty store."""
    source = folder / "types.pg"
    source.write_text(schema(), encoding="utf-8")
    root = gateway.store / "graphs" / f"{Types.name}.omni"
    subprocess.run([str(gateway.bin / "omnigraph"), "init", "--schema", str(source), str(root)], check=True, capture_output=True)
    gateway.start()
    with gateway.connect(Types) as connection:
        for at in range(BRANCHES):
            connection.execute(f'create schema "b{at}"')
    gateway.stop()
    gateway.start()
    with gateway.connect(Types) as connection:
        table.add("full sync after a start", sync(connection), None, "ms")
        table.add("full sync, p50", statistics.median(sync(connection) for _ in range(5)), None, "ms")
    gateway.stop()
