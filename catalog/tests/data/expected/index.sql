SELECT n.nspname, c.relname, i.relname, x.indnatts, x.indnkeyatts, x.indisunique, x.indnullsnotdistinct, x.indisprimary, x.indisexclusion,
  x.indimmediate, x.indisclustered, x.indisvalid, x.indcheckxmin, x.indisready, x.indislive, x.indisreplident, array_to_string(x.indkey, ' '),
  array_to_string(x.indcollation, ' '), array_to_string(x.indclass, ' '), array_to_string(x.indoption, ' '), x.indexprs, x.indpred,
  pg_get_indexdef(i.oid, 0, false), pg_get_indexdef(i.oid, 0, true), pg_get_indexdef(i.oid, 1, false), pg_get_indexdef(i.oid, 2, true)
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('main', 'review/1')
