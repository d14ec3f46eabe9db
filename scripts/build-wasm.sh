#!/usr/bin/env bash
# Builds the verifier as a WebAssembly module and checks its size: build-wasm.sh FILE.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
# Uses its own target folder, because these settings would rebuild everything
# else.
folder="${CARGO_TARGET_DIR:-target}/wasm"
CARGO_PROFILE_RELEASE_OPT_LEVEL=s CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
    CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo build --release --locked -p poai-verify-capi --target "$target" --target-dir "$folder"
cp "$folder/$target/release/poai_capi.wasm" "$1"
size=$(stat -c %s "$1")
echo "$1: $size bytes"
[ "$size" -lt 400000 ] || { echo "expected a module below 400 kB, got $size bytes; make it smaller"; exit 1; }
