// Sends an inference proof to the contracts on a development node.
//
//   node e2e.js URL PROOF.json OTHER.json
//
// Both files are objects that `poai_verify::inference::Deployment` serialises. The
// second is for another model. Prints each check, and "N passed, M failed".
"use strict";

const fs = require("fs");
const path = require("path");
const { ethers } = require("ethers");
const { compile } = require("./compiler.js");

const R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001n;
const Q = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47n;
const WORDS = 2n ** 256n;

let passed = 0;
let failed = 0;

function check(what, holds, detail = "") {
  if (holds) passed += 1;
  else failed += 1;
  console.log(`${holds ? "ok    " : "FAILED"} ${what}${detail === "" ? "" : `: ${detail}`}`);
}

function hex(text) {
  return `0x${text}`;
}

/** Reads a deployment. Every word becomes a number, and everything else hex with a prefix. */
function read(file) {
  const json = JSON.parse(fs.readFileSync(file, "utf8"));
  const kinds = { public: 0, hashed: 1, private: 2 };
  const { input, output, weights } = json.visibility;
  return {
    verifier: json.verifier,
    key: hex(json.verifying_key),
    program: hex(json.program_id),
    job: hex(json.job),
    prover: ethers.getAddress(hex(json.prover)),
    macs: BigInt(json.macs),
    visibility: kinds[input] | (kinds[output] << 2) | (weights === "committed" ? 16 : 0),
    inputSignals: json.input_signals,
    outputSignals: json.output_signals,
    weights: json.weights === null ? 0n : BigInt(hex(json.weights)),
    proof: json.proof.map((word) => BigInt(hex(word))),
    signals: json.signals.map((word) => BigInt(hex(word))),
    calldata: hex(json.calldata),
  };
}

/** The name of a failed call's custom error, from all known interfaces. */
function reason(error, interfaces) {
  for (let at = error, depth = 0; at && depth < 8; at = at.error ?? at.info ?? at.cause, depth += 1) {
    const data = typeof at.data === "string" ? at.data : at.data?.data;
    if (typeof data !== "string" || data.length < 10) continue;
    for (const known of interfaces) {
      const parsed = known.parseError(data);
      if (parsed !== null) return parsed.name;
    }
  }
  return `no custom error (${error.shortMessage ?? error.message})`;
}

/** The gas that a transaction costs before any code runs. */
function intrinsicGas(data) {
  const bytes = ethers.getBytes(data);
  return 21000 + bytes.reduce((sum, byte) => sum + (byte === 0 ? 4 : 16), 0);
}

class Test {
  constructor(provider, registrar, registry) {
    this.provider = provider;
    this.registrar = registrar;
    this.registry = registry;
    this.interfaces = [registry.interface];
  }

  /** A signer on the node for an address whose key this script does not have. */
  async account(address) {
    await this.provider.send("hardhat_impersonateAccount", [address]);
    await this.provider.send("hardhat_setBalance", [address, "0x56bc75e2d63100000"]);
    return new ethers.JsonRpcSigner(this.provider, address);
  }

  /** Deploys the verifier of a deployment and registers its model. */
  async register(it) {
    const contract = compile(`${it.verifier.name}.sol`, it.verifier.source, it.verifier.name);
    check(`${it.verifier.name} fits`, contract.runtime.length / 2 < 24576, `${contract.runtime.length / 2} bytes`);
    const factory = new ethers.ContractFactory(contract.abi, contract.bytecode, this.registrar);
    const verifier = await factory.deploy();
    await verifier.waitForDeployment();
    this.interfaces.push(verifier.interface);
    const code = ethers.keccak256(await this.provider.getCode(await verifier.getAddress()));
    const transaction = await this.registry.register(
      it.program, it.key, verifier, code, it.macs, it.visibility, it.inputSignals, it.outputSignals, it.weights);
    const receipt = await transaction.wait();
    check(`the model of ${it.verifier.name} is registered`, receipt.status === 1, `${receipt.gasUsed} gas`);
    return verifier;
  }

  /** Sends a proof and expects a receipt. */
  async accept(what, it) {
    const signer = await this.account(it.prover);
    const registry = this.registry.connect(signer);
    const transaction = await signer.sendTransaction({ to: await registry.getAddress(), data: it.calldata });
    const receipt = await transaction.wait();
    check(`${what} is accepted`, receipt.status === 1, `${receipt.gasUsed} gas`);
    const events = receipt.logs.map((log) => registry.interface.parseLog(log));
    const event = events.find((event) => event?.name === "InferenceCertified");
    const { prover, job, programId, verifyingKey } = event?.args ?? {};
    check(`${what} is in the log`,
      prover === it.prover && job === it.job && programId === it.program && verifyingKey === it.key);
    const packed = ethers.solidityPackedKeccak256(["uint256[]"], [it.signals]);
    const statement = await registry.statementOf(it.program, it.key, it.job, it.prover);
    check(`${what} leaves its statement`, statement === packed);
  }

  /** Expects that a call, and the transaction of it, fail with one of these errors. */
  async refuse(what, it, errors) {
    const signer = await this.account(it.prover);
    const registry = this.registry.connect(signer);
    const call = [it.program, it.key, it.job, it.proof, it.signals];
    let got = "accepted";
    try {
      await registry.verifyInference.staticCall(...call);
    } catch (error) {
      got = reason(error, this.interfaces);
    }
    let sent = false;
    try {
      const transaction = await registry.verifyInference(...call, { gasLimit: 2000000 });
      sent = (await transaction.wait()).status === 1;
    } catch (error) {
      sent = false;
    }
    check(`refused: ${what}`, errors.includes(got) && !sent, got);
  }
}

