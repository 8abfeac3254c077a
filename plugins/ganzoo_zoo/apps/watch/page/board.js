// All charts of a card, and what they share: zoom, axis, smoothing, and changes.

import { Chart } from "./charts.js";
import { grouped, table } from "./curves.js";
import { fileName, save } from "./elements.js";
import { steps } from "./numbers.js";

const BETWEEN_CURVES = 900;  // milliseconds

export class Board {
  // card: gives name, state, find(what) and ask(path).
  constructor(card) {
    this.card = card;
    this.key = `run-${card.name}`;
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
      this.show();
    });
    find(".smoothing").addEventListener("input", (event) => {
      this.smoothing = Number(event.target.value) / 100;
      event.target.setAttribute("aria-valuetext", `${event.target.value}%`);
      this.show();
    });
    find(".range").addEventListener("change", (event) => this.zoomNewest(Number(event.target.value)));
    find(".reset").addEventListener("click", () => { this.zoom(null); find(".range").focus(); });
    find(".csv").addEventListener("click", () => save(
      new Blob([table(this.found)], { type: "text/csv" }), fileName(card.state.title, "curves.csv")));
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
    for (const [title, chart] of this.charts) {
      if (!groups.some((group) => group.title === title)) { chart.remove(); this.charts.delete(title); }
    }
    groups.forEach(({ title, note, curves }, i) => {
      if (!this.charts.has(title)) this.charts.set(title, new Chart(title, note, this));
      const chart = this.charts.get(title), there = find(".charts").children[i];
      if (there !== chart.figure) find(".charts").insertBefore(chart.figure, there ?? null);
      chart.show(curves);
    });
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
    this.show();
  }

  // Show the newest share of the steps.
  zoomNewest(share) {
    const [first, last] = this.extent;
    this.zoom(share < 1 ? [last - share * (last - first), last] : null);
    this.card.find(".range").value = String(share);
  }

  redraw() {
    for (const chart of this.charts.values()) chart.redraw();
  }

  remove() {
    for (const chart of this.charts.values()) chart.remove();
  }
}
