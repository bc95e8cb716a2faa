SELECT * FROM information_schema.constraint_column_usage WHERE table_schema IN ('main', 'review/1')
