select array_agg(x order by x), avg(x), bit_and(x), bit_or(x), bit_xor(x), count(*), count(distinct x), max(x), min(x), sum(x) from (values (1), (2), (2), (null)) t(x)
select bool_and(b), bool_or(b), every(b) from (values (true), (false), (null)) t(b)
select json_agg(x), jsonb_agg(x order by x desc), string_agg(x::text, ',' order by x) from (values (2), (1)) t(x)
select json_object_agg(k, v), jsonb_object_agg(k, v) from (values ('b', 1), ('a', 2)) t(k, v)
select corr(y, x), covar_pop(y, x), covar_samp(y, x), regr_avgx(y, x), regr_avgy(y, x), regr_count(y, x), regr_intercept(y, x), regr_r2(y, x), regr_slope(y, x), regr_sxx(y, x), regr_sxy(y, x), regr_syy(y, x) from (values (1.0::float8, 2.0::float8), (2, 4), (4, 8), (null, 1)) t(y, x)
select stddev(x), stddev_pop(x), stddev_samp(x), variance(x), var_pop(x), var_samp(x) from (values (1), (2), (4)) t(x)
select mode() within group (order by x), percentile_cont(0.5) within group (order by x), percentile_disc(0.5) within group (order by x) from (values (1), (2), (2), (7)) t(x)
select sum(x), avg(x), max(x), min(x) from (values (1.5::float4), (2.25)) t(x)
select pg_typeof(sum(x::float4)), pg_typeof(sum(x::int4)), pg_typeof(sum(x::int8)), pg_typeof(avg(x)), pg_typeof(sum(x::float8)) from (values (1)) t(x)
select count(*) filter (where x > 1), sum(x) filter (where x > 5) from (values (1), (2), (3)) t(x)
select sum(x), count(*), max(x), array_agg(x), string_agg(x::text, ',') from (select 1 where false) t(x)
select a, b, sum(v), grouping(a), grouping(a, b) from (values ('x', 1, 10), ('x', 2, 20), ('y', 1, 30)) t(a, b, v) group by rollup (a, b) order by a, b
select a, b, sum(v) from (values ('x', 1, 10), ('y', 1, 30)) t(a, b, v) group by cube (a, b) order by a nulls first, b nulls first
select a, b, count(*) from (values ('x', 1), ('y', 1)) t(a, b) group by grouping sets ((a), (b), ()) order by 1, 2
select a, grouping(a) from (values ('x'), (null)) t(a) group by grouping sets (a, ()) order by 2, 1
select count(*) from (select 1 where false) t(a) group by rollup (a)
select (select max(x) from (values (1), (2)) u(x)) as m, count(*) from (values (1)) t(x) group by 1
select rank(3) within group (order by x), dense_rank(3) within group (order by x desc), percent_rank(3) within group (order by x), cume_dist(3) within group (order by x), rank(2, 'b') within group (order by x, y desc) from (values (1, 'a'), (2, 'b'), (2, 'c'), (4, null), (null, 'z')) v(x, y)
select rank(null::int) within group (order by x), dense_rank(null::int) within group (order by x desc), percent_rank(1) within group (order by x) filter (where x > 9), cume_dist(1.5) within group (order by x) from (values (1), (2), (null)) v(x)
select rank(1) from (values (1)) v(x)
