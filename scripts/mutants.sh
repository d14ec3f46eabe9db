#!/usr/bin/env bash
# Mutation tests of the code that consensus depends on: mutants.sh [GROUP...], by default all groups, which takes hours on
# two cores.
#
# A group is some files and the tests about them; other tests may still catch a mutant that these miss. .cargo/mutants.toml
# lists the mutants that no test can distinguish, with the reasons. The script works in a clone of its own and does not
# change the tree.
#
# mutants.sh --check [GROUP...] mutates nothing: it checks that the groups' files and test modules exist. A filter that
# matches no test runs nothing, so its mutants survive.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${OUT:-target/mutants}
mkdir -p "$out"
out=$(realpath "$out")
check=
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(chain verifier freivalds bounds trace groth16 protocol commitment noise inference core-trace program step)
if [ -z "$check" ] && ! cargo mutants --version >/dev/null 2>&1 && ! cargo install --quiet --locked cargo-mutants; then
    echo "SKIPPED: cargo-mutants cannot be installed"
    exit 0
fi
if [ -z "$check" ]; then
    clone=$(mktemp -d)
    trap 'rm -rf "$clone"' EXIT
    git clone --quiet . "$clone"
fi
export CARGO_TARGET_DIR="$out/target" CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_CASES=64

missing() {
    echo "the group $group: expected $1, got none; fix the group in scripts/mutants.sh" >&2
    exit 1
}

# expect PACKAGE "FILES" "TESTS" CARGO-ARGUMENTS: ends the script if a file or a test module is missing.
expect() {
    local package=$1 files=$2 tests=$3 crates=("$1") places=() argument one crate
    shift 3
    for argument in "$@"; do
        case $argument in --package=*) crates+=("${argument#*=}") ;; esac
    done
    for argument in "$@"; do
        case $argument in
        --lib) for crate in "${crates[@]}"; do places+=("$crate/src"); done ;;
        --test=*) for crate in "${crates[@]}"; do places+=("$crate/tests/${argument#*=}"); done ;;
        esac
    done
    for one in $files; do
        compgen -G "$package/src/$one" >/dev/null || missing "$package/src/$one"
    done
    for one in $tests; do
        grep -Eqrs --include='*.rs' "^mod ${one%::}( \{|;)" "${places[@]}" || missing "a module ${one%::} in ${places[*]}"
    done
}

# mutate NAME SECONDS PACKAGE "FILES" "TESTS" CARGO-ARGUMENTS: builds and tests with the same arguments, so that nothing
# else is built. TESTS are the test modules that run: "tests::" are those beside the code.
mutate() {
    local name=$1 seconds=$2 package=$3 file argument arguments=() tests
    for file in $4; do arguments+=(-f "$package/src/$file"); done
    read -ra tests <<<"$5"
    expect "$package" "$4" "$5" "${@:6}"
    [ -z "$check" ] || return 0
    shift 5
    for argument in --locked "$@"; do arguments+=("--cargo-arg=$argument"); done
    (cd "$clone" && cargo mutants --in-place --no-shuffle -o "$out/$name" -p "$package" \
        --build-timeout 600 --timeout "$seconds" "${arguments[@]}" -- -- "${tests[@]}") || failed+=("$name")
    git -C "$clone" checkout --quiet . && git -C "$clone" clean --quiet -fd
}

# The engine's and the verifier's tests cover the protocol's files, too.
engine=--package=poai-engine
verifier=(--package=poai-verify --features=poai-verify/parallel)
failed=()
for group in "${groups[@]}"; do
    echo "== $group"
    case $group in
    chain) mutate chain 60 poai-verify "chain/*.rs seal.rs" "tests:: chain_asert:: chain_rules:: seal::" --features=chain,parallel,serde --lib --test=it ;;
    verifier) mutate verifier 60 poai-verify "verifier.rs rules.rs failures.rs" "tests:: attacks:: decoding:: failures:: rules:: seal::" --features=parallel --lib --test=it --test=memory ;;
    freivalds) mutate freivalds 60 poai-verify "freivalds/*.rs" "tests:: freivalds:: fraud::" --features=parallel,std --lib --test=it ;;
    bounds) mutate bounds 60 poai-verify "trace/reach/*.rs" "tests:: bounds:: bounds_training:: tile_memory:: decoder::" --features=parallel --lib --test=it --test=memory ;;
    trace) mutate trace 90 poai-verify "trace/[!r]*.rs trace/receipt.rs trace/registration.rs" "tests:: bounds:: decoder:: fraud:: full:: imported:: receipt:: trace:: trace_attacks:: trace_fixtures:: training:: unclean::" --features=parallel --lib --test=it ;;
    groth16) mutate groth16 200 poai-verify "inference/*.rs" "degenerate:: deployment:: groth16::" --package=poai-prover --features=poai-verify/inference,poai-verify/serde --test=it ;;
    protocol) mutate protocol 60 poai-core "puzzle/ticket.rs puzzle/seeds.rs puzzle/transcript.rs puzzle/statement.rs puzzle/proof/*.rs difficulty.rs params.rs recompute.rs encoding/hex_or_bytes.rs" "tests:: attacks:: decoding:: difficulty:: openings:: operands:: recompute:: rules:: serialisation:: vectors::" "$engine" "${verifier[@]}" --features=poai-core/serde --lib --test=it --test=memory ;;
    commitment) mutate commitment 60 poai-core "puzzle/commitment/*.rs" "openings:: vectors::" "$engine" --test=it ;;
    noise) mutate noise 60 poai-core "puzzle/noise/*.rs" "tests:: noise:: vectors::" "$engine" --lib --test=it ;;
    inference) mutate inference 60 poai-core "inference/*.rs encoding/bytes.rs" "tests::" --features=inference,serde --lib ;;
    core-trace) mutate core-trace 60 poai-core "trace/*.rs" "receipt:: records:: trace:: trace_attacks:: trace_fixtures:: unclean::" "${verifier[@]}" --test=it ;;
    program) mutate program 60 poai-core "program/*.rs program/encoding/*.rs program/training/*.rs program/decoder/*.rs" "decoder:: decoder_known:: imported_checks:: program_checks:: programs:: reads:: steps:: tiles:: training::" "$engine" --test=it ;;
    step) mutate step 60 poai-core "program/ops/*.rs program/ops/training/*.rs program/ops/decoder/*.rs" "decoder_known:: programs:: reads:: steps:: tiles::" "$engine" --test=it ;;
    *)
        echo "expected a known group, got $group" >&2
        exit 2
        ;;
    esac
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "no test failed for some mutants of: ${failed[*]}; see $out"
    exit 1
fi
