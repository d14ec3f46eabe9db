// Compiles the registry and the verifiers of the test keys into artefacts/,
// which is committed, so that the Rust tests need no compiler.
//
//   node compile.js          writes them
//   node compile.js --check  fails where they are not what the sources give
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
    // By this the Rust tests see that an artefact is older than its source.
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
    console.error(`artefacts/${name}.json is not what ${file} compiles to: run node compile.js`);
    failed += 1;
  }
  console.log(`${name}: ${artefact.runtime.length / 2} bytes of code`);
}
process.exit(failed === 0 ? 0 : 1);
