// Draws in SVG what a proof is about. The pictures decide nothing.

const SVG = "http://www.w3.org/2000/svg";
const TILE = 32;
const CHUNK = 1024;

function add(svg, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  svg.append(element);
  return element;
}

function begin(svg, width, height, label) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", label);
}

/** Draws A to the left, B above, and the product between them; the strips meet in the tile. */
export function drawMatrix(svg, { m, n, k }, { row, column }) {
  begin(svg, 400, 340, `Tile ${row}, ${column} of a product of ${m} by ${n}`);
  const unit = 180 / Math.max(m, n);
  const [width, height, depth] = [Math.max(24, n * unit), Math.max(24, m * unit), 76];
  const [x, y] = [130, 112];
  const strip = (index, of, length) => {
    const size = Math.max(3, (TILE / of) * length);
    return [Math.min((index * TILE / of) * length, length - size), size];
  };
  const [top, high] = strip(row, m, height);
  const [left, wide] = strip(column, n, width);
  for (const [bx, by, bw, bh] of [[x - depth - 12, y, depth, height], [x, y - depth - 12, width, depth], [x, y, width, height]]) {
    add(svg, "rect", { x: bx, y: by, width: bw, height: bh, class: "outline" });
  }
  add(svg, "rect", { x: x - depth - 12, y: y + top, width: depth, height: high, class: "strip" });
  add(svg, "rect", { x: x + left, y: y - depth - 12, width: wide, height: depth, class: "strip" });
  add(svg, "path", { d: `M${x - 12} ${y + top + high / 2}H${x + left}M${x + left + wide / 2} ${y - 12}V${y + top}`, class: "edge" });
  add(svg, "rect", { x: x + left, y: y + top, width: wide, height: high, class: "tile" });
  add(svg, "text", { x: x - depth - 12, y: y + height + 38 }, `A: ${m} × ${k}`);
  add(svg, "text", { x, y: y - depth - 20 }, `B: ${k} × ${n}`);
  add(svg, "text", { x, y: y + height + 20 }, `A·B: ${m} × ${n}, tile ${row}, ${column}`);
}

/** Draws and returns how many zero bits the ticket begins with, and how many the difficulty requires. */
export function drawTicket(svg, ticket, difficulty, k) {
  begin(svg, 400, 130, "The ticket against the difficulty");
  const zeros = 256 - log2(BigInt(`0x${ticket}`));
  // ticket · difficulty < 32 · 32 · k · 2^256
  const needed = log2(difficulty) - Math.log2(TILE * TILE * k);
  const scale = 340 / Math.max(zeros, needed, 8) / 1.1;
  add(svg, "rect", { x: 20, y: 48, width: 360, height: 26, class: "outline" });
  add(svg, "rect", { x: 20, y: 48, width: Math.max(1, zeros * scale), height: 26, class: zeros >= needed ? "won" : "lost" });
  const line = 20 + Math.max(0, needed) * scale;
  add(svg, "line", { x1: line, x2: line, y1: 34, y2: 88, class: "threshold" });
  add(svg, "text", { x: Math.min(line, 290), y: 26 }, `asked: ${needed.toFixed(1)} bits`);
  add(svg, "text", { x: 20, y: 108, class: "quiet" }, `the ticket: ${zeros.toFixed(1)} bits`);
  return { zeros, needed };
}

function log2(value) {
  if (value === 0n) return 0;
  const bits = value.toString(2).length;
  const shift = Math.max(0, bits - 53);
  return Math.log2(Number(value >> BigInt(shift))) + shift;
}

/** Draws the opened chunks, the siblings and the nodes computed from both; returns the number of siblings. */
export function drawTree(svg, rows, k, strip) {
  const chunks = Math.ceil((rows * k) / CHUNK);
  const opened = [Math.floor((strip * TILE * k) / CHUNK), Math.ceil(((strip + 1) * TILE * k) / CHUNK)];
  const nodes = [];
  walk(0, chunks, 0);
  const depth = Math.max(...nodes.map((node) => node.level));
  const step = Math.min(44, 240 / Math.max(1, depth));
  const ends = nodes.filter((node) => node.kind !== "computed");
  ends.forEach((node, i) => { node.x = 40 + (ends.length === 1 ? 160 : (320 * i) / (ends.length - 1)); });
  for (const node of nodes.toReversed()) node.x ??= (node.children[0].x + node.children[1].x) / 2;
  begin(svg, 400, depth * step + 74, `A tree of ${chunks} chunks, of which ${opened[1] - opened[0]} are opened`);
  const y = (node) => 24 + node.level * step;
  for (const node of nodes) {
    for (const child of node.children ?? []) {
      add(svg, "line", { x1: node.x, y1: y(node), x2: child.x, y2: y(child), class: "edge" });
    }
  }
  for (const node of nodes) {
    if (node.kind === "opened") {
      add(svg, "rect", { x: node.x - 22, y: y(node) - 8, width: 44, height: 16, rx: 3, class: "opened" });
      add(svg, "text", { x: node.x, y: y(node) + 24, "text-anchor": "middle" }, `${node.count} opened`);
    } else {
      add(svg, "circle", { cx: node.x, cy: y(node), r: node.kind === "sibling" ? 7 : 4, class: node.kind });
    }
  }
  add(svg, "text", { x: 40, y: depth * step + 66, class: "quiet" }, "● computed   ○ sibling's hash, from the proof");
  return nodes.filter((node) => node.kind === "sibling").length;

  /** Splits as spec §3 does: the left child has the largest power of two below the count. */
  function walk(start, count, level) {
    const node = { level, count };
    nodes.push(node);
    const end = start + count;
    if (end <= opened[0] || start >= opened[1]) node.kind = "sibling";
    else if (opened[0] <= start && end <= opened[1]) node.kind = "opened";
    else {
      node.kind = "computed";
      let left = 1;
      while (left * 2 < count) left *= 2;
      node.children = [walk(start, left, level + 1), walk(start + left, count - left, level + 1)];
    }
    return node;
  }
}
