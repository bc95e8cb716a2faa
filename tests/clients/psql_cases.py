"""psql: what a person sees who types into it."""

import re

from support import BRANCH, TABLES, USER, Fixture, case, eq, fixture_rows, has, matches, ok, unique

FACTS = Fixture()


@case("psql", gateway_only=True)
def lists_graphs_as_databases(server):
    names = [row[0] for row in server.rows("\\l")]
    for graph in ("company", "debian", "everything", "knowledge", "postgres", "scratch"):
        ok(graph in names, f"{graph} is not in {names}")
    has(server.psql("-At", "-l").stdout, "knowledge|")
    matches(server.psql("-c", "\\conninfo").stdout, f'database "knowledge" as user "{USER}"')


@case("psql")
def lists_branches_as_schemas(server):
    eq(sorted(row[0] for row in server.rows("\\dn")), ["main", BRANCH])
    server.rows("\\dn+")


@case("psql")
def lists_tables_of_the_branch(server):
    eq([row[:3] for row in server.rows("\\dt")], [["main", table, "table"] for table in TABLES])
    eq([row[1] for row in server.rows(f'\\dt "{BRANCH}".*')], TABLES)
    eq([row[1] for row in server.rows("\\dt main.p*")], ["person"])
    has(server.psql("-c", "\\dt nosuch*").stderr, "Did not find any relation")
    text = server.psql("-c", "\\d").stdout
    for table in TABLES:
        matches(text, rf"^ main +\| {table} +\| table +\| ")
    server.rows("\\dt+")


@case("psql")
def describes_a_node_table(server):
    text = server.psql("-c", "\\d person").stdout
    has(text, 'Table "main.person"')
    for column, kind in (
        ("slug", "text"), ("age", "integer"), ("score", "double precision"), ("active", "boolean"),
        ("born", "date"), ("created_at", "timestamp with time zone"), ("tags", r"text\[\]"),
    ):
        matches(text, rf"^ {column} +\| {kind} +\|", "\\d person")
    matches(text, r"^ id +\| text +\| +\| not null")
    matches(text, r"^ age +\| integer +\| +\| +\|")
    matches(text, r'"[^"]+" PRIMARY KEY, btree \(id\)')
    matches(text, r'"[^"]+" UNIQUE CONSTRAINT, btree \(slug\)')
    has(text, "Referenced by:")
    matches(text, r'TABLE "(main\.)?knows" CONSTRAINT "[^"]+" FOREIGN KEY \(src\) REFERENCES person\(id\)')
    server.rows("\\d+ person")


@case("psql")
def describes_an_edge_table(server):
    text = server.psql("-c", "\\d works_at").stdout
    has(text, "Foreign-key constraints:")
    matches(text, r"FOREIGN KEY \(src\) REFERENCES person\(id\) ON DELETE CASCADE")
    matches(text, r"FOREIGN KEY \(dst\) REFERENCES company\(id\) ON DELETE CASCADE")
    matches(text, r"^ src +\| text +\| +\| not null")
    text = server.psql("-c", f'\\d "{BRANCH}".knows').stdout
    has(text, f'Table "{BRANCH}.knows"')
    matches(text, r'FOREIGN KEY \(dst\) REFERENCES "' + re.escape(BRANCH) + r'"\.person\(id\)')


@case("psql", gateway_only=True)
def describes_checks_and_comments(server):
    text = server.psql("-c", "\\d everything", graph="everything").stdout
    has(text, "Check constraints:")
    for word in ("light-blue", "1000", "[A-Z]{3}-[0-9]+"):
        has(text, word, "checks of \\d everything")
    matches(text, r'UNIQUE CONSTRAINT, btree \(serial\)')
    for column, kind in (
        ("natural", "bigint"), ("huge", r"numeric\(20,0\)"), ("single", "real"), ("bytes", "bytea"),
        ("colour", "text"), ("numbers", r"integer\[\]"), ("bigs", r"bigint\[\]"), ("flags", r"boolean\[\]"), ("point", r"vector\(3\)"),
    ):
        matches(text, rf"^ {column} +\| {kind} +\|", "\\d everything")
    text = server.psql("-c", "\\d+ everything", graph="everything").stdout
    has(text, "Thirty-two bits, signed")
    has(server.psql("-c", "\\dt+ everything", graph="everything").stdout, "A row with a column of each type")
    has(server.psql("-c", "\\d decision", graph="company").stdout, "superseded")


