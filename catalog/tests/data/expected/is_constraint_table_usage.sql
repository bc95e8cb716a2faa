SELECT * FROM information_schema.constraint_table_usage WHERE table_schema IN ('main', 'review/1')
