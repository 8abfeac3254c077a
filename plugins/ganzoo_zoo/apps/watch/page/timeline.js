// The moments of a run that can be shown: frames for points, sample pictures for everything else.

import { calm } from "./elements.js";
import { steps } from "./numbers.js";
import { askPicture } from "./requests.js";

const MOST_FRAMES = 400, MOST_PICTURES = 40;
const BETWEEN = 160, CALMLY = 1200;

export class Timeline {
  // card: gives name, state, plane, find(what) and ask(path); shown(): called when another moment shows.
  constructor(card, shown) {
    this.card = card;
    this.shown = shown;
    this.frames = [];
    this.pictures = new Map();
    this.following = true;
    this.index = 0;
    this.playing = 0;
    this.fetched = null;
    const { find } = card;
    find(".play").addEventListener("click", () => (this.playing ? this.halt() : this.play()));
    find(".newest").addEventListener("click", () => { this.halt(); this.following = true; this.render(); });
    find(".time").addEventListener("input", (event) => { this.halt(); this.go(Number(event.target.value)); });
  }

  // Fetch new frames.
  async update({ points, live }) {
    if (!points || live === this.fetched) return;
    const last = this.frames.findLast((frame) => frame.kept)?.step ?? -1;
    const again = live < last;  // the run returned to a checkpoint
    const found = await this.card.ask(`/runs/${this.card.name}/moves?after=${again ? -1 : last}`);
    if (!found) return;
    this.fetched = live;
    this.card.plane.place(found.plane);
    const kept = again ? [] : this.frames.filter((frame) => frame.kept);
    kept.push(...found.kept.map((frame) => ({ ...frame, kept: true })));
    while (kept.length > MOST_FRAMES) kept.splice(0, kept.length, ...kept.filter((_, i) => i % 2));
    if (found.live && found.live.step > (kept.at(-1)?.step ?? -1)) kept.push(found.live);
    const step = this.frames[this.index]?.step;
    this.frames = kept;
    const same = kept.findLastIndex((frame) => frame.step <= step);
    this.index = this.following ? kept.length - 1 : Math.max(0, same);
  }

  // The steps that can be shown.
  get moments() {
    return this.frames.length ? this.frames.map((frame) => frame.step) : this.card.state.pictures;
  }

  // The frame that is shown, if points are.
  get frame() {
    return this.card.plane.about ? this.frames[this.index] : undefined;
  }

  go(index) {
    this.index = index;
    this.following = index === this.moments.length - 1;
    this.render();
  }

  play() {
    if (this.following || this.index >= this.moments.length - 1) this.index = 0;
    this.following = false;
    this.card.find(".play").textContent = "Hold";
    this.playing = setInterval(() => {
      this.go(Math.min(this.index + 1, this.moments.length - 1));
      if (this.following) this.halt();
    }, calm.matches ? CALMLY : BETWEEN);
    this.render();
  }

  halt() {
    clearInterval(this.playing);
    this.playing = 0;
    this.card.find(".play").textContent = "Play";
  }

  render() {
    const { moments, card: { find } } = this;
    if (this.following) this.index = moments.length - 1;
    this.index = Math.min(Math.max(this.index, 0), Math.max(0, moments.length - 1));
    const step = moments[this.index];
    find(".plane").hidden = !this.frame;
    const picture = find(".picture");
    picture.hidden = Boolean(this.frame) || step === undefined || !picture.getAttribute("src");
    find(".nothing").hidden = step !== undefined;
    find(".controls").hidden = moments.length < 2;
    find(".newest").disabled = this.following;
    const time = find(".time");
    time.max = String(Math.max(0, moments.length - 1));
    time.value = String(this.index);
    if (step !== undefined) {
      time.setAttribute("aria-valuetext", `step ${steps(step)}${this.following ? ", the newest" : ""}`);
      if (this.frame) this.renderPlane();
      else this.renderPicture(step);
    }
    this.shown();
  }

  renderPlane() {
    const { plane, find, state } = this.card;
    plane.show(this.frame, this.following || this.playing);
    const facts = plane.facts.map(([term, value]) => `${term}: ${value}.`);
    find(".caption").textContent = plane.caption;
    find(".plane").setAttribute("aria-label", [`${state.title}.`, plane.caption, ...facts].join(" "));
  }

  async renderPicture(step) {
    const { find, state, name } = this.card, image = find(".picture");
    const what = state.pairs ? "Source images with a row of translations below each row" : "Generated samples";
    image.alt = `${what} of ${state.title}, at step ${steps(step)}`;
    find(".caption").textContent = `${what}, step ${steps(step)}.`;
    if (image.dataset.step === String(step)) return;
    image.dataset.step = step;
    if (!this.pictures.has(step)) {
      const found = await askPicture(`/runs/${name}/pictures/${step}`).catch(() => null);
      if (!found) {
        if (image.dataset.step === String(step)) delete image.dataset.step;  // ask once more later
        return;
      }
      this.pictures.set(step, found);
      if (this.pictures.size > MOST_PICTURES) this.pictures.delete(this.pictures.keys().next().value);
    }
    if (image.dataset.step !== String(step)) return;  // another moment is shown meanwhile
    image.src = this.pictures.get(step);
    image.hidden = Boolean(this.frame);
  }
}