@case("psql")
def describes_the_rest_without_an_error(server):
    for command in ("\\di", "\\dv", "\\ds", "\\df", "\\dT", "\\du", "\\dx", "\\dp", "\\db", "\\dC int4", "\\dd", "\\dAc"):
        done = server.psql("-c", command, code=None)
        ok(done.returncode == 0 and "ERROR" not in done.stderr, f"{command}: {done.stderr.strip()[:200]}")
    eq(server.psql("-At", "-c", "select slug, age, score, born, created_at, tags, active, 1 as x, count(*) over () from person \\gdesc", code=None).returncode, 1)
    text = server.psql("-At", stdin="select slug, age, score, born, created_at, tags, active, 1 as x, count(*) over () from person \\gdesc\n").stdout
    eq(text, "slug|text\nage|integer\nscore|double precision\nborn|date\ncreated_at|timestamp with time zone\n"
             "tags|text[]\nactive|boolean\nx|integer\ncount|bigint\n")


@case("psql")
def selects_filter_and_order(server):
    eq(server.rows("select slug, age from person where slug in ('ada', 'obrien') order by 1"), [["ada", "36"], ["obrien", ""]])
    want = sorted((slug for slug, row in FACTS.person.items() if row.get("age", 0) > 60), key=lambda s: (-FACTS.person[s]["age"], s))
    eq([row[0] for row in server.rows("select slug from person where age > 60 order by age desc, slug")], want)
    eq(server.rows("select name from person where name ilike '%ł%'"), [["Zoë Łukasiewicz"]])
    eq(server.rows("select tags from person where slug = 'donald'"), [['{"say \\"hi\\"","back\\\\slash"}']])
    eq(server.rows("select true, null::int, 1.50, -0.5::float8, '{1,2}'::int[], date '2024-02-29', 'x' || 1"),
       [["t", "", "1.50", "-0.5", "{1,2}", "2024-02-29", "x1"]])
    eq(server.rows("set timezone = 'UTC'; select created_at from person where slug = 'ada'")[-1], ["2024-02-29 12:34:56.789+00"])


@case("psql")
def joins_and_aggregates(server):
    staff = {}
    for _, company, _ in FACTS.works_at:
        staff[company] = staff.get(company, 0) + 1
    want = [[FACTS.company[c]["name"], str(n)] for c, n in sorted(staff.items(), key=lambda x: (-x[1], x[0]))]
    eq(server.rows("select c.name, count(*) from works_at w join company c on c.id = w.dst group by c.id, c.name order by 2 desc, c.id"), want)
    ages = [row["age"] for row in FACTS.person.values() if "age" in row]
    eq(server.rows("select count(*), count(age), sum(age), min(age), max(age), round(avg(age), 4) from person"),
       [[str(len(FACTS.person)), str(len(ages)), str(sum(ages)), str(min(ages)), str(max(ages)), f"{sum(ages) / len(ages):.4f}"]])
    eq(server.rows("select a.slug, b.slug from knows k join person a on a.id = k.src join person b on b.id = k.dst where a.slug = 'ada' order by 2"),
       [["ada", "donald"], ["ada", "grace"]])
    lonely = sorted(set(FACTS.person) - {a for a, _, _ in FACTS.works_at})
    eq([r[0] for r in server.rows("select p.slug from person p left join works_at w on w.src = p.id where w.id is null order by 1")], lonely)
    eq([r[0] for r in server.rows("select slug from person p where not exists (select 1 from works_at w where w.src = p.id) order by 1")], lonely)
    eq(server.rows("select active, count(*) filter (where age > 40) from person group by active having count(*) > 5 order by active nulls last"),
       [[flag, str(sum(1 for p in FACTS.person.values() if p.get("active") is value and p.get("age", 0) > 40))] for flag, value in (("f", False), ("t", True))])


