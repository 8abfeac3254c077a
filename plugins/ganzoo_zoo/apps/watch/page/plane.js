// Generated and real points over the surface of the discriminator's logits, as in GAN Lab (Kahng et
// al. 2018, arXiv:1809.01587).

import { number, steps } from "./charts.js";

const SIDE = 40, UNITS = 65535, LEVELS = 255;
const MILLISECONDS = 240;
const LONGEST_PULL = 26;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// Decode points to coordinates from 0 to 1, right and up.
const points = (text) => {
  const data = new DataView(bytes(text).buffer), found = new Float64Array(data.byteLength / 2);
  for (let i = 0; i < found.length; i += 1) found[i] = data.getUint16(2 * i, true) / UNITS;
  return found;
};

const colour = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));

export class Plane {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.small = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    this.about = null;
    this.frame = null;
    this.from = null;
    this.shown = { surface: true, reals: true, arrows: false };
    this.drawing = 0;
  }

  // Set the position of the square, its true modes and its real points.
  place(about) {
    if (this.about || !about) return;
    const unit = (point) => point.map((each, i) => ((each - about.centre[i]) / about.reach + 1) / 2);
    this.about = { ...about, modes: about.modes.map(unit), real: points(about.real) };
  }

  // Show a frame; if moving, animate the points from the previous frame.
  show(frame, moving) {
    if (!this.about || this.frame?.step === frame.step) return;
    const before = this.now;
    this.frame = { ...frame, points: points(frame.points), levels: bytes(frame.surface) };
    this.from = moving && !calm.matches && before?.length === this.frame.points.length ? before : null;
    this.began = performance.now();
    this.paint();
    this.redraw();
  }

  redraw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.draw());
  }

  // The share of points near a true mode, and the number of modes with a point.
  covered() {
    const { modes, std, reach } = this.about, found = this.frame.points;
    if (!modes.length || !std) return null;
    const near = 3 * std / (2 * reach), hit = new Set();
    let good = 0;
    for (let i = 0; i < found.length; i += 2) {
      const own = modes.findIndex(([x, y]) => Math.hypot(found[i] - x, found[i + 1] - y) <= near);
      if (own >= 0) { good += 1; hit.add(own); }
    }
    return { hit: hit.size, of: modes.length, share: 2 * good / found.length };
  }

  words() {
    const { step, low, high } = this.frame, covered = this.covered();
    let said = `Step ${steps(step)}: ${this.frame.points.length / 2} generated points, logits from `
      + `${number(low)} to ${number(high)}.`;
    if (covered) {
      said += ` ${Math.round(100 * covered.share)}% of the points lie within 3 standard deviations of a `
        + `true mode, and ${covered.hit} of ${covered.of} ${covered.of === 1 ? "mode has" : "modes have"} one.`;
    }
    return said;
  }

  colours() {
    const style = getComputedStyle(this.canvas);
    return Object.fromEntries(["fake", "real", "mode", "low", "even", "high", "halo", "pull"].map(
      (name) => [name, style.getPropertyValue(`--plane-${name}`).trim()]));
  }

  // Paint the surface, one pixel per grid point.
  paint() {
    const context = this.small.getContext("2d"), image = context.createImageData(SIDE, SIDE);
    const { low, even, high } = this.colours(), ends = [colour(low), colour(even), colour(high)];
    this.frame.levels.forEach((level, i) => {
      const share = 2 * level / LEVELS - 1, end = share > 0 ? ends[2] : ends[0];
      ends[1].forEach((part, j) => {
        image.data[4 * i + j] = part + (end[j] - part) * Math.abs(share);
      });
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }

  draw() {
    if (!this.frame) return;
    const { context, canvas: { width }, about, shown } = this, colours = this.colours();
    const past = this.from ? Math.min(1, (performance.now() - this.began) / MILLISECONDS) : 1;
    const now = past < 1
      ? this.frame.points.map((to, i) => this.from[i] + (to - this.from[i]) * past) : this.frame.points;
    this.now = now;
    context.fillStyle = colours.even;
    context.fillRect(0, 0, width, width);
    if (shown.surface) {
      context.imageSmoothingQuality = "high";
      context.drawImage(this.small, 0, 0, width, width);
    }
    const at = (x, y) => [x * width, (1 - y) * width];
    if (shown.reals) this.dots(about.real, 3.2, colours.real, null, at);
    if (shown.arrows) this.pulls(now, colours.pull, at);
    this.dots(now, 4.6, colours.fake, colours.halo, at);
    context.lineWidth = 2.5;
    context.strokeStyle = colours.mode;
    const radius = Math.max(9, 3 * (about.std || 0) / (2 * about.reach) * width);
    for (const [x, y] of about.modes) {
      context.beginPath();
      context.arc(...at(x, y), radius, 0, 2 * Math.PI);
      context.stroke();
    }
    if (past < 1) this.redraw();
  }

  dots(found, radius, fill, halo, at) {
    const { context } = this;
    context.fillStyle = fill;
    context.strokeStyle = halo;
    context.lineWidth = 1.4;
    for (let i = 0; i < found.length; i += 2) {
      context.beginPath();
      context.arc(...at(found[i], found[i + 1]), radius, 0, 2 * Math.PI);
      context.fill();
      if (halo) context.stroke();
    }
  }

  // Draw the gradient of the logits at each generated point: where the discriminator pulls it.
  pulls(found, stroke, at) {
    const slopes = [];
    for (let i = 0; i < found.length; i += 2) slopes.push(this.slope(found[i], found[i + 1]));
    const steepest = Math.max(...slopes.map(([x, y]) => Math.hypot(x, y)), 1e-9);
    this.context.strokeStyle = stroke;
    this.context.lineWidth = 2;
    this.context.beginPath();
    slopes.forEach(([dx, dy], i) => {
      const [x, y] = at(found[2 * i], found[2 * i + 1]);
      this.context.moveTo(x, y);
      this.context.lineTo(x + dx / steepest * LONGEST_PULL, y - dy / steepest * LONGEST_PULL);
    });
    this.context.stroke();
  }

  slope(x, y) {
    const column = Math.min(Math.max(Math.floor(x * SIDE), 1), SIDE - 2);
    const row = Math.min(Math.max(Math.floor((1 - y) * SIDE), 1), SIDE - 2);
    const level = (i, j) => this.frame.levels[i * SIDE + j];
    return [level(row, column + 1) - level(row, column - 1), level(row - 1, column) - level(row + 1, column)];
  }
}
