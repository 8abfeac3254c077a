// A pad on which real points are drawn by hand: with a mouse, a pen or a finger, or as text.
// Its value is the text of the strokes, in the square from -1 to 1.

import { drawn, element, press } from "./elements.js";

const MOST_POINTS = 2000;  // as the dataset takes
const FINEST = 0.008;

const circle = (x, y, radius, from = 0, to = 1, count = 24) => Array.from({ length: count + 1 }, (_, i) => {
  const angle = 2 * Math.PI * (from + (to - from) * i / count);
  return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
});
const heart = Array.from({ length: 41 }, (_, i) => {
  const t = 2 * Math.PI * i / 40;
  const y = 13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t);
  return [0.05 * 16 * Math.sin(t) ** 3, 0.05 * (y + 2.5)];
});
const star = Array.from({ length: 11 }, (_, i) => {
  const angle = Math.PI * (0.5 + i / 5), radius = i % 2 ? 0.34 : 0.85;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
});
const SHAPES = {
  "Heart": [heart],
  "Star": [star],
  "Letter A": [[[-0.6, -0.8], [0, 0.8], [0.6, -0.8]], [[-0.35, -0.15], [0.35, -0.15]]],
  "Two rings": [circle(0, 0, 0.8, 0, 1, 40), circle(0, 0, 0.35)],
  "Face": [circle(0, 0, 0.8, 0, 1, 40), [[-0.3, 0.25]], [[0.3, 0.25]], circle(0, 0, 0.45, 0.6, 0.9, 12)],
};

// Keep the points of a stroke that lie farther than a distance from the line of the others
// (Ramer 1972; Douglas and Peucker 1973).
const thin = (points, distance) => {
  const kept = new Set([0, points.length - 1]), left = [[0, points.length - 1]];
  while (left.length) {
    const [first, last] = left.pop();
    const [ax, ay] = points[first], [bx, by] = points[last], length = Math.hypot(bx - ax, by - ay);
    let farthest = -1, most = distance;
    for (let i = first + 1; i < last; i += 1) {
      const [x, y] = points[i];
      const away = length
        ? Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length : Math.hypot(x - ax, y - ay);
      if (away > most) [farthest, most] = [i, away];
    }
    if (farthest > 0) {
      kept.add(farthest);
      left.push([first, farthest], [farthest, last]);
    }
  }
  return points.filter((_, i) => kept.has(i));
};

const round = (value) => Math.round(100 * Math.max(-1, Math.min(1, value))) / 100;
const tidy = (stroke) => stroke.map((point) => point.map(round))
  .filter(([x, y], i, all) => !i || x !== all[i - 1][0] || y !== all[i - 1][1]);

// Strokes of at most MOST_POINTS points with two decimals.
export const simplify = (strokes) => {
  let distance = FINEST, found;
  do {
    found = strokes.filter((stroke) => stroke.length).map((stroke) => tidy(thin(stroke, distance)));
    distance *= 2;
  } while (found.reduce((sum, { length }) => sum + length, 0) > MOST_POINTS && distance < 4);
  return found.slice(0, MOST_POINTS);
};

export const write = (strokes) => strokes.map((stroke) => stroke.map((point) => point.join(",")).join(" ")).join("; ");

// Read the text of strokes; null if it is not one.
export const read = (text) => {
  if (!/^[\d+.,;\s-]*$/.test(text)) return null;
  const strokes = text.split(";").map((stroke) => stroke.trim().split(/\s+/).filter(Boolean)
    .map((point) => point.split(",").map(Number)));
  const good = strokes.every((stroke) => stroke.every((point) =>
    point.length === 2 && point.every((each) => Number.isFinite(each) && Math.abs(each) <= 1)));
  return good ? strokes.filter((stroke) => stroke.length) : null;
};