@case("psql")
def windows_and_common_table_expressions(server):
    eq(server.rows("select slug, rank() over (order by age desc), lag(slug) over (order by age desc, slug) from person where age >= 70 order by 2, 1"),
       [["guido", "1", ""], ["leslie", "2", "guido"], ["percent", "3", "leslie"], ["yukihiro", "4", "percent"]])
    eq(server.rows("with old as (select * from person where age > 70) select count(*), max(age) from old"), [["4", "78"]])
    found = FACTS.reach("ada", 3)
    eq(sorted(map(tuple, server.rows(
        "with recursive walk(id, depth) as (select 'ada', 0 union select k.dst, w.depth + 1 from walk w join knows k on k.src = w.id where w.depth < 3) "
        "select id, min(depth) from walk where id <> 'ada' group by id"))), sorted((name, str(depth)) for name, depth in found.items()))
    eq(server.rows("select slug from person order by slug limit 2 offset 1"), [[s] for s in sorted(FACTS.person)[1:3]])
    eq(server.rows("select i, i * i from generate_series(1, 3) as g(i)"), [["1", "1"], ["2", "4"], ["3", "9"]])
    eq(server.rows("values (1, 'a'), (2, 'b') order by 1 desc"), [["2", "b"], ["1", "a"]])
    eq(server.rows("select slug from person where age = 36 union select slug from person where age = 78 order by 1"), [["ada"], ["guido"], ["radia"]])
    eq(server.rows("select case when age > 70 then 'old' else 'young' end as k, count(*) from person where age is not null group by 1 order by 1"),
       [["old", "4"], ["young", str(sum(1 for p in FACTS.person.values() if p.get("age") is not None and p["age"] <= 70))]])


@case("psql")
def reads_a_branch_beside_main(server):
    eq(server.rows(f'select m.age, r.age from main.person m join "{BRANCH}".person r on r.id = m.id where m.slug = \'ada\''), [["36", "99"]])
    eq(server.rows(f'select count(*) from "{BRANCH}".person'), [[str(len(FACTS.person) + 1)]])
    eq(server.rows("select age from person where slug = 'ada'", env={"PGOPTIONS": f'-c search_path="{BRANCH}"'}), [["99"]])
    eq(server.script(f"set search_path = \"{BRANCH}\"; select current_schema(), age from person where slug = 'ada';", graph="knowledge"), [[BRANCH, "99"]])


@case("psql", gateway_only=True)
def switches_branches_with_set_branch(server):
    eq(server.script(f"show branch; set branch = '{BRANCH}'; show branch; select age from person where slug = 'ada'; set branch to default; show branch;", graph="knowledge"),
       [["main"], [BRANCH], ["99"], ["main"]])
    eq(server.rows("select age from person where slug = 'ada'", graph=f"knowledge@{BRANCH}"), [["99"]])
    eq(server.rows("select current_database()", graph=f"knowledge@{BRANCH}"), [["knowledge"]])
    has(server.psql("-c", "set branch = 'no such'", code=1, env={"PGOPTIONS": ""}).stderr, "no such")
    eq([row[0] for row in server.rows("select name from branches() order by name")], ["main", BRANCH])


@case("psql")
def writes_with_returning(server):
    slug = unique()
    eq(server.rows(f"insert into person (slug, name, age, tags) values ('{slug}', 'Né O''Test', 7, array['a', 'b c']) returning id, slug, name, age, tags",
                   graph="scratch")[0][1:] , [slug, "Né O'Test", "7", '{a,"b c"}'])
    eq(server.rows(f"update person set age = age + 1, name = upper(name) where slug = '{slug}' returning age, name", graph="scratch")[0], ["8", "NÉ O'TEST"])
    eq(server.rows(f"select age from person where slug = '{slug}'", graph="scratch"), [["8"]])
    eq(server.rows(f"delete from person where slug = '{slug}' returning slug, age", graph="scratch")[0], [slug, "8"])
    eq(server.rows(f"select count(*) from person where slug = '{slug}'", graph="scratch"), [["0"]])
    has(server.psql("-c", f"update person set age = 1 where slug = '{slug}'", graph="scratch").stdout, "UPDATE 0")


