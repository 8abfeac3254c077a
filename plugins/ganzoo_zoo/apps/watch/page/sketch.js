// Little pictures of point sets.

import { drawn } from "./elements.js";

const DOTS = 120, SIDE = 64, REACH = 0.86;

// The same numbers in [0, 1) each time.
const numbers = (seed) => () => {
  seed = (seed * 1664525 + 1013904223) % 4294967296;
  return seed / 4294967296;
};

// A place on a line of points, a share of its way from its start.
const along = (line, share) => {
  const lengths = line.slice(1).map(([x, y], i) => Math.hypot(x - line[i][0], y - line[i][1]));
  let left = share * lengths.reduce((sum, each) => sum + each, 0);
  for (const [i, length] of lengths.entries()) {
    if (left <= length) {
      const part = length ? left / length : 0;
      return line[i].map((from, axis) => from + part * (line[i + 1][axis] - from));
    }
    left -= length;
  }
  return line.at(-1);
};

// sketch: dots and lines in the square from -1 to 1, and the spread around them.
export const picture = ({ dots, lines, spread }) => {
  const next = numbers(7), places = [...dots, ...lines];
  const svg = drawn("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "sketch", "aria-hidden": "true" });
  for (let i = 0; i < DOTS && places.length; i += 1) {
    const place = places[i % places.length];
    const [x, y] = Array.isArray(place[0]) ? along(place, next()) : place;
    const far = spread * Math.sqrt(-2 * Math.log(1 - next())), angle = 2 * Math.PI * next();
    const at = (value) => ((1 + REACH * Math.max(-1.1, Math.min(1.1, value))) / 2 * SIDE).toFixed(1);
    svg.append(drawn("circle", { cx: at(x + far * Math.cos(angle)), cy: at(-y - far * Math.sin(angle)), r: 1.4 }));
  }
  return svg;
};
