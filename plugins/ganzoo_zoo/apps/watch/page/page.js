// The page: a card for each run, updated by polling the server.

import { Chart, number, steps } from "./charts.js";
import { Form } from "./form.js";
import { Plane } from "./plane.js";

const LIVELY = 150, USUAL = 1000, UNSEEN = 10000, LOST = 2000, BETWEEN_CURVES = 900;
const MOST_FRAMES = 400;
const named = (id) => document.getElementById(id);
const key = location.hash.slice(1);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const cards = new Map();

// Light and dark theme.
const root = document.documentElement, theme = named("theme");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
const showTheme = () => {
  theme.textContent = isDark() ? "Light" : "Dark";
  for (const card of cards.values()) card.repaint();
};
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
prefersDark.addEventListener("change", showTheme);

// Requests to the server.
const spoken = async (response, complain) => {
  const found = await response.json().catch(() => ({}));
  if (response.ok) return found;
  complain?.(found?.error ?? `the server answered ${response.status}`);
  return null;
};
class Lost extends Error {}
const ask = async (path, complain) =>
  spoken(await fetch(path).catch(() => { throw new Lost(); }), complain);
const act = async (path, body, complain) => {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Ganzoo-Key": key },
      body: JSON.stringify(body),
    });
    const done = await spoken(response, complain);
    look();
    return done;
  } catch {
    complain("the server does not answer");
    return null;
  }
};
const say = (text) => { named("said").textContent = text; };

// The title of the chart for each kind of metric.
const TITLES = [
  [/^discriminator\/(?!gradient_norm$)(.*)/, "Loss of the discriminator"],
  [/^generator\/(?!gradient_norm$)(.*)/, "Loss of the generator"],
  [/^(.*)\/gradient_norm$/, "Gradient norms"],
  [/^augmentation\/(.*)/, "Augmentation"],
  [/^samples\/(.*)/, "Samples that repeat a training image"],
];
const place = (name) => {
  for (const [pattern, title] of TITLES) {
    const found = name.match(pattern);
    if (found) return [title, found[1] || name];
  }
  const [first, ...rest] = name.split("/");
  return rest.length ? [first, rest.join("/")] : [name, name];
};

class Card {
  constructor(name) {
    this.name = name;
    this.node = named("card").content.firstElementChild.cloneNode(true);
    this.find = (what) => this.node.querySelector(what);
    this.node.dataset.run = name;
    this.find(".title").id = `title-${name}`;
    this.node.setAttribute("aria-labelledby", `title-${name}`);
    this.plane = new Plane(this.find(".plane"));
    this.charts = new Map();
    this.frames = [];
    this.following = true;
    this.index = 0;
    this.playing = 0;
    this.fetched = { curves: "", when: 0, moves: null };
    this.state = null;
    this.listen();
  }

  listen() {
    const press = (what, done) => this.find(what).addEventListener("click", ({ currentTarget }) => {
      if (currentTarget.getAttribute("aria-disabled") !== "true") done();
    });
    const tell = (word) => act(`/runs/${this.name}/${word}`, {}, (message) => this.complain(message));
    press(".go", () => tell(this.state.may.includes("pause") ? "pause" : "continue"));
    press(".step", () => tell("step"));
    press(".stop", () => tell("stop"));
    press(".dismiss", () => tell("dismiss"));
    press(".again", () => form.replace(this.state));
    press(".play", () => (this.playing ? this.halt() : this.play()));
    press(".newest", () => { this.halt(); this.following = true; this.render(); });
    this.find(".time").addEventListener("input", (event) => {
      this.halt();
      this.go(Number(event.target.value));
    });
    for (const what of ["surface", "reals", "arrows"]) {
      this.find(`.${what}`).addEventListener("change", (event) => {
        this.plane.shown[what] = event.target.checked;
        this.plane.redraw();
      });
    }
  }

  complain(message) {
    this.wrong = message;
    this.problem();
  }

  problem() {
    const text = [this.wrong, this.state?.problem].filter(Boolean).join("; ");
    this.find(".problem").textContent = text;
    this.find(".problem").hidden = !text;
  }

  // Apply the state from the server, and fetch new data.
  async take(state) {
    const before = this.state;
    this.state = state;
    if (before && before.kind !== state.kind) {
      this.wrong = "";
      say(`${state.title}: ${state.said}`);
    }
    this.find(".title").textContent = state.title;
    this.find(".folder").textContent = state.place;
    this.find(".about").textContent = state.about;
    this.find(".status").textContent = state.said[0].toUpperCase() + state.said.slice(1);
    this.find(".status").dataset.kind = state.kind;
    const bar = this.find("progress");
    bar.max = Math.max(1, state.steps);
    bar.value = Math.min(state.step, state.steps);
    bar.setAttribute("aria-label", `Steps of ${state.title}`);
    const counts = [`step ${steps(state.step)} of ${steps(state.steps)}`, state.speed, state.left];
    this.find(".counts").textContent = counts.filter(Boolean).join(" · ");
    this.find(".resume").hidden = !state.resume;
    this.find(".resume code").textContent = state.resume;
    this.problem();
    this.warnings();
    this.buttons();
    this.scores();
    await Promise.all([this.move(), this.draw()]);
    this.render();
  }

