#!/usr/bin/env bash
# Runs every fuzz target for twenty seconds on its day; on other days only compiles them.
set -euo pipefail
. .ci/lib.sh

await crates
if turn "twenty seconds of every fuzz target" 3; then
    await cargo-fuzz || skipped "cargo-fuzz cannot be installed"
    scripts/fuzz.sh 20
else
    # In the workspace's profile and target folder, to share the metadata of crates from elsewhere.
    sed -n '/^debug\|^lto/d; /^\[profile/,$p' Cargo.toml >"$state/profile.toml"
    CARGO_TARGET_DIR="$target" cargo --config "$state/profile.toml" check --manifest-path poai-verify/fuzz/Cargo.toml --locked
fi
