#!/usr/bin/env bash
# Mutation tests of what consensus hangs on: mutants.sh [GROUP...], all groups by default, hours of two cores.
#
# A group is some files and the tests that are about them; a mutant that they miss may still be caught by others. Which
# mutants no test can tell, and why, .cargo/mutants.toml says. Works in a clone of its own: the tree is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${OUT:-target/mutants}
mkdir -p "$out"
out=$(realpath "$out")
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(chain verifier freivalds bounds trace snark protocol commitment noise inference core-trace program step)
if ! cargo mutants --version >/dev/null 2>&1 && ! cargo install --quiet --locked cargo-mutants; then
    echo "SKIPPED: cargo-mutants cannot be installed"
    exit 0
fi
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone --quiet . "$clone"
export CARGO_TARGET_DIR="$out/target" CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_CASES=64

# mutate NAME SECONDS PACKAGE "FILES" CARGO-ARGUMENTS: built and tested by the same arguments, so that nothing else is.
mutate() {
    local name=$1 seconds=$2 package=$3 file argument arguments=()
    for file in $4; do arguments+=(-f "$package/src/$file"); done
    shift 4
    for argument in --locked "$@"; do arguments+=("--cargo-arg=$argument"); done
    (cd "$clone" && cargo mutants --in-place --no-shuffle -o "$out/$name" -p "$package" \
        --build-timeout 600 --timeout "$seconds" "${arguments[@]}") || failed+=("$name")
    git -C "$clone" checkout --quiet . && git -C "$clone" clean --quiet -fd
}

# The protocol's files are tested by the verifier, too.
verifier=(--package=poai-verify --features=poai-verify/parallel)
failed=()
for group in "${groups[@]}"; do
    echo "== $group"
    case $group in
    chain) mutate chain 60 poai-verify "chain/*.rs seal.rs" --features=chain,parallel,serde --lib --test=chain_asert --test=chain_rules --test=seal ;;
    verifier) mutate verifier 60 poai-verify "verifier.rs rules.rs failures.rs" --features=parallel --lib --test=attacks --test=decoding --test=failures --test=rules --test=seal ;;
    freivalds) mutate freivalds 60 poai-verify "freivalds/*.rs" --features=parallel,std --lib --test=freivalds --test=challenge ;;
    bounds) mutate bounds 60 poai-verify trace/reach.rs --features=parallel --lib --test=bounds --test=tile_memory ;;
    trace) mutate trace 90 poai-verify "trace/[!r]*.rs trace/receipt.rs trace/rules.rs" --features=parallel --lib --test=bounds --test=full --test=receipt --test=trace --test=trace_fixtures --test=unclean ;;
    snark) mutate snark 200 poai-verify "snark/*.rs" --features=snark,serde --test=deployment --test=snark ;;
    protocol) mutate protocol 60 poai-core "ticket.rs seeds.rs transcript.rs difficulty.rs statement.rs proof/*.rs params.rs recompute.rs" "${verifier[@]}" --features=poai-core/serde --lib --test=attacks --test=decoding --test=difficulty --test=openings --test=operands --test=recompute --test=rules --test=serialisation --test=vectors ;;
    commitment) mutate commitment 60 poai-core "commitment/*.rs" --test=openings --test=vectors ;;
    noise) mutate noise 60 poai-core "noise/*.rs" --lib --test=noise --test=vectors ;;
    inference) mutate inference 60 poai-core "inference/*.rs" --features=snark,serde --lib ;;
    core-trace) mutate core-trace 60 poai-core "trace/*.rs" "${verifier[@]}" --test=records --test=trace --test=trace_fixtures --test=unclean ;;
    program) mutate program 60 poai-core "program/*.rs" --test=program_checks --test=programs --test=steps --test=tiles ;;
    step) mutate step 60 poai-core "step/*.rs" --test=programs --test=steps --test=tiles ;;
    *)
        echo "no such group: $group" >&2
        exit 2
        ;;
    esac
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "mutants that nothing told in: ${failed[*]}; see $out"
    exit 1
fi
