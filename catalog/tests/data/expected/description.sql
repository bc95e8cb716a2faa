SELECT n.nspname, c.relname, d.classoid, d.objsubid, d.description
FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('main', 'review/1')
