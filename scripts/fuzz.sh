#!/usr/bin/env bash
# Runs every fuzz target, or the named ones, for some seconds each: fuzz.sh SECONDS [TARGET...]
#
# A target lies in the folder fuzz/ of the crate that it fuzzes; poai-verify/fuzz builds them all. The tests' fixtures are
# the seeds. Findings go to poai-verify/fuzz/artifacts, and the growing corpus to poai-verify/fuzz/corpus; neither is
# committed. Needs a nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/../poai-verify/fuzz"

seconds=${1:?usage: fuzz.sh SECONDS [TARGET...]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(proof json verify program trace training inference zkey keys onnx safetensors store chain backends)
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "SKIPPED: no nightly toolchain"
    exit 0
fi
if ! cargo fuzz --version >/dev/null 2>&1 && ! CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug cargo-fuzz; then
    echo "SKIPPED: cargo-fuzz cannot be installed"
    exit 0
fi

seeds() {
    case $1 in
    proof | json) echo ../../test_vectors/proofs/v1 ;;
    program | trace) echo ../../test_vectors/messages/v2 ../../test_vectors/messages/v2-outputs ../../test_vectors/messages/v2-answers ;;
    training) echo ../../test_vectors/runs/v1 ;;
    zkey) echo ../../test_vectors/ceremony ;;
    onnx) echo ../../poai-cli/data/digits ;;
    esac
}

# fuzz TARGET: prints one row, and the target's output only if it found something.
fuzz() {
    local target=$1 log outcome=0
    log=$(mktemp)
    mkdir -p "corpus/$target"
    # shellcheck disable=SC2046
    cargo +nightly fuzz run "$target" "corpus/$target" $(seeds "$target") -- \
        -max_total_time="$seconds" -len_control=0 -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 >"$log" 2>&1 || outcome=1
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    last() { grep -oE "$1: [0-9]+" "$log" | tail -n 1 | cut -d' ' -f2; }
    [ "$outcome" = 0 ] || tail -n 40 "$log"
    printf '%-12s %10s %8s %9s %9s %7s%s\n' "$target" "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
        "$(last cov)" "$(last ft)" "$(find "corpus/$target" -type f | wc -l)" "$([ "$outcome" = 0 ] || echo '  FAILED')"
    rm -f "$log"
    return "$outcome"
}

cargo +nightly fuzz build
printf '%-12s %10s %8s %9s %9s %7s\n' target runs runs/s coverage features corpus
export -f seeds fuzz
export seconds
# One job per processor, up to 4 GB each: at most four.
jobs=$(nproc)
if ! printf '%s\n' "${targets[@]}" | xargs -P "$((jobs < 4 ? jobs : 4))" -I TARGET bash -c 'set -uo pipefail; fuzz TARGET'; then
    echo "some targets failed; see poai-verify/fuzz/artifacts"
    exit 1
fi
