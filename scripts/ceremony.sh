#!/usr/bin/env bash
# Runs a whole ceremony of a key with snarkjs, for a small network:
#
#     scripts/ceremony.sh [DIR]
#
# Powers of tau with two contributions and a beacon, then the circuit's own phase with two contributions
# and a beacon; snarkjs verifies both. The library's prover reads the key and proves, and snarkjs accepts
# the proof. Then snarkjs proves, and the library accepts the proof. All files stay in DIR, or are
# deleted with a temporary folder.
#
# Needs node and npm. Installs snarkjs into scripts/ceremony if it is missing, and works offline after
# that. Prints a row for each check and "N passed, M failed". The exit code is 0 if none failed.
#
# Settings:
#   POAI_CEREMONY_ROWS=N       use a system of N constraints that belongs to no network, instead of the network
#   POAI_CEREMONY_PROGRAM=FILE use this program `ceremony` of poai-testing, instead of building one
set -euo pipefail

: "${POAI_CEREMONY_ROWS:=}"
cd "$(dirname "$0")/.."
tools=$PWD/scripts/ceremony
system=(${POAI_CEREMONY_ROWS:+"$POAI_CEREMONY_ROWS"})
if [ $# -ge 1 ]; then
  mkdir -p "$1"
  dir=$(cd "$1" && pwd)
else
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi

[ -x "$tools/node_modules/.bin/snarkjs" ] || npm ci --prefix "$tools" --no-audit --no-fund
ours=${POAI_CEREMONY_PROGRAM:-}
if [ -z "$ours" ]; then
  cargo build --locked -p poai-testing --features ceremony --bin ceremony
  ours=${CARGO_TARGET_DIR:-target}/debug/ceremony
fi
[ "${ours#/}" != "$ours" ] || ours=$PWD/$ours
cd "$dir"

passed=0
failed=0

# check WHAT COMMAND...: prints one row, and the command's output only if it fails.
check() {
  local what=$1 start=$EPOCHREALTIME result=passed
  shift
  if "$@" >log.txt 2>&1 </dev/null; then passed=$((passed + 1)); else result=FAILED failed=$((failed + 1)); fi
  printf '%-58s  %-6s  %6.2f s\n' "$what" "$result" "$(awk "BEGIN { print $EPOCHREALTIME - $start }")"
  [ "$result" = passed ] || sed 's/^/    /' log.txt
}

# refuses COMMAND...: the command must find the proof invalid, and not fail for another reason.
refuses() {
  ! "$@" >refusal.txt 2>&1 && grep -q "Invalid proof" refusal.txt
}

snarkjs() {
  "$tools/node_modules/.bin/snarkjs" "$@"
}

# The entropy that contributors type.
entropy() {
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}
# Public; in a real ceremony unknown to everyone until the contributions are in.
beacon=$(printf '0123456789abcdef%.0s' 1 2 3 4)

# The smallest power of two that holds the constraints, the constant one and the signals.
rows=$("$ours" write . "${system[@]}" | cut -d' ' -f1)
power=1
while [ $((1 << power)) -lt $((rows + 7)) ]; do power=$((power + 1)); done

# Chained with &&, because `check` tests their result, which switches `set -e` off.
phase_one() {
  snarkjs powersoftau new bn128 "$power" pot0.ptau &&
  snarkjs powersoftau contribute pot0.ptau pot1.ptau --name=first -e="$(entropy)" &&
  snarkjs powersoftau contribute pot1.ptau pot2.ptau --name=second -e="$(entropy)" &&
  snarkjs powersoftau beacon pot2.ptau pot3.ptau "$beacon" 10 --name=beacon &&
  snarkjs powersoftau prepare phase2 pot3.ptau final.ptau
}

phase_two() {
  snarkjs groth16 setup system.r1cs final.ptau system0.zkey &&
  snarkjs zkey contribute system0.zkey system1.zkey --name=first -e="$(entropy)" &&
  snarkjs zkey contribute system1.zkey system2.zkey --name=second -e="$(entropy)" &&
  snarkjs zkey beacon system2.zkey final.zkey "$beacon" 10 --name=beacon
}

# Gives the key without contributions to the library, under the name that it reads.
uncontributed() {
  mkdir -p initial && cp system0.zkey initial/final.zkey &&
    ! "$ours" prove initial "${system[@]}" 2>refusal.txt &&
    grep -q "expected a contribution" refusal.txt
}

changed_signal() {
  sed '0,/"[0-9]*"/s//"1"/' public.json >changed.json && ! cmp -s public.json changed.json &&
    refuses snarkjs groth16 verify verification_key.json changed.json proof.json
}

same_json() {
  node -e 'const [a, b] = process.argv.slice(1).map((f) => JSON.parse(require("fs").readFileSync(f)));
    require("assert").deepStrictEqual(a, b)' "$1" "$2"
}

check "our .r1cs and .wtns are written" "$ours" write . "${system[@]}"
check "snarkjs reads the .r1cs" snarkjs r1cs info system.r1cs
check "snarkjs finds the .wtns to satisfy it" snarkjs wtns check system.r1cs witness.wtns
check "powers of tau" phase_one
check "snarkjs verifies them" snarkjs powersoftau verify final.ptau
check "the system's own phase" phase_two
check "snarkjs verifies the key" snarkjs zkey verify system.r1cs final.ptau final.zkey
check "a key without contributions is refused" uncontributed
check "a key of another system is refused" "$ours" foreign . "${system[@]}"
check "we read the key, keep it, prove and export" "$ours" prove . "${system[@]}"
check "snarkjs accepts our proof" snarkjs groth16 verify verification_key.json public.json proof.json
check "snarkjs refuses it for another signal" changed_signal
check "snarkjs exports a verifying key" snarkjs zkey export verificationkey final.zkey snarkjs-key.json
check "it equals our verifying key" same_json snarkjs-key.json verification_key.json
check "snarkjs proves" snarkjs groth16 prove final.zkey witness.wtns snarkjs-proof.json snarkjs-public.json
check "its signals equal ours" same_json snarkjs-public.json public.json
check "we accept its proof, and refuse it for another signal" "$ours" verify . "${system[@]}"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
