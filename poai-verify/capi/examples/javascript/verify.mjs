// Runs the table of cases through the WebAssembly module: node verify.mjs MODULE CASES FOLDER...
import { existsSync, readFileSync } from "node:fs";
import { load } from "./poai.mjs";

const [modulePath, casesPath, ...folders] = process.argv.slice(2);
const compiled = new WebAssembly.Module(readFileSync(modulePath));
const imports = WebAssembly.Module.imports(compiled);
if (imports.length > 0) throw new Error(`the module asks for ${JSON.stringify(imports)}`);
const poai = await load(compiled);

function changed(proof, how) {
  const [kind, ...numbers] = how.split(":");
  const [at, bit] = numbers.map(Number);
  if (kind === "keep") return proof.slice(0, at);
  if (kind === "add") return Uint8Array.from([...proof, ...new Uint8Array(at)]);
  if (kind === "flip") proof[at] ^= 1 << bit;
  return proof;
}

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
let passed = 0;
let failed = 0;
for (const line of readFileSync(casesPath, "utf8").trimEnd().split("\n")) {
  if (line.startsWith("#")) continue;
  const [name, expected, rules, challenge, difficulty, file, how] = line.split(" ");
  const path = folders.map((folder) => `${folder}/${file}`).find(existsSync);
  const proof = changed(new Uint8Array(readFileSync(path)), how);
  const asked = { rules: +rules, challenge: bytes(challenge), difficulty: BigInt(`0x${difficulty}`), proof };
  const found = poai.verify(asked);
  const cheap = poai.preliminaryVerify(asked);
  let good = found.code === +expected && (cheap === 0 || cheap === found.code);
  if (found.code === 0) {
    const decoded = poai.decode(proof, +rules);
    good &&= found.k === 1024 && decoded.statement.shape.k === 1024;
    good &&= decoded.statement.root_a === found.rootA;
  }
  console.log(`${name.padEnd(24)} ${String(found.code).padStart(2)} ${found.message}`);
  good ? passed++ : failed++;
}
console.log(`${passed} passed, ${failed} failed`);

// Invalid arguments are refused by name before the module is called.
const question = { challenge: new Uint8Array(32), difficulty: 1n << 24n, proof: new Uint8Array(0) };
let missed = 0;
for (const [name, value, error] of [
  ["rules", 2 ** 32, RangeError],
  ["rules", 0.5, TypeError],
  ["rules", "0", TypeError],
  ["challenge", new Uint8Array(31), RangeError],
  ["challenge", new Uint8Array(64), RangeError],
  ["challenge", new Uint16Array(32), TypeError],
  ["challenge", "0b".repeat(32), TypeError],
  ["challenge", undefined, TypeError],
  ["difficulty", -1n, RangeError],
  ["difficulty", 1n << 128n, RangeError],
  ["difficulty", 2 ** 24, TypeError],
  ["difficulty", undefined, TypeError],
  ["proof", [1, 2, 3], TypeError],
  ["proof", undefined, TypeError],
]) {
  for (const check of ["verify", "preliminaryVerify"]) {
    let said = "nothing";
    try {
      poai[check]({ ...question, [name]: value });
    } catch (caught) {
      said = `${caught.name}: ${caught.message}`;
    }
    if (said.startsWith(`${error.name}: ${name} has to be `)) continue;
    console.log(`${check} with ${name} = ${String(value)}: ${said}`);
    missed++;
  }
}
console.log(missed === 0 ? "invalid arguments are refused" : `${missed} invalid arguments were not refused`);
process.exit(failed + missed > 0 || passed === 0 ? 1 : 0);
