#!/usr/bin/env bash
# Checks what each crate is built from: every crate as it would be published, every combination of features, the oldest
# supported toolchain, and the licences, versions and sources of all dependencies.
#
#   POAI_FEATURES_PART=1/4   the first quarter of the combinations of features; by default all
#   POAI_PUBLISHED=0         builds no crate from its published files, and only looks at the lists of them
set -euo pipefail
cd "$(dirname "$0")/.."

# Not optimised: building such a tool takes longer than it runs here.
have() { cargo "$1" --version >/dev/null 2>&1 || CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug "cargo-$1"; }

echo "== every crate, as published (at $SECONDS s)"
mapfile -t crates < <(cargo metadata --no-deps --format-version 1 --locked | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["publish"] is None:
        print("--package=" + package["name"])')
[ ${#crates[@]} -gt 0 ]
published() {
    # Each is unpacked and built from its own files. The check is that it builds; nothing of it runs.
    #
    # Cargo reads the crates that a crate depends on from a registry in its target folder, and keeps what it unpacked and built
    # from there by path and version alone: a second run would check today's crate with yesterday's dependencies. So each run
    # gives the target folder a new name, and removes what cargo kept under it. Dependencies from elsewhere stay built.
    target=$(cargo metadata --no-deps --format-version 1 --locked |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    mkdir -p "$target/published"
    start=$(mktemp "$target/published/start.XXXXXX")
    name="$target/published/${start##*.}"
    ln -s "$target" "$name"
    forget() {
        find "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-* "$target"/debug/{.fingerprint,build,deps} \
            -mindepth 1 -maxdepth 1 -name '*poai*' -newer "$start" -exec rm -rf {} +
        rm -rf "$start" "$name"
    }
    trap forget EXIT
    CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_TARGET_DIR="$name" cargo package --locked --quiet --allow-dirty "${crates[@]}"
    trap - EXIT
    forget
}
if [ "${POAI_PUBLISHED:-1}" != 0 ]; then published; fi
for crate in "${crates[@]}"; do
    listed=$(cargo package --list --quiet --allow-dirty "$crate" 2>/dev/null)
    for file in LICENSE-APACHE LICENSE-MIT README.md; do
        grep -qx "$file" <<<"$listed" || { echo "expected $file in $crate; add it to the crate's folder"; exit 1; }
    done
done
echo "${#crates[@]} crates"

echo "== the oldest toolchain (at $SECONDS s)"
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if rustc --version | grep -q "^rustc $least"; then
    echo "$least is the toolchain that builds all of this"
elif rustup toolchain list | grep -q "^$least"; then
    cargo "+$(rustup toolchain list | sed -n "s/^\($least[^ ]*\).*/\1/p" | head -n 1)" check --quiet --locked "${crates[@]}" --all-features
    echo "$least builds"
else
    echo "SKIPPED: no toolchain $least"
fi

echo "== every combination of features (at $SECONDS s)"
if have hack; then
    # Each crate's default is one of its features, or empty. All other checks cover the crates without features.
    combinations=(check --quiet --locked --feature-powerset --exclude-features default)
    cargo hack "${combinations[@]}" ${POAI_FEATURES_PART:+--partition "$POAI_FEATURES_PART"} \
        -p poai-core -p poai-verify -p poai-engine -p poai-cuda -p poai
else
    echo "SKIPPED: cargo-hack cannot be installed"
fi

echo "== licences, versions, sources (at $SECONDS s)"
if have deny; then
    cargo deny --workspace --locked check --hide-inclusion-graph licenses bans sources
    # The database is not available everywhere.
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
