SELECT n.nspname, c.relname, d.objsubid, d.refclassid, r.relname, k.conname, m.nspname, d.refobjsubid, d.deptype
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND d.classid = 1259 JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class r ON r.oid = d.refobjid AND d.refclassid = 1259 LEFT JOIN pg_constraint k ON k.oid = d.refobjid AND d.refclassid = 2606
  LEFT JOIN pg_namespace m ON m.oid = d.refobjid AND d.refclassid = 2615
WHERE n.nspname IN ('main', 'review/1')
