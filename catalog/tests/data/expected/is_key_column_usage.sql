SELECT * FROM information_schema.key_column_usage WHERE table_schema IN ('main', 'review/1')
