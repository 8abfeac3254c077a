// The plane: which frame is shown, in which layers, and how it moves.

import { contour } from "./contours.js";
import { calm } from "./elements.js";
import { number, percent, steps } from "./numbers.js";
import { SIDE, bytes, points, unpack } from "./packing.js";
import { NAMES, paint } from "./paint.js";
import { colours } from "./theme.js";

const LEVELS = 255, MILLISECONDS = 240, MOST_PULLS = 100;
const CONTOURS = [0.1, 0.3, 0.5, 0.7, 0.9];  // of the highest density
const palette = (element) => {
  const found = colours(element, NAMES.map((name) => `plane-${name}`));
  return Object.fromEntries(NAMES.map((name) => [name, found[`plane-${name}`]]));
};
const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
const between = (from, to, share) => to.map((each, i) => from[i] + (each - from[i]) * share);

export class Plane {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.surface = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    this.about = null;
    this.frame = null;
    this.from = null;
    this.on = new Set(["surface", "reals", "fakes", "modes"]);
    this.wanted = null;  // "trained" or "average", once a person has chosen
    this.batch = null;  // the samples of a step taken apart, in place of the frame's
    this.lit = null;
    this.share = 1;  // from 0, the noise, to 1, where the generator takes it
    this.drawing = 0;
  }

  // Set the position of the square, its true modes, its real points and its noise.
  place(about) {
    if (this.about || !about) return;
    const unit = (point) => point.map((each, i) => ((each - about.centre[i]) / about.reach + 1) / 2);
    const density = about.density ? bytes(about.density) : null, lines = about.latent_lines;
    this.about = {
      ...about,
      modes: about.modes.map(unit),
      real: points(about.real),
      noise: points(about.latents),
      grid: lines ? untouched(lines, about.latent_reach, lines.length ** about.z_dim) : null,
      contours: density && CONTOURS.flatMap((share) => contour(density, SIDE, share * LEVELS)),
    };
  }

  // Show a frame; if moving, animate the points from the previous frame.
  show(frame, moving) {
    if (!this.about || this.frame?.step === frame.step) return;
    const before = this.now;
    this.frame = unpack(frame);
    this.from = moving && !calm.matches && before?.length === this.points.length ? before : null;
    this.began = performance.now();
    this.repaint();
  }

  // Turn a layer on or off.
  turn(layer, on) {
    this.on[on ? "add" : "delete"](layer);
    this.redraw();
  }

  // Show the samples of a step taken apart: {reals, fakes, gradients}, or null for those of the frame.
  // lit: the layers that stand out, or null.
  take(batch, lit) {
    this.batch = batch;
    this.lit = lit;
    this.from = null;
    this.redraw();
  }

  // Show the generator's or its average's points.
  choose(which) {
    this.wanted = which;
    this.from = null;
    this.redraw();
  }

  // Show the noise on its way through the generator.
  morph(share) {
    this.share = share;
    this.from = null;
    this.redraw();
  }

  // Which layers there are to show.
  get layers() {
    const { about, frame } = this;
    const has = { contours: about?.contours, manifold: frame?.manifold, modes: about?.modes.length };
    return ["surface", "reals", "contours", "fakes", "manifold", "pulls", "modes"]
      .filter((name) => !(name in has) || has[name]);
  }

  // Whether the noise can be shown on its way through the generator.
  get morphs() {
    const { about, frame } = this;
    return Boolean(frame?.manifold && about.grid?.length === frame.manifold.length
      && about.noise.length === frame.points.length);
  }

  get which() {
    return this.frame?.other && this.wanted ? this.wanted : this.frame?.shows;
  }

  // The generated points that are chosen.
  get points() {
    return this.which === this.frame.shows ? this.frame.points : this.frame.other;
  }

  get caption() {
    const { step, low, high } = this.frame;
    return `Step ${steps(step)}: ${this.points.length / 2} generated points, logits from ${number(low)} to ${number(high)}.`;
  }

  // What the frame counts, as [term, value, what it means].
  get facts() {
    const { modes, of, high_quality: good, kl, js } = this.frame.numbers ?? {}, found = [];
    const add = (...fact) => found.push(fact);
    if (modes !== undefined) {
      add("Modes held", `${modes} of ${of}`, "A mode is a heap of real points; it is held if points are near it.");
    }
    if (good !== undefined) add("Points of high quality", percent(good), "Points near a mode.");
    if (kl !== undefined) {
      add("Distance to the true distribution", `KL ${number(kl)}, JS ${number(js)} bits`,
        "0 if the points lie as the reals do; JS is at most 1.");
    }
    return found;
  }

  // Paint again in the colours of the theme.
  repaint() {
    if (!this.frame) return;
    this.paintSurface();
    this.redraw();
  }

  // Another plane that shows frames at rest, such as for a movie: the same layers, on no canvas.
  copy() {
    const { about, on, wanted } = this;
    return Object.assign(new Plane(this.canvas), { about, on: new Set(on), wanted });
  }

  // Set a frame without drawing it.
  still(frame) {
    this.frame = unpack(frame);
    this.now = this.points;
    this.paintSurface();
  }

  paintSurface() {
    const context = this.surface.getContext("2d"), image = context.createImageData(SIDE, SIDE);
    const { low, even, high } = palette(this.canvas), ends = [low, even, high].map(rgb);
    this.frame.levels.forEach((level, i) => {
      const share = 2 * level / LEVELS - 1, end = share > 0 ? ends[2] : ends[0];
      ends[1].forEach((part, j) => {
        image.data[4 * i + j] = part + (end[j] - part) * Math.abs(share);
      });
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }

  redraw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (!this.frame) return;
    const past = this.from ? Math.min(1, (performance.now() - this.began) / MILLISECONDS) : 1;
    this.now = past < 1 ? between(this.from, this.points, past) : this.points;
    this.paintOn(this.context, this.canvas.width);
    if (past < 1) this.redraw();
  }

  // Paint what is shown on some canvas.
  paintOn(context, width) {
    paint(context, width, this.scene(), palette(this.canvas));
  }

  scene() {
    const { about, frame, batch, lit, share, now } = this;
    const seen = new Set(lit ?? this.on);
    for (const name of seen) if (!this.layers.includes(name)) seen.delete(name);
    if (lit) for (const name of ["reals", "fakes", "surface"]) seen.add(name);
    const moved = share < 1 && this.morphs && !batch;
    const fakes = batch?.fakes ?? (moved ? between(about.noise, now, share) : now);
    const scene = {
      surface: this.surface, modes: about.modes, contours: about.contours, seen, lit,
      radius: 3 * (about.std || 0) / (2 * about.reach),
      reals: batch?.reals ?? about.real,
      fakes,
      manifold: moved ? between(about.grid, frame.manifold, share) : frame.manifold,
    };
    if (moved) for (const name of ["surface", "contours", "modes", "reals", "pulls"]) seen.delete(name);
    if (seen.has("pulls")) scene.pull = this.pull(fakes);
    return scene;
  }

  // Where the points are pulled: as the training found it, or up the slope of the surface.
  pull(fakes) {
    const { batch, frame } = this;
    if (batch?.gradients) return { from: fakes, to: batch.gradients };
    if (frame.pull && !batch && this.which === frame.shows) return { from: fakes, to: frame.pull };
    const slopes = [];
    for (let i = 0; i < Math.min(fakes.length, 2 * MOST_PULLS); i += 2) {
      slopes.push(...this.slope(fakes[i], fakes[i + 1]));
    }
    let steepest = 1e-9;
    for (let i = 0; i < slopes.length; i += 2) {
      steepest = Math.max(steepest, Math.hypot(slopes[i], slopes[i + 1]));
    }
    return { from: fakes, to: slopes.map((each) => each / steepest) };
  }

  slope(x, y) {
    const column = Math.min(Math.max(Math.floor(x * SIDE), 1), SIDE - 2);
    const row = Math.min(Math.max(Math.floor((1 - y) * SIDE), 1), SIDE - 2);
    const level = (i, j) => this.frame.levels[i * SIDE + j];
    return [level(row, column + 1) - level(row, column - 1), level(row - 1, column) - level(row + 1, column)];
  }
}

// The grid of noise before the generator, row by row: of two numbers a square, of one a line.
const untouched = (lines, reach, count) => {
  const found = new Float64Array(2 * count), side = lines.length, unit = (each) => (each / reach + 1) / 2;
  for (let i = 0; i < count; i += 1) {
    found[2 * i] = unit(lines[i % side]);
    found[2 * i + 1] = count > side ? unit(lines[Math.floor(i / side)]) : 0.5;
  }
  return found;
};
