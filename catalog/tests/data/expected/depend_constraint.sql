SELECT n.nspname, c.conname, d.objsubid, d.refclassid, r.relname, d.refobjsubid, d.deptype
FROM pg_depend d JOIN pg_constraint c ON c.oid = d.objid AND d.classid = 2606 JOIN pg_namespace n ON n.oid = c.connamespace
  LEFT JOIN pg_class r ON r.oid = d.refobjid AND d.refclassid = 1259
WHERE n.nspname IN ('main', 'review/1')
