#!/usr/bin/env bash
# Runs all checks and measurements of a GPU in one go, on a machine that needs
# neither cargo nor a network.
#
#   scripts/gpu-suite.sh pack DIR   builds the programs and copies them, with
#                                   this script and the model all-MiniLM-L6-v2
#                                   (if it is in target/minilm), into DIR
#   DIR/gpu-suite.sh run [--long] [--out FOLDER] DIR
#                                   runs them and prints one table
#
# The programs carry their kernels and vectors, so only DIR must be copied. The
# target is a Linux machine with the same kind of processor and a C library no
# older than the builder's. The programs' output goes to FOLDER, by default
# DIR/logs. The table of figures is FOLDER/gpu.md.
#
# A row says PASS, PART, FAIL or SKIPPED. PART means that everything that ran is
# right, but the time ended before all requested cases had run. SKIPPED means
# that there is no GPU, no compute-sanitizer, or no time left. A part that fails
# does not stop the others. `run` fails if any row fails.
#
# Settings, with their defaults, and the defaults with --long:
#   POAI_SUITE_SECONDS=510  for the whole suite (--long: 7200)
#   POAI_DUAL_CASES=10000   products, and the same number of programs, on the CPU
#                           and the GPU at once; programs whole and by products.
#                           All are drawn; one program in eight is one of two
#                           fixed networks at a drawn shape
#   POAI_DUAL_SECONDS=75    for each of the two; a row says how many cases ran
#                           (--long: 1800)
#   POAI_DUAL_SEED=0        which cases are drawn
#   POAI_TOOL_EDGE_CASES=44 of the steps' edge cases, under each tool of
#                           compute-sanitizer: the first of every kind of step
#                           before the second of any (--long: 220)
#   POAI_SOAK_SECONDS=30    of mining, by every variant, and by the fastest
#                           alone (--long: 600)
#   POAI_SOAK_TILES=64      tiles a side of the largest mined product
#   POAI_SOAK_SEED=0        which cases are drawn
#   POAI_TABLE_FLAGS=       more flags of the table, like --quick
#   POAI_CUBLASLT=          libcublasLt or its folder; by default a search finds it
#   POAI_MINILM=DIR/minilm  the model's folder
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
  exit 2
}

# The tests of poai-cuda, and the measuring program.
programs=(it gpu)
model=(model.safetensors config.json)

pack() {
  local dir=$1 messages file
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  local script
  script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
  cd "$(dirname "$script")/.."
  messages=$(cargo test --quiet -p poai-cuda --features measure --test it --no-run \
    --message-format=json)
  take it "$messages" "$dir"
  messages=$(cargo build --quiet --release -p poai-benches --bin gpu --message-format=json)
  take gpu "$messages" "$dir"
  [ "$script" -ef "$dir/gpu-suite.sh" ] || cp "$script" "$dir/gpu-suite.sh"
  if [ -f target/minilm/model.safetensors ]; then
    mkdir -p "$dir/minilm"
    for file in "${model[@]}"; do cp "target/minilm/$file" "$dir/minilm/$file"; done
  else
    echo 'SKIPPED: no target/minilm (scripts/fetch-minilm.sh gets it)'
  fi
  echo "packed into $dir: $(ls -m "$dir")"
}

# take PROGRAM MESSAGES DIR: copies the program that cargo reports.
take() {
  local path
  path=$(sed -n "/\"name\":\"$1\"/s/.*\"executable\":\"\([^\"]*\)\".*/\1/p" <<<"$2")
  [ -x "$path" ] || { echo "expected a program $1 from cargo, got none" >&2; exit 1; }
  cp "$path" "$3/$1"
}

passed=0 partly=0 failures=0 skipped=0
summary=()

# row WHAT RESULT NOTE SECONDS
row() {
  local line
  line=$(printf '%-48s  %-7s  %7s  %s' "$1" "$2" "$4" "$3")
  summary+=("$line")
  echo "$line"
  case $2 in
    PASS) passed=$((passed + 1)) ;;
    PART) partly=$((partly + 1)) ;;
    SKIPPED) skipped=$((skipped + 1)) ;;
    *) failures=$((failures + 1)) ;;
  esac
}

