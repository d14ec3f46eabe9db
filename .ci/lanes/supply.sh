#!/usr/bin/env bash
# Every crate as published, every combination of features, the oldest toolchain, and the licences, versions and sources of
# all dependencies.
set -euo pipefail
. .ci/lib.sh

for tool in cargo-hack cargo-deny; do await "$tool" || skipped "$tool cannot be installed"; done
turn "every crate, as published," 2 || export POAI_PUBLISHED=0
if [ "${CI_FULL:-}" != 1 ]; then
    export POAI_FEATURES_PART=$((CI_DAY + 1))/4
    echo "ROTATED: part $POAI_FEATURES_PART of the combinations of features; CI_FULL=1 runs all"
fi
scripts/supply-chain.sh
