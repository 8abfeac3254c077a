// A control for an option of a component. Its value is a text as for --set; it is empty where the
// person leaves the option as the recipe gives it.

import { element } from "./elements.js";

const MOST_LAYERS = 12;

const bounds = ({ least, most, kind }) => {
  if (!["integer", "number", "widths"].includes(kind)) return "";
  const write = (value) => value.toLocaleString("en", { maximumSignificantDigits: 6 });
  if (least !== null && most !== null && most < 1e5) return ` ${write(least)} to ${write(most)}.`;
  return "";
};

const makeText = (control, id, changed) => {
  const input = element("input", {
    id, type: "text", autocomplete: "off", spellcheck: false, placeholder: control.value || "none",
    inputMode: control.kind === "text" ? "text" : "decimal",
  });
  input.addEventListener("input", changed);
  return {
    inner: [input],
    get value() { return input.value.trim(); },
    set value(text) { input.value = text; },
    accepts: () => true,
  };
};

const makeChoice = (control, id, changed) => {
  const { choices, value, kind } = control;
  const word = (text) => (kind === "switch" ? { true: "yes", false: "no" }[text] : text);
  const select = element("select", { id });
  select.append(element("option", { value: "", textContent: `${word(value) || "none"} (as usual)` }));
  select.append(...choices.filter((each) => each !== value)
    .map((each) => element("option", { value: each, textContent: word(each) })));
  select.addEventListener("change", changed);
  return {
    inner: [select],
    get value() { return select.value; },
    set value(text) { select.value = text === value ? "" : text; },
    accepts: (text) => choices.includes(text),
  };
};

// Layers of a network: a number of units for each, a button for one more and one less.
const makeWidths = (control, id, changed) => {
  const usual = control.value ? control.value.split(",").map(Number) : [];
  const fewest = control.optional ? 0 : 1;
  const row = element("div", { className: "widths", role: "group" });
  const less = element("button", { type: "button", className: "quiet", textContent: "−" });
  const more = element("button", { type: "button", className: "quiet", textContent: "+", id });
  less.setAttribute("aria-label", `${control.label}: one layer less`);
  more.setAttribute("aria-label", `${control.label}: one layer more`);
  row.setAttribute("aria-label", control.label);
  let units = [...usual];
  const show = () => {
    const inputs = units.map((count, i) => {
      const input = element("input", { type: "text", inputMode: "numeric", autocomplete: "off", value: String(count) });
      input.addEventListener("input", () => { units[i] = input.value.trim(); changed(); });
      const name = `${control.label}: units of layer ${i + 1}`;
      return element("label", {}, element("span", { className: "unseen", textContent: name }), input);
    });
    const none = element("span", { className: "fine", textContent: "none of its own" });
    row.replaceChildren(less, more, ...(inputs.length ? inputs : [none]));
    less.disabled = units.length <= fewest;
    more.disabled = units.length >= MOST_LAYERS;
  };
  const press = (button, done) => button.addEventListener("click", () => {
    done();
    show();
    (button.disabled ? more : button).focus();
    changed();
  });
  press(less, () => { units.pop(); });
  press(more, () => { units.push(units.at(-1) ?? usual.at(-1) ?? 64); });
  show();
  return {
    inner: [row],
    get value() { return units.join(",") === usual.join(",") ? "" : units.join(","); },
    set value(text) { units = text ? text.split(",").map((each) => each.trim()) : [...usual]; show(); },
    accepts: (text) => /^\s*\d{1,6}(\s*,\s*\d{1,6}){0,11}\s*$/.test(text),
  };
};

const MAKERS = { integer: makeText, number: makeText, text: makeText, choice: makeChoice, switch: makeChoice, widths: makeWidths };

// control: as the server describes it; changed() follows each change.
export const makeControl = (control, changed) => {
  const id = control.key.replaceAll(/[^a-z0-9]+/gi, "-"), about = `${id}-about`;
  const made = MAKERS[control.kind](control, id, changed);
  const box = element("div", { className: `field control ${control.kind}` });
  const fine = element("p", { id: about, className: "fine", textContent: control.about + bounds(control) });
  box.append(element("label", { htmlFor: id, textContent: control.label }), ...made.inner, fine);
  box.querySelector(`#${id}`).setAttribute("aria-describedby", about);
  return Object.assign(made, { key: control.key, node: box });
};
