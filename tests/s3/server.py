#!/usr/bin/env python3
"""An S3 for tests, in memory, on loopback: moto's server with its conditional writes made
atomic.

As it comes, moto looks whether an object exists and then stores it without a lock between,
so that two creators of one object can both win. A commit log on such a store would lose
commits; here everything that changes a bucket runs under one lock.

    tests/s3/server.py --bucket graphs       # prints ENDPOINT=http://127.0.0.1:port when it serves
    tests/s3/server.py --no-lock --switch 1e-6   # moto as it comes, to show the race
    tests/s3/server.py --overwrites          # as a store without conditional writes
"""

import argparse
import functools
import sys
import threading

# Every handler of moto 5.2.5 that writes. One that is missing means another version, whose
# handlers nobody has looked at.
WRITERS = ("put_object", "copy_object", "upload_part", "upload_part_copy", "_key_response_put", "_key_response_post", "_key_response_delete", "_bucket_response_post", "_bucket_response_delete_keys")


def serialize():
    from moto.s3 import responses

    lock = threading.RLock()

    def locked(handler):
        @functools.wraps(handler)
        def guarded(*arguments, **more):
            with lock:
                return handler(*arguments, **more)

        return guarded

    missing = [name for name in WRITERS if not hasattr(responses.S3Response, name)]
    if missing:
        sys.exit(f"this version of moto has no {', '.join(missing)}: look at its handlers again")
    for name in WRITERS:
        setattr(responses.S3Response, name, locked(getattr(responses.S3Response, name)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to make; may be given again")
    parser.add_argument("--switch", type=float, help="seconds between switches of threads, to make races likelier")
    parser.add_argument("--no-lock", action="store_true")
    parser.add_argument("--overwrites", action="store_true", help="writes that must not overwrite do: If-None-Match is ignored, as by an old S3")
    arguments = parser.parse_args()

    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    if not arguments.no_lock:
        serialize()
    if arguments.switch:
        sys.setswitchinterval(arguments.switch)

    class Quiet(WSGIRequestHandler):
        # Connections are kept open, as a real S3 keeps them.
        protocol_version = "HTTP/1.1"

        def log_request(self, *_arguments, **_more):
            pass

    application = DomainDispatcherApplication(create_backend_app)

    def unconditional(environ, start_response):
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return application(environ, start_response)

    served = unconditional if arguments.overwrites else application
    server = make_server("127.0.0.1", arguments.port, served, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    for bucket in arguments.bucket:
        client.create_bucket(Bucket=bucket)
    print(f"ENDPOINT={endpoint}", flush=True)
    # It ends with whoever started it: a closed standard input says so.
    sys.stdin.read()


if __name__ == "__main__":
    main()
