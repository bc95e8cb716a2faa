# The verbs of this project; continuous integration calls nothing else.
#
#   make demo     two example graphs behind a server that psql can talk to  (DATA= PORT=)
#   make test     everything; parts by name: unit sql cost faults crash s3 clients
#   make check    formatting, lints, documentation, licences
#   make bench    the standing benchmark against PostgreSQL                 (DATA= BENCH=)
#   make bench-graph  graph questions beside other engines        (DATA= BENCH=)
#   make superset Apache Superset in a headless browser                     (ARGS=)
#   make bench-search  vectors and texts beside other engines     (DATA= BENCH=)
#   make soak     the crash and client tests over and over                  (MINUTES=)
#   make run      a server on STORE                                         (STORE= ARGS=)
#   make docs     regenerate what is generated, then build the API pages
#   make setup    install what a build needs and this machine lacks
#
# Build output goes to a folder outside the clone, so that clones share it and a fresh
# clone starts warm; set CARGO_TARGET_DIR to put it elsewhere.

SHELL := /bin/bash
.DELETE_ON_ERROR:

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/omnigraph
export CARGO_TARGET_DIR ?= $(CACHE)/target
export OMNIGRAPH_CACHE ?= $(CACHE)

# mold links the server in a second or two. It is used where it is installed and never
# installed for you: linker flags are part of what cargo compares, so the choice has to
# be the same from one build to the next on one machine.
ifndef RUSTFLAGS
ifneq ($(shell command -v mold 2>/dev/null),)
export RUSTFLAGS := -C link-arg=-fuse-ld=mold
endif
endif

PROFILE := --profile quick
BIN     := $(CARGO_TARGET_DIR)/quick
DATA    ?=
PORT    ?= 5432
STORE   ?= demo
ARGS    ?=
BENCH   ?=
MINUTES ?= 30
CONTRACT = cargo test $(PROFILE) --workspace --lib tests::contract::

# Dependencies are compiled once, the same for all. Our own crates are optimized in what is run
# and measured; for development and tests they are not, and compile in a third of the time.
UNOPTIMIZED := build test unit sql cost faults crash s3 clients operate superset check docs soak
$(UNOPTIMIZED): export CARGO_PROFILE_QUICK_OPT_LEVEL := 0

.PHONY: help demo build optimized setup test unit sql cost faults crash s3 clients operate superset check bench bench-graph bench-search soak docs run

help:
	@sed -n '3,13s/^# \{0,1\}//p' Makefile

setup:
	@scripts/setup.sh build

# Always the whole workspace: what is selected decides which features dependencies get, and
# another selection would compile some of them a second time.
build optimized: setup
	cargo build $(PROFILE) --workspace --bins

demo: optimized
	@BIN="$(BIN)" DATA="$(DATA)" PORT="$(PORT)" scripts/demo.sh

run: optimized
	"$(BIN)/omnigraph-server" --store "$(STORE)" --unauthenticated $(ARGS)

test: build
	scripts/setup.sh tests
	cargo test $(PROFILE) --workspace
	python3 tests/clients/run.py --bin "$(BIN)"
	python3 tests/crash/run.py --bin "$(BIN)"
	python3 tests/s3/run.py --bin "$(BIN)" -- $(CONTRACT)
	python3 tests/operate/run.py --bin "$(BIN)"

unit: setup
	cargo test $(PROFILE) --workspace --lib

# Through the wire, in one process with the server.
sql: setup
	cargo test $(PROFILE) --workspace --test all $(ARGS)

# Requests to the store that operations may cost, and stores that fail at every point.
cost: setup
	cargo test $(PROFILE) --workspace --lib tests::costs

faults: setup
	cargo test $(PROFILE) --workspace --lib tests::faults

crash: build
	scripts/setup.sh tests
	python3 tests/crash/run.py --bin "$(BIN)" $(ARGS)

# The store's contract over a test S3, and the programs with their graphs in its bucket.
s3: build
	scripts/setup.sh tests
	python3 tests/s3/run.py --bin "$(BIN)" $(ARGS) -- $(CONTRACT)

# The entrypoint, the package, health, metrics, the audit log and the doctor, with the built programs.
operate: build
	scripts/setup.sh tests
	python3 tests/operate/run.py --bin "$(BIN)" $(ARGS)

clients: build
	scripts/setup.sh tests
	python3 tests/clients/run.py --bin "$(BIN)" $(ARGS)

# Apache Superset, synced and charting in a headless browser. Installs about a gigabyte.
superset: build
	scripts/setup.sh superset
	python3 tests/superset/run.py --bin "$(BIN)" $(ARGS)

check: setup
	cargo fmt --all --check
	cargo clippy $(PROFILE) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(PROFILE) --workspace --no-deps --document-private-items
	scripts/check_docs.py
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and bans were not checked"; fi

bench: optimized
	scripts/setup.sh bench
	python3 tests/bench/bench.py --bin "$(BIN)" $(if $(DATA),--data "$(DATA)") $(BENCH)

# Graph questions beside PostgreSQL, DuckDB and Ladybug.
bench-graph: optimized
	scripts/setup.sh bench
	python3 tests/bench/graph.py --bin "$(BIN)" $(if $(DATA),--data "$(DATA)") $(BENCH)

# Vectors and texts beside pgvector, PostgreSQL, tantivy and LanceDB.
bench-search: optimized
	scripts/setup.sh bench
	python3 tests/bench/search.py --bin "$(BIN)" $(if $(DATA),--data "$(DATA)") $(BENCH)

soak: build
	scripts/setup.sh tests
	BIN="$(BIN)" MINUTES="$(MINUTES)" scripts/soak.sh

docs: build
	scripts/make_cli_reference.py --bin "$(BIN)"
	"$(BIN)/omnigraph" lint --codes > docs/reference/lint.md
	scripts/check_docs.py
	cargo doc $(PROFILE) --workspace --no-deps --document-private-items