@case("psql", gateway_only=True)
def derives_the_id_of_a_keyed_node_and_makes_one_for_an_edge(server):
    slug = unique()
    eq(server.rows(f"insert into person (slug, name) values ('{slug}', 'x') returning id", graph="scratch")[0], [slug])
    edge = server.rows(f"insert into knows (src, dst, since) values ('{slug}', 'ada', '2024-01-01') returning id, src, dst, since", graph="scratch")[0]
    matches(edge[0], "^[0-9A-HJKMNP-TV-Z]{26}$")
    eq(edge[1:], [slug, "ada", "2024-01-01"])
    eq(server.rows(f"delete from person where id = '{slug}'; select count(*) from knows where src = '{slug}'", graph="scratch")[-1], ["0"])


@case("psql", gateway_only=True)
def shows_each_statement_as_one_commit(server):
    slug, message = unique(), "Count me " + unique()
    before = int(server.rows("select count(*) from commits()", graph="scratch")[0][0])
    server.script(f"insert into company (slug, name) values ('{slug}1', 'a'), ('{slug}2', 'b');\n"
                  f"update company set name = 'c' where slug like '{slug}%';\n"
                  f"begin;\nset local commit_message = '{message}';\n"
                  f"insert into company (slug, name) values ('{slug}3', 'd');\n"
                  f"delete from company where slug = '{slug}1';\ncommit;\n"
                  f"update company set name = 'never' where slug = 'no-such-{slug}';\n")
    log = server.rows("select actor, kind, branch, inserted, updated, deleted, coalesce(message, ''), length(id), created_at > now() - interval '1 hour' from commits() limit 3", graph="scratch")
    eq([row[:7] for row in log],
       [[USER, "data", "main", "1", "0", "1", message], [USER, "data", "main", "0", "2", "0", ""], [USER, "data", "main", "2", "0", "0", ""]], "commits()")
    eq([row[7:] for row in log], [["26", "t"]] * 3)
    eq(int(server.rows("select count(*) from commits()", graph="scratch")[0][0]), before + 3, "commits")
    log = server.rows("select id, parents[1] from commits() limit 3", graph="scratch")
    eq([row[1] for row in log[:2]], [row[0] for row in log[1:3]], "parents")
    server.rows(f"delete from company where slug like '{slug}%'", graph="scratch")


@case("psql", gateway_only=True)
def branches_writes_there_and_leaves_main_alone(server):
    branch, slug = unique(), unique()
    out = server.script(f'create schema "{branch}/x";\nset branch = \'{branch}/x\';\n'
                        f"insert into company (slug, name) values ('{slug}', 'On a branch');\n"
                        f"update person set age = 1000 where slug = 'ada';\n"
                        f"select age from person where slug = 'ada';\nselect age from main.person where slug = 'ada';\n"
                        f"select count(*) from main.company where slug = '{slug}';\n"
                        f"select op, kind, type, id from diff('main', '{branch}/x') order by id;\n")
    eq(out[:3], [["1000"], ["36"], ["0"]])
    eq([row[0].lower() for row in out[3:]], ["update", "insert"], "diff")
    eq([row[3] for row in out[3:]], ["ada", slug], "diff")
    eq(server.rows(f"select name, created_from, ahead, behind from branches() where name = '{branch}/x'", graph="scratch")[0][0], f"{branch}/x")
    done = server.psql("-v", "VERBOSITY=verbose", "-c", f'drop schema "{branch}/x"', graph="scratch", code=1)
    has(done.stderr, "2BP01")
    server.rows(f'drop schema "{branch}/x" cascade', graph="scratch")
    done = server.psql("-v", "VERBOSITY=verbose", "-c", f"set branch = '{branch}/x'", graph="scratch", code=1)
    has(done.stderr, "3F000")
    done = server.psql("-v", "VERBOSITY=verbose", "-c", "create schema main", graph="scratch", code=1)
    has(done.stderr, "42P06")


