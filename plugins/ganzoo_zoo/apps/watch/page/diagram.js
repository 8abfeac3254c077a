// How a step flows: noise, generator, fakes, discriminator, judgements, two losses, two gradients.

import { drawn } from "./elements.js";
import { number } from "./numbers.js";
import { GRID, SIDE } from "./packing.js";
import { NETWORKS, loss } from "./stage.js";

const NARROW = 520;  // pixels below which the boxes stand below each other
const WIDTH = 104, HEIGHT = 98, LOW = 50, THUMB = 66, TOP = 25, MOST_DOTS = 64;
const TITLES = {
  noise: "Noise", generator: "Generator", fakes: "Fakes", reals: "Reals",
  discriminator: "Discriminator", judgements: "Judgements",
};
// Boxes by their upper left corner, and wires by their corners; a gradient flows against the rest.
const WIDE = {
  view: [660, 352],
  boxes: {
    noise: [2, 72], generator: [140, 72], fakes: [278, 72], reals: [278, 190],
    discriminator: [416, 131], judgements: [554, 131], "generator-loss": [554, 6], "discriminator-loss": [554, 296],
  },
  wires: {
    "noise-generator": [[106, 121], [140, 121]],
    "generator-fakes": [[244, 121], [278, 121]],
    "fakes-discriminator": [[382, 121], [398, 121], [398, 165], [416, 165]],
    "reals-discriminator": [[382, 239], [398, 239], [398, 195], [416, 195]],
    "discriminator-judgements": [[520, 180], [554, 180]],
    "judgements-generator-loss": [[606, 131], [606, 56]],
    "judgements-discriminator-loss": [[606, 229], [606, 296]],
    "generator-gradient": [[554, 31], [192, 31], [192, 72]],
    "discriminator-gradient": [[554, 321], [468, 321], [468, 229]],
  },
  labels: { "generator-gradient": [373, 24], "discriminator-gradient": [458, 325] },
};
const TALL = {
  view: [336, 420],
  boxes: {
    noise: [1, 4], generator: [116, 4], fakes: [231, 4], reals: [116, 142], discriminator: [231, 142],
    judgements: [231, 284], "discriminator-loss": [116, 308], "generator-loss": [1, 308],
  },
  wires: {
    "noise-generator": [[105, 53], [116, 53]],
    "generator-fakes": [[220, 53], [231, 53]],
    "fakes-discriminator": [[283, 102], [283, 142]],
    "reals-discriminator": [[220, 191], [231, 191]],
    "discriminator-judgements": [[303, 240], [303, 284]],
    "judgements-discriminator-loss": [[231, 333], [220, 333]],
    "judgements-generator-loss": [[283, 382], [283, 412], [53, 412], [53, 358]],
    "discriminator-gradient": [[168, 308], [168, 262], [262, 262], [262, 240]],
    "generator-gradient": [[53, 308], [53, 122], [168, 122], [168, 102]],
  },
  labels: { "generator-gradient": [4, 137], "discriminator-gradient": [60, 257] },
};

export class Diagram {
  constructor(place) {
    this.svg = drawn("svg", { role: "img", class: "diagram" });
    place.append(this.svg);
    this.data = {};
    this.lit = null;
    new ResizeObserver(() => this.build(place.clientWidth < NARROW ? TALL : WIDE)).observe(place);
    this.build(WIDE);
  }

  build(layout) {
    if (this.layout === layout) return;
    this.layout = layout;
    this.parts = new Map();
    this.svg.setAttribute("viewBox", `0 0 ${layout.view.join(" ")}`);
    this.svg.replaceChildren();
    for (const [name, corners] of Object.entries(layout.wires)) this.wire(name, corners);
    for (const [name, corner] of Object.entries(layout.boxes)) this.box(name, corner);
    this.show(this.data);
    this.light(this.lit);
  }

  wire(name, corners) {
    const [x, y] = corners.at(-1), [beforeX, beforeY] = corners.at(-2);
    const right = Math.sign(x - beforeX), down = Math.sign(y - beforeY);
    const head = [[0, 0], [-9, -5], [-9, 5]].map(([along, across]) =>
      `${x + along * right - across * down},${y + along * down + across * right}`);
    const kind = name.endsWith("gradient") ? "wire gradient" : "wire";
    const group = drawn("g", { class: kind },
      drawn("polyline", { points: corners.map((corner) => corner.join(",")).join(" ") }),
      drawn("polygon", { points: head.join(" ") }));
    const label = this.layout.labels[name];
    if (label) {
      group.append(drawn("text", {
        x: label[0], y: label[1], class: "label",
        "text-anchor": this.layout === TALL ? "start" : name === "generator-gradient" ? "middle" : "end",
      }));
    }
    this.parts.set(name, group);
    this.svg.append(group);
  }

  box(name, [x, y]) {
    const low = name.endsWith("-loss"), title = (text, line) =>
      drawn("text", { x: WIDTH / 2, y: line, "text-anchor": "middle" }, text);
    const group = drawn("g", { class: `box box-${name}`, transform: `translate(${x} ${y})` },
      drawn("rect", { width: WIDTH, height: low ? LOW : HEIGHT, rx: 7 }));
    if (low) {
      group.append(title(name.startsWith("g") ? "Generator’s" : "Discriminator’s", 20), title("", 38));
    } else {
      group.append(title(TITLES[name], 17), drawn("g", {
        class: "thumb", transform: `translate(${(WIDTH - THUMB) / 2} ${TOP})`,
      }));
    }
    this.parts.set(name, group);
    this.svg.append(group);
  }

