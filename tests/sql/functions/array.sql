select array_append(array[1, 2], 3), array_prepend(1, array[2, 3]), array_cat(array[1, 2], array[3]), array_append(null::int[], 1)
select array_dims(array[1, 2, 3]), array_length(array[1, 2, 3], 1), array_length(array[]::int[], 1), array_lower(array[1], 1), array_upper(array[1, 8, 3, 7], 1), array_ndims(array[1, 2]), cardinality(array[1, 2])
select array_fill(7, array[3]), array_fill(null::int, array[2])
select array_position(array['sun', 'mon', 'tue'], 'mon'), array_position(array[1, 4, 1], 1, 2), array_positions(array['A', 'A', 'B', 'A'], 'A'), array_position(array[1], 2)
select array_remove(array[1, 2, 3, 2], 2), array_replace(array[1, 2, 5, 4], 5, 3), trim_array(array[1, 2, 3, 4, 5, 6], 2)
select array_to_string(array[1, 2, 3, null, 5], ',', '*'), array_to_string(array[1, null], ','), array_to_string(array['a', 'b'], '-')
select string_to_array('1,2', ','), string_to_array('1,2', ',')::int[]
select unnest(array[1, 2]), unnest(array['a', 'b', 'c'])
select * from unnest(array[1, 2], array['foo', 'bar', 'baz']) as x(a, b)
select * from unnest(array['a', 'b']) with ordinality as t(x, n)
select generate_subscripts(array['a', 'b', 'c'], 1)
select generate_series(2, 4), generate_series(5, 1, -2)
select * from generate_series(timestamp '2008-03-01', '2008-03-02', '12 hours') as g
select array[1, 2] || 3, 0 || array[1], array[1, 2] || array[3], array[1, 4, 3] @> array[3, 1], array[2] <@ array[1, 2], array[1, 2] && array[2, 3], (array[5, 6, 7])[2], (array[5, 6, 7])[2:3]
select 2 = any (array[1, 2]), 2 <> all (array[1, 3]), 2 = any ('{}'::int[]), null = any (array[1]), 1 = any (array[2, null])
select array[1, 2] = array[1, 2], array[1, 2] < array[1, 3], array_agg(x order by x desc) from unnest(array[3, 1, 2]) x
