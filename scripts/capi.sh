#!/usr/bin/env bash
# Builds the C library and the WebAssembly module, and runs one table of good and bad proofs through
# C (static and shared, under valgrind), Python, Go and JavaScript; retargeting's published vectors and the table of what a
# chain computes run through C and Go.
set -euo pipefail
cd "$(dirname "$0")/.."

capi=poai-verify/capi
out="${CARGO_TARGET_DIR:-target}/capi"
mkdir -p "$out"
cases=("$capi/tests/cases.txt" test_vectors/proofs/v1 "$capi/tests")
chain=(test_vectors/aserti3-2d.txt "$capi/tests/chain.txt")

cargo build --release --locked -p poai-verify-capi
lib="${CARGO_TARGET_DIR:-target}/release"
flags=(-std=c11 -O1 -g -Wall -Wextra -Wpedantic -Werror "-I$capi/include")
# The system libraries that `rustc --print native-static-libs` lists.
for program in verify chain; do
    gcc "${flags[@]}" "$capi/examples/c/$program.c" "$lib/libpoai_capi.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl -o "$out/$program-static"
    gcc "${flags[@]}" "$capi/examples/c/$program.c" "-L$lib" -lpoai_capi "-Wl,-rpath,$(realpath "$lib")" -o "$out/$program-shared"
done

echo "== C, the static library"
"$out/verify-static" "${cases[@]}"
"$out/chain-static" "${chain[@]}"
echo "== C, the shared library"
if command -v valgrind >/dev/null || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq valgrind >/dev/null; }; then
    # The verifier selects instructions by the features that valgrind's processor reports.
    checked=(valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=all)
    "${checked[@]}" "$out/verify-shared" "${cases[@]}"
    "${checked[@]}" "$out/chain-shared" "${chain[@]}"
else
    echo "SKIPPED: valgrind cannot be installed"
    "$out/verify-shared" "${cases[@]}"
    "$out/chain-shared" "${chain[@]}"
fi

echo "== Python"
python3 -B "$capi/examples/python/verify.py" "$lib/libpoai_capi.so" "${cases[@]}"

echo "== Go"
if command -v go >/dev/null || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq golang-go >/dev/null; }; then
    export CGO_CFLAGS="-I$PWD/$capi/include" CGO_LDFLAGS="-L$(realpath "$lib") -lpoai_capi -Wl,-rpath,$(realpath "$lib")"
    (cd "$capi/examples/go" && go vet ./... && go test -count=1 -v ./...)
else
    echo "SKIPPED: Go cannot be installed"
fi

echo "== WebAssembly"
target=wasm32-unknown-unknown
if ! rustup target add "$target"; then
    echo "SKIPPED: target $target cannot be added"
elif ! command -v node >/dev/null; then
    echo "SKIPPED: no node"
else
    scripts/build-wasm.sh "$out/poai.wasm"
    node "$capi/examples/javascript/verify.mjs" "$out/poai.wasm" "${cases[@]}"
fi
