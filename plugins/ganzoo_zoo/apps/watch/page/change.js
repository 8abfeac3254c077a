// Learning rates and critic steps, changed while a run trains.

import { element, enable } from "./elements.js";
import { steps } from "./numbers.js";

export class Change {
  // card: gives name, find(what), complain(message), act(path, body) and label(option).
  constructor(card) {
    this.card = card;
    this.fields = new Map();
    card.find(".change form").addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
  }

  update(state) {
    const { find, acts, label } = this.card, rates = Object.entries(state.rates ?? {});
    this.list(state.changes ?? []);
    find(".change").hidden = !rates.length || !acts || state.over;
    if (find(".change").hidden) return;
    for (const [option, value] of rates) {
      if (!this.fields.has(option)) {
        const input = element("input", { type: "text", inputMode: "decimal", autocomplete: "off" });
        const { name, about } = label(option);
        if (about) input.setAttribute("aria-description", about);
        find(".change .numbers").append(element("label", { className: "field", title: about },
          element("span", { className: "term", textContent: name }), input));
        this.fields.set(option, { input, now: null });
      }
      const field = this.fields.get(option);
      // What somebody is typing stays.
      if (field.now === null || field.input.value.trim() === field.now) field.input.value = value;
      field.now = value;
    }
  }

  // List what was changed.
  list(changes) {
    const { find, label } = this.card, list = find(".changes");
    list.hidden = !changes.length;
    if (list.children.length === changes.length) return;
    list.replaceChildren(...changes.map(({ step, options }) => {
      const parts = Object.entries(options).map(([option, value]) => `${label(option).name} ${value}`);
      return element("li", { textContent: `From step ${steps(step)}: ${parts.join(", ")}` });
    }));
  }

  async send() {
    const { card } = this, settings = {};
    for (const [option, { input, now }] of this.fields) {
      if (input.value.trim() !== now) settings[option] = input.value.trim();
    }
    if (!Object.keys(settings).length) return;
    const button = card.find(".change button");
    enable(button, false);
    const done = await card.act(`/runs/${card.name}/change`, { settings });
    enable(button, true);
    if (done) {
      card.complain("");
      for (const option of Object.keys(settings)) this.fields.get(option).now = settings[option];
    }
  }
}
