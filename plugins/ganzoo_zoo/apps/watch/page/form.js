// How a run is chosen and started: presets, the form, links and the class.

import { Classroom } from "./classroom.js";
import { makeControl } from "./controls.js";
import { Pad } from "./draw.js";
import { element, named } from "./elements.js";
import { Lesson } from "./lesson.js";
import { makeCommand, makeLink, ownCode, readLink } from "./link.js";
import { act, ask, hasKey } from "./requests.js";
import { picture } from "./sketch.js";

const option = (value, textContent) => element("option", { value, textContent });

export class Form {
  constructor() {
    this.instead = null;
    this.neighbour = null;
    this.opened = false;
    this.architecture = named("architecture");
    this.loss = named("loss");
    this.init = named("init");
    this.controls = [];
    this.edits = new Map();
    this.asks = 0;
    this.lesson = new Lesson((asked, complain) => this.start(asked, complain), (asked) => this.edit(asked));
    this.classroom = new Classroom();
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => this.copy(named(button.dataset.copy), button));
    }
    named("share-close").addEventListener("click", () => named("share").close());
  }

  // Show what this person may do, and return whether they may act.
  async offer(state) {
    const acts = state.role ? state.role !== "looker" : state.acts && hasKey();
    const enters = this.classroom.show(state);
    named("looking").hidden = acts || enters;
    named("looking").textContent = state.acts
      ? "This page is view-only. To train runs, open the full address that the terminal shows."
      : "This page is view-only, because others can reach its address.";
    named("new").hidden = !(acts && this.opened);
    named("lesson").hidden = named("new").hidden || !this.lesson.presets.length;
    named("held").hidden = acts || !ownCode();
    if (acts && !this.opened) await this.open();
    else if (!acts && ownCode()) this.tell();
    this.lesson.mark(state.runs);
    this.runs = state.runs;
    return acts;
  }

  async open() {
    this.choices = await ask("/choices");
    const { architectures, losses, first, presets } = this.choices;
    this.architecture.replaceChildren(...architectures.map(({ name }) => option(name, name)));
    this.loss.replaceChildren(option("", ""), ...losses.map(({ name }) => option(name, name)));
    this.listData();
    if (architectures.some(({ name }) => name === first.architecture)) this.architecture.value = first.architecture;
    this.data = first.data;
    this.lesson.list(presets ?? []);
    for (const select of [this.architecture, this.loss, this.init]) {
      select.addEventListener("change", () => this.resolve());
    }
    named("form").addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    named("cancel").addEventListener("click", () => { this.replace(null); this.reset(); });
    named("usual").addEventListener("click", () => this.reset());
    named("copy-link").addEventListener("click", () => this.share());
    named("open-link").addEventListener("click", () => this.openLink(named("link-text").value));
    this.opened = true;
    named("new").hidden = false;
    named("lesson").hidden = !presets?.length;
    named("new").querySelector("details").open = !presets?.length;
    await this.resolve();
    if (ownCode()) await this.openLink(location.search);
  }

  // Datasets as little pictures, or as names.
  listData() {
    const { data } = this.choices;
    named("data").replaceChildren(...[["Points in the plane", true], ["Images and more", false]].flatMap(([title, points]) => {
      const within = data.filter((each) => each.points === points)
        .sort((one, other) => (one.name === this.choices.drawn) - (other.name === this.choices.drawn));
      if (!within.length) return [];
      const row = element("div", { className: "pictures", role: "group" });
      row.setAttribute("aria-label", title);
      row.append(...within.map(({ name, sketch }) => {
        const radio = element("input", { type: "radio", name: "data", value: name });
        radio.addEventListener("change", () => this.resolve());
        const label = element("label", { className: "tile" }, radio);
        if (sketch) label.append(picture(sketch));
        label.append(element("span", { textContent: name === this.choices.drawn ? "draw your own" : name }));
        return label;
      }));
      return [element("p", { className: "fine", textContent: title }), row];
    }));
  }

  get data() { return named("data").querySelector(":checked")?.value ?? ""; }
  set data(name) {
    for (const radio of named("data").querySelectorAll("input")) radio.checked = radio.value === name;
  }

  // Show the controls of what is chosen, with the values of the recipe.
  async resolve() {
    const { architecture: { value: architecture }, loss: { value: loss }, init: { value: init }, data } = this;
    const now = ++this.asks;
    const query = new URLSearchParams({ architecture, loss, data, init });
    const found = await ask(`/resolved?${query}`, (message) => { if (now === this.asks) this.complain(message); });
    if (!found || now !== this.asks) return;
    this.complain("");
    const models = (this.choices.models ?? []).filter(({ name }) => (found.models ?? []).includes(name));
    this.init.replaceChildren(option("", "random weights (as usual)"),
      ...models.map(({ name, title }) => option(name, `${name}: ${title}`)));
    this.init.value = models.some(({ name }) => name === init) ? init : "";
    named("init-field").hidden = !models.length;
    if (init && !this.init.value) { await this.resolve(); return; }
    const usual = found.default_loss;
    this.loss.options[0].textContent = usual ? `the recommended one: ${usual}` : "choose one";
    this.describe(architecture, loss || found.loss, data);
    this.place(found.controls);
  }

  describe(architecture, loss, data) {
    const { architectures, losses, data: sets } = this.choices;
    for (const [id, list, name] of [["architecture", architectures, architecture], ["loss", losses, loss], ["data", sets, data]]) {
      const part = list.find((each) => each.name === name);
      const text = part ? [part.about, part.paper && `${part.paper}.`].filter(Boolean).join(" ") : "";
      named(`${id}-about`).textContent = id === "architecture" || !part ? text : `${name}: ${text}`;
    }
  }

  place(controls) {
    const drawing = this.data === this.choices.drawn, fixed = this.init.value !== "";
    named("fixed").hidden = !fixed;
    this.controls = [];
    const boxes = new Map();
    for (const about of controls.filter(({ group }) => !(fixed && group === "architecture"))) {
      const changed = () => {
        this.edits.set(about.key, control.value);
        if (about.key === "data.width") this.widen();
      };
      const control = drawing && about.key === "data.strokes" ? new Pad(about, changed) : makeControl(about, changed);
      control.usual = about.value;
      const kept = this.edits.get(about.key);
      if (kept && control.accepts(kept)) control.value = kept;
      this.controls.push(control);
      const place = control instanceof Pad ? "pad" : `${about.front ? "front" : "back"}-${about.group}`;
      boxes.set(place, [...(boxes.get(place) ?? []), control.node]);
    }
    named("pad").hidden = !boxes.has("pad");
    for (const box of document.querySelectorAll("#form [data-controls]")) {
      box.replaceChildren(...(boxes.get(box.dataset.controls) ?? []));
      const group = box.closest("[data-group]");
      if (group) group.hidden = !box.children.length;
    }
    this.widen();
  }

  // Draw with the width of the pen that is set.
  widen() {
    const pad = this.controls.find((each) => each instanceof Pad), width = this.controls.find(({ key }) => key === "data.width");
    if (pad && width) pad.width = Number(width.value || width.usual);
  }

  settings() {
    const found = {};
    for (const { key, value } of this.controls) if (value) found[key] = value;
    for (const line of named("settings").value.split("\n").map((each) => each.trim()).filter(Boolean)) {
      const [, key, value] = line.match(/^([^=\s]+)\s*=\s*(.*)$/) ?? [];
      if (!key) throw new Error(`${line}: write KEY=VALUE, such as arch.hidden=64,64`);
      if (key in found) throw new Error(`${key} is given twice`);
      found[key] = value;
    }
    return found;
  }

  // What is chosen now; null after a complaint.
  asked() {
    try {
      const [loss, data, init] = [this.loss.value, this.data, this.init.value].map((each) => each || null);
      return { architecture: this.architecture.value, loss, data, settings: this.settings(), init, preset: null };
    } catch (error) {
      this.complain(error.message);
      return null;
    }
  }

  async send() {
    const asked = this.asked();
    if (!asked) return;
    const button = named("start");
    button.disabled = true;
    const more = { instead: this.instead, beside: this.neighbour, paused: named("paused").checked };
    const done = await this.start({ ...asked, ...more }, (message) => this.complain(message));
    button.disabled = false;
    if (!done) return;
    if (this.instead || this.neighbour) this.reset();  // the settings were those of another run
    this.replace(null);
  }

  // Start a run, and bring it into view; null if it is refused.
  async start(asked, complain) {
    const done = await act("/runs", asked, complain);
    if (!done) return null;
    complain("");
    for (const id of ["new", "lesson"]) named(id).querySelector("details").open = false;
    named("runs").focus({ preventScroll: true });
    named("runs").scrollIntoView({ block: "start" });
    return done;
  }

  // Let the next run replace another one, starting from its options.
  replace(run) {
    this.begin(run, run && `Restart: ${run.title}`, "Restart");
    this.instead = run?.name ?? null;
    if (run) this.edit(run.asked);
  }

  // Let the next run stand beside another one, with other options.
  beside(run) {
    this.begin(run, `The same, but …: ${run.title}`, "Start beside it");
    this.neighbour = run.name;
    this.edit(run.asked);
  }

  // What sets a run apart from others on the page with the same title, in words; or empty.
  difference(run) {
    const alike = (this.runs ?? []).filter((each) => each.title === run.title && each.asked);
    if (!run.asked || alike.length < 2) return "";
    const parts = ({ init, settings }) => ({ ...settings, ...(init ? { init } : {}) });
    const own = parts(run.asked), others = alike.map((each) => parts(each.asked));
    const keys = [...new Set(others.flatMap(Object.keys))].filter((key) => others.some((each) => each[key] !== own[key]));
    const labels = new Map((this.choices?.options ?? []).map(({ name, label }) => [name, label]));
    const word = (key) => (key === "init" ? "start from" : labels.get(key) ?? key.replace(/^\w+\./, "").replaceAll("_", " "));
    const write = (key) => {
      const value = own[key] ?? run.rates?.[key] ?? "as usual";
      return `${word(key)} ${value.length > 24 ? `${value.slice(0, 24)}…` : value}`;
    };
    return keys.slice(0, 6).map(write).join(", ");
  }

  begin(run, title, word) {
    this.instead = this.neighbour = null;
    named("new-title").textContent = run ? title : "Your own";
    named("start").textContent = run ? word : "Start";
    named("cancel").hidden = !run;
    named("changing").hidden = !run;
  }

  // Fill the form, and show it.
  async edit(asked) {
    named("new").querySelector("details").open = true;
    await this.fill(asked);
    named("new").scrollIntoView({ block: "start" });
    named("new").querySelector("summary").focus({ preventScroll: true });
  }

  // Fill the form with settings, and say which names are not known here.
  async fill({ architecture, loss, data, init, settings }) {
    const { architectures, losses, data: sets, models } = this.choices;
    const unknown = [["architecture", architectures, architecture], ["loss", losses, loss], ["data", sets, data], ["model to start from", models ?? [], init]]
      .filter(([, list, name]) => name && !list.some((each) => each.name === name));
    const good = (name) => (unknown.some((each) => each[2] === name) ? "" : name ?? "");
    if (good(architecture)) this.architecture.value = architecture;
    this.loss.value = good(loss);
    const own = architectures.find(({ name }) => name === this.architecture.value)?.data;
    if (good(data ?? own)) this.data = data ?? own;
    this.init.replaceChildren(option(good(init), good(init)));
    this.edits = new Map(Object.entries(settings ?? {}));
    named("settings").value = "";
    await this.resolve();
    const shown = new Map(this.controls.map((control) => [control.key, control]));
    const rest = [...this.edits].filter(([key, value]) => !shown.get(key)?.accepts(value));
    for (const [key] of rest) this.edits.delete(key);
    named("settings").value = rest.map(([key, value]) => `${key}=${value}`).join("\n");
    if (rest.length) named("more").open = true;
    if (unknown.length) {
      this.complain(unknown.map(([word, , name]) => `The ${word} ‘${name.slice(0, 60)}’ is not installed here.`).join(" "));
    }
  }

  reset() {
    this.edits = new Map();
    named("settings").value = "";
    this.loss.value = "";
    this.init.value = "";
    this.resolve();
  }

  // Links.

  async openLink(text) {
    let asked;
    try {
      asked = readLink(text);
      if (!asked.architecture) throw new Error("This link names no architecture.");
    } catch (error) {
      this.complain(error.message);
      named("new").querySelector("details").open = true;
      return;
    }
    this.begin(null);
    await this.edit(asked);
    named("link-text").value = "";
  }

  // Show the settings of a run, or of the form, as a link and as a command.
  share(run = null) {
    const asked = run?.asked ?? this.asked();
    if (!asked) return;
    named("share-link").value = makeLink(asked);
    named("share-command").value = makeCommand(asked);
    named("share").showModal();
  }

  async copy(field, button) {
    const before = button.textContent;
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {  // a page on another machine may not write there
      button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  // Without a key, tell what the link in the address holds.
  tell() {
    try {
      named("held-command").textContent = makeCommand(readLink(location.search));
    } catch (error) {
      named("held-command").textContent = error.message;
    }
  }

  complain(message) {
    named("wrong").textContent = message;
  }
}
