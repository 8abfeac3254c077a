// Contours of a density over a square grid, by marching squares (Lorensen and Cline 1987, in two
// dimensions).

// The edges of a cell that a contour crosses, by which of its corners are inside: bit 1 is the upper
// left corner, 2 the upper right, 4 the lower right, 8 the lower left. Edge 0 is above, then clockwise.
const CROSSED = [
  [], [[3, 0]], [[0, 1]], [[3, 1]], [[1, 2]], [[3, 0], [1, 2]], [[0, 2]], [[3, 2]],
  [[2, 3]], [[2, 0]], [[0, 1], [2, 3]], [[2, 1]], [[1, 3]], [[1, 0]], [[0, 3]], [],
];

// Return the contour of a level as segments [x1, y1, x2, y2], from 0 to 1, right and up.
// grid: values row by row from the top, each in the centre of its cell.
export const contour = (grid, side, level) => {
  const found = [];
  for (let row = 0; row < side - 1; row += 1) {
    for (let column = 0; column < side - 1; column += 1) {
      const corner = [[0, 0], [0, 1], [1, 1], [1, 0]].map(([down, right]) => ({
        down, right, value: grid[(row + down) * side + column + right],
      }));
      const inside = corner.reduce((bits, { value }, i) => bits + (value > level ? 1 << i : 0), 0);
      const crossing = (edge) => {
        const from = corner[edge], to = corner[(edge + 1) % 4];
        const share = (level - from.value) / (to.value - from.value);
        const right = from.right + (to.right - from.right) * share;
        const down = from.down + (to.down - from.down) * share;
        return [(column + right + 0.5) / side, 1 - (row + down + 0.5) / side];
      };
      for (const [one, other] of CROSSED[inside]) found.push([...crossing(one), ...crossing(other)]);
    }
  }
  return found;
};
