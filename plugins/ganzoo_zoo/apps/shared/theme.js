// Light and dark.

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";

// Let the button #theme switch the theme; changed() is called now and after each change.
export const offerThemes = (changed) => {
  const button = document.getElementById("theme");
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
  button.hidden = false;
};

// Colours of the style sheet, for what is painted on a canvas.
export const colours = (element, names) => {
  const style = getComputedStyle(element);
  return Object.fromEntries(names.map((name) => {
    const text = style.getPropertyValue(`--${name}`).trim(), both = text.match(/^light-dark\((.+), *(.+)\)$/);
    return [name, both ? both[isDark() ? 2 : 1] : text];
  }));
};
