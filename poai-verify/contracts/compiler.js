// The only compiler of the contracts: solc from npm, which is the compiler as
// WebAssembly, so that nothing else is downloaded.
"use strict";

const solc = require("solc");

const SETTINGS = {
  evmVersion: "shanghai",
  viaIR: true,
  optimizer: { enabled: true, runs: 1000000 },
  // Without the metadata's hash, the same source gives the same code for any
  // path.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

/** Compiles one source file and returns its contract `name`; throws on errors and warnings. */
function compile(file, source, name) {
  const input = { language: "Solidity", sources: { [file]: { content: source } }, settings: SETTINGS };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const messages = (output.errors ?? []).map((error) => error.formattedMessage);
  if (messages.length > 0) throw new Error(messages.join("\n"));
  const contract = output.contracts[file][name];
  if (contract === undefined) throw new Error(`${file} has no contract ${name}`);
  return {
    abi: contract.abi,
    bytecode: contract.evm.bytecode.object,
    runtime: contract.evm.deployedBytecode.object,
  };
}

module.exports = { compile, version: solc.version() };
