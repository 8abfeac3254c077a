// Charts of curves over steps, drawn by uPlot in the page's colours.
/* global uPlot */

import { smooth } from "./curves.js";
import { element } from "./elements.js";
import { number, steps, ticks } from "./numbers.js";
import { colours } from "./theme.js";

const HEIGHT = 196, COLOURS = 8, FAINT = 0.3;
const SHADES = ["muted", "rule", "ink", ...Array.from({ length: COLOURS }, (_, i) => `line-${i}`)];
const STEPS = [1, 2, 5].flatMap((each) => Array.from({ length: 9 }, (_, i) => each * 10 ** i)).sort((a, b) => a - b);

export class Chart {
  // view: what all charts of a card share: {key, extent, window, logarithmic, smoothing, changes, zoom(window)}.
  constructor(title, note, view) {
    this.figure = document.getElementById("chart").content.firstElementChild.cloneNode(true);
    this.find = (what) => this.figure.querySelector(what);
    this.view = view;
    this.curves = [];
    this.plot = null;
    this.built = "";
    this.find("h3").textContent = title;
    this.find(".note").textContent = note;
    this.place = this.find(".plot");
    new ResizeObserver(() => {
      const width = this.place.clientWidth;
      if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    }).observe(this.place);
  }

  // Show curves: [{name, steps, values, last}].
  show(curves) {
    this.curves = curves;
    const { logarithmic, smoothing } = this.view;
    const data = uPlot.join(curves.flatMap(({ steps: x, values }) => (smoothing
      ? [[x, values], [x, smooth(values, smoothing)]] : [[x, values]])));
    const built = JSON.stringify([curves.map(({ name }) => name), logarithmic, smoothing > 0, this.positive]);
    if (built !== this.built) {
      this.built = built;
      this.plot?.destroy();
      this.plot = new uPlot(this.options(), data, this.place);
    } else {
      this.plot.setData(data);
    }
    this.legend();
    this.speak();
  }

  get positive() {
    return this.curves.every(({ values }) => values.every((value) => value > 0));
  }

  options() {
    const { view } = this, several = view.smoothing > 0;
    const shade = (name) => () => colours(this.figure, SHADES)[name];
    const axis = {
      stroke: shade("muted"), font: "11px system-ui, sans-serif", ticks: { show: false },
      grid: { stroke: shade("rule"), width: 1 },
    };
    const line = (i, faint) => ({
      stroke: shade(`line-${i % COLOURS}`), width: 1.6, spanGaps: true, alpha: faint ? FAINT : 1,
      dash: i >= COLOURS ? [5, 3] : undefined, points: { show: this.curves[i].steps.length === 1, size: 6 },
    });
    return {
      width: this.place.clientWidth || 360,
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false },
        sync: {
          key: view.key, scales: ["x", null],
          filters: { pub: (kind) => kind === "mousemove" || kind === "mouseleave" },
        },
        bind: { dblclick: () => () => { view.zoom(null); } },
      },
      scales: {
        x: { time: false, range: () => view.window ?? view.extent },
        y: view.logarithmic ? { distr: this.positive ? 3 : 4, asinh: this.threshold } : {},
      },
      axes: [
        { ...axis, size: 26, label: "step", labelSize: 16, labelFont: axis.font, labelGap: 0, incrs: STEPS, space: 56, values: (_, found) => found.map(steps) },
        {
          ...axis, space: 32, size: (_, found) => 12 + 6.6 * Math.max(4, ...(found ?? []).map((each) => each?.length ?? 0)),
          values: (_, found, __, ___, increment) => (view.logarithmic
            ? found.map((each) => (each === null ? "" : number(each))) : ticks(found, increment)),
        },
      ],
      series: [{}, ...this.curves.flatMap((_, i) => (several ? [line(i, true), line(i, false)] : [line(i, false)]))],
      hooks: {
        setCursor: [(plot) => this.read(plot.cursor.left < 0 ? null : plot.posToVal(plot.cursor.left, "x"))],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (!width) return;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          view.zoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
        }],
        draw: [(plot) => this.markChanges(plot)],
      },
    };
  }

  // The size below which a logarithmic axis with zero or less on it is linear.
  get threshold() {
    const sizes = this.curves.flatMap(({ values }) => values.map(Math.abs)).filter(Boolean).sort((a, b) => a - b);
    return 10 ** Math.floor(Math.log10(sizes[sizes.length >> 3] ?? 1));
  }

  // Draw a vertical line where options were changed.
  markChanges(plot) {
    const { ctx: context, bbox: { left, top, width, height } } = plot;
    context.save();
    context.strokeStyle = colours(this.figure, ["ink"]).ink;
    context.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    context.lineWidth = devicePixelRatio;
    context.beginPath();
    for (const { step } of this.view.changes) {
      const x = plot.valToPos(step, "x", true);
      if (x < left || x > left + width) continue;
      context.moveTo(x, top);
      context.lineTo(x, top + height);
    }
    context.stroke();
    context.restore();
  }

  legend() {
    const list = this.find(".lines");
    if (list.children.length !== this.curves.length) {
      list.replaceChildren(...this.curves.map(() => element("li", {},
        ...["key", "name", "value"].map((className) => element("span", { className })))));
    }
    this.curves.forEach((curve, i) => {
      const [key, name] = list.children[i].children;
      key.className = `key line-${i % COLOURS}${i >= COLOURS ? " dashed" : ""}`;
      name.textContent = curve.name;
    });
    const { left } = this.plot.cursor;
    this.read(left < 0 ? null : this.plot.posToVal(left, "x"));
  }

  // Show the values at a step, or the last ones.
  read(step) {
    const values = this.figure.querySelectorAll(".value");
    this.find(".at").textContent = step === null ? "" : `step ${steps(step)}`;
    this.curves.forEach((curve, i) => {
      const value = step === null ? curve.last : curve.values[curve.steps.findLastIndex((each) => each <= step)];
      if (values[i]) values[i].textContent = value === undefined ? "–" : number(value);
    });
  }

  speak() {
    const scaled = this.view.logarithmic ? ", on a logarithmic axis" : "";
    this.find(".spoken").textContent = this.curves.map((curve) =>
      `${curve.name}: ${number(curve.last)} now, between ${number(Math.min(...curve.values))} and `
      + `${number(Math.max(...curve.values))} from step ${steps(curve.steps[0])}${scaled}.`).join(" ");
  }

  redraw() {
    this.plot?.redraw(false, true);
  }

  remove() {
    this.plot?.destroy();
    this.figure.remove();
  }
}
