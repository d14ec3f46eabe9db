#!/usr/bin/env bash
# Deploys the contracts on an Ethereum development node and registers models. A
# real proof of inference must be accepted, and forgeries of it refused.
#
#     scripts/evm-e2e.sh [PROOF.json]
#
# PROOF.json is a serialised poai_verify::inference::Deployment; the default is
# a committed one of a small circuit. Installs node's packages with `npm ci` if
# they are missing, and needs no network after that: the compiler is the package
# solc, and the node listens only on 127.0.0.1.
#
#   POAI_NODE_SECONDS=60   how long the node may take to answer
set -euo pipefail

proof=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../poai-verify/contracts"
proof=${proof:-$PWD/fixtures/proof.json}
: "${POAI_NODE_SECONDS:=60}"
export HARDHAT_DISABLE_TELEMETRY_PROMPT=true

# npm writes this file last.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npm run --silent check

port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
log=$(mktemp)
node node_modules/hardhat/internal/cli/bootstrap.js node --hostname 127.0.0.1 --port "$port" >"$log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null || true; wait "$node" 2>/dev/null || true; rm -f "$log"' EXIT

answers() {
  node -e '
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
    fetch(process.argv[1], { method: "POST", headers: { "content-type": "application/json" }, body })
      .then((response) => process.exit(response.ok ? 0 : 1), () => process.exit(1));
  ' "http://127.0.0.1:$port"
}

deadline=$((SECONDS + POAI_NODE_SECONDS))
until answers; do
  if ! kill -0 "$node" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
    echo "the node does not answer:" >&2
    cat "$log" >&2
    exit 1
  fi
  sleep 0.2
done

node e2e.js "http://127.0.0.1:$port" "$proof" "$PWD/fixtures/other.json"
