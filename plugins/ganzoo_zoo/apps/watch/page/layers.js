// What can be seen on the plane: layers, the noise, and which generator.

import { calm, element } from "./elements.js";
import { percent } from "./numbers.js";
import { colours } from "./theme.js";

// The name of each layer, and how it looks.
const LAYERS = {
  fakes: ["generated points (fakes)", "dot fake"],
  reals: ["real points", "dot real"],
  surface: ["logits: fake to real", "ramp"],
  contours: ["density of the reals", "loop"],
  pulls: ["gradients: pull on fakes", "pull"],
  manifold: ["manifold: the noise, bent", "net"],
  modes: ["true modes", "ring"],
};
const MORPH = 2400, TICK = 40;
const GENERATORS = { trained: "The generator itself", average: "Its average (EMA)" };

export class Layers {
  // card: gives name, plane and find(what).
  constructor(card) {
    this.card = card;
    this.playing = 0;
    const { find, plane } = card;
    for (const [name, [label, look]] of Object.entries(LAYERS)) {
      const box = element("input", { type: "checkbox", checked: plane.on.has(name) });
      box.addEventListener("change", () => plane.turn(name, box.checked));
      const row = element("label", { className: "check" }, box, element("i", { className: look }), label);
      row.dataset.layer = name;
      find(".toggles").append(row);
    }
    for (const [which, label] of Object.entries(GENERATORS)) {
      const box = element("input", { type: "radio", name: `which-${card.name}`, value: which });
      box.addEventListener("change", () => { plane.choose(which); card.timeline.render(); });
      find(".which").append(element("label", { className: "check" }, box, ` ${label}`));
    }
    find(".morph").addEventListener("input", () => { this.halt(); this.morph(Number(find(".morph").value)); });
    find(".morph-play").addEventListener("click", () => (this.playing ? this.halt() : this.play()));
  }

  // Show the layers that this frame has.
  update() {
    const { find, plane } = this.card, seen = !find(".plane").hidden;
    for (const what of [".layers", ".facts"]) find(what).hidden = !seen;
    find(".noise-box").hidden = !seen || !plane.about.noise;
    find(".which").hidden = !seen || !plane.frame.other;
    if (!seen) return;
    const { layers } = plane;
    for (const label of find(".toggles").children) label.hidden = !layers.includes(label.dataset.layer);
    for (const box of find(".which").querySelectorAll("input")) box.checked = box.value === plane.which;
    find(".morph-row").hidden = !plane.morphs;
    find(".morph-play").hidden = calm.matches;
    this.noise();
    this.facts();
  }

  // The noise on a small canvas of its own.
  noise() {
    const { find, plane: { about } } = this.card, canvas = find(".noise");
    if (!about.noise) return;
    const context = canvas.getContext("2d"), { width } = canvas, shade = colours(canvas, ["card", "ink"]);
    if (this.painted === shade.ink) return;
    this.painted = shade.ink;
    context.fillStyle = shade.card;
    context.fillRect(0, 0, width, width);
    context.fillStyle = shade.ink;
    for (let i = 0; i < about.noise.length; i += 2) {
      context.beginPath();
      context.arc(about.noise[i] * width, (1 - about.noise[i + 1]) * width, 2, 0, 2 * Math.PI);
      context.fill();
    }
    const many = about.z_dim > 2 ? ` Of its ${about.z_dim} numbers two are drawn.` : "";
    const count = about.noise.length / 2;
    canvas.setAttribute("aria-label", `${count} latents of noise, ${about.prior} random numbers`);
    find(".noise-about").textContent =
      `Noise: each dot is a latent, from which the generator makes one point.${many}`;
  }

  // The numbers of this frame.
  facts() {
    const { find, plane } = this.card, found = plane.facts;
    find(".facts").replaceChildren(...found.map(([term, value, title]) => element("div", { title },
      element("dt", { textContent: term }), element("dd", { textContent: value }))));
    find(".facts").hidden = !found.length;
  }

  morph(share) {
    const { find, plane } = this.card, map = find('[data-layer="manifold"] input');
    if (!map.checked) { map.checked = true; plane.turn("manifold", true); }
    find(".morph").value = String(share);
    find(".morph").setAttribute("aria-valuetext", `${percent(share)} of the way from noise to points`);
    plane.morph(share);
  }

  play() {
    const began = performance.now();
    this.card.find(".morph-play").textContent = "Hold";
    this.playing = setInterval(() => {
      const share = Math.min(1, (performance.now() - began) / MORPH);
      this.morph(share);
      if (share === 1) this.halt();
    }, TICK);
    this.morph(0);
  }

  halt() {
    clearInterval(this.playing);
    this.playing = 0;
    this.card.find(".morph-play").textContent = "Play";
  }
}
