// Elements of the page, made without markup.

const SVG = "http://www.w3.org/2000/svg";

export const named = (id) => document.getElementById(id);

export const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

export const drawn = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

// A button that is off keeps the keyboard focus, as it may be on again in a moment.
export const enable = (button, yes) => button.setAttribute("aria-disabled", String(!yes));
export const press = (button, done) => button.addEventListener("click", () => {
  if (button.getAttribute("aria-disabled") !== "true") done();
});

// A name for a file, from the title of a run.
export const fileName = (title, rest) => `${title} ${rest}`.replace(/[^\p{L}\p{N}.]+/gu, "-").slice(0, 120);

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Tell people who listen.
export const say = (text) => { named("said").textContent = text; };
