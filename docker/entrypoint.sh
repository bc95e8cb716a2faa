#!/bin/sh
# Starts omnigraph-server in a container. Every setting of the server is a variable of its own
# (docs/reference/cli.md); this adds what a container takes for granted:
#
#   OMNIGRAPH_STORE          /data, unless a cluster or another store is named
#   OMNIGRAPH_BIND           0.0.0.0:5432
#   OMNIGRAPH_HTTP_BIND      0.0.0.0:8080
#   OMNIGRAPH_SERVER_BEARER_TOKENS_FILE
#                            /run/secrets/omnigraph_tokens, if it is there and nothing else says who may connect
#   OMNIGRAPH_CLUSTER_APPLY  true: what OMNIGRAPH_CLUSTER (a directory) declares is applied first, as OMNIGRAPH_ACTOR
#
# Arguments are the server's; a first argument that is no flag is a command to run instead.
set -eu

case ${1-} in
  '' | -*) ;;
  *) exec "$@" ;;
esac

die() {
  echo "entrypoint: $*" >&2
  exit 64
}

secret=/run/secrets/omnigraph_tokens
if [ -z "${OMNIGRAPH_CLUSTER-}${OMNIGRAPH_STORE-}${OMNIGRAPH_CONFIG-}" ]; then
  case " $* " in
    *' --store'* | *' --cluster'* | *' --config'*) ;;
    *) export OMNIGRAPH_STORE=/data ;;
  esac
fi
if [ -z "${OMNIGRAPH_SERVER_BEARER_TOKENS_FILE-}${OMNIGRAPH_SERVER_BEARER_TOKENS_JSON-}${OMNIGRAPH_SERVER_BEARER_TOKEN-}${OMNIGRAPH_UNAUTHENTICATED-}" ] && [ -r "$secret" ]; then
  export OMNIGRAPH_SERVER_BEARER_TOKENS_FILE="$secret"
fi
export OMNIGRAPH_BIND="${OMNIGRAPH_BIND:-0.0.0.0:5432}"
export OMNIGRAPH_HTTP_BIND="${OMNIGRAPH_HTTP_BIND:-0.0.0.0:8080}"

case ${OMNIGRAPH_CLUSTER_APPLY:-false} in
  true | 1 | yes)
    [ -n "${OMNIGRAPH_CLUSTER-}" ] || die "OMNIGRAPH_CLUSTER_APPLY needs OMNIGRAPH_CLUSTER, the directory of cluster.yaml"
    [ -r "$OMNIGRAPH_CLUSTER/cluster.yaml" ] || die "$OMNIGRAPH_CLUSTER/cluster.yaml cannot be read"
    # The first time there is no ledger yet; another container may be making it just now.
    omnigraph cluster status --config "$OMNIGRAPH_CLUSTER" >/dev/null 2>&1 ||
      omnigraph cluster import --config "$OMNIGRAPH_CLUSTER" ||
      omnigraph cluster status --config "$OMNIGRAPH_CLUSTER" >/dev/null
    omnigraph cluster apply --config "$OMNIGRAPH_CLUSTER"
    ;;
  false | 0 | no) ;;
  *) die "OMNIGRAPH_CLUSTER_APPLY is true or false, not $OMNIGRAPH_CLUSTER_APPLY" ;;
esac

# The server is process 1 from here on: it hears SIGTERM and SIGHUP itself.
exec omnigraph-server "$@"
