# The gateway in an image of its own: built with the same profile as everything else.
#
#   docker build -t omnigraph .
#   docker run -p 127.0.0.1:5432:5432 -v "$PWD/demo:/store" -v "$PWD/credentials.json:/run/credentials.json:ro" \
#       omnigraph --store /store --bind 0.0.0.0:5432 --credentials /run/credentials.json

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends protobuf-compiler mold && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ENV CARGO_TARGET_DIR=/target RUSTFLAGS="-C link-arg=-fuse-ld=mold"
RUN --mount=type=cache,target=/target --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --profile quick --locked --workspace --bins \
    && install -D -t /out /target/quick/omnigraph /target/quick/omnigraph-server

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home omnigraph
COPY --from=build /out/ /usr/local/bin/
USER omnigraph
EXPOSE 5432
# SIGTERM lets running statements finish; the stop timeout of the container has to be longer than --drain.
STOPSIGNAL SIGTERM
ENTRYPOINT ["omnigraph-server"]
CMD ["--help"]
