// The stages of a step: five for each network, each with a sentence, the parts of the diagram and the
// layers of the plane that it speaks of.

import { number } from "./numbers.js";

export const NETWORKS = ["discriminator", "generator"];

const sum = (terms) => Object.values(terms).reduce((total, each) => total + each, 0);
// The loss of a part of a stage, from the sum of its terms.
export const loss = ({ terms }) => terms.loss ?? sum(terms);

const summands = ({ terms }) => {
  const found = Object.entries(terms).filter(([name]) => name !== "loss");
  if (found.length < 2) return "";
  const parts = found.map(([name, value]) => `${name.replaceAll("_", " ")} ${number(value)}`);
  return ` It is the sum of ${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}.`;
};

const change = (part) => (part
  ? ` Its length, ${number(part.gradient_norm)}, says how steeply the loss falls; the learning rate, `
    + `${number(part.rate)}, how far the weights go.` : "");

// Return the stages of a network's turn.
// part: its numbers, or null; things: "points" or "images"; updates: its updates in this step.
export const stages = (network, part, things, updates) => (
  network === "discriminator" ? judgeTurn(part, things, updates) : makeTurn(part, things)
);

const judgeTurn = (part, things, updates) => [
  {
    title: "Noise",
    sentence: "The generator gets noise: lists of random numbers, called latents. It turns each list into "
      + `one of the fakes, which are ${things} that it made up.`,
    parts: ["noise", "generator", "fakes", "noise-generator", "generator-fakes"],
    layers: ["fakes", "manifold"],
  },
  {
    title: "Reals",
    sentence: `Real ${things} from the data join the fakes. The discriminator gets both, and has to tell `
      + "them apart.",
    parts: ["reals", "fakes", "discriminator", "reals-discriminator", "fakes-discriminator"],
    layers: ["reals", "fakes", "contours"],
  },
  {
    title: "Judging",
    sentence: "The discriminator gives each a logit: a number that is high for “surely real” and low for "
      + "“surely fake”."
      + (part ? ` The reals get ${number(part.real_logit)} on average, the fakes ${number(part.fake_logit)}.` : ""),
    parts: ["discriminator", "judgements", "discriminator-judgements"],
    layers: ["surface", "reals", "fakes"],
  },
  {
    title: "Loss",
    sentence: "The loss says how wrong the discriminator was: the less the logits of reals and fakes "
      + `differ, the higher it is.${part ? ` Now it is ${number(loss(part))}.${summands(part)}` : ""}`,
    parts: ["judgements", "discriminator-loss", "judgements-discriminator-loss"],
    layers: ["surface", "reals", "fakes"],
  },
  {
    title: "Gradient",
    sentence: "The gradient says how to change each weight of the discriminator so that its loss falls."
      + `${change(part)} The generator stays as it is.`
      + (updates > 1 ? ` The discriminator has ${updates} updates in each step, and this was the last.` : ""),
    parts: ["discriminator-loss", "discriminator", "discriminator-gradient"],
    layers: ["surface"],
  },
];

const makeTurn = (part, things) => [
  {
    title: "Noise",
    sentence: "Fresh noise for the generator: other random numbers than before.",
    parts: ["noise", "noise-generator"],
    layers: [],
  },
  {
    title: "Fakes",
    sentence: `The generator turns the noise into fakes. It never sees the real ${things}.`,
    parts: ["noise", "generator", "fakes", "noise-generator", "generator-fakes"],
    layers: ["fakes", "manifold"],
  },
  {
    title: "Judging",
    sentence: "The discriminator rates the fakes, but does not learn now."
      + (part ? ` They get a logit of ${number(part.fake_logit)} on average.` : ""),
    parts: ["fakes", "discriminator", "judgements", "fakes-discriminator", "discriminator-judgements"],
    layers: ["surface", "fakes"],
  },
  {
    title: "Loss",
    sentence: "The generator's loss is high while the discriminator sees through the fakes."
      + (part ? ` Now it is ${number(loss(part))}.${summands(part)}` : ""),
    parts: ["judgements", "generator-loss", "judgements-generator-loss"],
    layers: ["surface", "fakes"],
  },
  {
    title: "Gradient",
    sentence: "The gradient runs back through the discriminator to each fake, where the arrows show which "
      + "way the loss falls, and on into the generator, whose weights change."
      + `${change(part)} The discriminator stays as it is.`,
    parts: ["generator-loss", "generator", "fakes", "generator-gradient"],
    layers: ["fakes", "pulls", "surface"],
  },
];
