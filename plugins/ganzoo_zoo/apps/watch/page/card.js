// The card of a run.

import { Apart } from "./apart.js";
import { Board } from "./board.js";
import { Change } from "./change.js";
import { element, enable, press, say } from "./elements.js";
import { Layers } from "./layers.js";
import { number, ordinal, steps } from "./numbers.js";
import { Plane } from "./plane.js";
import { act, ask } from "./requests.js";
import { Samples } from "./samples.js";
import { TakeAway } from "./takeaway.js";
import { Timeline } from "./timeline.js";

export class Card {
  // page: gives acts, whether this person may act, form, and label(option): {name, about}.
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.node = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find = (what) => this.node.querySelector(what);
    this.ask = ask;
    this.label = page.label;
    this.complain = (message) => { this.wrong = message; this.problem(); };
    this.act = (path, body) => act(path, body, this.complain);
    this.tell = (word) => this.act(`/runs/${name}/${word}`, {});
    this.node.dataset.run = name;
    this.find(".title").id = `title-${name}`;
    this.node.setAttribute("aria-labelledby", `title-${name}`);
    this.state = null;
    this.plane = new Plane(this.find(".plane"));
    this.layers = new Layers(this);
    this.takeAway = new TakeAway(this);
    this.timeline = new Timeline(this, () => { this.layers.update(); this.takeAway.update(); });
    this.board = new Board(this);
    this.apart = new Apart(this);
    this.change = new Change(this);
    this.samples = new Samples(this);
    press(this.find(".go"), () => this.tell(this.state.may.includes("pause") ? "pause" : "continue"));
    for (const word of ["stop", "resume", "dismiss"]) press(this.find(`.${word}`), () => this.tell(word));
    press(this.find(".again"), () => page.form.replace(this.state));
    press(this.find(".take-link"), () => page.form.share(this.state));
    press(this.find(".beside"), () => page.form.beside(this.state));
  }

  // Whether this person may act on this run.
  get acts() {
    return this.page.acts && this.state !== null && this.state.own && this.state.mine !== false;
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
    const said = state.queued ? `Waiting: ${ordinal(state.queued)} in the queue`
      : state.said[0].toUpperCase() + state.said.slice(1);
    if (before && before.kind !== state.kind) {
      this.wrong = "";
      say(`${state.title}: ${state.said}`);
    }
    this.find(".title").textContent = state.title;
    this.find(".owner").textContent = state.owner ? `${state.owner} · ` : "";
    this.find(".folder").textContent = state.place;
    this.find(".about").textContent = state.about;
    this.find(".status").textContent = said;
    this.find(".status").dataset.kind = state.kind;
    const bar = this.find("progress");
    bar.max = Math.max(1, state.steps);
    bar.value = Math.min(state.step, state.steps);
    bar.setAttribute("aria-label", `Steps of ${state.title}`);
    const counts = [`step ${steps(state.step)} of ${steps(state.steps)}`, state.speed, state.left];
    this.find(".counts").textContent = counts.filter(Boolean).join(" · ");
    this.find(".command").hidden = !state.resume;
    this.find(".command code").textContent = state.resume;
    const look = this.page.form.lesson.look(state.preset);
    const apart = this.page.form.difference(state);
    this.find(".apart-by").textContent = apart && `Unlike its neighbours: ${apart}`;
    this.find(".apart-by").hidden = !apart;
    this.find(".look-at").textContent = look && `Look: ${look}`;
    this.find(".look-at").hidden = !look;
    this.find(".take-link").hidden = !state.asked;
    this.problem();
    this.warnings();
    this.buttons();
    this.scores();
    this.change.update(state);
    this.samples.update(state);
    await Promise.all([this.timeline.update(state), this.board.update(state)]);
    this.timeline.render();
    await this.apart.update(state);
  }

  warnings() {
    const list = this.find(".warnings"), { warnings, past } = this.state;
    list.hidden = !warnings.length && !past.length;
    list.classList.toggle("over", !warnings.length);
    const item = (textContent, className) => element("li", { textContent, className });
    list.replaceChildren(...warnings.map((text) => item(text, "")), ...past.map((text) => item(`Past: ${text}`, "past")));
  }

  buttons() {
    const { may, over, title, asked } = this.state, group = this.find(".buttons");
    group.hidden = !this.acts;
    group.setAttribute("aria-label", `Training of ${title}`);
    const pause = may.includes("pause"), going = this.find(".go");
    going.textContent = pause || !may.length ? "Pause" : "Continue";
    enable(going, pause || may.includes("continue"));
    enable(this.find(".stop"), may.includes("stop"));
    going.hidden = this.find(".stop").hidden = over;
    this.find(".again").hidden = !asked;
    this.find(".beside").hidden = !asked || !this.page.form.beside;
    this.find(".resume").hidden = !may.includes("resume");
    this.find(".dismiss").hidden = !over;
  }

  scores() {
    this.find(".scores").replaceChildren(...Object.entries(this.state.scores).map(([name, { last, best }]) => {
      let said = `${number(last.value)} at step ${steps(last.step)}`;
      if (last.seconds !== undefined) said += ` after ${Math.round(last.seconds)} s`;
      if (best.step !== last.step) said += `, best ${number(best.value)} at step ${steps(best.step)}`;
      return element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: said }));
    }));
  }

  // Paint again in the colours of the theme.
  repaint() {
    this.plane.repaint();
    this.board.redraw();
    if (this.plane.frame) this.layers.update();
    if (this.state) this.apart.picture(true);
  }

  remove() {
    this.timeline.halt();
    this.layers.halt();
    this.apart.end();
    this.board.remove();
    this.node.remove();
  }
}
