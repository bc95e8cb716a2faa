select age(timestamp '2001-04-10', timestamp '1957-06-13'), age(timestamp '2024-03-01', timestamp '2024-02-29 12:00')
select clock_timestamp() >= now(), statement_timestamp() >= transaction_timestamp()
select date_bin('15 minutes', timestamp '2001-02-16 20:38:40', timestamp '2001-02-16 20:05:00')
select date_part('hour', timestamp '2001-02-16 20:38:40'), date_part('month', interval '2 years 3 months'), date_part('dow', date '2024-02-29')
select date_trunc('hour', timestamp '2001-02-16 20:38:40'), date_trunc('quarter', timestamp '2001-02-16 20:38:40'), date_trunc('hour', interval '2 days 3 hours 40 minutes')
select date_trunc('day', timestamptz '2001-02-16 20:38:40+00', 'Australia/Sydney')
select extract(hour from timestamp '2001-02-16 20:38:40'), extract(epoch from timestamptz '2001-02-16 20:38:40.12+00'), extract(century from date '2024-01-01'), extract(isodow from date '2024-02-25'), extract(doy from date '2024-12-31'), extract(week from date '2024-12-31')
select isfinite(date '2001-02-16'), isfinite(timestamp 'infinity'), isfinite(interval '4 hours')
select justify_days(interval '35 days'), justify_hours(interval '27 hours'), justify_interval(interval '1 mon -1 hour')
select make_date(2013, 7, 15), make_time(8, 15, 23.5), make_timestamp(2013, 7, 15, 8, 15, 23.5), make_interval(days => 10, hours => 2), make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'UTC')
select make_date(2013, 2, 30)
select now() = transaction_timestamp(), length(timeofday()) > 20
select to_timestamp(1284352323), to_timestamp('05 Dec 2000', 'DD Mon YYYY'), to_date('05 Dec 2000', 'DD Mon YYYY')
select to_char(timestamp '2002-04-20 17:31:12.66', 'HH12:MI:SS.MS AM Day, DD Mon YYYY'), to_char(125, '999'), to_char(125.8::float8, '999D9'), to_char(-125.8, '999D99S'), to_char(interval '15h 2m 12s', 'HH24:MI:SS')
select timezone('America/New_York', timestamptz '2001-02-16 20:38:40+00'), timestamp '2001-02-16 20:38:40' at time zone 'America/Denver'
select pg_sleep(0), pg_sleep_for('0 seconds'), pg_sleep_until(now())
select date '2001-09-28' + 7, date '2001-09-28' + interval '1 hour', date '2001-10-01' - date '2001-09-28', timestamp '2001-09-29 03:00' - timestamp '2001-07-27 12:00', interval '1 day' * 2.5, interval '1 hour' / 1.5
select date '2024-01-31' + interval '1 month', timestamptz '2024-03-31 00:00+00' - interval '1 month'
select time '01:00' + interval '3 hours', time '05:00' - time '03:00', interval '1 day' + time '03:00'
select (date '2001-02-16', date '2001-12-21') overlaps (date '2001-10-30', date '2002-10-30'), (date '2001-02-16', interval '100 days') overlaps (date '2001-10-30', date '2002-10-30'), (date '2001-10-29', date '2001-10-30') overlaps (date '2001-10-30', date '2001-10-31'), (date '2001-10-30', date '2001-10-30') overlaps (date '2001-10-30', date '2001-10-31')
select (time '09:00', time '12:00') overlaps (time '11:00', interval '2 hours'), (timestamp '2024-01-01', null) overlaps (timestamp '2024-01-02', timestamp '2024-01-03'), overlaps(timestamptz '2024-01-01', interval '1 day', timestamptz '2024-01-01 12:00', interval '1 day')
select to_number('12,454.8-', '99G999D9S'), to_number('-34,338,492', '99G999G999'), to_number('<564646.654564>', '999999.999999PR'), to_number('0.00001-', '9.999999S'), to_number('123456', '999G999'), to_number('.01', '99.99'), to_number('5.01-', 'FM9.999999S'), to_number('$1234.56', 'L9,999.99')
select to_number('x', '99')
select '{2024-01-01,today}'::text[]::date[] = array['2024-01-01', current_date]
select 'infinity'::timestamp - 'infinity'::timestamp
select 'infinity'::timestamptz - now()
select '2024-01-01'::date - '-infinity'::date
select 'infinity'::date + 1, '-infinity'::date - 3, 'infinity'::date + time '12:00', 'infinity'::timestamptz + interval '1 day', 'infinity'::timestamptz - interval '1 month'
