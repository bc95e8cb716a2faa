SELECT table_schema, table_name, column_name, ordinal_position, is_nullable, data_type, character_maximum_length, character_octet_length,
  numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, collation_name, domain_name, udt_schema, udt_name
FROM information_schema.columns WHERE table_name IN ('pg_class', 'pg_attribute', 'pg_index', 'pg_constraint', 'pg_stat_activity', 'columns', 'sql_features')
