SELECT * FROM information_schema.domains WHERE domain_schema = 'information_schema'
