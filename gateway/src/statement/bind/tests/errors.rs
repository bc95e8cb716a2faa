//! Errors: PostgreSQL's codes, words and places.

use super::failure;

#[tokio::test]
async fn errors_have_postgres_codes_words_and_places() {
    let check = async |sql: &str, code: &str, message: &str, position: Option<u32>| {
        let error = failure(sql).await;
        assert_eq!(
            (error.code, error.message.as_str(), error.position),
            (code, message, position),
            "{sql}"
        );
    };
    check(
        "select row_number() over () from people group by 1",
        "42P20",
        "window functions are not allowed in GROUP BY",
        Some(8),
    )
    .await;
    check(
        "select count(*) as n from people group by n",
        "42803",
        "aggregate functions are not allowed in GROUP BY",
        Some(8),
    )
    .await;
    check(
        "select 1 from people p where (select count(p.age)) > 1",
        "42803",
        "aggregate functions are not allowed in WHERE",
        Some(38),
    )
    .await;
    check(
        "select sum((select count(p.age))) from people p",
        "42803",
        "aggregate function calls cannot be nested",
        Some(20),
    )
    .await;
    check(
        "select 1 from people p, lateral (select count(p.age)) s",
        "42803",
        "aggregate functions are not allowed in FROM clause of their own query level",
        Some(41),
    )
    .await;
    check(
        "select 1 from people p join visits v",
        "42601",
        "syntax error: this JOIN has neither ON nor USING",
        Some(29),
    )
    .await;
    check(
        "select name == 'a' from people",
        "42883",
        "operator does not exist: text == unknown",
        Some(13),
    )
    .await;
    check(
        "update people set people.name = 'x'",
        "42703",
        "column \"people\" of relation \"people\" does not exist",
        Some(19),
    )
    .await;
    check(
        "update people set name.first = 'x'",
        "42804",
        "cannot assign to field \"first\" of column \"name\" because its type text is not a composite type",
        Some(19),
    )
    .await;
    check(
        "select * from nowhere",
        "42P01",
        "relation \"nowhere\" does not exist",
        Some(15),
    )
    .await;
    check(
        "select nam from people",
        "42703",
        "column \"nam\" does not exist",
        Some(8),
    )
    .await;
    check(
        "select p.nope from people p",
        "42703",
        "column p.nope does not exist",
        Some(8),
    )
    .await;
    check(
        "select x.id from people",
        "42P01",
        "missing FROM-clause entry for table \"x\"",
        Some(8),
    )
    .await;
    check(
        "select id from people, visits",
        "42702",
        "column reference \"id\" is ambiguous",
        Some(8),
    )
    .await;
    check(
        "select nosuch(1)",
        "42883",
        "function nosuch(integer) does not exist",
        Some(8),
    )
    .await;
    check(
        "select name = 5 from people",
        "42883",
        "operator does not exist: text = integer",
        Some(13),
    )
    .await;
    check("select name, count(*) from people", "42803", "column \"people.name\" must appear in the GROUP BY clause or be used in an aggregate function", Some(8)).await;
    check(
        "select 1 where count(*) > 0",
        "42803",
        "aggregate functions are not allowed in WHERE",
        Some(16),
    )
    .await;
    check(
        "select 1 from people where age",
        "42804",
        "argument of WHERE must be type boolean, not type integer",
        Some(28),
    )
    .await;
    check(
        "select age from people where age = 'abc'",
        "22P02",
        "invalid input syntax for type integer: \"abc\"",
        Some(36),
    )
    .await;
    check(
        "select 1 union select true",
        "42804",
        "UNION types integer and boolean cannot be matched",
        Some(23),
    )
    .await;
    check(
        "select 1, 2 union select 3",
        "42601",
        "each UNION query must have the same number of columns",
        Some(26),
    )
    .await;
    check(
        "select true::date",
        "42846",
        "cannot cast type boolean to date",
        Some(8),
    )
    .await;
    check(
        "select * from people order by 20",
        "42P10",
        "ORDER BY position 20 is not in select list",
        Some(31),
    )
    .await;
    check(
        "select 2147483647 + 1",
        "22003",
        "integer out of range",
        None,
    )
    .await;
    check(
        "select 1 / (age - age) from people",
        "22012",
        "division by zero",
        None,
    )
    .await;
    check(
        "select (select n from visits)",
        "21000",
        "more than one row returned by a subquery used as an expression",
        None,
    )
    .await;
    check(
        "select 1 from people a, people a",
        "42712",
        "table name \"a\" specified more than once",
        None,
    )
    .await;
    check(
        "insert into people (id, nope) values ('a', 1)",
        "42703",
        "column \"nope\" of relation \"people\" does not exist",
        Some(25),
    )
    .await;
    check(
        "insert into people (id, age) values ('a', true)",
        "42804",
        "column \"age\" is of type integer but expression is of type boolean",
        Some(43),
    )
    .await;
    check(
        "insert into people (id) values ('a', 1)",
        "42601",
        "INSERT has more expressions than target columns",
        Some(13),
    )
    .await;
    check(
        "select name from people where id = $1 and age = $1",
        "42883",
        "operator does not exist: integer = text",
        Some(47),
    )
    .await;
    check(
        "select 1 +\n  from t",
        "42601",
        "syntax error at or near \"from\"",
        Some(14),
    )
    .await;
}

#[tokio::test]
async fn only_rows_that_can_be_told_are_locked() {
    let check = async |sql: &str, code: &str, message: &str| {
        let error = failure(sql).await;
        assert_eq!(
            (error.code, error.message.as_str()),
            (code, message),
            "{sql}"
        );
    };
    for (query, what) in [
        ("select distinct name from people", "DISTINCT clause"),
        ("select name from people group by name", "GROUP BY clause"),
        ("select count(*) from people", "aggregate functions"),
        (
            "select row_number() over () from people",
            "window functions",
        ),
        (
            "select generate_series(1, 2) from people",
            "set-returning functions in the target list",
        ),
        (
            "select id from people union select id from visits",
            "UNION/INTERSECT/EXCEPT",
        ),
        (
            "select * from (select distinct name from people) p",
            "DISTINCT clause",
        ),
    ] {
        let message = format!("FOR UPDATE is not allowed with {what}");
        check(&format!("{query} for update"), "0A000", &message).await;
    }
    check(
        "values (1) for share",
        "0A000",
        "FOR SHARE cannot be applied to VALUES",
    )
    .await;
    check(
        "select 1 from people p for update of people",
        "42P01",
        "relation \"people\" in FOR UPDATE clause not found in FROM clause",
    )
    .await;
    check(
        "select 1 from people for update of main.people",
        "42601",
        "FOR UPDATE must specify unqualified relation names",
    )
    .await;
    check(
        "with p as (select 1) select 1 from people, p for share of people, p",
        "0A000",
        "FOR SHARE cannot be applied to a WITH query",
    )
    .await;
    check(
        "select 1 from people p left join visits v on v.id = p.id for update",
        "0A000",
        "FOR UPDATE cannot be applied to the nullable side of an outer join",
    )
    .await;
}
