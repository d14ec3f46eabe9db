#!/usr/bin/env bash
# Format, clippy, documentation, the public interfaces, and the verifier on targets without the standard library. Nothing is
# built to run: clippy, the documentation and the interfaces share their metadata of other crates.
set -euo pipefail
. .ci/lib.sh

step "the lock files"
for manifest in Cargo.toml poai-verify/fuzz/Cargo.toml; do
    cargo metadata --locked --format-version 1 --manifest-path "$manifest" >/dev/null
done

step "format"
cargo fmt --all --check
cargo fmt --manifest-path poai-verify/fuzz/Cargo.toml --check

step "words, links and spelling"
scripts/check-words.py
await spelling
"$target/ci-lint/bin/typos"

step "the groups of mutation tests"
scripts/mutants.sh --check

step "clippy"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
cargo clippy -p poai-core -p poai-verify --no-default-features --locked -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked
RUSTDOCFLAGS="-D warnings" cargo doc -p poai-core -p poai-verify --no-deps --no-default-features --locked

step "the verifier for targets without std"
await targets
for one in "${bare_targets[@]}"; do
    if has_target "$one"; then
        cargo check -p poai-verify --lib --no-default-features --target "$one" --locked
        cargo check -p poai-verify --lib --no-default-features --features inference,chain --target "$one" --locked
    else
        skipped "the target $one cannot be added"
    fi
done

# Last, because the first run on a machine builds the tool.
step "the public interfaces"
await cargo-public-api || true
scripts/public-api.sh
