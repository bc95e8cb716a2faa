#!/bin/bash
# Regenerates catalog/src/pg_catalog/data/*.tsv from a fresh PostgreSQL 15 cluster, and the
# expected rows of the catalog tests from the same cluster with the tests' fixture in it.
# Needs the Debian package postgresql-15; starts a private server in a temporary folder and
# stops it again.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
data=$here/catalog/src/pg_catalog/data
tests=$here/catalog/tests/data
bin=/usr/lib/postgresql/15/bin
work=$(mktemp -d)
as_server() { if [ "$(id -u)" = 0 ]; then chown postgres "$work"; su postgres -c "$1"; else bash -c "$1"; fi; }
as_server "$bin/initdb -D $work/data -U postgres --auth=trust -E UTF8 --locale=C >/dev/null"
as_server "$bin/pg_ctl -D $work/data -w -l $work/log -o \"-c listen_addresses= -k $work -p 5432\" start >/dev/null"
trap 'as_server "$bin/pg_ctl -D $work/data -m fast -w stop >/dev/null"; rm -rf "$work"' EXIT
ask() { psql -X -q -v ON_ERROR_STOP=1 -h "$work" -U postgres -d "${2:-postgres}" -At -F $'\t' -P null='\N' -c "$1"; }

mkdir -p "$data"
# Types that nothing here stores, computes or shows; their functions and operators go with them.
unsupported="('point','lseg','path','box','polygon','line','circle','money','xml','bit','varbit','macaddr','macaddr8','cidr',
  'gtsvector','refcursor','timetz','pg_brin_bloom_summary','pg_brin_minmax_multi_summary')"
left_out="(SELECT t.oid FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
  WHERE t.typname IN $unsupported OR e.typname IN $unsupported OR t.typtype IN ('r', 'm') OR e.typtype IN ('r', 'm')
     OR t.typname IN ('anyrange', 'anymultirange', 'anycompatiblerange', 'anycompatiblemultirange')
     OR t.typrelid <> 0 OR e.typrelid <> 0)"

ask "SELECT * FROM (
  SELECT c.oid, 0 AS attnum, concat_ws(E'\t', '@', n.nspname, c.relname, c.relkind, c.oid, c.reltype, coalesce(t.typarray, 0), c.relisshared::int) AS line
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_type t ON t.oid = c.reltype
  WHERE c.relkind IN ('r', 'v') AND n.nspname IN ('pg_catalog', 'information_schema')
  UNION ALL
  SELECT c.oid, a.attnum, concat_ws(E'\t', a.attname, a.atttypid, a.atttypmod, a.attnotnull::int, a.attndims, a.attcollation)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
  WHERE c.relkind IN ('r', 'v') AND n.nspname IN ('pg_catalog', 'information_schema')) lines
  ORDER BY 1, 2" | cut -f3- > "$data/relations.tsv"

ask "SELECT t.oid, n.nspname, t.typname, t.typlen, t.typbyval::int, t.typtype, t.typcategory, t.typispreferred::int, t.typdelim, t.typsubscript::oid,
    t.typelem, t.typarray, t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid, t.typmodin::oid, t.typmodout::oid,
    t.typanalyze::oid, t.typalign, t.typstorage, t.typnotnull::int, t.typbasetype, t.typtypmod, t.typcollation, t.typdefault, obj_description(t.oid, 'pg_type')
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.oid NOT IN $left_out OR t.typname IN ('bit', '_bit') ORDER BY t.oid" > "$data/types.tsv"

ask "SELECT p.oid, n.nspname, p.proname, p.prolang, p.procost, p.prorows, p.provariadic, p.prosupport::oid, p.prokind, p.proleakproof::int, p.proisstrict::int,
    p.proretset::int, p.provolatile, p.proparallel, p.pronargdefaults, p.prorettype, p.proargtypes, p.proallargtypes, p.proargmodes, p.proargnames,
    pg_get_expr(p.proargdefaults, 0), CASE WHEN p.prosrc = p.proname THEN '=' WHEN p.prosqlbody IS NULL THEN translate(p.prosrc, E'\t\n', '  ') ELSE '' END,
    obj_description(p.oid, 'pg_proc')
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype || coalesce(p.proallargtypes, '{}')) u(o) WHERE u.o IN $left_out)
     OR p.proname IN ('bit_in', 'bit_out', 'bit_recv', 'bit_send')
  ORDER BY p.oid" > "$data/procs.tsv"

ask "SELECT o.oid, o.oprname, o.oprkind, o.oprcanmerge::int, o.oprcanhash::int, o.oprleft, o.oprright, o.oprresult, o.oprcom, o.oprnegate,
    o.oprcode::oid, o.oprrest::oid, o.oprjoin::oid, obj_description(o.oid, 'pg_operator')
  FROM pg_operator o WHERE o.oprleft NOT IN $left_out AND o.oprright NOT IN $left_out AND o.oprresult NOT IN $left_out ORDER BY o.oid" > "$data/operators.tsv"

ask "SELECT c.oid, c.castsource, c.casttarget, c.castfunc, c.castcontext, c.castmethod
  FROM pg_cast c WHERE c.castsource NOT IN $left_out AND c.casttarget NOT IN $left_out ORDER BY c.oid" > "$data/casts.tsv"

ask "SELECT a.aggfnoid::oid, a.aggkind, a.aggnumdirectargs, a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid, a.aggdeserialfn::oid,
    a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid, a.aggfinalextra::int, a.aggmfinalextra::int, a.aggfinalmodify, a.aggmfinalmodify,
    a.aggsortop, a.aggtranstype, a.aggtransspace, a.aggmtranstype, a.aggmtransspace, a.agginitval, a.aggminitval
  FROM pg_aggregate a ORDER BY 1" > "$data/aggregates.tsv"

ask "SELECT o.oid, o.opcmethod, o.opcname, o.opcfamily, o.opcintype, o.opcdefault::int, o.opckeytype
  FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod WHERE a.amname IN ('btree', 'gin') AND o.opcintype NOT IN $left_out ORDER BY o.oid" > "$data/opclasses.tsv"
ask "SELECT f.oid, f.opfmethod, f.opfname FROM pg_opfamily f WHERE f.oid IN (SELECT o.opcfamily FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod
    WHERE a.amname IN ('btree', 'gin') AND o.opcintype NOT IN $left_out) ORDER BY f.oid" > "$data/opfamilies.tsv"
ask "SELECT o.oid, o.amopfamily, o.amoplefttype, o.amoprighttype, o.amopstrategy, o.amoppurpose, o.amopopr, o.amopmethod, o.amopsortfamily
  FROM pg_amop o JOIN pg_am a ON a.oid = o.amopmethod WHERE a.amname = 'btree' AND o.amoplefttype NOT IN $left_out AND o.amoprighttype NOT IN $left_out ORDER BY o.oid" > "$data/amops.tsv"

# The rows that PostgreSQL holds for the tests' fixture.
if [ -d "$tests" ]; then
  ask "CREATE DATABASE knowledge"
  psql -X -q -v ON_ERROR_STOP=1 -h "$work" -U postgres -d knowledge -f "$tests/fixture.sql"
  for query in "$tests"/expected/*.sql; do
    ask "$(cat "$query")" knowledge | LC_ALL=C sort > "${query%.sql}.tsv"
  done
fi
