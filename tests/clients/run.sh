#!/usr/bin/env bash
# Clients that nobody here wrote, against the simulated gateway: each in its own virtual environment
# (kept in the target folder), each on a gateway of its own with empty books.
# Usage: tests/clients/run.sh [path to the optionsib binary]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
binary=${1:-$target/release/optionsib}
folder=$target/clients
export PYTHONDONTWRITEBYTECODE=1

# Test dependencies under their own licences; nothing of them is copied into this tree.
environment() {
    local name=$1 stamp
    shift
    stamp="$folder/$name/$(echo "$*" | tr ' /' '__').installed"
    if [[ ! -e $stamp ]]; then
        rm -rf "${folder:?}/$name"
        python3 -m venv "$folder/$name"
        "$folder/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
        touch "$stamp"
    fi
}

environment ib_async ib_async==2.1.0
environment ibapi ibapi-latest==10.51.1
environment nautilus nautilus-ibapi==10.46.1 protobuf==7.36.2

gateway=
stop_gateway() {
    if [[ -n $gateway ]]; then
        kill "$gateway" 2>/dev/null || true
        wait "$gateway" || { echo "the gateway did not end cleanly" >&2; exit 1; }
        gateway=
    fi
}
trap stop_gateway EXIT

with_client() {
    local name=$1 python=$2 books=$folder/books-$1 port
    shift 2
    echo "$name"
    rm -rf "$books"
    mkdir -p "$books"
    "$binary" --json gateway --port 0 --state "$books/state" >"$books/started" 2>"$books/log" &
    gateway=$!
    for _ in $(seq 300); do
        [[ -s $books/started ]] && break
        kill -0 "$gateway" 2>/dev/null || { cat "$books/log" >&2; exit 1; }
        sleep 0.1
    done
    port=$(python3 -c \
        "import json, sys; print(json.load(open(sys.argv[1]))['listening'].split(':')[1])" \
        "$books/started")
    if ! timeout 300 "$folder/$python/bin/python" "$@" --port "$port"; then
        echo "$name FAILED; the gateway's log is $books/log" >&2
        tail -5 "$books/log" >&2
        exit 1
    fi
    stop_gateway
}

with_client "ib_async 2.1.0 (text)" ib_async tests/clients/async_client.py
with_client "ibapi-latest 10.51.1 (protobuf)" ibapi tests/clients/official.py \
    --version 226
with_client "nautilus-ibapi 10.46.1 (protobuf)" nautilus tests/clients/official.py \
    --version 225
with_client "ibapi-latest 10.51.1 capped to 178 (text, IB's decoder as judge)" ibapi \
    tests/clients/official.py --version 178 --text
echo "all clients are served"