  warnings() {
    const list = this.find(".warnings");
    const { warnings, past } = this.state;
    list.hidden = !warnings.length && !past.length;
    list.classList.toggle("over", !warnings.length);
    const item = (text, className) => Object.assign(document.createElement("li"), { textContent: text, className });
    list.replaceChildren(...warnings.map((text) => item(text, "")), ...past.map((text) => item(`Past: ${text}`, "past")));
  }

  buttons() {
    const { own, may, over, title } = this.state, group = this.find(".buttons");
    group.hidden = !(own && acts);
    group.setAttribute("aria-label", `Training of ${title}`);
    const pause = may.includes("pause"), going = this.find(".go");
    going.textContent = pause || !may.length ? "Pause" : "Continue";
    // A disabled button would lose the keyboard focus, and is enabled again in a moment.
    const able = (button, yes) => button.setAttribute("aria-disabled", String(!yes));
    able(going, pause || may.includes("continue"));
    able(this.find(".step"), may.includes("step"));
    able(this.find(".stop"), may.includes("stop"));
    going.hidden = this.find(".step").hidden = this.find(".stop").hidden = over;
    this.find(".dismiss").hidden = !over;
  }

  scores() {
    const found = Object.entries(this.state.scores);
    this.find(".scores").replaceChildren(...found.map(([name, { last, best }]) => {
      const row = document.createElement("div"), value = document.createElement("dd");
      value.textContent = `${number(last.value)} at step ${steps(last.step)}`;
      if (last.seconds !== undefined) value.textContent += ` after ${Math.round(last.seconds)} s`;
      if (best.step !== last.step) value.textContent += `, best ${number(best.value)} at step ${steps(best.step)}`;
      row.append(Object.assign(document.createElement("dt"), { textContent: name }), value);
      return row;
    }));
  }

  // Fetch new frames.
  async move() {
    const { points, live } = this.state;
    if (!points || live === this.fetched.moves) return;
    const last = this.frames.findLast((frame) => frame.kept)?.step ?? -1;
    const again = live < last;  // the run returned to a checkpoint
    const found = await ask(`/runs/${this.name}/moves?after=${again ? -1 : last}`);
    if (!found) return;
    this.fetched.moves = live;
    this.plane.place(found.plane);
    const kept = again ? [] : this.frames.filter((frame) => frame.kept);
    kept.push(...found.kept.map((frame) => ({ ...frame, kept: true })));
    while (kept.length > MOST_FRAMES) kept.splice(0, kept.length, ...kept.filter((_, i) => i % 2));
    if (found.live && found.live.step > (kept.at(-1)?.step ?? -1)) kept.push(found.live);
    this.keep(kept);
  }

  keep(frames) {
    const step = this.frames[this.index]?.step;
    this.frames = frames;
    const same = frames.findLastIndex((frame) => frame.step <= step);
    this.index = this.following ? frames.length - 1 : Math.max(0, same);
  }

  // Fetch new curves.
  async draw() {
    const rests = this.state.kind !== "training";
    const known = JSON.stringify([this.state.kind, this.state.numbers, this.state.scores]);
    if (this.fetched.curves === known
      || (!rests && performance.now() - this.fetched.when < BETWEEN_CURVES)) return;
    const found = await ask(`/runs/${this.name}/curves`);
    if (!found) return;
    this.fetched = { ...this.fetched, curves: known, when: performance.now() };
    const groups = new Map();
    const add = (title, curve) => groups.set(title, [...(groups.get(title) ?? []), curve]);
    for (const [name, curve] of Object.entries(found.numbers)) {
      const [title, term] = place(name);
      add(title, { ...curve, name: term, last: this.state.numbers[name] ?? curve.values.at(-1) });
    }
    for (const [name, curve] of Object.entries(found.scores)) {
      add(`Score: ${name}`, { ...curve, name, last: curve.values.at(-1) });
    }
    const order = ([title]) => TITLES.findIndex((each) => each[1] === title) >>> 0;
    for (const [title, curves] of [...groups].sort((a, b) => order(a) - order(b))) {
      if (!this.charts.has(title)) {
        const chart = new Chart(title, (at) => { for (const each of this.charts.values()) each.read(at); });
        this.charts.set(title, chart);
        this.find(".charts").append(chart.figure);
      }
      this.charts.get(title).show(curves.filter((curve) => curve.steps.length));
    }
    for (const [title, chart] of this.charts) {
      if (!groups.has(title)) { chart.figure.remove(); this.charts.delete(title); }
    }
  }

