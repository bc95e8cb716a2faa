"""SQLAlchemy: what its reflection finds, and Core on what was reflected."""

import sqlalchemy as sa

from support import BRANCH, TABLES, Fixture, case, eq, fails, ok, unique

FACTS = Fixture()


def engine(server, graph="knowledge", **more):
    url = sa.URL.create("postgresql+psycopg", server.user, server.password, server.host, server.port, graph)
    return sa.create_engine(url, poolclass=sa.NullPool, **more)


@case("sqlalchemy")
def connects_and_knows_the_default_schema(server):
    with engine(server).connect() as connection:
        eq(connection.dialect.default_schema_name, "main")
        ok(connection.dialect.server_version_info >= (15,), connection.dialect.server_version_info)
        eq(connection.scalar(sa.text("select count(*) from person")), len(FACTS.person))
    inspector = sa.inspect(engine(server))
    eq(sorted(name for name in inspector.get_schema_names() if name not in ("information_schema", "omnigraph", "pg_catalog")), ["main", BRANCH])
    eq(sorted(inspector.get_table_names()), TABLES)
    eq(sorted(inspector.get_table_names(schema=BRANCH)), TABLES)
    eq(inspector.get_view_names(), [])


@case("sqlalchemy")
def reflects_columns(server):
    columns = {column["name"]: column for column in sa.inspect(engine(server)).get_columns("person")}
    kinds = {name: str(column["type"]) for name, column in columns.items()}
    eq(kinds, {"id": "TEXT", "slug": "TEXT", "name": "TEXT", "age": "INTEGER", "score": "DOUBLE PRECISION", "active": "BOOLEAN",
               "born": "DATE", "created_at": "TIMESTAMP", "tags": kinds.get("tags")})
    ok(isinstance(columns["tags"]["type"], sa.ARRAY) and isinstance(columns["tags"]["type"].item_type, sa.TEXT), kinds["tags"])
    eq(columns["created_at"]["type"].timezone, True)
    eq([name for name, column in columns.items() if not column["nullable"]], ["id", "slug", "name"])


@case("sqlalchemy")
def reflects_keys(server):
    inspector = sa.inspect(engine(server))
    for table in TABLES:
        eq(inspector.get_pk_constraint(table)["constrained_columns"], ["id"], table)
    keys = {key["constrained_columns"][0]: key for key in inspector.get_foreign_keys("works_at")}
    eq({column: (key["referred_table"], key["referred_columns"], key["referred_schema"], key["options"].get("ondelete")) for column, key in keys.items()},
       {"src": ("person", ["id"], None, "CASCADE"), "dst": ("company", ["id"], None, "CASCADE")})
    eq({key["referred_schema"] for key in inspector.get_foreign_keys("knows", schema=BRANCH)}, {BRANCH})
    eq([constraint["column_names"] for constraint in inspector.get_unique_constraints("person")], [["slug"]])
    indexes = inspector.get_indexes("person")
    ok(any(index["column_names"] == ["slug"] and index["unique"] for index in indexes), indexes)
    eq(len(inspector.get_check_constraints("sample")), 1)
    eq(inspector.get_check_constraints("company"), [])
    eq(sorted(key[1] for key in inspector.get_multi_columns()), TABLES)
    eq(len(inspector.get_multi_foreign_keys()[(None, "knows")]), 2)


@case("sqlalchemy", gateway_only=True)
def reflects_checks_uniques_and_comments(server):
    inspector = sa.inspect(engine(server, "everything"))
    eq(inspector.get_table_comment("everything")["text"], "A row with a column of each type")
    comments = {column["name"]: column["comment"] for column in inspector.get_columns("everything")}
    eq(comments["small"], "Thirty-two bits, signed")
    checks = " ".join(check["sqltext"] for check in inspector.get_check_constraints("everything"))
    for word in ("small", "1000", "light-blue", "[A-Z]{3}-[0-9]+"):
        ok(word in checks, f"{word} is not in {checks}")
    eq(sorted(constraint["column_names"] for constraint in inspector.get_unique_constraints("everything")), [["serial"], ["slug"]])
    ok(any(index["column_names"] == ["day"] and not index["unique"] for index in inspector.get_indexes("everything")), "no index on day")
    kinds = {column["name"]: str(column["type"]) for column in inspector.get_columns("everything") if column["name"] != "point"}
    eq({name: kinds[name] for name in ("natural", "huge", "single", "bytes", "moment")},
       {"natural": "BIGINT", "huge": "NUMERIC(20, 0)", "single": "REAL", "bytes": "BYTEA", "moment": "TIMESTAMP"})


