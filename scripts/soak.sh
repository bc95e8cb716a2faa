#!/usr/bin/env bash
# `make soak`: the tests whose outcome could depend on timing or chance, again and again
# with a new seed each time, until MINUTES are over or one of them fails.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:?BIN names the folder of the built programs}
MINUTES=${MINUTES:-30}
until_second=$((SECONDS + MINUTES * 60))
round=0
while [ "$SECONDS" -lt "$until_second" ]; do
  round=$((round + 1))
  export SEED=$((RANDOM * 32768 + RANDOM))
  echo "== round $round, SEED=$SEED =="
  SOAK=20 cargo test --profile quick --workspace -- tests::
  python3 tests/crash/run.py --bin "$BIN" --kills 60 --blob-mb 1024 --seed "$SEED"
  python3 tests/s3/run.py --bin "$BIN" --kills 20 --commits 10000 --seed "$SEED"
  python3 tests/clients/run.py --bin "$BIN"
done
echo "$round rounds in $MINUTES minutes, all passed"