  // The steps that can be shown: frames for points, pictures for everything else.
  get moments() {
    return this.frames.length ? this.frames.map((frame) => frame.step) : this.state.pictures;
  }

  go(index) {
    this.index = index;
    this.following = index === this.moments.length - 1;
    this.render();
  }

  play() {
    if (this.following || this.index >= this.moments.length - 1) this.index = 0;
    this.following = false;
    this.find(".play").textContent = "Hold";
    this.playing = setInterval(() => {
      this.go(Math.min(this.index + 1, this.moments.length - 1));
      if (this.following) this.halt();
    }, calm.matches ? 1200 : 160);
    this.render();
  }

  halt() {
    clearInterval(this.playing);
    this.playing = 0;
    this.find(".play").textContent = "Play";
  }

  render() {
    const { moments } = this, points = this.frames.length > 0 && this.plane.about !== null;
    if (this.following) this.index = moments.length - 1;
    this.index = Math.min(Math.max(this.index, 0), Math.max(0, moments.length - 1));
    const step = moments[this.index];
    this.find(".plane").hidden = this.find(".plane-legend").hidden = this.find(".toggles").hidden = !points;
    this.find(".picture").hidden = points || step === undefined;
    this.find(".nothing").hidden = step !== undefined;
    this.find(".controls").hidden = moments.length < 2;
    this.find(".newest").disabled = this.following;
    const time = this.find(".time");
    time.max = String(Math.max(0, moments.length - 1));
    time.value = String(this.index);
    if (step === undefined) return;
    time.setAttribute("aria-valuetext", `step ${steps(step)}${this.following ? ", the newest" : ""}`);
    if (points) this.renderPlane();
    else this.renderPicture(step);
  }

  renderPlane() {
    this.plane.show(this.frames[this.index], this.following || this.playing);
    const words = this.plane.words();
    this.find(".caption").textContent = words;
    this.find(".plane").setAttribute("aria-label", `${this.state.title}. ${words}`);
    this.find(".with-modes").hidden = !this.plane.about.modes.length;
  }

  renderPicture(step) {
    const image = this.find(".picture"), address = `/runs/${this.name}/pictures/${step}`;
    const what = this.state.pairs ? "Source images with a row of translations below each row" : "Generated samples";
    if (image.getAttribute("src") !== address) image.src = address;
    image.alt = `${what} of ${this.state.title}, at step ${steps(step)}`;
    this.find(".caption").textContent = `${what}, step ${steps(step)}.`;
  }

  repaint() {
    if (!this.plane.frame) return;
    this.plane.paint();
    this.plane.redraw();
  }
}

// Permission to act, and a hint without it.
let acts = false, opened = false;
const form = new Form(ask, act);
const offer = async (allowed) => {
  if (opened) return;
  opened = true;
  acts = allowed && key !== "";
  if (acts) {
    await form.open();
    return;
  }
  named("looking").hidden = false;
  named("looking").textContent = allowed
    ? "This page is view-only. To train runs, open the full address that the terminal shows."
    : "This page is view-only, because others can reach its address.";
};

// Polling.
let timer = 0, asking = false, wanted = false;
const look = async () => {
  if (asking) { wanted = true; return; }
  clearTimeout(timer);
  asking = true;
  let pause = USUAL;
  try {
    const state = await ask("/state", (message) => { throw new Error(message); });
    await offer(state.acts);
    await show(state.runs);
    named("link").textContent = "";
    named("link").classList.remove("lost");
    if (state.runs.some((run) => run.own && !run.over)) pause = LIVELY;
  } catch (error) {
    if (!(error instanceof Lost)) console.error(error);
    named("link").textContent = error instanceof Lost
      ? "The server does not answer; trying again …" : `This page failed: ${error.message}`;
    named("link").classList.add("lost");
    pause = LOST;
  }
  asking = false;
  if (wanted) pause = 0;
  wanted = false;
  timer = setTimeout(look, document.hidden ? UNSEEN : pause);
};
const show = async (runs) => {
  for (const [name, card] of cards) {
    if (!runs.some((run) => run.name === name)) {
      card.halt();
      card.node.remove();
      cards.delete(name);
    }
  }
  runs.forEach((run, i) => {
    if (!cards.has(run.name)) cards.set(run.name, new Card(run.name));
    const { node } = cards.get(run.name), there = named("runs").children[i];
    if (there !== node) named("runs").insertBefore(node, there ?? null);
  });
  named("runs").dataset.count = String(runs.length);
  named("none").hidden = runs.length > 0;
  await Promise.all(runs.map((run) => cards.get(run.name).take(run)));
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
showTheme();
look();
