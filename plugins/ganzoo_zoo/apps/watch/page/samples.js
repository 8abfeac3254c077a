// For images: a walk between two samples, and the nearest real images.

import { element, enable, press } from "./elements.js";
import { number, steps } from "./numbers.js";
import { askPicture } from "./requests.js";

const walk = (picture) => [
  element("img", { src: picture, alt: "A walk of 8 samples, from one to another" }),
  element("figcaption", { textContent: "A walk: the noise moves in even steps from one sample to another. If "
    + "all between look real too, the generator has learnt more than a few images by heart." }),
];
const nearest = ({ step, pairs, searched, of }) => [
  element("div", { className: "pairs" }, ...pairs.map(({ fake, real, distance }) => element("div", {},
    element("img", { src: fake, alt: "generated" }), element("img", { src: real, alt: "its nearest real image" }),
    element("span", { textContent: number(distance) })))),
  element("figcaption", { textContent: `Generated images of step ${steps(step)}, each above the real image whose `
    + "pixels are nearest, and how far these are: 0 is a copy, 255 is black against white."
    + (searched < of ? ` Searched among ${steps(searched)} of ${steps(of)} images.` : "") }),
];

export class Samples {
  // card: gives name, find(what), complain(message) and ask(path, complain).
  constructor(card) {
    this.card = card;
    const { find, name, complain, ask } = card;
    press(find(".walk"), () => this.show("walk", walk, () => askPicture(`/runs/${name}/walk`, complain)));
    press(find(".nearest"), () => this.show("nearest", nearest, () => ask(`/runs/${name}/nearest`, complain)));
  }

  update(state) {
    this.card.find(".more-samples").hidden = state.points || !state.own || state.over || !state.pictures.length;
  }

  async show(what, build, fetched) {
    const { find, complain } = this.card, button = find(`.${what}`), figure = find(`.${what}-figure`);
    complain("");
    enable(button, false);
    const found = await fetched().catch(() => null);
    enable(button, true);
    if (!found) {
      if (!this.card.wrong) complain("this run has none at the moment");
      return;
    }
    figure.replaceChildren(...build(found));
    figure.hidden = false;
  }
}
