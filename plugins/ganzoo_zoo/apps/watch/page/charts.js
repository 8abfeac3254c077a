// Curves over steps, as SVG in the page's colours.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 46, MARGIN = 8, TOP = 8, BOTTOM = 150, HEIGHT = 172, COLOURS = 8;
// Ratio of the largest to the median magnitude above which the scale is logarithmic.
const WIDE = 1000;

export const number = (value) => {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("e+", "e").replaceAll("-", "−");
};

export const steps = (value) => Math.round(value).toLocaleString("en");

const drawn = (name, attributes, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

// About `count` round numbers within a range.
const ticks = (low, high, count) => {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); i += 1) found.push(i * step);
  return found;
};

const scale = (values) => {
  let low = Math.min(...values), high = Math.max(...values);
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  if (low > 0 && high > WIDE * sizes[sizes.length >> 1]) {
    const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const every = Math.max(1, Math.ceil((to - from) / 4)), marks = [];
    for (let power = from; power <= to; power += every) marks.push(10 ** power);
    return { share: (v) => (Math.log10(v) - from) / (to - from || 1), marks, logarithmic: true };
  }
  if (high - low < 1e-9 * Math.max(1, Math.abs(low))) [low, high] = [low - 0.5, high + 0.5];
  const room = 0.06 * (high - low);
  [low, high] = [low - room, high + room];
  return { share: (v) => (v - low) / (high - low), marks: ticks(low, high, 4), logarithmic: false };
};

export class Chart {
  constructor(title, read) {
    this.figure = document.getElementById("chart").content.firstElementChild.cloneNode(true);
    this.find = (what) => this.figure.querySelector(what);
    this.title = title;
    this.svg = this.find("svg");
    this.curves = [];
    this.cursor = null;
    this.right = 0;
    this.find("h3").textContent = title;
    this.svg.addEventListener("pointermove", (event) => read(this.under(event)));
    this.svg.addEventListener("pointerleave", () => read(null));
    // Redraw at a new width, so that letters keep their size.
    new ResizeObserver(() => {
      if (this.svg.clientWidth !== this.right + MARGIN) this.show(this.curves);
    }).observe(this.svg);
  }

  // curves: [{name, steps, values, last}]
  show(curves) {
    this.curves = curves;
    const every = curves.flatMap((curve) => curve.steps), values = curves.flatMap((curve) => curve.values);
    this.svg.replaceChildren();
    this.figure.hidden = !values.length;
    if (!values.length) return;
    const width = this.svg.clientWidth || 360;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.right = width - MARGIN;
    this.from = Math.min(...every);
    this.to = Math.max(...every, this.from + 1);
    const { share, marks, logarithmic } = scale(values);
    const x = (step) => this.across(step);
    const y = (value) => BOTTOM - share(value) * (BOTTOM - TOP);
    for (const mark of marks) {
      const at = y(mark).toFixed(1);
      this.svg.append(drawn("line", { x1: LEFT, x2: this.right, y1: at, y2: at, class: "grid" }));
      this.svg.append(drawn("text", { x: LEFT - 6, y: at, class: "left" }, number(mark)));
    }
    for (const mark of ticks(this.from, this.to, 4)) {
      const at = x(mark);
      if (at < LEFT + 12) continue;  // would overlap the word "step"
      const last = at > this.right - 16;  // would be cut off if centred
      this.svg.append(drawn("text", {
        x: (last ? this.right + MARGIN : at).toFixed(1), y: BOTTOM + 16, class: last ? "unit" : "below",
      }, steps(mark)));
    }
    this.svg.append(drawn("text", { x: LEFT - 6, y: BOTTOM + 16, class: "unit" }, "step"));
    curves.forEach((curve, i) => {
      const points = curve.steps.map((step, j) => `${x(step).toFixed(1)},${y(curve.values[j]).toFixed(1)}`);
      const look = `line-${i % COLOURS}${i >= COLOURS ? " dashed" : ""}`;
      if (points.length === 1) {
        const [cx, cy] = points[0].split(",");
        this.svg.append(drawn("circle", { cx, cy, r: 3, class: `spot ${look}` }));
      } else {
        this.svg.append(drawn("polyline", { points: points.join(" "), class: `curve ${look}` }));
      }
    });
    this.cursor = drawn("line", { y1: TOP, y2: BOTTOM, class: "cursor" });
    this.svg.append(this.cursor);
    this.legend();
    const scaled = logarithmic ? ", on a logarithmic scale" : "";
    this.find(".spoken").textContent = curves.map((curve) =>
      `${curve.name}: ${number(curve.last)} now, between ${number(Math.min(...curve.values))} and `
      + `${number(Math.max(...curve.values))} from step ${steps(curve.steps[0])}${scaled}.`).join(" ");
  }

  across(step) {
    return LEFT + (step - this.from) / (this.to - this.from) * (this.right - LEFT);
  }

  legend() {
    const list = this.find(".lines");
    if (list.children.length !== this.curves.length) {
      list.replaceChildren(...this.curves.map(() => {
        const item = document.createElement("li");
        for (const part of ["key", "name", "value"]) {
          item.append(Object.assign(document.createElement("span"), { className: part }));
        }
        return item;
      }));
    }
    this.curves.forEach((curve, i) => {
      const [key, name] = list.children[i].children;
      key.className = `key line-${i % COLOURS}${i >= COLOURS ? " dashed" : ""}`;
      name.textContent = curve.name;
    });
    this.read(null);
  }

  // Show the values at a step, or the last ones.
  read(step) {
    const values = this.figure.querySelectorAll(".value");
    const within = step !== null && this.cursor !== null;
    this.find(".at").textContent = within ? `step ${steps(step)}` : "";
    if (this.cursor) {
      this.cursor.classList.toggle("on", within);
      if (within) {
        const x = this.across(step);
        this.cursor.setAttribute("x1", x);
        this.cursor.setAttribute("x2", x);
        this.cursor.classList.toggle("on", x >= LEFT - 1 && x <= this.right + 1);
      }
    }
    this.curves.forEach((curve, i) => {
      const before = within ? curve.steps.findLastIndex((each) => each <= step) : -1;
      const value = within ? curve.values[before] : curve.last;
      values[i].textContent = value === undefined ? "–" : number(value);
    });
  }

  under(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (this.right - LEFT);
    const step = this.from + share * (this.to - this.from);
    return Math.min(Math.max(step, this.from), this.to);
  }
}
