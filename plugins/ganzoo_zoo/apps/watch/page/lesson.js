// The lesson: presets, one after another, each with what to look at.

import { element, named, press } from "./elements.js";

export class Lesson {
  // start(asked, complain) starts a run; edit(asked) shows its settings in the form.
  constructor(start, edit) {
    this.start = start;
    this.edit = edit;
    this.presets = [];
    this.marks = new Map();
  }

  list(presets) {
    this.presets = presets;
    named("presets").replaceChildren(...presets.map((preset) => this.card(preset)));
    this.mark([]);
  }

  card({ name, title, sentence, look, asked }) {
    const id = `preset-${name}`;
    const start = element("button", { type: "button", textContent: "Start" });
    const open = element("button", { type: "button", className: "quiet", textContent: "Its settings" });
    const mark = element("span", { className: "mark", hidden: true, textContent: "tried" });
    start.setAttribute("aria-describedby", id);
    open.setAttribute("aria-describedby", id);
    press(start, async () => {
      start.disabled = true;
      await this.start({ loss: null, data: null, settings: {}, init: null, ...asked, preset: name, instead: null, beside: null, paused: false },
        (message) => { named("lesson-wrong").textContent = message; });
      start.disabled = false;
    });
    press(open, () => this.edit({ settings: {}, ...asked }));
    this.marks.set(name, mark);
    const item = element("li", { className: "preset" });
    item.append(
      element("h3", { id }, title, " ", mark), element("p", { textContent: sentence }),
      element("p", { className: "fine", textContent: look ? `Look: ${look}` : "" }),
      element("div", { className: "row" }, start, open));
    return item;
  }

  // Mark the presets of which there is a run.
  mark(runs) {
    for (const { preset } of runs) if (this.marks.has(preset)) this.marks.get(preset).hidden = false;
    const tried = [...this.marks.values()].filter((mark) => !mark.hidden).length;
    named("lesson-count").textContent = tried ? `${tried} of ${this.presets.length} tried` : "";
  }

  // What to look at in a run that a preset started, or empty.
  look(preset) {
    return this.presets.find(({ name }) => name === preset)?.look ?? "";
  }
}
