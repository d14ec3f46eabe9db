#!/usr/bin/env bash
# Proves three statements with EZKL and with poai, in turns, and prints a table.
#
#   benches/peers/ezkl/run.sh [--runs N] [--only mlp|cnn|product] [--json FILE]
#
# Installs EZKL from PyPI into target/ezkl-venv and makes its reference string
# here, by ezkl's own generator for tests. If EZKL cannot be installed, prints
# SKIPPED and the reason. Builds poai with BMI2 and ADX if the processor has them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."

venv=target/ezkl-venv
if ! said=$({ [ -x "$venv/bin/python" ] || python3 -m venv "$venv"; } 2>&1) ||
  ! said=$("$venv/bin/pip" install --quiet --no-deps -r "$here/requirements.txt" 2>&1); then
  echo "SKIPPED: EZKL cannot be installed: $(tail -n 1 <<<"$said")"
  exit 0
fi

if grep -qw bmi2 /proc/cpuinfo 2>/dev/null && grep -qw adx /proc/cpuinfo; then
  export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+bmi2,+adx"
fi
cargo build --release --locked -p poai-cli
ours="${CARGO_TARGET_DIR:-target}/release/poai"
exec "$venv/bin/python" -B "$here/compare.py" --ours "$ours" "$@"
