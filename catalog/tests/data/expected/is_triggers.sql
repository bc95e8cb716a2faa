SELECT * FROM information_schema.triggers WHERE trigger_schema IN ('main', 'review/1')
