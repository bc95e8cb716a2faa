use super::*;

fn one(sql: &str) -> Statement {
    let mut statements = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(statements.len(), 1, "{sql}");
    statements.remove(0).statement
}

fn error(sql: &str) -> (String, Option<u32>) {
    let error = parse(sql).expect_err(sql);
    (error.message, error.position)
}

#[test]
fn statements_are_split_and_keep_their_text() {
    let statements = parse("select 1; ; /* a */ select ';' ;-- end\n").expect("parses");
    let texts: Vec<&str> = statements
        .iter()
        .map(|statement| statement.text.as_str())
        .collect();
    assert_eq!(texts, ["select 1", "select ';'"]);
    assert!(parse(" ; -- nothing").expect("parses").is_empty());
}

#[test]
fn syntax_errors_name_the_token_and_its_place() {
    assert_eq!(
        error("selct 1"),
        ("syntax error at or near \"selct\"".into(), Some(1))
    );
    assert_eq!(
        error("select ("),
        ("syntax error at end of input".into(), Some(9))
    );
    assert_eq!(
        error("select 1 from t\n  where"),
        ("syntax error at end of input".into(), Some(24))
    );
    assert_eq!(
        error("select 1; select 'é' frm t x"),
        ("syntax error at or near \"t\"".into(), Some(26))
    );
    assert_eq!(error("set x y").0, "syntax error at or near \"y\"");
    assert_eq!(
        error("select 'abc").0,
        "unterminated quoted string at or near \"'abc\""
    );
}

#[test]
fn settings_are_read_in_every_spelling() {
    let set = |sql: &str| match one(sql) {
        Statement::Set(set) => (set.local, set.name, set.value),
        other => panic!("{sql}: {other:?}"),
    };
    let list =
        |values: &[&str]| SetValue::List(values.iter().map(|value| (*value).to_owned()).collect());
    assert_eq!(
        set("SET search_path = a, \"B\", 'c'"),
        (false, "search_path".into(), list(&["a", "B", "c"]))
    );
    assert_eq!(
        set("set local work_mem to '4MB'"),
        (true, "work_mem".into(), list(&["4MB"]))
    );
    assert_eq!(
        set("SET SESSION my.Custom = -1.5"),
        (false, "my.custom".into(), list(&["-1.5"]))
    );
    assert_eq!(
        set("SET TIME ZONE LOCAL"),
        (false, "timezone".into(), SetValue::Default)
    );
    assert_eq!(
        set("SET NAMES 'utf8'"),
        (false, "client_encoding".into(), list(&["utf8"]))
    );
    assert_eq!(
        set("SET ROLE none"),
        (false, "role".into(), list(&["none"]))
    );
    assert_eq!(
        set("SET x TO DEFAULT"),
        (false, "x".into(), SetValue::Default)
    );
    assert!(
        matches!(one("SHOW TRANSACTION ISOLATION LEVEL"), Statement::Show(Show::Name(name)) if name == "transaction_isolation")
    );
}

#[test]
fn transactions_carry_their_modes() {
    let Statement::Begin(modes) =
        one("begin isolation level repeatable read, read only not deferrable")
    else {
        panic!("a BEGIN");
    };
    assert_eq!(modes.isolation.as_deref(), Some("repeatable read"));
    assert_eq!(
        (modes.read_only, modes.deferrable),
        (Some(true), Some(false))
    );
    assert!(
        matches!(one("ROLLBACK WORK TO SAVEPOINT \"A\""), Statement::RollbackTo(name) if name == "A")
    );
    assert!(matches!(one("abort"), Statement::Rollback { chain: false }));
    assert!(matches!(
        one("COMMIT AND CHAIN"),
        Statement::Commit { chain: true }
    ));
}

#[test]
fn cursors_and_copy_are_read() {
    let Statement::Fetch(fetch) = one("MOVE BACKWARD 3 FROM c") else {
        panic!("a MOVE")
    };
    assert_eq!(
        (fetch.moves, fetch.direction),
        (true, FetchDirection::Backward(3))
    );
    let Statement::Fetch(fetch) = one("FETCH ABSOLUTE -2 c") else {
        panic!("a FETCH")
    };
    assert_eq!(fetch.direction, FetchDirection::Absolute(-2));
    let Statement::Declare(declare) = one("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1")
    else {
        panic!("a DECLARE")
    };
    assert_eq!((declare.scroll, declare.hold), (Some(false), true));
    let Statement::Copy(copy) =
        one("COPY main.person (id, name) FROM STDIN WITH (FORMAT csv, HEADER, NULL '')")
    else {
        panic!("a COPY");
    };
    assert_eq!(
        copy.options[0],
        CopyOption {
            name: "format".into(),
            values: vec!["csv".into()]
        }
    );
    assert_eq!(
        copy.options[2],
        CopyOption {
            name: "null".into(),
            values: vec![String::new()]
        }
    );
    assert!(
        matches!(one("COPY (SELECT 1) TO STDOUT BINARY"), Statement::Copy(copy) if matches!(copy.source, CopySource::Query(_)))
    );
}

