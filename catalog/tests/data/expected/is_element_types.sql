SELECT * FROM information_schema.element_types WHERE object_schema IN ('main', 'review/1')
