#!/usr/bin/env bash
# What is built from what: every crate as it would be published, every combination of features, the least toolchain that is
# promised, and the licences, versions and sources of all dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

# Not optimised: building such a tool takes longer than its work here.
have() { cargo "$1" --version >/dev/null 2>&1 || CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug "cargo-$1"; }

echo "== every crate, as it is published"
cargo package --locked --quiet --allow-dirty -p poai-core -p poai-verify -p poai-cuda -p poai-verify-capi -p poai

echo "== the least toolchain"
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if rustup toolchain list | grep -q "^$least"; then
    cargo "+$(rustup toolchain list | sed -n "s/^\($least[^ ]*\).*/\1/p" | head -n 1)" check --quiet --locked -p poai -p poai-verify-capi --all-features
    echo "$least builds"
elif rustc --version | grep -q "^rustc $least"; then
    echo "$least is the one that builds all of this"
else
    echo "SKIPPED: no toolchain $least"
fi

echo "== every combination of features"
if have hack; then
    # Each crate's default is one of its features, or none.
    cargo hack check --quiet --locked --feature-powerset --exclude-features default -p poai-verify
    cargo hack check --quiet --locked --feature-powerset --depth 2 --exclude-features default -p poai-core -p poai-cuda -p poai
else
    echo "SKIPPED: cargo-hack cannot be installed"
fi

echo "== licences, versions, sources"
if have deny; then
    cargo deny --workspace --locked check --hide-inclusion-graph licenses bans sources
    # The database is not to be had everywhere.
    cargo deny --workspace --locked check advisories 2>"${TMPDIR:-/tmp}/advisories.log" || {
        if grep -q "failed to fetch\|unable to\|error sending\|IO error" "${TMPDIR:-/tmp}/advisories.log"; then
            echo "SKIPPED: no database of advisories: $(head -n 1 "${TMPDIR:-/tmp}/advisories.log")"
        else
            cat "${TMPDIR:-/tmp}/advisories.log"
            exit 1
        fi
    }
else
    echo "SKIPPED: cargo-deny cannot be installed"
fi
