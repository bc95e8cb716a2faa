SELECT * FROM information_schema.columns WHERE table_schema IN ('main', 'review/1')
