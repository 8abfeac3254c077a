// Light and dark.

import { named } from "./elements.js";

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";

// Let the button switch the theme; changed() is called after each change.
export const offerThemes = (changed) => {
  const button = named("theme");
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    changed();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  prefersDark.addEventListener("change", show);
  show();
};

// Colours of the style sheet, for what is painted on a canvas.
export const colours = (element, names) => {
  const style = getComputedStyle(element);
  return Object.fromEntries(names.map((name) => {
    const text = style.getPropertyValue(`--${name}`).trim(), both = text.match(/^light-dark\((.+), *(.+)\)$/);
    return [name, both ? both[isDark() ? 2 : 1] : text];
  }));
};
