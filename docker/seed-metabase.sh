#!/bin/sh
# Sets up a new Metabase: a first user, and the company graph as its database. One that was set up
# already is left as it is.
set -eu
: "${METABASE_URL:?}" "${GATEWAY_HOST:?}" "${GATEWAY_TOKEN:?}"
properties=$(curl -fsS "$METABASE_URL/api/session/properties")
token=$(printf '%s' "$properties" | sed -n 's/.*"setup-token" *: *"\([^"]*\)".*/\1/p')
if [ -z "$token" ] || printf '%s' "$properties" | grep -q '"has-user-setup" *: *true'; then
  echo "Metabase was set up already"
  exit 0
fi
curl -fsS -o /dev/null -H 'content-type: application/json' "$METABASE_URL/api/setup" -d @- <<JSON
{
  "token": "$token",
  "user": {"email": "demo@example.com", "password": "Omnigraph-demo-1", "first_name": "Demo", "last_name": "User", "site_name": "Omnigraph"},
  "prefs": {"site_name": "Omnigraph", "allow_tracking": false},
  "database": {
    "engine": "postgres",
    "name": "Company graph",
    "details": {"host": "$GATEWAY_HOST", "port": 5432, "dbname": "company", "user": "metabase", "password": "$GATEWAY_TOKEN", "ssl": false}
  }
}
JSON
echo "Metabase shows the company graph now"
