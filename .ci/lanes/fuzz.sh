#!/usr/bin/env bash
# Every fuzz target, for a while.
set -euo pipefail
. .ci/lib.sh

await crates
await cargo-fuzz || skipped "cargo-fuzz cannot be installed"
if turn "twenty seconds of every fuzz target" 3; then
    scripts/fuzz.sh 20
else
    scripts/fuzz.sh 4
fi
