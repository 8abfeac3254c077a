// Points in the plane as the server packs them. Coordinates are from 0 to 1, right and up.

export const SIDE = 40;  // grid points in a row of the surface and of the density
export const GRID = 17;  // grid points in a row of a manifold of two dimensions
export const LINE = 65;  // grid points of a manifold of one dimension
const UNITS = 65535, STEEPEST = 32767;

export const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

const numbers = (text, read, unit) => {
  const data = new DataView(bytes(text).buffer), found = new Float64Array(data.byteLength / 2);
  for (let i = 0; i < found.length; i += 1) found[i] = data[read](2 * i, true) / unit;
  return found;
};

// Pairs x, y of coordinates; null for null.
export const points = (text) => (text ? numbers(text, "getUint16", UNITS) : null);
// Pairs dx, dy of directions, of which the longest has length 1; null for null.
export const directions = (text) => (text ? numbers(text, "getInt16", STEEPEST) : null);

// Decode a frame.
export const unpack = (frame) => ({
  ...frame,
  points: points(frame.points),
  other: points(frame.other),
  manifold: points(frame.manifold),
  pull: directions(frame.pull),
  levels: bytes(frame.surface),
});
