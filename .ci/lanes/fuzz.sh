#!/usr/bin/env bash
# Runs every fuzz target for twenty seconds on its day; on other days only compiles them.
set -euo pipefail
. .ci/lib.sh

await crates
if turn "twenty seconds of every fuzz target" 3; then
    await cargo-fuzz || skipped "cargo-fuzz cannot be installed"
    scripts/fuzz.sh 20
else
    CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo check --manifest-path poai-verify/fuzz/Cargo.toml --locked
fi
