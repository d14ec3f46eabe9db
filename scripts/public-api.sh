#!/usr/bin/env bash
# Compares the public interface of each published library with its list in docs/api, and shows what differs:
# public-api.sh [--write]. With --write it writes the lists.
#
# A list has every documented item under all features. It omits derived implementations, automatic traits and what is
# implemented for every type. An item with several paths has an entry under each path, but its methods only once.
#
# The lists need the toolchain that Cargo.toml names as the oldest, because rustdoc's JSON changes between versions, and the
# version of cargo-public-api that .ci/lib.sh names. They share their build with `cargo doc --workspace --all-features`.
set -euo pipefail
cd "$(dirname "$0")/.."

lists=docs/api
# No public item may name types of these: a new version of their crates would be a new version of ours.
declare -A forbidden=([arkworks]='\bark_\w+::' [rand]='\brand(_\w+)?::|RngCore|CryptoRng')
# The crates that do all the same, as CRATE:NAME. The script fails until you remove an entry that is not needed.
still=()

write=
case "$*" in
'') ;;
--write) write=1 ;;
*)
    echo "expected --write or no argument, got $*" >&2
    exit 2
    ;;
esac

# missing WHAT: ends the script. A check without its tools is skipped; lists cannot be written without them.
missing() {
    [ -z "$write" ] || { echo "expected $1, got none; install it" >&2; exit 1; }
    echo "SKIPPED: no $1"
    exit 0
}

[ -n "${POAI_CI_TOOLS:-}" ] || POAI_CI_TOOLS=~/.cache/poai-ci
export PATH="$POAI_CI_TOOLS/bin:$PATH"
version=$(sed -n 's/^tools=.*cargo-public-api@\([0-9.]*\).*/\1/p' .ci/lib.sh)
[ "$(cargo-public-api public-api --version 2>/dev/null)" = "cargo-public-api $version" ] ||
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$POAI_CI_TOOLS" "cargo-public-api@$version" ||
    missing "cargo-public-api $version"

least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! rustc --version | grep -q "^rustc $least\."; then
    RUSTUP_TOOLCHAIN=$({ rustup toolchain list 2>/dev/null || true; } | sed -n "s/^\(${least}[.-][^ ]*\).*/\1/p" | head -n 1)
    [ -n "$RUSTUP_TOOLCHAIN" ] || missing "toolchain $least"
    export RUSTUP_TOOLCHAIN
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first line is the target folder; each other is a crate and its library.
mapfile -t crates < <(cargo metadata --no-deps --format-version 1 --locked | python3 -c '
import json, sys
metadata = json.load(sys.stdin)
print(metadata["target_directory"])
for package in metadata["packages"]:
    for target in package["targets"]:
        if package["publish"] is None and {"lib", "rlib"} & set(target["kind"]):
            print(package["name"], target["name"].replace("-", "_"))')
target=${crates[0]}
crates=("${crates[@]:1}")
[ ${#crates[@]} -gt 0 ]

# Stable rustdoc writes JSON only if this variable is set. Set for cargo, it would rebuild what rustdoc shares with clippy
# and the documentation. All of the workspace, because features of other crates' dependencies depend on what is built.
mkdir -p "$target/public-api"
printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$target/public-api/rustdoc"
chmod +x "$target/public-api/rustdoc"
RUSTDOC="$target/public-api/rustdoc" RUSTDOCFLAGS="-Z unstable-options --output-format json --cap-lints allow" \
    cargo doc --quiet --workspace --lib --no-deps --all-features --locked

# list LIBRARY: its items. --rustdoc-json, which the tool's help omits, is what makes a nightly unnecessary. An
# implementation's line tells what the lines of fmt, serialize and deserialize repeat, and a name of Rust's prelude needs no
# path.
list() {
    cargo-public-api public-api --rustdoc-json "$target/doc/$1.json" --color never \
        --omit blanket-impls,auto-trait-impls,auto-derived-impls |
        sed -E \
            -e "/^pub fn .*::fmt\(&self, &mut core::fmt::Formatter<'_>\) -> core::fmt::Result$/d" \
            -e '/^pub fn .*::(serialize<S|deserialize<D): serde_core::/d' \
            -e 's/\b(alloc::(boxed|string|vec)|core::(clone|convert|default|iter::traits::\w+|marker|ops::(drop|function)|option|result))::([A-Z])/\5/g' |
        awk '!seen[$0]++'
    # The tool names what is exported again, but not whose it is.
    python3 -c '
import json, sys
crate = json.load(open(sys.argv[1], encoding="utf-8"))
for item in crate["index"].values():
    use = item["inner"].get("use")
    if use:
        summary = crate["paths"].get(str(use["id"]))
        source = "::".join(summary["path"]) if summary else use["source"]
        if not source.startswith(("poai", "crate::", "self::", "super::")):
            print("pub use", use["name"], "=", source)' "$target/doc/$1.json" | LC_ALL=C sort
}

failed=
fail() {
    echo "$*" >&2
    failed=1
}

for one in "${crates[@]}"; do
    read -r crate library <<<"$one"
    list "$library" >"$work/$crate.txt"
    [ -s "$work/$crate.txt" ]

    for name in "${!forbidden[@]}"; do
        excused=
        [[ " ${still[*]} " != *" $crate:$name "* ]] || excused=1
        if grep -E "${forbidden[$name]}" "$work/$crate.txt" >"$work/named"; then
            [ -n "$excused" ] || {
                fail "expected no type of $name in the interface of $crate, got these lines; wrap the type or hide the item"
                cat "$work/named" >&2
            }
        elif [ -n "$excused" ]; then
            fail "expected a type of $name in the interface of $crate, got none; remove $crate:$name from scripts/public-api.sh"
        fi
    done

    if [ -n "$write" ]; then
        mkdir -p "$lists"
        cp "$work/$crate.txt" "$lists/"
    elif ! diff -uN --label "committed $crate" --label "built $crate" "$lists/$crate.txt" "$work/$crate.txt" >"$work/diff"; then
        fail "expected the committed interface of $crate, got another; run scripts/public-api.sh --write and say in CHANGELOG.md what changed"
        cat "$work/diff" >&2
    fi
done

for path in "$lists"/*.txt; do
    [ -e "$work/${path##*/}" ] || fail "expected a published library for $path, got none; remove the file"
done
[ -z "$failed" ]
wc -l "$lists"/*.txt
