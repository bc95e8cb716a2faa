SELECT * FROM information_schema.check_constraints WHERE constraint_schema IN ('main', 'review/1') AND constraint_name NOT LIKE '%not_null'
