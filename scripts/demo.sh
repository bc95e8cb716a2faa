#!/usr/bin/env bash
# `make demo`: makes ./demo with two graphs if it is not there yet, then serves it in
# the foreground until Ctrl-C.
#
# A graph is loaded in a folder of its own and moved into place when it is complete, so
# an interrupted first start leaves nothing half done: the next one begins again.
#
#   BIN    where omnigraph and omnigraph-server are      DATA   a full Debian graph (.jsonl, .gz or .xz)
#   PORT   first port to try (5432)                      DEMO   the folder to make (./demo)
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
BIN=${BIN:?BIN names the folder of the built programs}
DEMO=${DEMO:-$root/demo}
PORT=${PORT:-5432}
DATA=${DATA:-}
scratch=$DEMO/.building

die() { echo "demo: $*" >&2; exit 1; }

unpack() { # <file.xz>: its text on stdout
  command -v xz >/dev/null || die "$1 needs xz: apt-get install xz-utils, or unpack it yourself"
  xz -dc -- "$1"
}

build_graph() { # <name> <schema> <data>
  local name=$1 schema=$2 data=$3 place=$DEMO/graphs/$1.omni
  [ -d "$place" ] && return
  [ -r "$data" ] || die "cannot read $data"
  echo "Loading $name from ${data#"$root"/}" >&2
  rm -rf "$scratch"
  mkdir -p "$scratch" "$DEMO/graphs"
  local plain=$data
  # gzip is read as it is; xz only after unpacking.
  case $data in *.xz) plain=$scratch/$name.jsonl; unpack "$data" >"$plain" ;; esac
  "$BIN/omnigraph" init --schema "$schema" --as demo "$scratch/$name.omni" >/dev/null
  "$BIN/omnigraph" load --data "$plain" --mode overwrite --as demo "$scratch/$name.omni"
  printf '%s\n' "$data" >"$DEMO/$name.from"
  mv "$scratch/$name.omni" "$place"
  rm -rf "$scratch"
}

case $DATA in "" | /*) ;; *) DATA=$PWD/$DATA ;; esac
debian=${DATA:-$root/examples/debian/debian.jsonl.gz}
mkdir -p "$DEMO"
if [ -n "$DATA" ] && [ -d "$DEMO/graphs/debian.omni" ] && [ "$(cat "$DEMO/debian.from" 2>/dev/null)" != "$DATA" ]; then
  # What is there may hold somebody's changes: never replace it unasked.
  die "the demo's debian graph was loaded from $(cat "$DEMO/debian.from" 2>/dev/null || echo elsewhere).
To load $DATA instead, first remove it: rm -r ${DEMO#"$PWD"/}/graphs/debian.omni"
fi
build_graph debian "$root/examples/debian/debian.pg" "$debian"
build_graph company "$root/examples/company/company.pg" "$root/examples/company/company.jsonl"

busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

pipes=$(mktemp -d)
pid=
clean_up() {
  [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null
  rm -rf "$pipes"
}
trap clean_up EXIT

start() { # <port>: sets `pid` and `address`, or fails when the server ended first
  rm -f "$pipes/out"
  mkfifo "$pipes/out"
  # A process group of its own: Ctrl-C then reaches this script only, which passes on
  # exactly one signal, and the server has the time to let statements finish.
  set -m
  "$BIN/omnigraph-server" --store "$DEMO" --unauthenticated --bind "127.0.0.1:$1" >"$pipes/out" </dev/null &
  pid=$!
  set +m
  exec 4<"$pipes/out"
  address=
  local line
  while IFS= read -r line <&4; do
    case $line in OMNIGRAPH_LISTEN_ADDR=*) address=${line#*=}; return 0 ;; esac
  done
  pid_status=0
  wait "$pid" || pid_status=$?
  pid=
  return 1
}

started=
for port in $(seq "$PORT" $((PORT + 40))); do
  busy "$port" && { echo "Port $port is taken, trying the next." >&2; continue; }
  if start "$port"; then started=yes; break; fi
  # Somebody took the port between the look and the bind: only then is another worth a try.
  busy "$port" || die "the server ended with status $pid_status; its last words are above"
done
[ -n "$started" ] || die "no free port from $PORT to $((PORT + 40))"

host=${address%:*}
port=${address##*:}
no_psql=
command -v psql >/dev/null || no_psql=$'(psql is not installed here: apt-get install postgresql-client)\n\n'
cat <<END

Two graphs are being served: debian and company. In another terminal:

    psql -h $host -p $port -U demo debian

${no_psql}Five things worth pasting:

  -- 1. Everything that gnome needs, however indirectly, and how far away it is.
  SELECT depth, count(*) FROM traverse('depends_on', start => 'gnome', max_hops => 99)
  GROUP BY depth ORDER BY depth;

  -- 2. The packages that the most others depend on.
  SELECT p.id, p.summary, count(*) AS dependants
  FROM depends_on d JOIN package p ON p.id = d.dst
  GROUP BY p.id, p.summary ORDER BY dependants DESC LIMIT 10;

  -- 3. Who looks after what gnome stands on?
  SELECT m.name, count(*) AS packages
  FROM traverse('depends_on', start => 'gnome', max_hops => 99) t
  JOIN maintained_by b ON b.src = t.id JOIN maintainer m ON m.id = b.dst
  GROUP BY m.name ORDER BY packages DESC, m.name LIMIT 10;

  -- 4. A branch costs nothing: change something there, and main stays as it was.
  CREATE SCHEMA "review/1";
  SET branch = 'review/1';
  UPDATE package SET summary = 'The GNOME desktop, reviewed' WHERE name = 'gnome' RETURNING name, summary;
  SELECT r.summary AS review, m.summary AS main
  FROM "review/1".package r JOIN main.package m ON m.id = r.id WHERE r.name = 'gnome';
  SET branch TO DEFAULT;

  -- 5. Who changed what, and when.
  SELECT id, actor, created_at, kind, inserted, updated, deleted FROM commits() LIMIT 10;

Then try \\c company, \\dt, \\d decision. Ctrl-C stops the server; the graphs stay in ${DEMO#"$PWD"/}.

END

cat <&4 &
# The first signal lets running statements finish, a second one ends the server at once.
stop() { kill -TERM "$pid" 2>/dev/null || true; }
trap stop INT TERM
status=0
# A trapped signal ends `wait` early; the server is waited for until it is really gone.
while kill -0 "$pid" 2>/dev/null; do
  status=0
  wait "$pid" || status=$?
done
pid=
exit "$status"
