#!/usr/bin/env bash
# Every crate as published, every combination of features, the oldest toolchain, and the licences, versions and sources of
# all dependencies.
set -euo pipefail
. .ci/lib.sh

for tool in cargo-hack cargo-deny; do await "$tool" || skipped "$tool cannot be installed"; done
if turn "every combination of more than two features of the facade" 2; then
    scripts/supply-chain.sh
else
    POAI_FEATURES_DEPTH=2 scripts/supply-chain.sh
fi
