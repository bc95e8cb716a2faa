SELECT * FROM pg_indexes WHERE schemaname IN ('main', 'review/1')
