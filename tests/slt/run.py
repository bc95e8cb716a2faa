#!/usr/bin/env python3
"""Compares the server with PostgreSQL 15 on the queries of DataFusion's own test files.

    run.py --postgres postgresql://user@127.0.0.1:5432/postgres --url postgresql://user:password@host:port/graph
    run.py … --keep queries.jsonl          # writes what was sieved, with PostgreSQL's answers
    run.py … --different different.txt     # writes the queries that are answered otherwise
    run.py … --only 'substr%'              # files by name

The files are those of the crate datafusion-sqllogictest, which cargo fetches (as source; nothing
is built). A query is kept when PostgreSQL answers it on an empty database, the same twice. It
is then asked of the server by the simple protocol (text) and by the extended one (binary): names,
types and values of all columns have to be PostgreSQL's, byte for byte; rows in any order
where no ORDER BY stands at the end. Needs psycopg 3 (tests/clients installs it)."""

import argparse
import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import tempfile

CRATE, VERSION = "datafusion-sqllogictest", "54.1.0"
# Words by which a query asks for what no two servers say alike.
UNSTABLE = re.compile(r"\b(version|random|now|current_\w+|gen_random_uuid|uuid|pg_backend_pid|explain|show)\b", re.I)

# Answers of many kilobytes say no more than short ones.
LONGEST_ANSWER = 2000


def crate() -> pathlib.Path:
    def found():
        sources = pathlib.Path.home() / ".cargo" / "registry" / "src"
        return next(sources.glob(f"*/{CRATE}-{VERSION}"), None)

    if found() is None:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "src").mkdir()
            (root / "src" / "lib.rs").write_text("")
            (root / "Cargo.toml").write_text(
                f'[package]\nname = "sieve"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n{CRATE} = {{ version = "={VERSION}", default-features = false }}\n'
            )
            subprocess.run(["cargo", "fetch", "--quiet"], cwd=root, check=True)
    folder = found()
    if folder is None:
        sys.exit(f"cargo did not fetch {CRATE} {VERSION}")
    return folder


def queries(text: str):
    """The SQL of each `query` record."""
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("query "):
            continue
        sql = []
        for line in lines:
            if line.startswith("----") or not line.strip():
                break
            sql.append(line)
        yield "\n".join(sql).strip().rstrip(";")


class Server:
    def __init__(self, url: str):
        import psycopg

        self.psycopg, self.url = psycopg, url
        self.connect()

    def connect(self):
        self.connection = self.psycopg.connect(self.url, autocommit=True)
        self.connection.execute("SET statement_timeout = '10s'")
        self.connection.execute("SET timezone = 'UTC'")

    def ask(self, sql: str, binary: bool):
        """Columns and rows, or the SQLSTATE. A connection that was lost is an answer, too."""
        try:
            pg, sent = self.connection.pgconn, sql.encode()
            result = pg.exec_params(sent, [], result_format=1) if binary else pg.exec_(sent)
        except self.psycopg.OperationalError:
            self.connect()
            return "connection lost"
        if result.status != self.psycopg.pq.ExecStatus.TUPLES_OK:
            if self.connection.pgconn.status != self.psycopg.pq.ConnStatus.OK:
                self.connect()
                return "connection lost"
            state = result.error_field(self.psycopg.pq.DiagnosticField.SQLSTATE)
            return (state or b"?????").decode()
        columns = [((result.fname(i) or b"").decode(), result.ftype(i)) for i in range(result.nfields)]
        rows = [tuple(result.get_value(row, i) for i in range(result.nfields)) for row in range(result.ntuples)]
        return columns, rows


def in_order(sql: str) -> bool:
    return bool(re.search(r"\border\s+by\b[^()]*$", sql, re.I))


def same(sql: str, one, other) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    key = lambda row: [(value is None, value or b"") for value in row]
    rows = [answer[1] if in_order(sql) else sorted(answer[1], key=key) for answer in (one, other)]
    return one[0] == other[0] and rows[0] == rows[1]


def shown(answer) -> str:
    if isinstance(answer, str):
        return answer
    rows = [[None if value is None else value.decode("utf8", "backslashreplace") for value in row] for row in answer[1][:5]]
    return f"{answer[0]} {rows}"


def plain(sql: str, answer) -> list[str]:
    """The rows as the Rust test writes them; sorted where their order says nothing."""
    rows = ["|".join("NULL" if value is None else value.decode() for value in row) for row in answer[1]]
    return rows if in_order(sql) else sorted(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--url")
    parser.add_argument("--only", default="*")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--different", type=pathlib.Path, help="where to write the queries that differ, one a line")
    parser.add_argument("--differences", type=pathlib.Path, help="where to write how they differ")
    arguments = parser.parse_args()
    postgres = Server(arguments.postgres)
    server = Server(arguments.url) if arguments.url else None
    kept, seen, equal, different, differences = [], set(), 0, [], []
    folder = crate() / "test_files"
    for path in sorted(folder.rglob("*.slt*")):
        if not fnmatch.fnmatch(path.name, arguments.only):
            continue
        for sql in queries(path.read_text(encoding="utf8")):
            if sql in seen or UNSTABLE.search(sql) or re.match(r"(insert|create|drop|set|copy|delete|update)\b", sql, re.I):
                continue
            seen.add(sql)
            expected = postgres.ask(sql, False)
            if isinstance(expected, str) or not same(sql, expected, postgres.ask(sql, False)):
                continue
            if sum(len(value or b"") for row in expected[1] for value in row) > LONGEST_ANSWER:
                continue
            kept.append({"file": path.name, "sql": sql, "ordered": in_order(sql), "rows": plain(sql, expected)})
            if server is None:
                continue
            for protocol, binary in (("simple", False), ("extended", True)):
                wanted = postgres.ask(sql, binary)
                told = server.ask(sql, binary)
                if not same(sql, wanted, told):
                    different.append(json.dumps(sql, ensure_ascii=False))
                    differences.append(f"{path.name} ({protocol}): {sql}\n  expected {shown(wanted)}\n  told     {shown(told)}\n")
                    break
            else:
                equal += 1
    if arguments.keep:
        arguments.keep.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in kept), encoding="utf8")
    if arguments.different:
        arguments.different.write_text("".join(line + "\n" for line in different), encoding="utf8")
    if arguments.differences:
        arguments.differences.write_text("\n".join(differences), encoding="utf8")
    print(f"{len(kept)} queries that PostgreSQL answers")
    if server:
        share = 100 * equal / max(len(kept), 1)
        print(f"{equal} equal by both protocols ({share:.1f} %), {len(differences)} different")
        return 0 if share >= 90 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