@case("psql", gateway_only=True)
def rolls_back_without_a_trace_and_commits_once(server):
    slug = unique()
    count = "select count(*) from commits()"
    before = server.rows(count, graph="scratch")
    out = server.script(f"begin;\ninsert into company (slug, name) values ('{slug}', 'x');\nselect count(*) from company where slug = '{slug}';\n"
                        f"savepoint s;\ndelete from company where slug = '{slug}';\nselect count(*) from company where slug = '{slug}';\n"
                        f"rollback to s;\nselect count(*) from company where slug = '{slug}';\nrollback;\nselect count(*) from company where slug = '{slug}';\n")
    eq(out, [["1"], ["0"], ["1"], ["0"]])
    eq(server.rows(count, graph="scratch"), before, "commits after ROLLBACK")
    server.script(f"begin;\ninsert into company (slug, name) values ('{slug}', 'x');\n"
                  f"insert into works_at (src, dst) values ('ada', '{slug}');\nupdate company set name = 'y' where slug = '{slug}';\ncommit;\n")
    eq(int(server.rows(count, graph="scratch")[0][0]), int(before[0][0]) + 1, "commits after COMMIT")
    eq(server.rows("select inserted, updated, deleted from commits() limit 1", graph="scratch"), [["2", "0", "0"]])
    server.rows(f"delete from company where slug = '{slug}'", graph="scratch")
    # Several statements in one message are one implicit transaction, so one commit or none.
    before = server.rows(count, graph="scratch")
    server.psql("-c", f"insert into company (slug, name) values ('{slug}', 'x'); select 1/0", graph="scratch", code=1)
    eq(server.rows(count, graph="scratch"), before, "commits after a failed message")


@case("psql")
def points_at_errors_and_goes_on(server):
    done = server.psql("-At", "-v", "VERBOSITY=verbose", stdin="select nope from person;\nselec 1;\nselect * from nowhere;\nselect nofunction(1);\n"
                       "select slug from person where age = 'x';\nselect 1/0;\nselect 'still here';\n")
    eq(done.stdout, "still here\n")
    for code in ("42703", "42601", "42P01", "42883", "22P02", "22012"):
        has(done.stderr, code)
    matches(done.stderr, r'column "nope" does not exist\nLINE 1: select nope from person;\n +\^')
    matches(done.stderr, r"LINE 1: selec 1;\n +\^")
    matches(done.stderr, r'relation "nowhere" does not exist\nLINE 1: select \* from nowhere;\n {22}\^')
    matches(server.psql("-c", "select slug,\n  nope\nfrom person", code=1).stderr, r"LINE 2: +nope\n +\^")


@case("psql")
def refuses_what_breaks_a_constraint(server):
    slug = unique()
    done = server.psql("-At", "-v", "VERBOSITY=verbose", graph="scratch", stdin=f"""
insert into person (id, slug, name) values ('ada', 'ada', 'again');
insert into person (id, slug) values ('{slug}', '{slug}');
insert into knows (src, dst) values ('ada', 'nobody-{slug}');
insert into sample (id, slug, kind) values ('{slug}', '{slug}', 'delta');
insert into person (id, slug, name, age) values ('{slug}', '{slug}', 'x', 3000000000);
insert into person (id, slug, name, born) values ('{slug}', '{slug}', 'x', '2023-02-30');
begin;
insert into company (id, slug, name) values ('acme', 'acme', 'again');
select 1;
rollback;
select count(*) from person where slug = '{slug}';
""")
    for code in ("23505", "23502", "23503", "23514", "22003", "22008", "25P02"):
        has(done.stderr, code)
    has(done.stderr, "TABLE NAME:  person")
    has(done.stderr, "COLUMN NAME:  name")
    has(done.stderr, "CONSTRAINT NAME:  knows_dst_fkey")
    eq(done.stdout.splitlines()[-1], "0")


