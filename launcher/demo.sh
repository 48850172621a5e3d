#!/usr/bin/env bash
# The demo: render rooms, prepare them, train on two CPU ranks under a real MLflow server, show what came of it.
# Called by `make demo` from the repository's root, after set-up and build. A second call starts it anew.
set -euo pipefail
cd "$(dirname "$0")/.."
limewash=build/release/launcher/limewash
work=build/demo
mkdir -p "$work" runs

say() { printf '\n== %s\n' "$*"; }

free_port() {
  .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A server of our own, on loopback only; it ends with this script.
server=""
stop_server() {
  if [ -n "$server" ]; then
    kill -TERM -- "-$server" 2>/dev/null || true
    for _ in $(seq 50); do kill -0 -- "-$server" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$server" 2>/dev/null || true
  fi
}
trap stop_server EXIT
trap 'exit 130' INT TERM

store="$PWD/runs/mlflow"
mkdir -p "$store"
port=$(free_port)
uri="http://127.0.0.1:$port"
serve=(.venv/bin/mlflow server --host 127.0.0.1 --port "$port" --workers 1
  --backend-store-uri "sqlite:///$store/mlflow.db" --artifacts-destination "$store/artifacts")
say "starting a tracking server at $uri"
MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 setsid "${serve[@]}" >"$store/server.log" 2>&1 &
server=$!

say "rendering rooms with exact masks"
"$limewash" synthesize --out "$work/rooms-train" --count 320 --size 128 --seed 1 --set synthesize.overwrite=true
"$limewash" synthesize --out "$work/rooms-validation" --count 32 --size 128 --seed 2 --set synthesize.overwrite=true

say "preparing shards"
rm -rf "$work/train" "$work/validation"
for part in train validation; do
  "$limewash" prepare --images "$work/rooms-$part/images" --masks "$work/rooms-$part/masks" --out "$work/$part" --size 128
done

for _ in $(seq 600); do
  curl -fs "$uri/health" >/dev/null 2>&1 && break
  kill -0 "$server" 2>/dev/null || { echo "the tracking server ended: see $store/server.log" >&2; exit 1; }
  sleep 0.1
done

say "training on two ranks; the dashboard is live at $uri"
MLFLOW_TRACKING_URI="$uri" "$limewash" launch --config configs/demo.yaml --overwrite

cat <<TEXT
dashboard start it again with
          .venv/bin/mlflow server --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///$store/mlflow.db \\
            --artifacts-destination $store/artifacts
          and open http://127.0.0.1:5000
TEXT
