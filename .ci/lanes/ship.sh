#!/usr/bin/env bash
# The README's commands, and the shipped artefacts: the program poai, the C library and the WebAssembly
# module.
set -euo pipefail
. .ci/lib.sh

made="$state/made"
mkdir -p "$made"

step "the programs"
if turn "the README's commands in the release profile" 0; then
    # Together: cargo compiles the libraries again for each program that it builds alone, with other features.
    cargo build --release --locked -p poai --example mine --example verify -p poai-cli --bin poai -p example-node --bin example-node
    cargo build --release --locked -p poai-benches --bin report
    built="$target/release"
else
    # The lane "test" has built them; they check for overflow.
    build_programs
    built="$target/debug"
fi
poai=("$built/poai")
# A newcomer's first command builds an example alone, with few features.
cargo check --locked --example mine --example verify

step "three nodes"
# They sleep most of the time.
pool_start nodes "$built/example-node"

step "mine, and verify"
"$built/examples/mine"
"$built/examples/mine" "$made/win.proof"
"$built/examples/verify" "$made/win.proof"
challenge=$(printf '07%.0s' {1..32})
"${poai[@]}" mine --challenge "$challenge" --difficulty 2e7 --out "$made/poai.proof"
"${poai[@]}" verify "$made/poai.proof" --challenge "$challenge" --difficulty 2e7

step "classify"
"${poai[@]}" classify

step "a real transformer"
await model
"${poai[@]}" embed
"${poai[@]}" embed --model target/minilm --text poai-cli/data/embed/evaluation.txt --json >"$made/embeddings.json"
"$python" scripts/measure-minilm.py "$made/embeddings.json"

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
"$built/report" --quick --out "$made/report"

step "the verifier in C, Go, Python and WebAssembly"
await packages || true
await targets
# The library as shipped: optimised across crates.
env -u CARGO_PROFILE_RELEASE_LTO scripts/capi.sh

step "the page that checks proofs, in a browser"
scripts/web.sh

step "output of the nodes"
pool_end