#[test]
fn postgres_spellings_the_parser_lacks_are_rewritten() {
    assert!(matches!(one("TABLE person"), Statement::Query(_)));
    assert!(matches!(
        one("SELECT * FROM ONLY person"),
        Statement::Query(_)
    ));
    assert!(matches!(
        one("SELECT * FROM person FOR NO KEY UPDATE"),
        Statement::Query(_)
    ));
    assert!(matches!(
        one("(SELECT 1) UNION ALL (TABLE x)"),
        Statement::Query(_)
    ));
    assert!(
        matches!(one("CREATE VIEW v AS SELECT 1"), Statement::Other { tag } if tag == "CREATE VIEW")
    );
    assert!(
        matches!(one("EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1"), Statement::Explain(explain) if explain.format == ExplainFormat::Json && explain.analyze)
    );
}

#[test]
fn trees_that_would_be_too_deep_are_refused_before_they_are_made() {
    let refused = |sql: String| matches!(parse(&sql), Err(error) if error.code == "54001");
    let chain = |term: &str, times: usize| format!("select 1{}", term.repeat(times));
    for term in ["+1", " or true", "::int", " union select 1", "||'a'"] {
        assert!(refused(chain(term, 20_000)), "{term}");
        assert!(!refused(chain(term, 100)), "{term}");
    }
    // A chain whose first operand is a chain is as deep as both.
    let nested = format!(
        "select {}1{}",
        "(".repeat(50),
        "+1+1)"
            .repeat(50)
            .replace(')', &format!("{})", "+1".repeat(100)))
    );
    assert!(refused(nested));
    assert!(refused(format!(
        "select 1 from {}",
        vec!["t"; 2_000].join(", ")
    )));
    // Lists are wide, not deep.
    let wide = vec!["a + 1"; 5_000].join(", ");
    assert!(!refused(format!(
        "select {wide} from t where a in ({wide})"
    )));
    let rows = vec!["(1 + 1, -2)"; 5_000].join(", ");
    assert!(!refused(format!("insert into t values {rows}")));
    let cases = " when a = 1 then 2".repeat(2_000);
    assert!(!refused(format!("select case{cases} end")));
}

