// Returns each text that is shown with its contrast against what lies behind it, as the Web Content
// Accessibility Guidelines count it. Controls that are switched off are exempt there.
() => {
  const colour = text => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => {
    const mixed = part => top[part] * top.a + below[part] * (1 - top.a);
    return { r: mixed("r"), g: mixed("g"), b: mixed("b"), a: 1 };
  };
  const part = value => {
    value /= 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const luminance = ({ r, g, b }) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const element = texts.currentNode.parentElement;
    const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!text || !shown || element.closest("script, style, :disabled")) continue;
    const behind = [];
    let opacity = 1;
    for (let each = element; each; each = each.parentElement) {
      const style = getComputedStyle(each);
      behind.unshift(colour(style.backgroundColor));
      opacity *= Number(style.opacity);
    }
    const ground = behind.reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
    const own = colour(getComputedStyle(element).color);
    const [low, high] = [over({ ...own, a: own.a * opacity }, ground), ground]
      .map(luminance)
      .sort((one, other) => one - other);
    found.push([(high + 0.05) / (low + 0.05), text.slice(0, 40)]);
  }
  return found;
}
