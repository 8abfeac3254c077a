// The layers of the plane, painted on a canvas, as in GAN Lab (Kahng et al. 2018, arXiv:1809.01587).
//
// A scene holds what is painted, in coordinates from 0 to 1, right and up:
// {surface: canvas, reals, fakes, modes, radius, contours, manifold, pull, verdicts, seen, lit}.
// seen: the layers that are painted; lit: those that stand out, or null for all alike.

import { GRID } from "./packing.js";

export const NAMES = ["fake", "real", "mode", "low", "even", "high", "halo", "pull", "map"];
const FAINT = 0.16, LONGEST_PULL = 56;

// Paint a scene over a square of a canvas. colours: those of NAMES.
export const paint = (context, width, scene, colours) => {
  const { seen, lit } = scene;
  const scale = width / 720;
  const at = (x, y) => [x * width, (1 - y) * width];
  const layer = (name, draw) => {
    if (!seen.has(name)) return;
    context.save();
    context.globalAlpha = lit && !lit.has(name) ? FAINT : 1;
    draw();
    context.restore();
  };
  context.fillStyle = colours.even;
  context.fillRect(0, 0, width, width);
  layer("surface", () => {
    context.imageSmoothingQuality = "high";
    context.drawImage(scene.surface, 0, 0, width, width);
  });
  layer("contours", () => lines(context, scene.contours, colours.real, 1.6 * scale, at));
  layer("manifold", () => map(context, scene.manifold, colours.map, scale, at));
  layer("reals", () => dots(context, scene.reals, (scene.lit ? 4.6 : 3.2) * scale, colours.real, null, at));
  layer("pulls", () => pulls(context, scene.pull, LONGEST_PULL * scale, colours.pull, at));
  layer("fakes", () => dots(context, scene.fakes, 4.6 * scale, colours.fake, colours.halo, at));
  layer("modes", () => {
    context.lineWidth = 2.5 * scale;
    context.strokeStyle = colours.mode;
    for (const [x, y] of scene.modes) {
      context.beginPath();
      context.arc(...at(x, y), Math.max(9 * scale, scene.radius * width), 0, 2 * Math.PI);
      context.stroke();
    }
  });
};

const dots = (context, found, radius, fill, halo, at) => {
  context.fillStyle = fill;
  context.strokeStyle = halo;
  context.lineWidth = radius / 3.3;
  for (let i = 0; i < found.length; i += 2) {
    context.beginPath();
    context.arc(...at(found[i], found[i + 1]), radius, 0, 2 * Math.PI);
    context.fill();
    if (halo) context.stroke();
  }
};

const lines = (context, segments, stroke, width, at) => {
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.beginPath();
  for (const [x1, y1, x2, y2] of segments) {
    context.moveTo(...at(x1, y1));
    context.lineTo(...at(x2, y2));
  }
  context.stroke();
};

// An arrow for each pull: broad at its point, and as long as the pull is strong.
const pulls = (context, { from, to }, longest, fill, at) => {
  context.fillStyle = fill;
  context.beginPath();
  for (let i = 0; i < to.length; i += 2) {
    const [x, y] = at(from[i], from[i + 1]), length = Math.hypot(to[i], to[i + 1]);
    if (length < 0.02) continue;
    const [right, down] = [to[i] / length, -to[i + 1] / length], half = longest / 12;
    context.moveTo(x - down * half, y + right * half);
    context.lineTo(x + to[i] * longest, y - to[i + 1] * longest);
    context.lineTo(x + down * half, y - right * half);
  }
  context.fill();
};

// The manifold: a grid of noise after the generator. Each cell got the same share of the noise, so a
// smaller cell holds denser points, and is darker.
const map = (context, grid, colour, scale, at) => {
  context.fillStyle = context.strokeStyle = colour;
  const whole = context.globalAlpha, point = (i) => at(grid[2 * i], grid[2 * i + 1]);
  if (grid.length !== 2 * GRID * GRID) {  // noise of one number: a line
    context.lineWidth = 3 * scale;
    context.lineJoin = "round";
    context.beginPath();
    for (let i = 0; i < grid.length / 2; i += 1) context.lineTo(...point(i));
    context.stroke();
    return;
  }
  const even = (720 * scale / (GRID - 1)) ** 2;
  for (let row = 0; row < GRID - 1; row += 1) {
    for (let column = 0; column < GRID - 1; column += 1) {
      const first = row * GRID + column;
      const corners = [first, first + 1, first + GRID + 1, first + GRID].map(point);
      const area = Math.abs(corners.reduce((sum, [x, y], i) => {
        const [nextX, nextY] = corners[(i + 1) % 4];
        return sum + (x * nextY - nextX * y) / 2;
      }, 0));
      context.globalAlpha = whole * Math.min(0.85, 0.1 * Math.sqrt(even / Math.max(area, 1e-3)));
      context.beginPath();
      for (const corner of corners) context.lineTo(...corner);
      context.closePath();
      context.fill();
    }
  }
  context.globalAlpha = whole * 0.55;
  context.lineWidth = scale;
  context.beginPath();
  for (let i = 0; i < GRID; i += 1) {
    for (let j = 0; j < GRID; j += 1) context[j ? "lineTo" : "moveTo"](...point(i * GRID + j));
    for (let j = 0; j < GRID; j += 1) context[j ? "lineTo" : "moveTo"](...point(j * GRID + i));
  }
  context.stroke();
};
