// A step taken apart: a turn of each network, and slow motion through the stages of both.

import { Diagram, picture } from "./diagram.js";
import { element, enable, press } from "./elements.js";
import { directions, points } from "./packing.js";
import { NETWORKS, stages } from "./stage.js";

const PATIENCE = 30_000;  // milliseconds for a part of a step
const MOST_IMAGES = 8;  // reals in the picture of a stage, and fakes
const TICK = 100, BETWEEN_PICTURES = 400;
const TURNS = { discriminator: "step-discriminator", generator: "step-generator" };

export class Apart {
  // card: gives state, plane, tell(word), complain(message) and ask(path).
  constructor(card) {
    this.card = card;
    this.find = (what) => card.find(`.apart ${what}`);
    this.diagram = new Diagram(this.find(".flow"));
    this.stage = null;
    this.known = "";
    this.chosen = null;  // [network, index of the stage]
    this.waiting = null;
    this.slow = null;  // the slow motion under way: {held}
    this.painted = 0;
    for (const network of NETWORKS) {
      press(this.find(`.turn-${network}`), () => this.take(network));
      this.find(`.row-${network} ol`).append(...stages(network, null, "points", 1).map(({ title }, i) => {
        const word = element("span", { className: "word", textContent: title });
        const button = element("button", { type: "button" }, element("b", { textContent: i + 1 }), " ", word);
        press(button, () => { this.hold(); this.choose([network, i]); });
        return element("li", {}, button);
      }));
    }
    this.find(".pace").addEventListener("input", () => { this.find(".pace-said").textContent = this.find(".pace").value; });
    this.find(".batch").addEventListener("load", () => this.picture(true));
    press(this.find(".turn-both"), () => this.take(null));
    press(this.find(".slow"), () => (this.slow ? this.end() : this.start()));
    press(this.find(".hold"), () => (this.slow?.held ? this.resume() : this.hold()));
    this.buttons();
  }

  get may() {
    return this.card.acts ? this.card.state?.may ?? [] : [];
  }

  // Take up the state of the run, and fetch the stage where it pauses.
  async update(state) {
    const paused = state.kind === "paused";
    this.card.find(".apart").hidden = !state.own || state.over;
    const known = `${paused} ${state.step} ${state.phase}`;
    if (known !== this.known) {
      this.stage = paused ? await this.card.ask(`/runs/${this.card.name}/stage`, () => {}) : null;
      // Between the turns there is a stage, though it may be on its way.
      this.known = paused && state.phase && !this.stage ? "" : known;
      if (!this.slow && this.chosen && !this.stage?.[this.chosen[0]]) this.choose(null);
    }
    const goesOn = state.kind === "training" && !this.waiting;  // by a button or by another tab
    if (state.over || goesOn) this.end();
    this.buttons();
    if (this.waiting?.met()) this.waiting.done(true);
    this.picture();
  }

  buttons() {
    const { may } = this, busy = this.waiting !== null;
    const can = (word) => !busy && (may.includes(word) || may.includes("pause"));
    for (const network of NETWORKS) {
      enable(this.find(`.turn-${network}`), can(TURNS[network]));
      const there = Boolean(this.stage?.[network]);
      for (const button of this.card.node.querySelectorAll(`.apart .row-${network} button`)) enable(button, there);
    }
    enable(this.find(".turn-both"), can("step"));
    enable(this.find(".slow"), this.slow !== null || can("step-discriminator") || can("step-generator"));
    this.find(".turns").hidden = !this.card.acts;
    this.find(".slow").textContent = this.slow ? "End slow motion" : "Slow motion";
    for (const what of [".turn-discriminator", ".turn-generator", ".turn-both"]) this.find(what).hidden = this.slow !== null;
    this.find(".hold").hidden = this.find(".paces").hidden = !this.slow;
    this.find(".hold").textContent = this.slow?.held ? "Play" : "Hold";
    if (!this.chosen) this.tell(this.summary());
  }

  // Show a sentence; the same again would be read aloud again.
  tell(text) {
    if (this.find(".sentence").textContent !== text) this.find(".sentence").textContent = text;
  }

  summary() {
    if (this.waiting) return "The networks work …";
    if (this.stage?.discriminator || this.stage?.generator) {
      return "Press a number to see what happened in that part of the step.";
    }
    return this.card.acts
      ? "A step is a turn of each network. Let one take its turn, or watch both in slow motion."
      : "A step is a turn of each network. Its parts show here when the run goes step by step.";
  }

  // Wait until the state of the run meets a condition; false if it never does.
  until(condition) {
    return new Promise((done) => {
      const end = (met) => {
        clearTimeout(timer);
        this.waiting = null;
        this.buttons();
        done(met);
      };
      const timer = setTimeout(() => end(false), PATIENCE);
      this.waiting = { met: () => condition(this.card.state), done: end };
      this.buttons();
      if (condition(this.card.state)) end(true);
    });
  }

