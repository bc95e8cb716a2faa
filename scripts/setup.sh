#!/usr/bin/env bash
# Installs what is missing, and nothing that is there. Safe to run again: when nothing
# is missing it only looks, in a few milliseconds.
#
#   scripts/setup.sh [build]    what a build needs: protoc, a C compiler (and cargo, which it only checks)
#   scripts/setup.sh tests      and what the client tests drive: psql, python, node, java, openssl
#   scripts/setup.sh bench      and the PostgreSQL that the benchmark compares with
#   scripts/setup.sh superset   what the test of Apache Superset drives: python and Chromium
set -euo pipefail

what=${1:-build}
root=$(cd "$(dirname "$0")/.." && pwd)
missing=()      # Debian packages
missing_names=() # what they are for, in words

have() { command -v "$1" >/dev/null 2>&1; }

# need <command> <Debian package> <what it is for>
need() {
  have "$1" && return
  missing+=("$2")
  missing_names+=("$3")
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else
    echo "setup: this needs root, and there is no sudo. As root, run:" >&2
    echo "    apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
}

install_missing() {
  [ ${#missing[@]} -eq 0 ] && return
  printf 'setup: missing: %s\n' "${missing_names[@]}" >&2
  if have apt-get; then
    # A machine that has never run `apt-get update` has no package lists at all. A list
    # that cannot be fetched is no failure yet: the install says whether it mattered.
    export DEBIAN_FRONTEND=noninteractive
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null >&2 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
      install --no-install-recommends "${missing[@]}" </dev/null >&2
  else
    local hint="with your package manager"
    if have brew; then hint="for example: brew install protobuf"
    elif have dnf; then hint="for example: sudo dnf install protobuf-compiler gcc"
    elif have pacman; then hint="for example: sudo pacman -S protobuf gcc"
    elif have apk; then hint="for example: sudo apk add protobuf-dev build-base"; fi
    echo "setup: please install these first ($hint), then run this again:" >&2
    printf '    %s\n' "${missing_names[@]}" >&2
    exit 1
  fi
}

if ! have cargo; then
  [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && {
    echo "setup: cargo is installed but not on PATH. Run:  . \"${CARGO_HOME:-$HOME/.cargo}/env\"" >&2
    exit 1
  }
  echo "setup: Rust is missing. Install it from https://rustup.rs, then run this again." >&2
  exit 1
fi

need protoc protobuf-compiler "protoc (compiles the file format's messages during the build)"
# Debian keeps the messages that every .proto may import in a package of its own.
if ! have protoc || ! protoc --descriptor_set_out=/dev/null google/protobuf/empty.proto 2>/dev/null; then
  missing+=(libprotobuf-dev); missing_names+=("protobuf's own .proto files")
fi
need cc build-essential "a C compiler and linker (for the compression libraries)"

if [ "$what" != build ]; then
  need python3 python3 "python3 (runs the client tests and the benchmark)"
  # Debian splits venv off; without ensurepip a virtual environment has no pip.
  if ! have python3 || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    missing+=(python3-venv); missing_names+=("python3-venv (keeps the test clients out of your system)")
  fi
fi
if [ "$what" = tests ] || [ "$what" = bench ]; then
  need psql postgresql-client "psql"
fi
if [ "$what" = tests ]; then
  need openssl openssl "openssl (makes the test's certificate authority)"
  need node nodejs "node"
  need npm npm "npm (installs the node client)"
  need strace strace "strace (shows what is synced before an answer)"
  need javac default-jdk-headless "a JDK (for the JDBC client)"
  [ -e /usr/share/java/postgresql.jar ] || {
    missing+=(libpostgresql-jdbc-java); missing_names+=("the PostgreSQL JDBC driver")
  }
fi
if [ "$what" = superset ]; then
  need chromium chromium "Chromium (draws Superset's charts)"
fi
if [ "$what" = bench ]; then
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! have initdb; then
    missing+=(postgresql-15); missing_names+=("PostgreSQL 15 (what the benchmark compares with)")
  fi
fi

install_missing

# Say it here, in words, rather than deep inside a dependency's build script.
if [ "$what" = build ] && ! (cd "$root" && cargo --version >/dev/null 2>&1); then
  echo "setup: cargo does not start in this folder; rust-toolchain.toml asks for $(sed -n 's/^channel = //p' "$root/rust-toolchain.toml")." >&2
  (cd "$root" && cargo --version) >&2 || true
  exit 1
fi