/** A copy of a list with one element changed. */
function changed(list, at, value) {
  return list.map((element, index) => (index === at ? value : element));
}

async function refuseChanges(test, it) {
  const words = ["A.x", "A.y", "B.x (imaginary)", "B.x (real)", "B.y (imaginary)", "B.y (real)", "C.x", "C.y"];
  const points = ["NotOnCurve", "CoordinateTooLarge"];
  for (const [at, word] of words.entries()) {
    for (const bit of [0n, 100n, 255n]) {
      const proof = changed(it.proof, at, it.proof[at] ^ (1n << bit));
      await test.refuse(`bit ${bit} of ${word} flipped`, { ...it, proof }, points);
    }
    const proof = changed(it.proof, at, it.proof[at] + Q);
    await test.refuse(`${word} + q`, { ...it, proof }, ["CoordinateTooLarge"]);
  }
  for (const [what, from, to] of [["A", 0, 2], ["B", 2, 6], ["C", 6, 8]]) {
    const proof = it.proof.map((word, at) => (at >= from && at < to ? 0n : word));
    await test.refuse(`${what} at infinity`, { ...it, proof }, ["NotOnCurve"]);
  }
  const negative = changed(it.proof, 1, Q - it.proof[1]);
  await test.refuse("A negated", { ...it, proof: negative }, ["ProofFalse"]);

  const weightsAt = (it.visibility & 16) === 0 ? -1 : 1 + it.inputSignals;
  for (const at of it.signals.keys()) {
    const own = at === 0 ? "BindingMismatch" : at === weightsAt ? "WeightsMismatch" : null;
    for (const bit of [0n, 100n, 255n]) {
      const signals = changed(it.signals, at, it.signals[at] ^ (1n << bit));
      const errors = own === null ? ["ProofFalse", "SignalTooLarge"] : [own];
      await test.refuse(`bit ${bit} of signal ${at} flipped`, { ...it, signals }, errors);
    }
    const signals = changed(it.signals, at, (it.signals[at] + R) % WORDS);
    await test.refuse(`signal ${at} + r`, { ...it, signals }, [own ?? "SignalTooLarge"]);
  }
  await test.refuse("a signal fewer", { ...it, signals: it.signals.slice(0, -1) }, ["SignalsCount"]);
  await test.refuse("a signal more", { ...it, signals: [...it.signals, 0n] }, ["SignalsCount"]);

  const flip = (word) => ethers.toBeHex(BigInt(word) ^ 1n, 32);
  await test.refuse("another program", { ...it, program: flip(it.program) }, ["UnknownModel"]);
  await test.refuse("another key", { ...it, key: flip(it.key) }, ["UnknownModel"]);
  await test.refuse("another job", { ...it, job: flip(it.job) }, ["BindingMismatch"]);
  await test.refuse("another sender", { ...it, prover: ethers.getAddress(`0x${"be".repeat(20)}`) }, ["BindingMismatch"]);
}

async function main() {
  const [url, ...files] = process.argv.slice(2);
  const [it, other] = files.map(read);
  const provider = new ethers.JsonRpcProvider(url, undefined, { staticNetwork: true, cacheTimeout: -1 });
  const registrar = await provider.getSigner(0);
  const source = fs.readFileSync(path.join(__dirname, "PoaiRegistry.sol"), "utf8");
  const contract = compile("PoaiRegistry.sol", source, "PoaiRegistry");
  const factory = new ethers.ContractFactory(contract.abi, contract.bytecode, registrar);
  const registry = await factory.deploy(await registrar.getAddress());
  await registry.waitForDeployment();
  const test = new Test(provider, registrar, registry);

  const verifier = await test.register(it);
  await test.register(other);
  const binding = await registry.bindingOf(it.program, it.key, it.job, it.prover);
  check("the registry computes the proof's binding", binding === it.signals[0]);
  const call = [it.program, it.key, it.job, it.proof, it.signals];
  check("the calldata is what ethers encodes", registry.interface.encodeFunctionData("verifyInference", call) === it.calldata);

  // These run before the proof is accepted, so that no receipt exists yet.
  await refuseChanges(test, it);
  await test.refuse("another model's proof and signals",
    { ...it, proof: other.proof, signals: other.signals }, ["BindingMismatch", "SignalsCount"]);
  await test.refuse("another model's proof", { ...it, proof: other.proof }, ["ProofFalse"]);
  await test.refuse("this proof for another model", { ...other, proof: it.proof }, ["ProofFalse"]);

  const data = verifier.interface.encodeFunctionData("verify", [it.proof, it.signals]);
  const transaction = await registrar.sendTransaction({ to: await verifier.getAddress(), data });
  const { gasUsed } = await transaction.wait();
  const gas = Number(gasUsed) - intrinsicGas(data);
  check("the verifier alone, with four signals, takes at most 235000 gas", it.signals.length > 4 || gas <= 235000,
    `${it.signals.length} signals: ${gas} gas, ${gasUsed} as a transaction`);

  await test.accept("the proof", it);
  await test.refuse("the proof once more", it, ["AlreadyCertified"]);

  // A retirement that is announced while a proof is pending.
  await (await registry.retire(other.program, other.key)).wait();
  const { retiresAt } = await registry.modelOf(other.program, other.key);
  const later = async (seconds) => {
    await provider.send("evm_setNextBlockTimestamp", [`0x${seconds.toString(16)}`]);
    await provider.send("evm_mine", []);
  };
  await later(retiresAt - 60n);
  await test.accept("another model's proof, as its own, before the model retires,", other);
  await later(retiresAt);
  await test.refuse("a proof of a retired model", other, ["Retired"]);
}

main()
  .catch((error) => check("the test runs to its end", false, error.stack))
  .finally(() => {
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed === 0 ? 0 : 1);
  });
