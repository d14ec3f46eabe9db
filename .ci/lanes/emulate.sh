#!/usr/bin/env bash
# Runs code for machines other than this one: older x86-64, aarch64, and Miri's interpreter.
set -euo pipefail
. .ci/lib.sh

# emulated CRATE EMULATOR PROGRAM FILTER...: runs tests of a crate, at least one.
emulated() {
    local crate=$1 emulator=$2 log
    shift 2
    # Set before the pipe, because its parts are processes of their own.
    log=$(mktemp "$state/emulated-XXXXXX")
    # shellcheck disable=SC2086
    (cd "$crate" && $emulator "$@") | tee "$log"
    grep -q "[1-9][0-9]* passed" "$log"
}

miri() { MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --locked "$@"; }
core=(-p poai-core --lib --test it)
verifier=(-p poai-verify --no-default-features --test it)

if turn "Miri, where code is neither SIMD nor rayon's," 1; then
    step "Miri, where code is neither SIMD nor rayon's"
    if await miri && cargo +nightly miri --version; then
        miri "${core[@]}" --no-run
        miri "${verifier[@]}" --no-run
        pool_start miri-core miri -p poai-core --lib
        pool_start miri-kernels miri -p poai-core --test it -- kernels::
        pool_start miri-verifier miri "${verifier[@]}" -- fixtures:: --nocapture
    else
        skipped "no nightly toolchain with Miri"
    fi
fi

await packages || true

step "older x86-64 under emulation"
if [ "$(rustc -vV | sed -n 's/^host: //p')" = x86_64-unknown-linux-gnu ] && command -v qemu-x86_64 >/dev/null; then
    [ -e "$state/built.json" ] || build_dev
    engine=$(test_program poai-engine it)
    # Without AVX2, and with AVX2 only: whole programs leave the same traces.
    for processor in Nehalem Haswell; do
        pool_start "$processor" emulated poai-engine "qemu-x86_64 -cpu $processor" "$engine" programs::every_ known_answers same_answers
    done
else
    skipped "no emulator of older processors"
fi

step "aarch64 under emulation"
await targets
if has_target "$arm" && command -v aarch64-linux-gnu-gcc qemu-aarch64 >/dev/null; then
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
    # Optimised, because emulation is slow; the lane "test" checks for overflow.
    cargo test --release -p poai-core -p poai-engine --target "$arm" --locked --lib --test it --no-run \
        --message-format=json-render-diagnostics >"$state/arm.json"
    arm_tests() {
        emulated "$1" "qemu-aarch64 -L /usr/aarch64-linux-gnu" "$(test_program "$1" "$2" "$state/arm.json")" "${@:3}"
    }
    pool_start aarch64-core arm_tests poai-core lib
    pool_start aarch64-kernels arm_tests poai-core it kernels::
    pool_start aarch64-engine arm_tests poai-engine lib
    pool_start aarch64-answers arm_tests poai-engine it backends::every_ programs::every_ vectors::every_ same_answers --nocapture
else
    skipped "no target, cross compiler and emulator for $arm"
fi

step "output of the emulators and the interpreter"
pool_end
