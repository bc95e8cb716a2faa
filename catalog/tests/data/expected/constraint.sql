SELECT n.nspname, c.relname, k.conname, k.contype, k.condeferrable, k.condeferred, k.convalidated, f.relname, i.relname, k.confupdtype,
  k.confdeltype, k.confmatchtype, k.conislocal, k.coninhcount, k.connoinherit, k.conkey, k.confkey, k.conpfeqop, k.conppeqop, k.conffeqop,
  k.conexclop, k.contypid, k.conparentid, pg_get_constraintdef(k.oid, false), pg_get_constraintdef(k.oid, true), pg_get_expr(k.conbin, k.conrelid)
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace JOIN pg_class c ON c.oid = k.conrelid
  LEFT JOIN pg_class f ON f.oid = k.confrelid LEFT JOIN pg_class i ON i.oid = k.conindid
WHERE n.nspname IN ('main', 'review/1')
