SELECT n.nspname, c.relname, a.attname, a.attnum, t.typname, a.attlen, a.attndims, a.atttypmod, a.attbyval, a.attalign, a.attstorage,
  a.attnotnull, a.atthasdef, a.atthasmissing, a.attgenerated, a.attidentity, a.attisdropped, a.attislocal, a.attinhcount, l.collname,
  a.attstattarget, a.attcompression, a.attcacheoff, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attnum > 0 AND n.nspname IN ('main', 'review/1')
