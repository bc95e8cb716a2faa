SELECT n.nspname, c.relname, a.adnum, d.refobjsubid, d.deptype
FROM pg_depend d JOIN pg_attrdef a ON a.oid = d.objid AND d.classid = 2604 JOIN pg_class c ON c.oid = d.refobjid AND d.refclassid = 1259
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('main', 'review/1')
