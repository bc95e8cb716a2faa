"""What is no client at all: bytes that make no sense. Whoever sends them is turned away, and
everybody else is served as before."""

import os
import socket
import struct
import time

import psycopg

from support import Failed, case, eq, ok

STARTUP = struct.pack("!II", 8 + len(b"user\0compat\0database\0knowledge\0\0"), 196608) + b"user\0compat\0database\0knowledge\0\0"


def send(server, data, shutdown=True, seconds=15):
    """Sends `data` and reads until the server closes the connection."""
    with socket.create_connection((server.host, server.port), timeout=seconds) as connection:
        answer = b""
        try:
            connection.sendall(data)
            if shutdown:
                connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65536):
                answer += block
        except TimeoutError as error:
            raise Failed(f"still connected after {seconds} s: sent {data[:40]!r}, got {answer[:80]!r}") from error
        except OSError:
            # The server closed the connection before we had said everything: just as well.
            pass
        return answer


def still_serves(server):
    with psycopg.connect(**server.parameters()) as connection:
        eq(connection.execute("select age from person where slug = 'ada'").fetchone(), (36,))


@case("wire")
def turns_nonsense_away_and_serves_the_next_client(server):
    for data in (
        b"", b"\0", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(4096),
        struct.pack("!II", 8, 99 << 16), struct.pack("!II", 0, 196608), struct.pack("!II", 7, 196608),
        struct.pack("!II", 0x7FFFFFFF, 196608) + b"x" * 100, struct.pack("!II", 12000, 196608) + b"a" * 11992,
        struct.pack("!II", 12, 196608) + b"user", STARTUP[:-1] + b"x",
        struct.pack("!IIII", 16, 80877102, 12345, 67890),
    ):
        send(server, data)
        still_serves(server)


@case("wire")
def refuses_messages_before_the_password(server):
    query = b"Q" + struct.pack("!I", 4 + len(b"select 1\0")) + b"select 1\0"
    answer = send(server, STARTUP + query)
    ok(b"SFATAL" in answer or b"FATAL" in answer, f"no FATAL in {answer[:200]!r}")
    ok(b"T\0\0" not in answer and b"select 1" not in answer, "answered a query before the password")
    answer = send(server, STARTUP + b"p" + struct.pack("!I", 1 << 28) + b"x" * 64)
    ok(b"AuthenticationOk" not in answer, "let in")
    still_serves(server)


@case("wire")
def refuses_bytes_smuggled_before_tls(server):
    if server.external:
        return
    with socket.create_connection((server.host, server.port), timeout=15) as connection:
        connection.sendall(struct.pack("!II", 8, 80877103) + STARTUP)
        first = connection.recv(1)
        eq(first, b"S", "answer to SSLRequest")
        rest = b"x"
        try:
            while rest:
                rest = connection.recv(65536)
                ok(not rest.startswith(b"R"), "the smuggled startup message was answered")
        except (ConnectionResetError, TimeoutError):
            pass
    still_serves(server)


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case("wire", gateway_only=True)
def stops_the_statement_of_a_client_that_vanished(server):
    gone = psycopg.connect(**server.parameters(), autocommit=True)
    gone.pgconn.send_query(b"select count(*) from person a, person b, person c, person d, person e, person f where a.age * b.age + c.age - d.age + e.age <> f.age")
    before = processor_seconds(server.pid)
    time.sleep(1)
    ok(processor_seconds(server.pid) - before > 0.3, "the statement does not keep the server busy; the case shows nothing")
    gone.close()
    time.sleep(2)
    before = processor_seconds(server.pid)
    time.sleep(1)
    used = processor_seconds(server.pid) - before
    ok(used < 0.3, f"{used:.1f} s of processor time in a second, 2 s after the client went")
    still_serves(server)


@case("wire")
def long_expressions_cost_no_stack(server):
    with psycopg.connect(**server.parameters(), autocommit=True) as connection:
        eq(connection.execute("select 1" + "+1" * 400).fetchone(), (401,))
        for deep in ("select 1" + "+1" * 20_000, "select " + "(" * 100_000 + "1" + ")" * 100_000,
                     "select 1 where 1 = 0" + " or 1 = 0" * 20_000, " union all ".join(["select 1"] * 5_000)):
            try:
                connection.execute(deep)
                raise Failed(f"accepted {deep[:40]}…")
            except psycopg.errors.StatementTooComplex:
                pass
    still_serves(server)
