SELECT * FROM information_schema.views WHERE table_schema IN ('main', 'review/1')
