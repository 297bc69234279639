#!/usr/bin/env bash
# Runs schemathesis against functions/dev, which it starts on a free port with nothing in its database.
# SEED=… tries other requests than the usual ones; further arguments go to schemathesis.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=bin/schemathesis
if ! cmp -s tests/schema/requirements.txt "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/schema/requirements.txt
  cp tests/schema/requirements.txt "$venv/installed.txt"
fi
"$venv/bin/openapi-spec-validator" --schema 3.1 shared/httpapi/openapi.json

go build -o bin/dev ./functions/dev
data=$(mktemp -d)
chmod 755 "$data" # PostgreSQL, which runs as another user where we are root, has to reach it
PORT=0 DATA_DIR="$data" LOG_LEVEL=warn bin/dev >"$data/told" 2>"$data/log" &
dev=$!
trap 'kill "$dev" 2>/dev/null || true; wait "$dev" || true; rm -rf "$data"' EXIT

# It tells where it is when it is ready.
for _ in $(seq 600); do
  grep -q '^See its provider' "$data/told" && break
  kill -0 "$dev" 2>/dev/null || break
  sleep 0.2
done
api=$(awk '/base URL/ {print $3}' "$data/told")
if [[ -z $api ]]; then
  echo 'functions/dev did not get ready:' >&2
  cat "$data/log" >&2
  exit 1
fi

IDENTITY=$(printf '%s' '{"identity": {"org_id": "schema", "account_number": "1", "type": "User",
  "user": {"username": "admin", "email": "a@example.com"}},
  "entitlements": {"cost_management": {"is_entitled": true}}}' | base64 -w0)
export IDENTITY HYPOTHESIS_STORAGE_DIRECTORY=$venv/hypothesis
"$venv/bin/schemathesis" --config-file tests/schema/schemathesis.toml run "${api%/api/*}/openapi.json" \
  --seed "${SEED:-1}" "$@" || { status=$?; cat "$data/log" >&2; exit "$status"; }