export class Pad {
  // control: that of the strokes; changed() follows each change.
  constructor(control, changed) {
    this.key = control.key;
    this.changed = changed;
    this.example = read(control.value) ?? [];
    this.strokes = [];
    this.past = [];
    this.pen = 0.1;
    const lines = drawn("g", { class: "ink" });
    this.lines = lines;
    this.square = drawn("svg", { viewBox: "-1 -1 2 2", class: "pad", role: "img" });
    this.square.append(drawn("path", { d: "M-1 0H1M0 -1V1", class: "cross" }), lines);
    const button = (text, done) => {
      const made = element("button", { type: "button", className: "quiet", textContent: text });
      press(made, done);
      return made;
    };
    this.undo = button("Undo", () => this.back());
    this.clear = button("Clear", () => this.put([]));
    const shapes = Object.entries(SHAPES).map(([name, strokes]) => button(name, () => this.put(simplify(strokes))));
    this.text = element("textarea", { id: "strokes", rows: 3, spellcheck: false });
    this.text.addEventListener("change", () => this.take(this.text.value));
    this.wrong = element("p", { className: "wrong", role: "status" });
    const typed = element("details", { className: "more" });
    typed.append(
      element("summary", { textContent: "Draw with the keyboard" }),
      element("label", { htmlFor: "strokes", textContent: "Points x,y from -1 to 1: a space between two points of a stroke, a semicolon between two strokes" }),
      this.text, this.wrong);
    const row = element("div", { className: "row" }), ready = element("div", { className: "row", role: "group" });
    ready.setAttribute("aria-label", "Ready shapes");
    row.append(this.undo, this.clear);
    ready.append(element("span", { className: "fine", textContent: "Or take:" }), ...shapes);
    const side = element("div", { className: "pad-side" });
    side.append(
      element("p", { textContent: "Draw in the square, with a mouse, a pen or a finger. Real points will lie along your lines, and the generator has to learn them." }),
      row, ready, typed);
    this.node = element("div", { className: "drawing" });
    this.node.append(this.square, side);
    this.listen();
    this.show();
  }

  listen() {
    const { square } = this;
    let stroke = null;
    const place = ({ clientX, clientY }) => {
      const box = square.getBoundingClientRect();
      return [2 * (clientX - box.left) / box.width - 1, 1 - 2 * (clientY - box.top) / box.height];
    };
    square.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      square.setPointerCapture(event.pointerId);
      stroke = [place(event)];
      this.show(stroke);
    });
    square.addEventListener("pointermove", (event) => {
      if (!stroke) return;
      const events = event.getCoalescedEvents?.() ?? [];
      stroke.push(...(events.length ? events : [event]).map(place));
      this.show(stroke);
    });
    const end = () => {
      if (!stroke) return;
      const drawnNow = [...this.strokes, stroke];
      stroke = null;
      this.put(simplify(drawnNow));
    };
    square.addEventListener("pointerup", end);
    square.addEventListener("pointercancel", end);
  }

  get value() { return write(this.strokes); }
  set value(text) {
    this.strokes = read(text) ?? [];
    this.past = [];
    this.show();
  }

  accepts(text) { return read(text) !== null; }

  set width(value) {
    this.pen = value > 0 && value <= 1 ? value : this.pen;
    this.show();
  }

  put(strokes) {
    this.past.push(this.strokes);
    this.strokes = strokes;
    this.show();
    this.changed();
  }

  back() {
    this.strokes = this.past.pop() ?? [];
    this.show();
    this.changed();
  }

  take(text) {
    const found = read(text);
    this.wrong.textContent = found ? "" : "These are not points such as 0,0.5 0.25,-1 with numbers from -1 to 1.";
    if (found) this.put(simplify(found));
  }

  // beside: a stroke that is still being drawn.
  show(beside = null) {
    const own = [...this.strokes, ...(beside ? [beside] : [])], shown = own.length ? own : this.example;
    this.lines.classList.toggle("example", !own.length);
    this.lines.setAttribute("stroke-width", String(this.pen));
    this.lines.replaceChildren(...shown.map((stroke) => drawn("polyline", {
      points: [...stroke, ...(stroke.length === 1 ? stroke : [])].map(([x, y]) => `${x},${-y}`).join(" "),
    })));
    const points = this.strokes.reduce((sum, { length }) => sum + length, 0);
    this.square.setAttribute("aria-label", points
      ? `Your drawing: ${this.strokes.length} strokes of ${points} points`
      : "Nothing is drawn yet; a smile is used instead");
    if (!beside) this.text.value = this.value;
    this.undo.setAttribute("aria-disabled", String(!this.past.length));
    this.clear.setAttribute("aria-disabled", String(!this.strokes.length));
  }
}
