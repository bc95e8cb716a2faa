#!/usr/bin/env bash
# Puts what is installed on a machine, or copied into the image, into a folder as it lies below /.
#
#   scripts/package.sh --bin DIR --out DIR
#
#   --bin   where omnigraph and omnigraph-server were built
#   --out   the folder to fill; it is made
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=
out=
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=${2:?--bin DIR}; shift 2 ;;
    --out) out=${2:?--out DIR}; shift 2 ;;
    *) echo "package: unknown argument $1" >&2; exit 2 ;;
  esac
done
if [ -z "$bin" ] || [ -z "$out" ]; then
  echo "usage: scripts/package.sh --bin DIR --out DIR" >&2
  exit 2
fi

for program in omnigraph omnigraph-server; do
  install -D -m 755 "$bin/$program" "$out/usr/local/bin/$program"
  # Symbols are for whoever works on the code.
  if command -v strip >/dev/null; then strip "$out/usr/local/bin/$program"; fi
done
install -D -m 755 "$root/docker/entrypoint.sh" "$out/usr/local/bin/omnigraph-entrypoint"
install -D -m 644 "$root/packaging/omnigraph-server.service" "$out/usr/lib/systemd/system/omnigraph-server.service"
for page in LICENSE README.md; do
  install -D -m 644 "$root/$page" "$out/usr/share/doc/omnigraph/$page"
done
(cd "$root/docs" && find . -name '*.md' -exec install -D -m 644 '{}' "$out/usr/share/doc/omnigraph/docs/{}" ';')
