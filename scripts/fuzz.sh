#!/usr/bin/env bash
# Runs every fuzz target for some seconds, or those that are named: fuzz.sh SECONDS [TARGET...]
#
# Fixtures of the tests are the seeds. What is found lies in poai-verify/fuzz/artifacts, and the corpus that grows in
# poai-verify/fuzz/corpus; neither is committed. Needs a nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/../poai-verify/fuzz"

seconds=${1:?usage: fuzz.sh SECONDS [TARGET...]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(proof json verify program trace inference zkey keys onnx safetensors store chain backends)
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
    proof | json) echo ../tests/fixtures/v1 ;;
    program | trace) echo ../tests/trace-fixtures/v1 ;;
    zkey) echo ../../poai-core/tests/known/ceremony ;;
    onnx) echo ../../examples/classify/data ;;
    esac
}

cargo +nightly fuzz build
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf '%-12s %10s %8s %9s %9s %7s\n' target runs runs/s coverage features corpus
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    # shellcheck disable=SC2046
    if ! cargo +nightly fuzz run "$target" "corpus/$target" $(seeds "$target") -- \
        -max_total_time="$seconds" -len_control=0 -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 >"$log" 2>&1; then
        failed+=("$target")
        tail -n 40 "$log"
    fi
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    last() { grep -oE "$1: [0-9]+" "$log" | tail -n 1 | cut -d' ' -f2; }
    printf '%-12s %10s %8s %9s %9s %7s\n' "$target" "$(stat number_of_executed_units)" \
        "$(stat average_exec_per_sec)" "$(last cov)" "$(last ft)" "$(find "corpus/$target" -type f | wc -l)"
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}; see poai-verify/fuzz/artifacts"
    exit 1
fi
