// For images: a walk between two samples, and the nearest real images.

import { element, enable, press } from "./elements.js";
import { number, steps } from "./numbers.js";

export class Samples {
  // card: gives name, state, find(what) and ask(path).
  constructor(card) {
    this.card = card;
    press(card.find(".walk"), () => this.show(".walk", "walk", (found) => [
      element("img", { src: found.walk, alt: "A walk of 8 samples, from one to another" }),
      element("figcaption", { textContent: `A walk at step ${steps(found.step)}: the noise moves in even steps `
        + "from one sample to another. If all between look like samples too, the generator has not only "
        + "learnt images by heart." }),
    ]));
    press(card.find(".nearest"), () => this.show(".nearest", "nearest", (found) => [
      element("div", { className: "pairs" }, ...found.pairs.map(({ fake, real, distance }) => element("div", {},
        element("img", { src: fake, alt: "generated" }), element("img", { src: real, alt: "its nearest real image" }),
        element("span", { textContent: number(distance) })))),
      element("figcaption", { textContent: `Generated images at step ${steps(found.step)}, each above the real `
        + "image that is nearest by its pixels, with their distance. At 0, it is a copy." }),
    ]));
  }

  update(state) {
    const { find } = this.card;
    find(".more-samples").hidden = state.points || !state.own || state.over || !state.pictures.length;
  }

  async show(button, what, build) {
    const { find, name, complain } = this.card;
    enable(find(button), false);
    const found = await this.card.ask(`/runs/${name}/${what}`, complain).catch(() => null);
    enable(find(button), true);
    if (!found) return;
    complain("");
    const figure = find(`.${what}-figure`);
    figure.replaceChildren(...build(found));
    figure.hidden = false;
  }
}
