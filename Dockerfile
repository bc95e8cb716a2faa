# The server and the tool in an image of their own, built with the same profile as everything else.
#
#   docker build -t omnigraph .
#   docker run -p 127.0.0.1:5432:5432 -v omnigraph:/data -v "$PWD/credentials.json:/run/secrets/omnigraph_tokens:ro" omnigraph
#
# docs/operate/containers.md has the variables, docker/entrypoint.sh what they are by default.

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends protobuf-compiler mold && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ENV CARGO_TARGET_DIR=/target RUSTFLAGS="-C link-arg=-fuse-ld=mold"
RUN --mount=type=cache,target=/target --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --profile quick --locked --workspace --bins \
    && scripts/package.sh --bin /target/quick --out /out

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home omnigraph \
    && install -d -o omnigraph -g omnigraph /data
COPY --from=build /out/ /
USER omnigraph
VOLUME /data
EXPOSE 5432 8080
# SIGTERM lets running statements finish; the stop timeout of the container has to be longer than --drain.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/usr/local/bin/omnigraph-entrypoint"]