@case("psql", gateway_only=True)
def refuses_ranges_patterns_and_cardinalities(server):
    def refused(sql, code, word):
        done = server.psql("-v", "VERBOSITY=verbose", "-c", sql, graph="everything", code=1)
        has(done.stderr, code, sql)
        has(done.stderr, word, sql)
    refused("insert into everything (slug, small) values ('r', 1001)", "23514", "small")
    refused("insert into everything (slug, code) values ('r', 'abc-1')", "23514", "code")
    refused("insert into everything (slug, serial) values ('r', 's-1')", "23505", "serial")
    refused("insert into everything (slug, colour) values ('r', 'blue')", "23514", "colour")
    refused("insert into next (src, dst) values ('full', 'zero')", "23514", "next")
    refused("insert into everything (slug, huge) values ('r', 18446744073709551616)", "23514", "huge")
    refused("insert into everything (slug, natural) values ('r', -1)", "23514", "natural")
    refused("insert into everything (slug, huge) values ('r', 123456789012345678901)", "22003", "")
    refused("insert into everything (slug, point) values ('r', '[1,2]')", "22000", "")
    refused("update everything set slug = 'other' where slug = 'full'", "0A000", "")
    eq(server.rows("select count(*) from everything", graph="everything"), [["4"]])


@case("psql", gateway_only=True)
def shows_every_type_as_text(server):
    row = server.script("set timezone = 'UTC'; select flag, small, big, natural, huge, single, double, day, moment, bytes, colour, words, numbers, bigs, flags, doubles, point "
                        "from everything where slug = 'full';", graph="everything")[0]
    eq(row, ["t", "-10", "9223372036854775807", "4294967295", "18446744073709551615", "1.5", "0.1", "2024-02-29",
             "2024-02-29 12:34:56.789012+00", "\\x000102feff", "light-blue", '{a,"b,c","d\\"e","NULL",""}', "{1,-2,3}",
             "{9223372036854775807}", "{t,f}", "{1.5,-0.25}", "[1,-0.5,0.25]"])
    eq(server.rows("select count(*) from everything where slug = 'empty' and flag is null and words is null and point is null", graph="everything"), [["1"]])
    eq(server.script("select single, double, day from everything where slug = 'odd';", graph="everything"), [["Infinity", "NaN", "0001-01-01"]])


@case("psql")
def keeps_settings_of_a_session(server):
    eq(server.script("set statement_timeout = '5s'; show statement_timeout; set application_name = 'me'; show application_name; "
                     "begin; set local statement_timeout = 100; show statement_timeout; commit; show statement_timeout; reset statement_timeout; show statement_timeout; "
                     "select current_setting('application_name'); set timezone = 'Europe/Oslo'; select timestamptz '2024-07-01 00:00:00+00';", graph="knowledge"),
       [["5s"], ["me"], ["100ms"], ["5s"], ["0"], ["me"], ["2024-07-01 02:00:00+02"]])
    matches(server.rows("select version()")[0][0], "^PostgreSQL 1[5-9]")


@case("psql")
def stops_statements_that_take_too_long(server):
    done = server.psql("-At", "-v", "VERBOSITY=verbose", stdin="set statement_timeout = 200;\nselect count(*) from person a, person b, person c, person d, person e where a.age * b.age + c.age - d.age <> e.age;\nselect 'alive';\n")
    has(done.stderr, "57014")
    has(done.stdout, "alive")


@case("psql", gateway_only=True)
def walks_the_graph(server):
    for hops in (1, 2, 5):
        want = sorted([name, str(depth)] for name, depth in FACTS.reach("ada", hops).items())
        eq(sorted(server.rows(f"select id, depth from traverse('knows', start => 'ada', max_hops => {hops})")), want, f"{hops} hops")
    eq(server.rows("select start, id, lower(type), depth from traverse('knows', start => 'ada', max_hops => 1) order by id"),
       [["ada", "donald", "person", "1"], ["ada", "grace", "person", "1"]])
    incoming = sorted({a for a, b, _ in FACTS.knows if b == "ada"})
    eq([r[0] for r in server.rows("select id from traverse('knows', start => 'ada', direction => 'in') order by id")], incoming)
    eq(server.rows("select count(*) from traverse('knows', start => 'nobody', max_hops => 9)"), [["0"]])
    eq(server.rows("select depth from traverse('knows', start => 'ada', min_hops => 0) order by depth"), [["0"], ["1"], ["1"]])
    eq([r[0] for r in server.rows("select p.name from traverse(array['knows', 'works_at'], start => 'ada', max_hops => 1) t join company p on p.id = t.id")], ["Acme Corp"])
    eq(sorted(r[0] for r in server.rows("select id from neighbors('knows', node => 'ada')")), ["donald", "grace"])
    eq(server.rows("select count(distinct start) from traverse('knows', start => array(select id from person where age > 70), max_hops => 2)"), [["4"]])
    done = server.psql("-v", "VERBOSITY=verbose", "-c", "select * from traverse('no_such_edge', start => 'ada')", code=1)
    has(done.stderr, "22023")
    has(done.stderr, "no_such_edge")


