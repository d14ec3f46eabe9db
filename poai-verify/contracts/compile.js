// Compiles the registry and the verifiers of the test keys into artefacts/.
// They are committed, so that the Rust tests need no compiler.
//
//   node compile.js          writes the artefacts
//   node compile.js --check  fails if they differ from the compiler's output
"use strict";

const { ethers } = require("ethers");
const fs = require("fs");
const path = require("path");
const { compile, version } = require("./compiler.js");

const sources = ["PoaiRegistry.sol"];
for (const file of fs.readdirSync(path.join(__dirname, "fixtures")).sort()) {
  if (file.endsWith(".sol")) sources.push(`fixtures/${file}`);
}

const check = process.argv.includes("--check");
let failed = 0;
for (const file of sources) {
  const source = fs.readFileSync(path.join(__dirname, file), "utf8");
  const name = path.basename(file, ".sol");
  const artefact = {
    contract: name,
    source: file,
    // With this hash, the Rust tests detect an artefact older than its source.
    source_keccak256: ethers.keccak256(ethers.toUtf8Bytes(source)).slice(2),
    compiler: version,
    ...compile(file, source, name),
  };
  const text = JSON.stringify(artefact, null, 1) + "\n";
  const to = path.join(__dirname, "artefacts", `${name}.json`);
  if (!check) {
    fs.mkdirSync(path.dirname(to), { recursive: true });
    fs.writeFileSync(to, text);
  } else if (!fs.existsSync(to) || fs.readFileSync(to, "utf8") !== text) {
    console.error(`expected artefacts/${name}.json to match ${file}, got other content; run node compile.js`);
    failed += 1;
  }
  console.log(`${name}: ${artefact.runtime.length / 2} bytes of code`);
}
process.exit(failed === 0 ? 0 : 1);
