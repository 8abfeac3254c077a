// The curves of a run: how they are grouped and titled, and their table.

// The title of the chart for each kind of metric, and what it says, for people who see it first.
const TITLES = [
  [/^plane\/(modes)$/, "Modes held", "How many heaps of real points have generated points."],
  [/^plane\/(high_quality)$/, "Points of high quality", "The share of generated points near a mode, up to 1."],
  [/^plane\/(kl|js)$/, "Distance to the true distribution", "In bits; 0 if the points lie as the reals do. JS is at most 1."],
  [/^discriminator\/(?!gradient_norm$)(.*)/, "Loss of the discriminator", "Low while it tells reals from fakes."],
  [/^generator\/(?!gradient_norm$)(.*)/, "Loss of the generator", "Low while its fakes pass for real."],
  [/^(.*)\/gradient_norm$/, "Gradient norms", "How strongly each network is told to change; near 0 it learns nothing."],
  [/^augmentation\/(.*)/, "Augmentation", "How often samples are altered before they are judged."],
  [/^samples\/(.*)/, "Samples that repeat a training image", ""],
];
const TERMS = { modes: "modes", high_quality: "share", kl: "KL divergence", js: "JS divergence" };

const place = (name) => {
  for (const [pattern, title, note] of TITLES) {
    const found = name.match(pattern);
    if (found) return [title, name.startsWith("plane/") ? TERMS[found[1]] : found[1] || name, note];
  }
  const [first, ...rest] = name.split("/");
  return rest.length ? [first, rest.join("/"), ""] : [name, name, ""];
};

// Group the curves of {numbers, scores} into charts [{title, note, curves}]; last: their last values.
export const grouped = ({ numbers, scores }, last) => {
  const groups = new Map();
  const add = (title, note, curve) => {
    if (!curve.steps.length) return;
    if (!groups.has(title)) groups.set(title, { title, note, curves: [] });
    groups.get(title).curves.push(curve);
  };
  for (const [name, curve] of Object.entries(numbers)) {
    const [title, term, note] = place(name);
    add(title, note, { ...curve, name: term, last: last[name] ?? curve.values.at(-1) });
  }
  for (const [name, curve] of Object.entries(scores)) {
    add(`Score: ${name}`, "", { ...curve, name, last: curve.values.at(-1) });
  }
  const order = ({ title }) => TITLES.findIndex((each) => each[1] === title) >>> 0;
  return [...groups.values()].sort((a, b) => order(a) - order(b));
};

// The rows of a table of {numbers, scores}: one for each step.
export const table = ({ numbers, scores }) => {
  const curves = [...Object.entries(numbers), ...Object.entries(scores)], rows = new Map();
  curves.forEach(([, curve], i) => curve.steps.forEach((step, j) => {
    if (!rows.has(step)) rows.set(step, [step, ...curves.map(() => "")]);
    rows.get(step)[i + 1] = curve.values[j];
  }));
  return [["step", ...curves.map(([name]) => name)], ...[...rows.values()].sort(([a], [b]) => a - b)];
};