@case("sqlalchemy")
def reflects_the_whole_schema_and_queries_it(server):
    one = engine(server)
    metadata = sa.MetaData()
    metadata.reflect(one)
    eq(sorted(metadata.tables), TABLES)
    person, works_at, company, knows = (metadata.tables[name] for name in ("person", "works_at", "company", "knows"))
    with one.connect() as connection:
        query = (sa.select(company.c.slug, sa.func.count()).join(works_at, works_at.c.dst == company.c.id)
                 .group_by(company.c.slug).having(sa.func.count() > 3).order_by(company.c.slug))
        staff = {}
        for _, name, _ in FACTS.works_at:
            staff[name] = staff.get(name, 0) + 1
        eq([tuple(row) for row in connection.execute(query)], sorted((name, n) for name, n in staff.items() if n > 3))
        a, b = person.alias(), person.alias()
        query = sa.select(b.c.slug).join(knows, knows.c.dst == b.c.id).join(a, knows.c.src == a.c.id).where(a.c.slug == "ada").order_by(b.c.slug)
        eq(connection.scalars(query).all(), ["donald", "grace"])
        eq(connection.scalar(sa.select(sa.func.count()).where(person.c.age.in_([36, 34]), person.c.active.is_(True), person.c.name.ilike("a%"))), 2)
        eq(len(connection.execute(sa.select(person).order_by(person.c.age.desc().nulls_last(), person.c.slug).limit(5).offset(3)).all()), 5)
        walk = sa.select(knows.c.src, knows.c.dst, sa.literal(1).label("depth")).where(knows.c.src == "ada").cte("walk", recursive=True)
        walk = walk.union_all(sa.select(walk.c.src, knows.c.dst, walk.c.depth + 1).join(knows, knows.c.src == walk.c.dst).where(walk.c.depth < 3))
        eq({row for row in connection.scalars(sa.select(walk.c.dst).distinct())} - {"ada"}, set(FACTS.reach("ada", 3)))


@case("sqlalchemy")
def inserts_updates_and_deletes(server):
    one = engine(server, "scratch")
    table = sa.Table("person", sa.MetaData(), autoload_with=one)
    slug = unique()
    with one.connect() as connection:
        row = connection.execute(table.insert().values(id=slug, slug=slug, name="x", age=1, tags=["a"]).returning(table.c.id, table.c.age)).one()
        eq(tuple(row), (slug, 1))
        eq(connection.execute(table.update().where(table.c.slug == slug).values(age=table.c.age + 1)).rowcount, 1)
        eq(tuple(connection.execute(sa.select(table.c.age, table.c.tags).where(table.c.slug == slug)).one()), (2, ["a"]))
        fails(lambda: connection.execute(table.insert().values(id="ada", slug="ada", name="again")), "23505", sa.exc.IntegrityError)
        connection.rollback()
        eq(connection.scalar(sa.select(sa.func.count()).where(table.c.slug == slug)), 0)
    company = sa.Table("company", sa.MetaData(), autoload_with=one)
    with one.connect() as connection:
        names = connection.scalars(company.insert().returning(company.c.slug, sort_by_parameter_order=True),
                                   [{"id": f"{slug}{i:03}", "slug": f"{slug}{i:03}", "name": str(i)} for i in range(150)]).all()
        eq(names, [f"{slug}{i:03}" for i in range(150)])
        connection.rollback()


@case("sqlalchemy")
def reads_a_branch_by_schema_translation(server):
    person = sa.Table("person", sa.MetaData(), sa.Column("slug", sa.Text), sa.Column("age", sa.Integer))
    with engine(server).connect().execution_options(schema_translate_map={None: BRANCH}) as connection:
        eq(connection.scalar(sa.select(person.c.age).where(person.c.slug == "ada")), 99)