/// As PostgreSQL 15 says it.
#[test]
fn mistakes_are_where_postgresql_finds_them() {
    let mistakes = [
        ("selec 1", "syntax error at or near \"selec\"", 1),
        (
            "select 1 form person",
            "syntax error at or near \"person\"",
            15,
        ),
        (
            "select slug, from person",
            "syntax error at or near \"from\"",
            14,
        ),
        (
            "select slug,, name from person",
            "syntax error at or near \",\"",
            13,
        ),
        (
            "select count( from person",
            "syntax error at or near \"from\"",
            15,
        ),
        ("select (1 + 2", "syntax error at end of input", 14),
        ("select (1 + 2))", "syntax error at or near \")\"", 15),
        ("select 'a' 'b'", "syntax error at or near \"'b'\"", 12),
        ("select 1 from t where", "syntax error at end of input", 22),
        (
            "select 1 from t where;",
            "syntax error at or near \";\"",
            22,
        ),
        (
            "select 1 from t where ; select 2",
            "syntax error at or near \";\"",
            23,
        ),
        (
            "select $$abc",
            "unterminated dollar-quoted string at or near \"$$abc\"",
            8,
        ),
        (
            "select '$$', $$a$$, $b$ $$ abc",
            "unterminated dollar-quoted string at or near \"$b$ $$ abc\"",
            21,
        ),
        (
            "select /* é */ '/*' /* a /* b */",
            "unterminated /* comment at or near \"/* a /* b */\"",
            21,
        ),
        (
            "select /* abc",
            "unterminated /* comment at or near \"/* abc\"",
            8,
        ),
        (
            "select * from t group x",
            "syntax error at or near \"x\"",
            23,
        ),
        (
            "select * from t order x",
            "syntax error at or near \"x\"",
            23,
        ),
        (
            "select * from t limit 5, 10",
            "LIMIT #,# syntax is not supported",
            17,
        ),
        (
            "insert into t (a) value (1)",
            "syntax error at or near \"value\"",
            19,
        ),
        (
            "insert t (a) values (1)",
            "syntax error at or near \"t\"",
            8,
        ),
        (
            "insert into t (a) values (1, ",
            "syntax error at end of input",
            30,
        ),
        (
            "insert into t values (1,)",
            "syntax error at or near \")\"",
            25,
        ),
        (
            "update t set a = 1, where b = 2",
            "syntax error at or near \"where\"",
            21,
        ),
        ("update t set", "syntax error at end of input", 13),
        ("delete t where a = 1", "syntax error at or near \"t\"", 8),
        (
            "delete from where a = 1",
            "syntax error at or near \"where\"",
            13,
        ),
        (
            "select case when true then 2",
            "syntax error at end of input",
            29,
        ),
        (
            "select case when true then 2 else end",
            "syntax error at or near \"end\"",
            35,
        ),
        (
            "select (case when 1 then 2) from t",
            "syntax error at or near \")\"",
            27,
        ),
        ("select 1 where not", "syntax error at end of input", 19),
        (
            "select * from (select 1) as",
            "syntax error at end of input",
            28,
        ),
        (
            "select * from select",
            "syntax error at or near \"select\"",
            15,
        ),
        (
            "with a as (select 1), select * from a",
            "syntax error at or near \"select\"",
            23,
        ),
        ("select 1 union", "syntax error at end of input", 15),
        (
            "select count(*) from t where and a = 1",
            "syntax error at or near \"and\"",
            30,
        ),
        (
            "select count(*) from t where a = 1 and",
            "syntax error at end of input",
            39,
        ),
        (
            "select count(*) from t where a = 1 b = 2",
            "syntax error at or near \"b\"",
            36,
        ),
        (
            "select sum(a) over (partition x) from t",
            "syntax error at or near \"x\"",
            31,
        ),
        (
            "select 1 from t where exists select 1",
            "syntax error at or near \"select\"",
            30,
        ),
        (
            "select a from t where a in (1,)",
            "syntax error at or near \")\"",
            31,
        ),
        (
            "select 12abc",
            "trailing junk after numeric literal at or near \"12abc\"",
            8,
        ),
        ("select a b c from t", "syntax error at or near \"c\"", 12),
        (
            "select a from t where b = = 1",
            "syntax error at or near \"=\"",
            27,
        ),
        (
            "select a, b c d from t where",
            "syntax error at or near \"d\"",
            15,
        ),
        ("select cast(1 as)", "syntax error at or near \")\"", 17),
        (
            "select a from t order by",
            "syntax error at end of input",
            25,
        ),
        ("select 1 as", "syntax error at end of input", 12),
    ];
    for (sql, message, position) in mistakes {
        assert_eq!(error(sql), (message.to_owned(), Some(position)), "{sql}");
    }
}

#[test]
fn words_that_look_misplaced_are_not() {
    let right = [
        "select 1 where x operator(pg_catalog.=) y",
        "select trim(both 'x' from x), substring(x from 1 for 2), position(a in b), a not in (1)",
        "select x as from, t.order, t.select, 1 as end, extract(year from d) from t",
        "select sum(x) over (partition by a order by b groups 1 preceding) from t",
        "select mode() within group (order by x) filter (where x > 1) from t",
        "select array[]::int[], a[1:], a[:2], a is not distinct from b, case when a then b end",
        "select * from a natural join b union all (select 1) union select 2",
        "select * from a, b for update of a, b",
        "select f(from => 1, into => 2, limit => 3, where := 4)",
        "insert into s.t as x default values",
        "insert into d.s.t with a as (select 1) select * from a",
        "insert into t (a) values (1) on conflict (a) do update set a = excluded.a returning *",
        "merge into t using s on t.a = s.a when matched then delete when not matched then insert values (1)",
        "select distinct on (a) a, count(*) filter (where b), by, set, values from t limit all offset 1",
        "select;",
        "select where true union select order by 1",
        "select 'a'
  'b', date '2024-01-01', interval '1' day",
    ];
    let wrong: Vec<String> = right
        .iter()
        .filter_map(|sql| Some(format!("{sql}: {}", parse(sql).err()?.message)))
        .collect();
    assert_eq!(wrong, [""; 0]);
}
