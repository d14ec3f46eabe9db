#!/usr/bin/env bash
# Everything that a card has to show, on a machine that need not have cargo.
#
#   scripts/gpu-suite.sh pack DIR   builds the test programs and copies them,
#                                   with this script, into DIR
#   DIR/gpu-suite.sh run DIR        runs them and prints one table
#
# The programs carry their kernels and vectors: DIR is all that has to be
# copied, to a Linux machine with the same kind of processor and a C library no
# older than the builder's. What the programs print is kept in DIR/logs.
#
# Without a card, or without compute-sanitizer, a row says SKIPPED. `run` fails
# if any row does.
#
# Settings, with what they are if left out:
#   POAI_DUAL_CASES=10000   products and programs on the CPU and the card at once
#   POAI_DUAL_SEED=0        which ones
#   POAI_SOAK_SECONDS=600   of mining
#   POAI_SOAK_TILES=64      tiles a side of the largest product mined
#   POAI_SUITE_LIMIT=3600   seconds after which a row is ended, and fails
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
  exit 2
}

# The programs of `pack`, each a test target of poai-cuda.
programs=(card detection)

pack() {
  local dir=$1 program path messages
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  local script
  script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
  cd "$(dirname "$script")/.."
  for program in "${programs[@]}"; do
    messages=$(cargo test --quiet -p poai-cuda --test "$program" --no-run --message-format=json)
    path=$(sed -n "/\"name\":\"$program\"/s/.*\"executable\":\"\([^\"]*\)\".*/\1/p" <<<"$messages")
    [ -x "$path" ] || { echo "cargo made no program for the tests of $program" >&2; exit 1; }
    cp "$path" "$dir/$program"
  done
  [ "$script" -ef "$dir/gpu-suite.sh" ] || cp "$script" "$dir/gpu-suite.sh"
  echo "packed into $dir: ${programs[*]} gpu-suite.sh"
}

failures=0

row() {
  printf '%-48s  %-18s  %7s\n' "$1" "$2" "$3"
}

# check WHAT PROGRAM TEST [TOOL...]: one row.
check() {
  local what=$1 program=$2 test=$3 log result status=0 start seconds
  shift 3
  log=$dir/logs/${what//[^a-z0-9]/-}.log
  start=$EPOCHREALTIME
  timeout "$POAI_SUITE_LIMIT" "$@" "$dir/$program" --exact "$test" --nocapture \
    >"$log" 2>&1 || status=$?
  seconds=$(awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.1f", end - start }')
  # A name that no test has would succeed as well, by running nothing.
  if [ "$status" -ne 0 ] || ! grep -q 'test result: ok. 1 passed' "$log"; then
    result=FAILED
    failures=$((failures + 1))
    [ "$status" -ne 124 ] || echo "ended after $POAI_SUITE_LIMIT seconds" >>"$log"
  elif grep -qE 'SKIPPED: no (card|GPU)' "$log"; then
    result=SKIPPED
  elif grep -q 'SKIPPED:' "$log"; then
    # A variant that this card lacks, or a second card that is too old.
    result='ok, part SKIPPED'
  else
    result=ok
  fi
  row "$what" "$result" "$seconds"
  if [ "$result" = FAILED ]; then
    tail -n 20 "$log" | sed 's/^/    /'
  fi
}

run() {
  dir=$(cd "$1" && pwd)
  local program tool test
  for program in "${programs[@]}"; do
    [ -x "$dir/$program" ] || { echo "$dir has no $program: pack it first" >&2; exit 1; }
  done
  mkdir -p "$dir/logs"
  export POAI_DUAL_CASES=${POAI_DUAL_CASES:-10000} POAI_DUAL_SEED=${POAI_DUAL_SEED:-0}
  export POAI_SOAK_SECONDS=${POAI_SOAK_SECONDS:-600} POAI_SOAK_TILES=${POAI_SOAK_TILES:-64}
  POAI_SUITE_LIMIT=${POAI_SUITE_LIMIT:-3600}
  # Nothing but the message fits below a row.
  export RUST_BACKTRACE=0

  row what result seconds
  check 'the driver lists its cards' detection a_machine_with_a_gpu_lists_it
  for test in every_kernel_at_small_sizes every_variant_passes_the_tester the_vectors_hold \
    a_million_entries_in_lock_step_with_the_cpu products_in_lock_step_with_the_cpu \
    programs_in_lock_step_with_the_cpu a_soak_of_mining_draws_no_wrong_ticket; do
    check "${test//_/ }" card "$test"
  done
  for tool in memcheck racecheck initcheck; do
    if command -v compute-sanitizer >"$dir/logs/sanitizer.log"; then
      check "$tool of every kernel" card every_kernel_at_small_sizes \
        compute-sanitizer --tool "$tool" --error-exitcode 9
    else
      row "$tool of every kernel" SKIPPED -
    fi
  done
  if ! command -v compute-sanitizer >"$dir/logs/sanitizer.log"; then
    echo 'SKIPPED: no compute-sanitizer on the path (it is part of the CUDA toolkit)'
  fi
  if [ "$failures" -ne 0 ]; then
    echo "$failures FAILED; see $dir/logs"
    exit 1
  fi
}

[ $# -eq 2 ] || usage
case $1 in
  pack) pack "$2" ;;
  run) run "$2" ;;
  *) usage ;;
esac
