// A class: how a pupil enters, and what the teacher and the pupils see of it.

import { element, named } from "./elements.js";
import { act, hasKey, useKey } from "./requests.js";

const KEPT = "ganzoo-key";
const count = (value, one, many) => `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
const time = (seconds) => (seconds >= 120 ? `${count(Math.round(seconds / 60), "minute", "minutes")}` : `${count(seconds, "second", "seconds")}`);

// The bounds of a pupil in sentences.
export const words = (bounds) => {
  const each = [
    bounds.steps && `take ${count(bounds.steps, "step", "steps")}`,
    bounds.seconds && `train for ${time(bounds.seconds)}`,
    bounds.parameters && `have ${count(bounds.parameters, "parameter", "parameters")} (the numbers that its networks learn)`,
    bounds.memory && `use ${count(bounds.memory, "MiB", "MiB")} of memory`,
  ].filter(Boolean);
  const runs = bounds.runs ? `You can have ${count(bounds.runs, "run", "runs")} on this page.` : "";
  const last = each.pop();
  const most = last ? `Each may ${each.length ? `${each.join(", ")} and ` : ""}${last}.` : "";
  return [runs, most].filter(Boolean).join(" ");
};

// A key that was kept for this tab; not one that the address has.
const kept = () => { try { return sessionStorage.getItem(KEPT) ?? ""; } catch { return ""; } };
const keep = (key) => {
  try {
    sessionStorage.setItem(KEPT, key);
  } catch { /* then it lasts as long as the page */ }
};

export class Classroom {
  constructor() {
    this.shown = "";
    if (!hasKey() && kept()) useKey(kept());
    named("enter").addEventListener("submit", (event) => { event.preventDefault(); this.enter(); });
  }

  async enter() {
    const complain = (message) => { named("enter-wrong").textContent = message; };
    const button = named("enter").querySelector("button");
    complain("");
    button.disabled = true;
    const found = await act("/enter", { code: named("code").value, name: named("pupil").value }, complain);
    button.disabled = false;
    if (!found) return;
    keep(found.key);
    useKey(found.key);
    named("code").value = "";
  }

  // Show a class, and return whether this person should enter it first.
  show(state) {
    const { class: room = null, role, name } = state;
    const enters = Boolean(room) && role === "looker";
    named("class").hidden = !room;
    if (!room) return false;
    named("enter").hidden = !enters;
    named("class-teacher").hidden = role !== "teacher";
    named("class-pupil").hidden = role !== "pupil";
    const known = JSON.stringify([room, role, name]);
    if (known === this.shown) return enters;
    this.shown = known;
    named("class-title").textContent = { teacher: "Your class", pupil: `Hello, ${name}` }[role] ?? "Enter the class";
    const waiting = room.waiting ? `${count(room.waiting, "run waits", "runs wait")} for a place.` : "No run waits.";
    named("class-queue").textContent = `${count(room.training ?? 0, "run trains", "runs train")} now. ${waiting}`;
    named("class-bounds").textContent = words(room.bounds ?? {});
    if (role === "teacher") this.showPupils(room);
    return enters;
  }

  showPupils({ code, pupils, bounds }) {
    named("class-code").textContent = code;
    named("class-teacher-bounds").textContent = `What each pupil reads: “${words(bounds ?? {})}”`;
    named("class-none").hidden = pupils.length > 0;
    named("class-count").textContent = `Pupils: ${pupils.length}`;
    named("pupils").replaceChildren(...pupils.map((pupil) => element("li", {},
      element("span", { textContent: pupil.name }),
      element("span", { className: "fine", textContent: count(pupil.runs, "run", "runs") }))));
  }
}
