SELECT n.nspname, c.relname, c.relkind, c.relnatts, c.relchecks, c.relhasindex, c.relhastriggers, c.relpersistence,
  c.relreplident, a.amname, c.relispopulated, c.relhasrules, c.relhassubclass, c.relrowsecurity, c.relforcerowsecurity,
  c.relispartition, c.relisshared, t.typname, c.reltoastrelid > 0 AND false, c.relacl, c.reloptions, c.relpartbound
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam LEFT JOIN pg_type t ON t.oid = c.reltype
WHERE n.nspname IN ('main', 'review/1') AND c.relkind <> 'g'
