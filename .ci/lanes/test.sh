#!/usr/bin/env bash
# One build with all features, and everything that uses it: every test, the steps in Python, a ceremony, an Ethereum node,
# and the benchmarks once.
set -euo pipefail
. .ci/lib.sh

step "the build"
build_dev

step "every step, compared with an implementation in Python"
await wheels
cases="$state/cases.json"
(cd poai-engine && POAI_CASES="$cases" "$(test_program poai-engine it)" --ignored steps::emit_cases)
"$python" -B scripts/check-programs.py "$cases" --known test_vectors/steps.txt
"$python" -B scripts/check-training.py
"$python" -B scripts/check-decoder.py
"$python" -B scripts/check-bounds.py test_vectors/trace-bounds.txt

step "the benchmarks once; a ceremony, and a proof of inference before an Ethereum node"
if turn "every benchmark once" 1; then
    pool_start benchmarks cargo test --workspace --all-features --locked --bench puzzle
fi
if await modules; then
    if turn "a ceremony with snarkjs" 2; then
        pool_start ceremony env POAI_CEREMONY_PROGRAM="$target/debug/ceremony" scripts/ceremony.sh
    fi
    pool_start ethereum scripts/evm-e2e.sh
elif { command -v node && command -v npm; } >/dev/null; then
    exit 1
else
    skipped "no node and npm"
fi
pool_end

step "tests"
await targets
# With this set, a test of poai-import runs ONNX's own tests of operators, instead of being skipped.
if await onnx_tests; then
    POAI_ONNX_NODE_TESTS=$(realpath "$target/ci-onnx-tests")
    export POAI_ONNX_NODE_TESTS
else
    skipped "ONNX's own tests were not downloaded"
fi
# With this set, a test of poai-cuda fails without the kernels' compiler and assembler, instead of being skipped.
# Cargo runs each test program through .ci/timed, which prints its time.
timed="CARGO_TARGET_$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER"
export "$timed=$PWD/.ci/timed"
[ -z "${POAI_TURN:-}" ] ||
    echo "ROTATED: cases $POAI_TURN mod 4 of the emulated GPUs' tests and of the kernels' table run; CI_FULL=1 runs all"
POAI_KERNELS_PYTHON="$python" cargo test --workspace --all-features --locked -- --show-output

# These features compile the core, the engine and the verifier again.
if turn "tests of the verifier without threads, as nodes have it," 0; then
    step "tests of the verifier without threads, as nodes have it"
    cargo test -p poai-verify --locked --test it -- freivalds:: full:: fixtures::
    cargo test -p poai-verify --locked --test memory -- decoding::
fi
