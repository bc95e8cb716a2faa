SELECT n.nspname, t.typname, t.typlen, t.typbyval, t.typtype, t.typcategory, t.typispreferred, t.typisdefined, t.typdelim, c.relname, e.typname,
  a.typname, t.typalign, t.typstorage, t.typnotnull, t.typbasetype, t.typtypmod, t.typndims, t.typcollation, t.typdefault, i.proname, r.proname
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid LEFT JOIN pg_type e ON e.oid = t.typelem
  LEFT JOIN pg_type a ON a.oid = t.typarray LEFT JOIN pg_proc i ON i.oid = t.typinput LEFT JOIN pg_proc r ON r.oid = t.typreceive
WHERE n.nspname IN ('main', 'review/1')
