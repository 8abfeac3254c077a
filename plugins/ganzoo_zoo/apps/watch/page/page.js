// The page: a card for each run, updated by polling the server.

import { Card } from "./card.js";
import { named } from "./elements.js";
import { Form } from "./form.js";
import { Lost, afterAction, ask } from "./requests.js";
import { offerThemes } from "./theme.js";

const LIVELY = 150, USUAL = 1000, UNSEEN = 10000, LOST = 2000;
const cards = new Map();
const form = new Form();
const page = {
  acts: false,
  form,
  // The name of a training option, and what it does, as in the form.
  label(option) {
    const found = form.choices?.options.find(({ name }) => name === option);
    return { name: found?.label ?? option, about: found?.about ?? "" };
  },
};

// Polling.
let timer = 0, asking = false, wanted = false;
const look = async () => {
  if (asking) { wanted = true; return; }
  clearTimeout(timer);
  asking = true;
  let pause = USUAL;
  try {
    const state = await ask("/state", (message) => { throw new Error(message); });
    page.acts = await form.offer(state);
    await show(state.runs);
    named("link").textContent = "";
    named("link").classList.remove("lost");
    if (state.runs.some((run) => run.own && !run.over)) pause = LIVELY;
    pause = state.poll ?? pause;
  } catch (error) {
    if (!(error instanceof Lost)) console.error(error);
    named("link").textContent = error instanceof Lost
      ? "The server does not answer; trying again …" : `This page failed: ${error.message}`;
    named("link").classList.add("lost");
    pause = LOST;
  }
  asking = false;
  if (wanted) pause = 0;
  wanted = false;
  timer = setTimeout(look, document.hidden ? UNSEEN : pause);
};
const show = async (runs) => {
  for (const [name, card] of cards) {
    if (!runs.some((run) => run.name === name)) {
      card.remove();
      cards.delete(name);
    }
  }
  runs.forEach((run, i) => {
    if (!cards.has(run.name)) cards.set(run.name, new Card(run.name, page));
    const { node } = cards.get(run.name), there = named("runs").children[i];
    if (there !== node) named("runs").insertBefore(node, there ?? null);
  });
  named("runs").dataset.count = String(runs.length);
  named("none").hidden = runs.length > 0;
  await Promise.all(runs.map((run) => cards.get(run.name).take(run)));
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
afterAction(look);
offerThemes(() => { for (const card of cards.values()) card.repaint(); });
look();