@case("psql", gateway_only=True)
def verifies_the_certificate(server):
    full = f"host=localhost port={server.port} user={USER} dbname=knowledge sslmode=verify-full"
    done = server.psql(f"{full} sslrootcert={server.ca}", "-At", "-c", "select 1", graph=None)
    eq(done.stdout, "1\n")
    has(server.psql(f"{full} sslrootcert={server.ca}", "-c", "\\conninfo", graph=None).stdout, "TLSv1.3")
    has(server.psql(f"{full} sslrootcert={server.wrong_ca}", "-c", "select 1", graph=None, code=2).stderr, "certificate verify failed")
    done = server.psql(f"host=ip6-localhost hostaddr=127.0.0.1 port={server.port} user={USER} dbname=knowledge sslmode=verify-full sslrootcert={server.ca}",
                       "-c", "select 1", graph=None, code=2)
    has(done.stderr, "does not match host name")
    eq(server.psql("-At", "-c", "select 2", env={"PGSSLMODE": "disable"}).stdout, "2\n")


@case("psql")
def asks_for_the_password(server):
    wrong = server.psql("-c", "select 1", password="wrong", code=2).stderr
    has(wrong, "password authentication failed")
    unknown = server.psql("-c", "select 1", user="nobody", password="wrong", code=2).stderr
    eq(unknown.split("FATAL")[-1].replace("nobody", USER), wrong.split("FATAL")[-1], "what an unknown user is told")
    has(server.psql("-c", "select 1", graph="no_such_graph", code=2).stderr, 'database "no_such_graph" does not exist')


@case("psql", gateway_only=True)
def knows_its_actors_apart(server):
    from support import OTHER, OTHER_PASSWORD
    slug = unique()
    eq(server.rows("select current_user", user=OTHER, password=OTHER_PASSWORD), [[OTHER]])
    server.rows(f"insert into company (slug, name) values ('{slug}', 'x')", graph="scratch", user=OTHER, password=OTHER_PASSWORD)
    eq(server.rows("select actor from commits() limit 1", graph="scratch"), [[OTHER]])
    server.rows(f"delete from company where slug = '{slug}'", graph="scratch")


@case("psql", gateway_only=True)
def speaks_of_the_whole_company(server):
    eq(server.rows("select count(*) from person", graph="company"), [["24"]])
    eq(server.rows("select t.depth, p.id from traverse('builds_on', start => 'gauge-four', max_hops => 9) t join project p on p.id = t.id order by 1, 2", graph="company"),
       [["1", "gauge-three"], ["1", "long-sleep"], ["1", "second-voice"]])
    eq(server.rows("select t.depth, count(*) from traverse('reports_to', start => 'ragna', direction => 'in', max_hops => 9) t group by 1 order by 1", graph="company"),
       [["1", "6"], ["2", "14"], ["3", "3"]])
    eq(server.rows("""select id, progress from objective where team = 'towns' and quarter = '2026-Q1'""", graph="company"), [['["towns","2026-Q1"]', "0.3"]])
    eq(server.rows("select d.slug from decision d join took t on t.dst = d.id and t.stance = 'objected' where not d.reversible and d.status = 'accepted' group by d.slug order by d.slug", graph="company"),
       [["farmer-battery"], ["one-housing"], ["two-radios"]])


@case("psql")
def prints_fifty_thousand_rows(server):
    done = server.psql("-At", "-c", "select i, repeat('x', 100) from generate_series(1, 50000) as g(i)")
    lines = done.stdout.splitlines()
    eq((len(lines), lines[0], lines[-1]), (50000, "1|" + "x" * 100, "50000|" + "x" * 100))
