// The form that starts a run. Choices come from the registry, placeholders of empty fields from the
// resolved configuration.

const named = (id) => document.getElementById(id);
const element = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

export class Form {
  // ask: fetches JSON; act: posts JSON, and returns null if it is refused.
  constructor(ask, act) {
    this.ask = ask;
    this.act = act;
    this.instead = null;
    this.selects = ["architecture", "loss", "data"].map(named);
    this.fields = [];
  }

  async open() {
    this.choices = await this.ask("/choices");
    const { architectures, losses, data, options, first } = this.choices;
    const [architecture, loss, set] = this.selects;
    architecture.append(...architectures.map(({ name }) => element("option", { value: name, textContent: name })));
    loss.append(element("option", { value: "" }));
    loss.append(...losses.map(({ name }) => element("option", { value: name, textContent: name })));
    for (const [label, points] of [["Points", true], ["Images", false]]) {
      const group = element("optgroup", { label });
      const within = data.filter((each) => each.points === points);
      group.append(...within.map(({ name }) => element("option", { value: name, textContent: name })));
      if (within.length) set.append(group);
    }
    if (architectures.some(({ name }) => name === first.architecture)) architecture.value = first.architecture;
    if (data.some(({ name }) => name === first.data)) set.value = first.data;
    for (const { name, label, about } of options) this.field(name, label, about);
    for (const select of this.selects) select.addEventListener("change", () => this.resolve());
    named("form").addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    named("cancel").addEventListener("click", () => this.replace(null));
    named("new").hidden = false;
    await this.resolve();
  }

  field(name, label, about) {
    const id = name.replace(".", "-"), box = element("div", { className: "field" });
    const input = element("input", { id, type: "text", inputMode: "decimal", autocomplete: "off", title: about });
    input.dataset.key = name;
    input.setAttribute("aria-description", about);
    box.append(element("label", { htmlFor: id, textContent: label }), input);
    named("options").append(box);
    this.fields.push(input);
  }

  // Show the values of the resolved configuration in empty fields.
  async resolve() {
    const [architecture, loss, data] = this.selects.map((select) => select.value);
    const query = new URLSearchParams({ architecture, loss, data });
    const found = await this.ask(`/resolved?${query}`, (message) => this.complain(message));
    if (!found) return;
    this.complain("");
    for (const input of this.fields) input.placeholder = found.options[input.dataset.key] ?? "";
    const usual = found.default_loss;
    this.selects[1].options[0].textContent = usual ? `the recommended one: ${usual}` : "choose one";
    const { architectures, losses, data: sets } = this.choices;
    const about = [[architectures, architecture], [losses, loss || found.loss], [sets, data]];
    named("parts").replaceChildren(...about.flatMap(([list, name]) => {
      const part = list.find((each) => each.name === name);
      if (!part) return [];
      const text = part.paper ? `${part.about} ${part.paper}.` : part.about;
      const row = element("div");
      row.append(element("dt", { textContent: name }), element("dd", { textContent: text }));
      return [row];
    }));
  }

  settings() {
    const found = {};
    for (const input of this.fields) {
      if (input.value.trim()) found[input.dataset.key] = input.value.trim();
    }
    for (const line of named("settings").value.split("\n").map((each) => each.trim()).filter(Boolean)) {
      const [, key, value] = line.match(/^([^=\s]+)\s*=\s*(.*)$/) ?? [];
      if (!key) throw new Error(`${line}: write KEY=VALUE, such as arch.hidden=64,64`);
      if (key in found) throw new Error(`${key} is given twice`);
      found[key] = value;
    }
    return found;
  }

  async send() {
    let settings;
    try {
      settings = this.settings();
    } catch (error) {
      this.complain(error.message);
      return;
    }
    const [architecture, loss, data] = this.selects.map((select) => select.value || null);
    const asked = { architecture, loss, data, settings, instead: this.instead, paused: named("paused").checked };
    const button = named("start");
    button.disabled = true;
    const done = await this.act("/runs", asked, (message) => this.complain(message));
    button.disabled = false;
    if (done) {
      this.complain("");
      this.replace(null);
      named("new").firstElementChild.open = false;  // the run comes into view
      named("new").querySelector("summary").focus();
    }
  }

  // Let the next run replace another one, starting from its options.
  replace(run) {
    this.instead = run?.name ?? null;
    named("new-title").textContent = run ? `Restart: ${run.title}` : "Train a small run";
    named("start").textContent = run ? "Restart" : "Start";
    named("cancel").hidden = !run;
    if (!run) return;
    const { architecture, loss, data, settings } = run.asked;
    [architecture, loss ?? "", data].forEach((value, i) => {
      if (value !== null) this.selects[i].value = value;
    });
    const left = { ...settings };
    for (const input of this.fields) {
      input.value = left[input.dataset.key] ?? "";
      delete left[input.dataset.key];
    }
    named("settings").value = Object.entries(left).map(([key, value]) => `${key}=${value}`).join("\n");
    this.resolve();
    named("new").querySelector("details").open = true;
    this.selects[1].focus();
    named("new").scrollIntoView({ block: "start" });
  }

  complain(message) {
    named("wrong").textContent = message;
  }
}