# part WHAT LIMIT PROOF COMMAND…: prints one row. PROOF is a text that only a
# program that did its work prints, because one that ran nothing would succeed
# as well.
part() {
  local what=$1 limit=$2 proof=$3 log result note='' status=0 start seconds left
  shift 3
  log=$logs/${what//[^a-zA-Z0-9]/-}.log
  left=$((POAI_SUITE_SECONDS - SECONDS))
  if [ "$left" -lt 5 ]; then
    row "$what" SKIPPED 'no time is left' -
    return
  fi
  [ "$limit" -le "$left" ] || limit=$left
  start=$EPOCHREALTIME
  timeout -k 5 "$limit" "$@" >"$log" 2>&1 || status=$?
  seconds=$(awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.1f", end - start }')
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
    result=FAIL note="ended after $limit seconds"
    echo "$note" >>"$log"
  elif [ "$status" -ne 0 ]; then
    result=FAIL note="exit status $status"
  elif grep -qE '^SKIPPED: no GPU' "$log"; then
    result=SKIPPED note='no GPU'
  elif ! grep -qE "$proof" "$log"; then
    result=FAIL note='ran nothing'
  else
    result=PASS
    note=$(sed -n 's/^DONE: //p' "$log" | tail -n 1)
    # The note counts requested cases only if nothing follows the numbers.
    if [[ $note =~ ^([0-9]+)\ of\ ([0-9]+)$ ]] &&
      [ "${BASH_REMATCH[1]}" -lt "${BASH_REMATCH[2]}" ]; then
      result=PART
    fi
    # For example, this GPU lacks a variant, or a library is missing.
    ! grep -q 'SKIPPED:' "$log" || note="${note:+$note; }part SKIPPED"
  fi
  row "$what" "$result" "$note" "$seconds"
  if [ "$result" = FAIL ]; then
    tail -n 20 "$log" | sed 's/^/    /'
  fi
}

# check LIMIT MODULE::TEST [TOOL…]: runs a test as a part.
check() {
  local limit=$1 test=$2 what
  shift 2
  what=${test##*::}
  what=${what//_/ }
  [ $# -eq 0 ] || what="$(basename "$1") ${3:-} of $what"
  part "$what" "$limit" 'test result: ok. 1 passed' \
    "$@" "$dir/it" --exact "$test" --nocapture
}

# The folder of a pip package's libcublasLt, if exactly one exists.
find_cublaslt() {
  [ -z "${POAI_CUBLASLT:-}" ] || return 0
  local found
  found=$(python3 - 2>/dev/null <<'PYTHON' || true
import glob, site, sys
for folder in [*site.getsitepackages(), site.getusersitepackages(), *sys.path]:
    for path in sorted(glob.glob(f"{folder}/nvidia/*/lib/libcublasLt.so.*"), reverse=True):
        sys.exit(print(path))
PYTHON
)
  [ -z "$found" ] || export POAI_CUBLASLT=$found
}

sanitizer() {
  command -v compute-sanitizer && return
  local path=/usr/local/cuda/bin/compute-sanitizer
  [ ! -x "$path" ] || echo "$path"
}

# Records the GPU's own readings while the table is made.
watch_clocks() {
  command -v nvidia-smi >/dev/null || return 0
  nvidia-smi >"$logs/nvidia-smi.log" 2>&1 || true
  nvidia-smi -l 1 --format=csv \
    --query-gpu=timestamp,clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_throttle_reasons.active \
    >"$logs/clocks.csv" 2>&1 &
  watcher=$!
}

run() {
  local long=$1 program tool watcher='' checker
  dir=$(cd "$3" && pwd)
  for program in "${programs[@]}"; do
    [ -x "$dir/$program" ] || { echo "expected $program in $dir, got none; pack it first" >&2; exit 1; }
  done
  logs=${2:-$dir/logs}
  mkdir -p "$logs"
  logs=$(cd "$logs" && pwd)
  # otherwise NAME SHORT LONG: sets a default.
  otherwise() {
    local value=$2
    [ "$long" -eq 0 ] || value=$3
    export "$1=${!1:-$value}"
  }
  otherwise POAI_SUITE_SECONDS 510 7200
  otherwise POAI_DUAL_CASES 10000 10000
  otherwise POAI_DUAL_SECONDS 75 1800
  otherwise POAI_DUAL_SEED 0 0
  otherwise POAI_TOOL_EDGE_CASES 44 220
  otherwise POAI_SOAK_SECONDS 30 600
  otherwise POAI_SOAK_TILES 64 64
  otherwise POAI_SOAK_SEED 0 0
  export POAI_MINILM=${POAI_MINILM:-$dir/minilm}
  # Only the message fits below a row.
  export RUST_BACKTRACE=0
  find_cublaslt
  # If there is more time in all, every row gets more.
  local more=$((long * 3 + 1))

  # The quick parts first, then the measurements, then the parts that use the
  # remaining time.
  check $((15 * more)) detection::a_machine_with_a_gpu_lists_it
  check $((30 * more)) gpu::products_at_small_sizes
  check $((60 * more)) gpu::every_step_at_small_sizes
  check $((30 * more)) gpu::the_vectors_hold
  check $((30 * more)) measure::steps_leave_what_the_cpu_leaves
  check $((15 * more)) measure::what_does_not_fit_is_refused
  watch_clocks
  # Unquoted, because several flags are several words.
  # shellcheck disable=SC2086
  part 'table of figures' $((150 * more)) '^# Products on a GPU' \
    "$dir/gpu" table --out "$logs" ${POAI_TABLE_FLAGS:-}
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
  check $((45 * more)) gpu::every_variant_passes_the_tester
  check $((30 * more)) gpu::a_million_entries_in_lock_step_with_the_cpu
  check $((POAI_DUAL_SECONDS + 30)) gpu::products_in_lock_step_with_the_cpu
  check $((POAI_DUAL_SECONDS + 30)) gpu::programs_in_lock_step_with_the_cpu
  check $((POAI_SOAK_SECONDS + 30)) gpu::a_soak_of_mining_draws_no_wrong_ticket
  part "a soak of $POAI_SOAK_SECONDS seconds" $((POAI_SOAK_SECONDS + 30)) 'all right$' \
    "$dir/gpu" soak --seconds "$POAI_SOAK_SECONDS" --tiles "$POAI_SOAK_TILES" \
    --seed "$POAI_SOAK_SEED"
  checker=$(sanitizer || true)
  for tool in memcheck racecheck initcheck; do
    if [ -n "$checker" ]; then
      check $((60 * more)) gpu::products_at_small_sizes \
        "$checker" --tool "$tool" --error-exitcode 9
      POAI_EDGE_CASES=$POAI_TOOL_EDGE_CASES check $((60 * more)) gpu::every_step_at_small_sizes \
        "$checker" --tool "$tool" --error-exitcode 9
    else
      row "compute-sanitizer $tool" SKIPPED 'no compute-sanitizer (part of the CUDA toolkit)' -
    fi
  done

  { echo "$passed PASS, $partly PART, $failures FAIL, $skipped SKIPPED in $SECONDS seconds"
    printf '%s\n' "${summary[@]}"; } >"$logs/summary.txt"
  echo
  cat "$logs/summary.txt"
  [ ! -s "$logs/gpu.md" ] || { echo; cat "$logs/gpu.md"; }
  if [ "$failures" -ne 0 ]; then
    echo "$failures FAILED; see $logs"
    exit 1
  fi
}

[ $# -ge 1 ] || usage
command=$1
shift
long=0 out=
while [ $# -gt 1 ]; do
  case $1 in
    --long) long=1 ;;
    --out) out=$2; shift ;;
    *) usage ;;
  esac
  shift
done
[ $# -eq 1 ] || usage
case $command in
  pack) [ "$long" -eq 0 ] && [ -z "$out" ] || usage; pack "$1" ;;
  run) run "$long" "$out" "$1" ;;
  *) usage ;;
esac
