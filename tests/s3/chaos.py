#!/usr/bin/env python3
"""A failing way to an S3: a proxy that harms some requests, by a seed.

    tests/s3/chaos.py --upstream http://127.0.0.1:9000 --seed 7    # prints ENDPOINT=http://127.0.0.1:port

What it does to a request, with its share of those that write (of those that read: a tenth of it):

    lost      it is carried out, and the connection closed without an answer   5 %
    refused   503 SlowDown, not carried out                                     5 %
    failed    500 InternalError, although it is carried out                     2 %
    conflict  409 ConditionalRequestConflict, not carried out                   2 %
    dropped   the connection is closed, not carried out                         1 %

GET /chaos answers how many there were of each; GET /chaos?dark=SECONDS loses every answer about
entries of logs for so long: whoever is about to commit will not learn whether it did. The
proxy ends with whoever started it.
"""

import argparse
import collections
import http.client
import http.server
import json
import random
import sys
import threading
import time
import urllib.parse

SHARES = {"lost": 0.05, "refused": 0.05, "failed": 0.02, "conflict": 0.02, "dropped": 0.01}
# In the keys of what says that something was committed.
LOGS = "/_graph/branches/"
# Of the connection, not of the message.
HOPS = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class Weather:
    def __init__(self, seed):
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.counts, self.dark_until = collections.Counter(), 0.0

    def harm(self, writes, path):
        with self.lock:
            self.counts["requests"] += 1
            drawn = self.random.random() * (1 if writes else 10)
            dark = time.monotonic() < self.dark_until and LOGS in path
            kind = "lost" if dark else None
            for name, share in SHARES.items():
                if kind is None and drawn < share:
                    kind = name
                drawn -= share
            if kind:
                self.counts[kind] += 1
            return kind


class Way(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def serve(self):
        if self.path.startswith("/chaos"):
            return self.told()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.server.weather.harm(self.command in ("PUT", "POST", "DELETE"), self.path)
        if kind == "dropped":
            return self.cut()
        if kind in ("refused", "conflict"):
            return self.error(*{"refused": (503, "SlowDown"), "conflict": (409, "ConditionalRequestConflict")}[kind])
        status, headers, answer = self.carried_out(body)
        if kind == "lost":
            return self.cut()
        if kind == "failed":
            return self.error(500, "InternalError")
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOPS:
                self.send_header(name, value)
        # What HEAD tells is the length of what GET would send.
        told = dict((name.lower(), value) for name, value in headers).get("content-length", "0")
        self.send_header("Content-Length", told if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def carried_out(self, body):
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()

    def error(self, status, code):
        body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>chaos</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self):
        self.close_connection = True

    def told(self):
        weather = self.server.weather
        for name, value in urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query):
            if name == "dark":
                weather.dark_until = time.monotonic() + float(value)
        with weather.lock:
            body = json.dumps(weather.counts).encode()
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_arguments):
        """A client that went away is weather, too."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", 0), Way)
    server.upstream = urllib.parse.urlparse(arguments.upstream).netloc
    server.weather = Weather(arguments.seed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ENDPOINT=http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
