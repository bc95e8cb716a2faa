SELECT * FROM information_schema.table_constraints WHERE table_schema IN ('main', 'review/1') AND constraint_name NOT LIKE '%not_null'
