select x, row_number() over (order by x), rank() over (order by x), dense_rank() over (order by x), percent_rank() over (order by x), cume_dist() over (order by x), ntile(2) over (order by x) from (values (1), (2), (2), (4)) t(x) order by x
select x, lag(x) over (order by x), lag(x, 2, 0) over (order by x), lead(x) over (order by x) from (values (1), (2), (4)) t(x) order by x
select x, first_value(x) over (order by x), last_value(x) over (order by x), nth_value(x, 2) over (order by x rows between unbounded preceding and unbounded following) from (values (1), (2), (4)) t(x) order by x
select x, sum(x) over (order by x rows between 1 preceding and current row), avg(x) over (), count(*) over (partition by x % 2) from (values (1), (2), (3)) t(x) order by x
select x, sum(x) over w from (values (1), (2), (3)) t(x) window w as (order by x desc) order by x
