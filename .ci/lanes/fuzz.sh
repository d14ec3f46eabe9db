#!/usr/bin/env bash
# Every fuzz target for twenty seconds, when it is their turn; on other days they are compiled alone.
set -euo pipefail
. .ci/lib.sh

await crates
if turn "twenty seconds of every fuzz target" 3; then
    await cargo-fuzz || skipped "cargo-fuzz cannot be installed"
    scripts/fuzz.sh 20
else
    CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo check --manifest-path poai-verify/fuzz/Cargo.toml --locked
fi
