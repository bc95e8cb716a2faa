SELECT * FROM information_schema.tables WHERE table_schema IN ('main', 'review/1')
