// The form takes a proof, a challenge and a difficulty, and shows a verdict and a picture.
import { load } from "./poai.mjs";
import { drawMatrix, drawTicket, drawTree } from "./draw.mjs";

const at = (id) => document.getElementById(id);
const state = { poai: undefined, proof: undefined, turn: 0 };
const SAMPLE_CHALLENGE = "0b7a3db984e72a861feade78ed678e1294fb370ad361954e40d302984f715847";

function show(kind, headline, reason, facts = []) {
  at("verdict").hidden = false;
  at("verdict").className = kind;
  at("mark").textContent = kind === "good" ? "✓" : "✗";
  at("headline").textContent = headline;
  at("reason").textContent = reason;
  at("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, definition.textContent] = [name, value];
    return [term, definition];
  }));
}

/** Hides the last verdict: beside another file's name or another challenge, it would look like theirs. */
function forget() {
  at("verdict").hidden = true;
  at("picture").hidden = true;
}

/**
 * Shows another file's name, and returns its turn.
 * If two files are dropped in a row, the first may be read last. The turn says whether a file is still the named one.
 */
function name(file, size) {
  state.proof = undefined;
  at("check").disabled = true;
  forget();
  at("file-name").textContent = file;
  at("file-size").textContent = `${size.toLocaleString("en")} bytes`;
  return ++state.turn;
}

function take(proof) {
  state.proof = proof;
  at("check").disabled = state.poai === undefined;
}

async function takeFile(file) {
  const turn = name(file.name, file.size);
  const most = state.poai?.proofBytesMax(0) ?? 0;
  if (file.size > most) {
    show("bad", "Not read", `${file.name} has ${file.size.toLocaleString("en")} bytes, and no proof has more than ${most.toLocaleString("en")}.`);
    return;
  }
  try {
    const bytes = await file.arrayBuffer();
    if (turn === state.turn) take(new Uint8Array(bytes));
  } catch {
    if (turn === state.turn) show("bad", "Not read", `${file.name} cannot be read.`);
  }
}

/** Returns the field's value as `read` parses it; marks the field and returns undefined if the value is invalid. */
function field(id, read) {
  const value = read(at(id).value.trim());
  at(id).setAttribute("aria-invalid", String(value === undefined));
  if (value === undefined) at(id).focus();
  return value;
}

const challengeOf = (text) =>
  /^[0-9a-f]{64}$/i.test(text) ? Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16)) : undefined;
const difficultyOf = (text) => (/^[0-9]{1,39}$/.test(text) && BigInt(text) >> 128n === 0n ? BigInt(text) : undefined);

function check() {
  const challenge = field("challenge", challengeOf);
  const difficulty = field("difficulty", difficultyOf);
  if (challenge === undefined || difficulty === undefined) {
    at("picture").hidden = true;
    show("bad", "Not checked", challenge === undefined
      ? "The challenge has to be 64 hexadecimal digits."
      : "The difficulty has to be an integer of at most 128 bits.");
    return;
  }
  const rules = Number(at("rules").value);
  const start = performance.now();
  const found = state.poai.verify({ rules, challenge, difficulty, proof: state.proof });
  const time = performance.now() - start;
  const milliseconds = ["checked in", `${time.toFixed(1)} ms`];
  if (found.code === 0) {
    show("good", "The proof holds", "Its tile was computed from the committed matrices, under this challenge, and wins at this difficulty. It does not say that the product was useful, or whose it is.", [
      ["product", `${found.m} × ${found.n}, depth ${found.k}`],
      ["tile", `row ${found.tileRow}, column ${found.tileColumn}`],
      ["ticket", found.ticket],
      ["root of A", found.rootA],
      ["root of Bᵀ", found.rootB],
      ["proof hash", found.proofHash],
      milliseconds,
    ]);
  } else {
    const malformed = found.code >= 16 && found.code < 32;
    const asked = found.code < 16;
    const headline = asked ? "Not checked" : malformed ? "These bytes are no proof" : "The proof is false";
    show("bad", headline, `${found.message[0].toUpperCase()}${found.message.slice(1)}.`, [["code", String(found.code)], milliseconds]);
  }
  draw(rules, found, difficulty);
}

/** Draws the decoded proof, if the bytes decode. Unverified content is called a claim. */
function draw(rules, found, difficulty) {
  let proof;
  try {
    proof = state.poai.decode(state.proof, rules);
  } catch {
    at("picture").hidden = true;
    return;
  }
  at("picture").hidden = false;
  at("caveat").textContent = found.code === 0 ? "All of it was recomputed." : "This is what the bytes claim. It was not confirmed.";
  const { shape } = proof.statement;
  drawMatrix(at("matrix"), shape, proof.tile);
  at("matrix-caption").textContent = `The product has ${shape.m} × ${shape.n} entries. To recompute the tile, the proof opens 32 rows of A and of Bᵀ, ${shape.k} entries each.`;
  at("ticket").parentElement.hidden = found.ticket === undefined;
  if (found.ticket !== undefined) {
    const { zeros, needed } = drawTicket(at("ticket"), found.ticket, difficulty, shape.k);
    at("ticket-caption").textContent = `The ticket begins with ${zeros.toFixed(1)} zero bits; at this depth the difficulty asks for ${needed.toFixed(1)}.`;
  }
  for (const [side, name, rows, row, opening] of [
    ["a", "A", shape.m, proof.tile.row, proof.opening_a],
    ["b", "Bᵀ", shape.n, proof.tile.column, proof.opening_b],
  ]) {
    const siblings = drawTree(at(`tree-${side}`), rows, shape.k, row);
    const told = opening.siblings.length;
    at(`tree-${side}-caption`).textContent = `The commitment to ${name}: a BLAKE3 tree over ${Math.ceil((rows * shape.k) / 1024).toLocaleString("en")} chunks of 1024 bytes. ${told} hashes of siblings lead from the opened chunks to the root.`;
    if (siblings !== told) throw new Error(`the tree of ${name} has ${siblings} siblings, the proof ${told}`);
  }
}

/** Marks the page as busy while a proof is read, for assistive technology and for tests that wait for the verdict. */
async function busily(work) {
  document.documentElement.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    document.documentElement.removeAttribute("aria-busy");
  }
}

async function sample(change) {
  const answer = await fetch("sample.proof");
  if (!answer.ok) return show("bad", "No sample", "sample.proof is not beside this page.");
  const proof = new Uint8Array(await answer.arrayBuffer());
  change(proof);
  at("challenge").value = SAMPLE_CHALLENGE;
  at("difficulty").value = "16777216";
  at("rules").value = "0";
  name("sample.proof", proof.length);
  take(proof);
  check();
}

at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  if (state.proof !== undefined) check();
});
at("question").addEventListener("input", forget);
at("file").addEventListener("change", () => at("file").files[0] && busily(() => takeFile(at("file").files[0])));
at("sample").addEventListener("click", () => busily(() => sample(() => {})));
at("altered").addEventListener("click", () => busily(() => sample((proof) => { proof[1000] ^= 1; })));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file) busily(() => takeFile(file));
  });
}

try {
  const answer = await fetch("poai.wasm");
  if (!answer.ok) throw new Error("poai.wasm is not beside this page");
  state.poai = await load(await answer.arrayBuffer());
  at("check").disabled = state.proof === undefined;
  document.documentElement.dataset.ready = "";
} catch (error) {
  show("bad", "The verifier did not load", `${error.message}. See examples/web/README.md.`);
}
