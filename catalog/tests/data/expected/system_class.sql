SELECT c.oid, n.nspname, c.relname, c.relkind, c.relnatts, c.relisshared, c.relhasrules, c.relhastriggers, c.relreplident, t.typname, a.amname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_type t ON t.oid = c.reltype LEFT JOIN pg_am a ON a.oid = c.relam
WHERE c.relkind IN ('r', 'v') AND n.nspname = 'pg_catalog' AND c.relname NOT LIKE 'pg_propgraph%' AND c.relname NOT IN ('pg_database', 'pg_collation', 'pg_auth_members', 'pg_subscription')
