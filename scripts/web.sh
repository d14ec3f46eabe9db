#!/usr/bin/env bash
# Builds the page that checks proofs and tests it in headless Chromium; `scripts/web.sh serve` serves it instead.
set -euo pipefail
cd "$(dirname "$0")/.."

out="${CARGO_TARGET_DIR:-target}/web"
site="$out/site"
mkdir -p "$site"
target=wasm32-unknown-unknown
if ! rustup target add "$target"; then
    echo "SKIPPED: target $target cannot be added"
    exit 0
fi
scripts/build-wasm.sh "$site/poai.wasm"
cp examples/web/{index.html,style.css,app.mjs,draw.mjs} poai-verify/capi/examples/javascript/poai.mjs "$site"
cp test_vectors/proofs/v1/block.proof "$site/sample.proof"

if [ "${1:-}" = serve ]; then
    exec python3 -m http.server --bind 127.0.0.1 --directory "$site" "${2:-8000}"
fi

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; then
    chromium=$(command -v chromium)
fi
if [ -z "$chromium" ] || ! command -v npm >/dev/null; then
    echo "SKIPPED: no Chromium, or no npm"
    exit 0
fi
cp examples/web/{test.mjs,package.json,package-lock.json} "$out"
npm ci --prefix "$out" --no-audit --no-fund --silent

port=$((20000 + RANDOM % 20000))
python3 -m http.server --bind 127.0.0.1 --directory "$site" "$port" >"$out/server.log" 2>&1 &
server=$!
trap 'kill "$server"' EXIT
for _ in $(seq 50); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$port/" && break
    sleep 0.1
done
node "$out/test.mjs" "http://127.0.0.1:$port/" "$chromium" "$out" "$site/sample.proof"
