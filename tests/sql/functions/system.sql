select current_schemas(false) is not null, current_user = session_user, current_catalog = current_database(), current_role = current_user
select current_query() like 'select current_query%'
select inet_client_port() is null or inet_client_port() > 0, inet_server_port() is null or inet_server_port() > 0
select pg_backend_pid() > 0, pg_blocking_pids(0), pg_safe_snapshot_blocking_pids(0), pg_conf_load_time() <= now(), pg_postmaster_start_time() <= now()
select pg_current_logfile() is null or true, pg_my_temp_schema(), pg_is_other_temp_schema(0), pg_jit_available() in (true, false), pg_notification_queue_usage()
select pg_listening_channels()
select pg_trigger_depth(), version() like 'PostgreSQL%'
select has_any_column_privilege('pg_class', 'select'), has_column_privilege('pg_class', 'relname', 'select'), has_database_privilege(current_database(), 'connect'), has_schema_privilege('pg_catalog', 'usage'), has_table_privilege('pg_class', 'select')
select has_function_privilege('abs(integer)', 'execute'), has_language_privilege('internal', 'usage') is not null, has_type_privilege('int4', 'usage'), has_tablespace_privilege('pg_default', 'create') is not null
select pg_has_role(current_user, 'member'), pg_has_role(current_user, current_user, 'usage')
select pg_has_role('no such role', 'member')
select pg_has_role(current_user, 'fly')
select has_table_privilege('no_such_table', 'select')
select pg_table_is_visible('pg_class'::regclass), pg_type_is_visible('int4'::regtype), pg_function_is_visible('pg_catalog.pi'::regproc), pg_operator_is_visible(96), pg_collation_is_visible(100), pg_conversion_is_visible(0), pg_opclass_is_visible(1978), pg_opfamily_is_visible(1976)
select pg_statistics_obj_is_visible(0), pg_ts_config_is_visible(0), pg_ts_dict_is_visible(0), pg_ts_parser_is_visible(0), pg_ts_template_is_visible(0)
select format_type(23, null), format_type(1043, 14), format_type(1700, 655366), format_type(1009, null), format_type(0, null)
select pg_char_to_encoding('UTF8'), pg_encoding_to_char(6)
select pg_get_userbyid(0), pg_get_expr(null, 0), pg_get_viewdef(0::oid), pg_get_indexdef(0), pg_get_constraintdef(0), pg_get_triggerdef(0), pg_get_ruledef(0), pg_get_functiondef(0), pg_get_statisticsobjdef(0)
select pg_get_function_arguments('pi'::regproc), pg_get_function_result('pi'::regproc), pg_get_function_identity_arguments('lower(text)'::regprocedure)
select count(*) > 50 from pg_get_keywords()
select pg_indexam_has_property(403, 'can_order'), pg_index_column_has_property(null, 1, 'asc'), pg_index_has_property(null, 'index_scan')
select pg_typeof(1), pg_typeof('a'), pg_typeof(array[1.5]), pg_typeof(now())
select to_regclass('pg_class'), to_regclass('nothing'), to_regnamespace('pg_catalog'), to_regproc('pi'), to_regprocedure('lower(text)'), to_regtype('int4'), to_regrole('nobody'), to_regtype('nothing')
select col_description('pg_class'::regclass, 1), shobj_description(0, 'pg_database'), obj_description(0, 'pg_class'), obj_description(0)
select txid_current() = txid_current(), txid_current() > 0, txid_status(txid_current())
select txid_current_if_assigned()
select pg_tablespace_location(0), (select count(*) >= 0 from pg_tablespace_databases(1663))
select row_security_active('pg_class')
select pg_settings_get_flags('no such setting')
select current_setting('server_encoding'), current_setting('no.such', true), set_config('a.b', 'c', false), current_setting('a.b')
select current_setting('no.such')
select pg_size_pretty(10240::bigint), pg_size_pretty(123456789::bigint)
select pg_advisory_lock(1), pg_try_advisory_lock(1), pg_advisory_unlock(1), pg_advisory_unlock(1), pg_advisory_unlock(1)
select has_foreign_data_wrapper_privilege(0::oid, 'usage'), has_server_privilege(0::oid, 'usage'), has_sequence_privilege(0::oid, 'usage')
select pg_get_serial_sequence('pg_class', 'relname')
select replace(acldefault('r', oid)::text, current_user, 'me'), replace(acldefault('f', oid)::text, current_user, 'me'), replace(acldefault('c', oid)::text, current_user, 'me'), replace(acldefault('n', oid)::text, current_user, 'me') from pg_roles where rolname = current_user
select replace(makeaclitem(oid, oid, 'SELECT', false)::text, current_user, 'me'), replace(makeaclitem(0, oid, 'execute', true)::text, current_user, 'me') from pg_roles where rolname = current_user
select makeaclitem(10, 10, 'fly', false)
select grantee = grantor, privilege_type, is_grantable from aclexplode(acldefault('f', (select oid from pg_roles where rolname = current_user)))
select grantee = grantor, privilege_type, is_grantable from aclexplode(('{=r/' || current_user || ',' || current_user || '=ar*w/' || current_user || '}')::aclitem[]) order by 1, 2, 3
select has_parameter_privilege('work_mem', 'set'), has_parameter_privilege(current_user, 'work_mem', 'set')
select has_parameter_privilege('work_mem', 'read')
select * from pg_options_to_table(array['fillfactor=70', 'flag', 'a=b=c'])
select pg_describe_object('pg_class'::regclass, 'pg_class'::regclass, 0), pg_describe_object('pg_class'::regclass, 'pg_class'::regclass, 2), pg_describe_object('pg_type'::regclass, 'int4'::regtype, 0), pg_describe_object('pg_proc'::regclass, 'lower(text)'::regprocedure, 0), pg_describe_object('pg_operator'::regclass, '+(integer,integer)'::regoperator, 0), pg_describe_object('pg_namespace'::regclass, 'pg_catalog'::regnamespace, 0), pg_describe_object('pg_collation'::regclass, 100, 0), pg_describe_object('pg_class'::regclass, 1, 0)
select to_regcollation('default'), to_regcollation('nothing'), to_regoper('!~~*'), to_regoper('+'), to_regoperator('+(integer,integer)'), to_regoperator('+(integer,boolean)')
select '"C"'::regcollation, 'pg_catalog.="default"'::text, '||/'::regoper, '-(none,integer)'::regoperator
select pg_current_xact_id() = pg_current_xact_id(), pg_current_xact_id()::text::bigint > 0, pg_xact_status(pg_current_xact_id())
select pg_current_xact_id_if_assigned()
select pg_snapshot_xmin('10:20:10,14,15'), pg_snapshot_xmax('10:20:10,14,15'), pg_visible_in_snapshot('14', '10:20:10,14,15'), pg_visible_in_snapshot('13', '10:20:10,14,15')
select pg_snapshot_xip('10:20:10,14,15')
select '10:20:14,10'::pg_snapshot
select txid_snapshot_xmin('10:20:10,14,15'), txid_snapshot_xmax('10:20:10,14,15'), txid_visible_in_snapshot(9, '10:20:10,14,15'), txid_visible_in_snapshot(20, '10:20:10,14,15')
select txid_snapshot_xip('10:20:10,14,15')
select pg_snapshot_xmin(pg_current_snapshot()) <= pg_snapshot_xmax(pg_current_snapshot()), txid_snapshot_xmin(txid_current_snapshot()) > 0
select * from pg_get_keywords() where word in ('select', 'abort', 'between', 'left', 'year') order by word
select has_table_privilege('pg_class', 'fly'), has_table_privilege('nobody', 'pg_class', 'select')
select has_table_privilege('nobody', 'pg_class', 'select')
select has_column_privilege('pg_class', 'nothing', 'select')
select has_column_privilege('pg_class'::regclass, 99::int2, 'select'), has_table_privilege(1::oid, 'select'), has_schema_privilege('pg_catalog', 'usage, create with grant option')
select has_database_privilege('nothing', 'connect')
