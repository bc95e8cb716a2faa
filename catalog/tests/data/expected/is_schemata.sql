SELECT catalog_name, schema_name, sql_path FROM information_schema.schemata WHERE schema_name IN ('main', 'review/1', 'pg_catalog', 'information_schema')
