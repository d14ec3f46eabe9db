#!/usr/bin/env bash
# The README's commands, and the shipped artefacts: the program poai, the C library and the WebAssembly
# module.
set -euo pipefail
. .ci/lib.sh

poai=(cargo run --release --locked -p poai-cli --)
made="$state/made"
mkdir -p "$made"

step "three nodes"
# They sleep most of the time.
cargo build --release --locked -p example-node
pool_start nodes cargo run --release --locked -p example-node

step "mine, and verify"
cargo run --release --locked --example mine
cargo run --release --locked --example mine -- "$made/win.proof"
cargo run --release --locked --example verify -- "$made/win.proof"
challenge=$(printf '07%.0s' {1..32})
"${poai[@]}" mine --challenge "$challenge" --difficulty 2e7 --out "$made/poai.proof"
"${poai[@]}" verify "$made/poai.proof" --challenge "$challenge" --difficulty 2e7

step "classify"
"${poai[@]}" classify

step "a real transformer"
await model
"${poai[@]}" embed
PATH="${python%/*}:$PATH" "$python" scripts/measure-minilm.py --run

step "a proof of inference, before an Ethereum node"
"${poai[@]}" prove --out "$made/inference"
if await modules; then
    scripts/evm-e2e.sh "$made/inference/deployment.json"
elif { command -v node && command -v npm; } >/dev/null; then
    exit 1
else
    skipped "no node and npm"
fi

step "the report, on small products"
cargo run --release --locked -p poai-benches --bin report -- --quick --out "$made/report"

step "the verifier in C, Go, Python and WebAssembly"
await packages || true
await targets
# The library as shipped: optimised across crates.
env -u CARGO_PROFILE_RELEASE_LTO scripts/capi.sh

step "the page that checks proofs, in a browser"
scripts/web.sh

step "output of the nodes"
pool_end
