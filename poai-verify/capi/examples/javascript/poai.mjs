// The verifier as a WebAssembly module, for browsers and Node.js. It has no imports and uses no network.

const ARGUMENT = 1;

/** Makes a verifier from the module's bytes, or from a compiled WebAssembly.Module. */
export async function load(source) {
  const made = await WebAssembly.instantiate(source, {});
  return new Verifier((made.instance ?? made).exports);
}

export class Verifier {
  #c;

  constructor(exports) {
    this.#c = exports;
  }

  get version() {
    return this.#text(this.#c.poai_version());
  }

  proofBytesMax(rules = 0) {
    return Number(this.#c.poai_proof_bytes_max(rules));
  }

  message(code) {
    return this.#text(this.#c.poai_error_message(code));
  }

  /**
   * Checks a proof (Uint8Array) under a challenge (Uint8Array of 32) and a difficulty (BigInt, in
   * MACs). Returns { code, message } and, if code is 0, the content of the proof. Throws a TypeError
   * or RangeError if an argument is invalid.
   */
  verify({ rules = 0, challenge, difficulty, proof }) {
    const arrays = asked(rules, challenge, difficulty, proof);
    return this.#with([...arrays, new Uint8Array(180)], (c, d, p, out) => {
      const code = this.#c.poai_verify(rules, c, d, p, proof.length, out);
      const answer = { code, message: this.message(code) };
      return code === 0 ? { ...answer, ...this.#verified(out) } : answer;
    }) ?? { code: ARGUMENT, message: this.message(ARGUMENT) };
  }

  /** Makes only the cheap checks, and returns the code. */
  preliminaryVerify({ rules = 0, challenge, difficulty, proof }) {
    return this.#with(asked(rules, challenge, difficulty, proof), (c, d, p) =>
      this.#c.poai_preliminary_verify(rules, c, d, p, proof.length)) ?? ARGUMENT;
  }

  /** Returns the proof's parts, unverified, as Rust's serde_json writes them. */
  decode(proof, rules = 0) {
    checkRules(rules);
    checkBytes("proof", proof);
    return this.#with([proof, new Uint8Array(4)], (p, out) => {
      const code = this.#c.poai_decode_json(rules, p, proof.length, out);
      if (code !== 0) throw new Error(this.message(code));
      const text = this.#view().getUint32(out, true);
      try {
        return JSON.parse(this.#text(text));
      } finally {
        this.#c.poai_string_free(text);
      }
    });
  }

  #verified(at) {
    const view = this.#view();
    const numbers = ["m", "n", "k", "tileRow", "tileColumn"];
    const digests = ["rootA", "rootB", "ticket", "proofHash", "rulesDigest"];
    const read = Object.fromEntries(numbers.map((name, i) => [name, view.getUint32(at + 4 * i, true)]));
    digests.forEach((name, i) => {
      const bytes = new Uint8Array(this.#c.memory.buffer, at + 20 + 32 * i, 32);
      read[name] = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    });
    return read;
  }

  /** Copies arrays into the module's memory for a call. Returns undefined if the memory has no room. */
  #with(arrays, call) {
    const places = arrays.map((array) => this.#c.poai_alloc(array.length));
    try {
      if (places.some((place, i) => place === 0 && arrays[i].length > 0)) return undefined;
      arrays.forEach((array, i) => new Uint8Array(this.#c.memory.buffer).set(array, places[i]));
      return call(...places);
    } finally {
      places.forEach((place, i) => this.#c.poai_free(place, arrays[i].length));
    }
  }

  #view() {
    return new DataView(this.#c.memory.buffer);
  }

  #text(at) {
    const bytes = new Uint8Array(this.#c.memory.buffer, at);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }
}

/** Returns the arrays that the module takes. Checks them first, because the module sees neither types nor lengths. */
function asked(rules, challenge, difficulty, proof) {
  checkRules(rules);
  checkBytes("challenge", challenge);
  if (challenge.length !== 32) throw new RangeError(`challenge has to be 32 bytes, not ${challenge.length}`);
  checkBytes("proof", proof);
  return [challenge, bigEndian(difficulty), proof];
}

/** Checks the rules, because WebAssembly cuts numbers to 32 bits. */
function checkRules(rules) {
  if (!Number.isInteger(rules)) throw new TypeError("rules has to be an integer");
  if (rules < 0 || rules >= 2 ** 32) throw new RangeError(`rules has to be within 0 and 2^32-1, not ${rules}`);
}

function checkBytes(name, bytes) {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${name} has to be a Uint8Array`);
}

/** Returns a difficulty as 16 bytes. It passes zero on, because the module has a code for it. */
function bigEndian(difficulty) {
  if (typeof difficulty !== "bigint") throw new TypeError(`difficulty has to be a BigInt, not ${typeof difficulty}`);
  if (difficulty < 0n || difficulty >> 128n !== 0n) {
    throw new RangeError(`difficulty has to be within 0 and 2^128-1, not ${difficulty}`);
  }
  return Uint8Array.from({ length: 16 }, (_, i) => Number((difficulty >> BigInt(8 * (15 - i))) & 255n));
}