  // Show what flows: {noise, fakes, reals, manifold: coordinates or null; surface: address of a picture
  // or null; images: {href, width, height, columns} of reals above fakes, or null; logits: {real, fake} or
  // null; discriminator, generator: parts of a stage or null}.
  show(data) {
    this.data = data;
    const thumb = (name) => this.parts.get(name).querySelector(".thumb");
    const put = (name, ...shapes) => thumb(name).replaceChildren(...shapes.filter(Boolean));
    put("noise", ...(data.noise ? dots(data.noise, "noise") : specks()));
    put("fakes", ...(data.images ? cell(data.images, 1) : dots(data.fakes, "fake")));
    put("reals", ...(data.images ? cell(data.images, 0) : dots(data.reals, "real")));
    put("generator", data.manifold ? net(data.manifold) : layers());
    put("discriminator", data.surface
      ? drawn("image", { href: data.surface, width: THUMB, height: THUMB, preserveAspectRatio: "none" }) : layers());
    put("judgements", ...judgements(data.logits));
    for (const network of NETWORKS) {
      const part = data[network];
      this.parts.get(`${network}-loss`).lastElementChild.textContent = part ? `loss ${number(loss(part))}` : "loss";
      const length = part ? ` ${number(part.gradient_norm)}` : "";
      this.parts.get(`${network}-gradient`).querySelector(".label").textContent =
        `${network === "generator" ? "Generator’s" : "Discriminator’s"} gradient${length}`;
    }
    const numbers = NETWORKS.filter((network) => data[network]).map((network) =>
      `the ${network}'s loss ${number(loss(data[network]))}, its gradient ${number(data[network].gradient_norm)}`);
    this.svg.setAttribute("aria-label", "A step: noise goes through the generator and becomes fakes. Fakes "
      + "and reals go to the discriminator, which judges them. From the judgements come two losses, and from "
      + `each loss a gradient back to its network.${numbers.length ? ` Now ${numbers.join("; ")}.` : ""}`);
  }

  // Let some parts stand out, or none.
  light(parts) {
    this.lit = parts;
    this.svg.classList.toggle("dims", parts !== null);
    for (const [name, group] of this.parts) group.classList.toggle("lit", parts?.includes(name) ?? false);
  }
}

const place = (share) => (share * THUMB).toFixed(1);

const dots = (found, kind) => {
  if (!found) return [];
  const every = Math.max(1, Math.floor(found.length / 2 / MOST_DOTS)), made = [];
  for (let i = 0; i < found.length; i += 2 * every) {
    made.push(drawn("circle", { cx: place(found[i]), cy: place(1 - found[i + 1]), r: 2, class: `dot-${kind}` }));
  }
  return made;
};

// Noise of many numbers, as a sign for it.
const specks = () => Array.from({ length: 36 }, (_, i) => drawn("rect", {
  x: 6 + 9 * (i % 6), y: 6 + 9 * Math.floor(i / 6), width: 9, height: 9, class: "speck",
  opacity: (0.15 + (i * i * 37 + i * 11) % 83 / 100).toFixed(2),
}));

// The first image of a row of a picture.
const cell = ({ href, width, height, columns }, row) => [drawn("svg", {
  viewBox: `0 ${row * height / 2} ${width / columns} ${height / 2}`, width: THUMB, height: THUMB, class: "cell",
}, drawn("image", { href, width, height }))];

// The generator as the grid of noise that it bends.
const net = (grid) => {
  const point = (i) => `${place(grid[2 * i])} ${place(1 - grid[2 * i + 1])}`;
  const run = (indices) => `M${indices.map(point).join("L")}`;
  const count = grid.length / 2, side = [...Array(GRID).keys()];
  const path = count === GRID * GRID
    ? side.filter((i) => i % 2 === 0).flatMap((i) => [
      run(side.map((j) => i * GRID + j)), run(side.map((j) => j * GRID + i))]).join("")
    : run([...Array(count).keys()]);
  return drawn("path", { d: path, class: "net" });
};

// A network as its layers of units.
const layers = () => {
  const counts = [3, 4, 4, 3], units = [];
  counts.forEach((count, i) => {
    for (let j = 0; j < count; j += 1) units.push([9 + 16 * i, THUMB / 2 + (j - (count - 1) / 2) * 14, i]);
  });
  const group = drawn("g", { class: "units" });
  for (const [x, y, i] of units) {
    for (const [nextX, nextY, j] of units) {
      if (j === i + 1) group.append(drawn("line", { x1: x, y1: y, x2: nextX, y2: nextY }));
    }
  }
  for (const [cx, cy] of units) group.append(drawn("circle", { cx, cy, r: 3.4 }));
  return group;
};

// Logits on a line, reals above it and fakes below.
const judgements = (logits) => {
  const middle = 30, words = [
    drawn("text", { x: -12, y: 64, class: "end" }, "fake"),
    drawn("text", { x: THUMB + 12, y: 64, class: "end", "text-anchor": "end" }, "real"),
    drawn("line", { x1: -10, x2: THUMB + 10, y1: middle, y2: middle, class: "axis" }),
  ];
  if (!logits) return words;
  const all = [...logits.real, ...logits.fake], reach = Math.max(...all.map(Math.abs), 1e-6);
  const dot = (kind, up) => (value, i) => drawn("circle", {
    cx: place((value / reach + 1) / 2), cy: middle + up * (7 + 3 * (i % 5)), r: 2, class: `dot-${kind}`,
  });
  return [...words, drawn("line", { x1: THUMB / 2, x2: THUMB / 2, y1: 4, y2: 56, class: "axis" }),
    ...logits.real.map(dot("real", -1)), ...logits.fake.map(dot("fake", 1))];
};

// The surface of the discriminator's logits as a small picture.
export const picture = (canvas) => (canvas.width === SIDE ? canvas.toDataURL() : null);
