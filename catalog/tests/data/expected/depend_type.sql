SELECT n.nspname, t.typname, d.refclassid, r.relname, e.typname, d.deptype
FROM pg_depend d JOIN pg_type t ON t.oid = d.objid AND d.classid = 1247 JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_class r ON r.oid = d.refobjid AND d.refclassid = 1259 LEFT JOIN pg_type e ON e.oid = d.refobjid AND d.refclassid = 1247
WHERE n.nspname IN ('main', 'review/1')