  // Let a run that trains pause first.
  async rest() {
    if (this.may.includes("pause")) {
      if (!await this.card.tell("pause")) return false;
    }
    return this.until(({ kind }) => kind === "paused");
  }

  // Do a turn of a network, or with null a whole step; true once it is done.
  async turn(network) {
    if (!await this.rest()) return false;
    const before = this.card.state.step;
    if (!await this.card.tell(network ? TURNS[network] : "step")) return false;
    return this.until(({ kind, phase, step }) => kind === "paused" && (network === "discriminator"
      ? phase === "between" : !phase && step > before));
  }

  async take(network) {
    this.choose(null);
    if (await this.turn(network) && network && this.stage?.[network]) this.choose([network, 0]);
  }

  // Slow motion: a turn of each network, and its stages one after another.
  async start() {
    const slow = this.slow = { held: false };
    this.choose(null);
    while (this.slow === slow) {
      const network = this.card.state.phase === "between" ? "generator" : "discriminator";
      const done = await this.turn(network);
      if (this.slow !== slow) return;
      if (!done || !this.stage?.[network]) {
        if (!done && !this.card.state.over) this.card.complain("the step did not come; slow motion has ended");
        this.end();
        return;
      }
      for (let i = 0; i < 5 && this.slow === slow; i += 1) {
        this.choose([network, i]);
        await this.pause(slow);
        if (this.slow === slow && this.chosen?.[0] === network) i = this.chosen[1];
      }
    }
  }

  // Wait for the pace, and as long as the slow motion is held.
  async pause(slow) {
    const left = () => 1000 * Number(this.find(".pace").value);
    for (let past = 0; this.slow === slow && (slow.held || past < left()); past += slow.held ? 0 : TICK) {
      await new Promise((done) => { setTimeout(done, TICK); });
    }
  }

  hold() {
    if (this.slow) this.slow.held = true;
    this.buttons();
  }

  resume() {
    this.slow.held = false;
    this.buttons();
  }

  end() {
    if (!this.slow) return;
    this.slow = null;
    this.choose(null);
    this.buttons();
  }

  // Light a stage: [network, index], or null for none.
  choose(wanted) {
    const { state, plane, node } = this.card, chosen = wanted && this.stage?.[wanted[0]] ? wanted : null;
    this.chosen = chosen;
    for (const network of NETWORKS) {
      node.querySelectorAll(`.apart .row-${network} button`).forEach((button, i) => {
        const on = chosen?.[0] === network && chosen[1] === i;
        if (on) button.setAttribute("aria-current", "step");
        else button.removeAttribute("aria-current");
      });
    }
    if (!chosen) {
      this.tell(this.summary());
      this.diagram.light(null);
      plane.take(null, null);
      this.picture(true);
      return;
    }
    const [network, index] = chosen, part = this.stage[network];
    const updates = Number(state.rates?.["train.n_critic"] ?? 1);
    const stage = stages(network, part, state.points ? "points" : "images", updates)[index];
    this.tell(stage.sentence);
    this.diagram.light(stage.parts);
    plane.take({
      reals: points(part.real_points), fakes: points(part.fakes), gradients: directions(part.gradients),
    }, new Set(stage.layers));
    this.picture(true);
  }

  // Show what flows in the diagram: that of the chosen stage, or what is on the plane.
  picture(now = false) {
    if (this.card.find(".apart").hidden || (!now && performance.now() - this.painted < BETWEEN_PICTURES)) return;
    this.painted = performance.now();
    const { about, frame, surface } = this.card.plane;
    const network = this.chosen?.[0] ?? NETWORKS.findLast((each) => this.stage?.[each]);
    const part = this.stage?.[network], image = this.find(".batch");
    this.find(".of-batch").hidden = !part?.picture;
    if (part?.picture && image.getAttribute("src") !== part.picture) image.src = part.picture;
    const { naturalWidth: width, naturalHeight: height } = image;
    this.diagram.show({
      images: part?.picture && image.complete && width
        ? { href: part.picture, width, height, columns: Math.min(MOST_IMAGES, part.real_logits.length) } : null,
      noise: points(part?.latents) ?? about?.noise ?? null,
      fakes: points(part?.fakes) ?? (frame ? this.card.plane.points : null),
      reals: points(part?.real_points) ?? about?.real ?? null,
      manifold: frame?.manifold ?? null,
      surface: frame ? picture(surface) : null,
      logits: part ? { real: part.real_logits ?? [], fake: part.fake_logits ?? [] } : null,
      discriminator: this.stage?.discriminator,
      generator: this.stage?.generator,
    });
  }
}
