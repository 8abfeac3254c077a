// All charts of a card, and what they share: zoom, axis, smoothing, and changes.

import { makeChart } from "./charts.js";
import { grouped, table } from "./curves.js";
import { fileName } from "./elements.js";
import { saveTable } from "./files.js";
import { steps } from "./numbers.js";

const BETWEEN_CURVES = 900;  // milliseconds

export class Board {
  // card: gives name, state, find(what) and ask(path).
  constructor(card) {
    this.card = card;
    this.charts = new Map();
    this.extent = [0, 1];  // the first and the last step of all curves
    this.window = null;
    this.logarithmic = false;
    this.smoothing = 0;
    this.changes = [];
    this.found = null;
    this.fetched = { known: "", when: 0 };
    const { find } = card;
    find(".logarithmic").addEventListener("change", (event) => {
      this.logarithmic = event.target.checked;
      find(".scaled").hidden = !this.logarithmic;
      this.each((chart) => chart.log(this.logarithmic));
    });
    find(".smoothing").addEventListener("input", (event) => {
      this.smoothing = Number(event.target.value) / 100;
      event.target.setAttribute("aria-valuetext", `${event.target.value}%`);
      this.each((chart) => chart.smooth(this.smoothing));
    });
    find(".range").addEventListener("change", (event) => this.zoomNewest(Number(event.target.value)));
    find(".reset").addEventListener("click", () => { this.zoom(null); find(".range").focus(); });
    find(".csv").addEventListener("click", () => saveTable(
      table(this.found), fileName(card.state.title, "curves.csv")));
  }

  // Fetch new curves.
  async update(state) {
    const rests = state.kind !== "training";
    this.changes = state.changes ?? [];
    const known = JSON.stringify([state.kind, state.numbers, state.scores, this.changes]);
    if (this.fetched.known === known
      || (!rests && performance.now() - this.fetched.when < BETWEEN_CURVES)) return;
    const found = await this.card.ask(`/runs/${this.card.name}/curves`);
    if (!found) return;
    this.fetched = { known, when: performance.now() };
    this.found = found;
    this.show();
  }

  show() {
    if (!this.found) return;
    const groups = grouped(this.found, this.card.state.numbers), { find } = this.card;
    find(".charts-bar").hidden = !groups.length;
    this.measure(groups);
    for (const [title, { figure, chart }] of this.charts) {
      if (groups.some((group) => group.title === title)) continue;
      chart.remove();
      figure.remove();
      this.charts.delete(title);
    }
    groups.forEach(({ title, note, curves }, i) => {
      const known = this.charts.get(title), figure = known?.figure ?? this.frame(title, note);
      const there = find(".charts").children[i];
      if (there !== figure) find(".charts").insertBefore(figure, there ?? null);
      if (known) known.chart.show(curves);
      else this.charts.set(title, { figure, chart: this.make(figure, curves) });
    });
  }

  frame(title, note) {
    const figure = document.getElementById("chart").content.firstElementChild.cloneNode(true);
    figure.querySelector("h3").textContent = title;
    figure.querySelector(".note").textContent = note;
    return figure;
  }

  make(figure, curves) {
    return makeChart(figure, curves, {
      log: this.logarithmic,
      smoothing: this.smoothing,
      zoom: this.window,
      extent: () => this.extent,
      changes: () => this.changes.map(({ step }) => step),
      onZoom: (window) => this.zoom(window),
      onCursor: (step) => this.each((chart) => chart.point(step)),
    });
  }

  each(done) {
    for (const { chart } of this.charts.values()) done(chart);
  }

  measure(groups) {
    if (!groups.length) return;
    const ends = groups.flatMap(({ curves }) => curves.flatMap((curve) => [curve.steps[0], curve.steps.at(-1)]));
    const first = Math.min(...ends);
    this.extent = [first, Math.max(...ends, first + 1)];
  }

  // Show some steps, [first, last], or all.
  zoom(window) {
    const { find } = this.card;
    this.window = window;
    find(".reset").hidden = !window;
    find(".dragged").hidden = !window;
    find(".range").value = window ? "0" : "1";
    find(".zoomed").textContent = window ? `steps ${steps(window[0])} to ${steps(window[1])}` : "";
    this.each((chart) => chart.zoom(window));
  }

  // Show the newest share of the steps.
  zoomNewest(share) {
    const [first, last] = this.extent;
    this.zoom(share < 1 ? [last - share * (last - first), last] : null);
    this.card.find(".range").value = String(share);
  }

  redraw() {
    this.each((chart) => chart.redraw());
  }

  remove() {
    this.each((chart) => chart.remove());
  }
}
