// Tests the page in headless Chromium: node test.mjs URL CHROMIUM FOLDER PROOF. Screenshots go to FOLDER.
// playwright-core has to be installed beside this file.
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, executablePath, folder, proofPath] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const proof = readFileSync(proofPath);
const CHALLENGE = "0b7a3db984e72a861feade78ed678e1294fb370ad361954e40d302984f715847";
let passed = 0;

async function test(name, work, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1080, height: 1400 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => request.url().startsWith(url) || complaints.push(`asked for ${request.url()}`));
  await page.goto(url);
  await page.waitForSelector("html[data-ready]");
  await work(page);
  assert.deepEqual(complaints, [], name);
  await context.close();
  passed++;
  console.log(`ok ${name}`);
}

// Proofs are read asynchronously, so the result of a click or a choice is complete once the page is no longer busy.
const settled = (page) => page.waitForSelector("html:not([aria-busy])");
const headline = async (page) => {
  await settled(page);
  return page.textContent("#headline");
};
const bytes = (change) => { const copy = Buffer.from(proof); change(copy); return copy; };
const choose = async (page, buffer, name = "win.proof") => {
  await page.setInputFiles("#file", { name, mimeType: "application/octet-stream", buffer });
  await settled(page);
};

await test("the sample holds", async (page) => {
  await page.click("#sample");
  assert.equal(await headline(page), "The proof holds");
  assert.match(await page.textContent("#facts"), /256 × 256, depth 1024/);
  assert.equal(await page.locator("#matrix .tile").count(), 1);
  assert.equal(await page.locator("#tree-a .sibling").count(), 3);
  assert.equal(await page.locator("#tree-b .sibling").count(), 3);
  assert.equal(await page.locator("#tree-a .opened").count(), 1);
  assert.equal(await page.locator("#ticket .won").count(), 1);
  await page.screenshot({ path: `${folder}/good.png`, fullPage: true });
});

await test("a flipped bit is shown as false", async (page) => {
  await page.click("#altered");
  assert.equal(await headline(page), "The proof is false");
  assert.match(await page.textContent("#reason"), /opening does not lead to its root/);
  assert.match(await page.textContent("#caveat"), /not confirmed/);
  await page.screenshot({ path: `${folder}/bad.png`, fullPage: true });
});

await test("a file, by keyboard", async (page) => {
  await choose(page, proof);
  await page.fill("#challenge", CHALLENGE);
  await page.press("#challenge", "Enter");
  assert.equal(await headline(page), "The proof holds");
  await page.fill("#difficulty", String(2n ** 100n));
  await page.press("#difficulty", "Enter");
  assert.equal(await headline(page), "The proof is false");
  assert.match(await page.textContent("#reason"), /ticket does not win/);
});

await test("malformed bytes", async (page) => {
  await page.fill("#challenge", CHALLENGE);
  for (const buffer of [Buffer.alloc(0), proof.subarray(1), bytes((copy) => { copy[148] ^= 64; })]) {
    await choose(page, buffer);
    await page.click("#check");
    assert.equal(await headline(page), "These bytes are no proof");
  }
  await choose(page, Buffer.alloc(2_000_000), "large.bin");
  assert.equal(await headline(page), "Not read");
  assert.ok(await page.isDisabled("#check"));
});

await test("invalid fields", async (page) => {
  await choose(page, proof);
  for (const [challenge, difficulty, reason] of [
    ["12", "16777216", /64 hexadecimal/],
    [CHALLENGE, "5e9", /integer/],
    [CHALLENGE, String(2n ** 128n), /128 bits/],
    [CHALLENGE, "1", /difficulty is 0 or below/i],
  ]) {
    await page.fill("#challenge", challenge);
    await page.fill("#difficulty", difficulty);
    await page.click("#check");
    assert.equal(await headline(page), "Not checked");
    assert.match(await page.textContent("#reason"), reason);
  }
  await page.selectOption("#rules", "1");
  await page.click("#check");
  assert.equal(await headline(page), "The proof holds");
});

const drop = async (page, buffer, name) => {
  const transfer = await page.evaluateHandle(([data, name]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(data)], name));
    return transfer;
  }, [[...buffer], name]);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
  await page.waitForFunction((name) => document.getElementById("file-name").textContent === name, name);
};
const shown = (page) => Promise.all(["#verdict", "#picture"].map((id) => page.isVisible(id)));

await test("a dropped file", async (page) => {
  await drop(page, proof, "dropped.proof");
  await settled(page);
  await page.fill("#challenge", CHALLENGE);
  await page.click("#check");
  assert.equal(await headline(page), "The proof holds");
});

await test("no verdict stays beside another file's name", async (page) => {
  await page.click("#sample");
  assert.equal(await headline(page), "The proof holds");
  assert.deepEqual(await shown(page), [true, true]);
  // Reads end only when the test ends them, so that it can look at the page during a read.
  await page.evaluate(() => {
    File.prototype.arrayBuffer = () => new Promise((read, fail) => { window.reading = { read, fail }; });
  });
  await drop(page, proof, "slow.proof");
  assert.deepEqual(await shown(page), [false, false]);
  assert.ok(await page.isDisabled("#check"));
  await page.evaluate(() => { window.slow = window.reading; });
  await drop(page, proof, "gone.proof");
  await page.evaluate(() => { window.reading.fail(new Error("gone")); window.slow.read(new ArrayBuffer(1)); });
  assert.equal(await headline(page), "Not read");
  assert.equal(await page.textContent("#reason"), "gone.proof cannot be read.");
  assert.ok(await page.isDisabled("#check"));
  await choose(page, Buffer.alloc(2_000_000), "large.bin");
  assert.equal(await headline(page), "Not read");
  assert.equal(await page.textContent("#file-name"), "large.bin");
});

await test("no verdict stays beside another question", async (page) => {
  for (const change of [
    () => page.fill("#challenge", "00"),
    () => page.fill("#difficulty", "1"),
    () => page.selectOption("#rules", "1"),
  ]) {
    await page.click("#sample");
    assert.equal(await headline(page), "The proof holds");
    assert.deepEqual(await shown(page), [true, true]);
    await change();
    assert.deepEqual(await shown(page), [false, false]);
  }
});

await test("dark, on a phone", async (page) => {
  await page.click("#sample");
  assert.equal(await headline(page), "The proof holds");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  assert.ok(!wide, "wider than the screen");
  await page.screenshot({ path: `${folder}/dark.png`, fullPage: true });
}, { viewport: { width: 390, height: 844 }, colorScheme: "dark" });

await browser.close();
console.log(`${passed} passed, 0 failed`);
