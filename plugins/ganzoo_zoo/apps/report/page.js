(() => {
  "use strict";
  const named = (id) => document.getElementById(id);

  // Light and dark theme.
  const root = document.documentElement, theme = named("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const showTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  showTheme();
  theme.hidden = false;

  // Plots: a cursor at a step, and the values there.
  const plots = JSON.parse(named("plots").textContent).map((plot, i) => {
    const figure = named(`plot-${i}`), svg = figure.querySelector("svg");
    return {
      ...plot, figure, svg,
      cursor: svg.querySelector(".cursor"),
      at: figure.querySelector(".at"),
      values: [...figure.querySelectorAll(".legend .value")],
    };
  }).filter((plot) => plot.curves);
  const place = (plot, value) =>
    plot.left + (value - plot.from) / (plot.to - plot.from) * (plot.right - plot.left);
  // A plot may be drawn over another axis than steps.
  const between = (from, to, value) => {
    const i = from.findIndex((each) => each >= value);
    if (i < 1) return i ? to.at(-1) : to[0];
    return to[i - 1] + (value - from[i - 1]) / (from[i] - from[i - 1]) * (to[i] - to[i - 1]);
  };
  const valueOf = (plot, step) => plot.axis ? between(plot.axis.steps, plot.axis.at, step) : step;
  const stepOf = (plot, value) => plot.axis ? between(plot.axis.at, plot.axis.steps, value) : value;
  const inspect = (step) => {
    for (const plot of plots) {
      const value = valueOf(plot, step), x = place(plot, value);
      plot.cursor.setAttribute("x1", x);
      plot.cursor.setAttribute("x2", x);
      plot.cursor.classList.toggle("on", x >= plot.left && x <= plot.right);
      plot.at.textContent = `step ${Math.round(step).toLocaleString("en")}`;
      if (plot.axis) plot.at.textContent += `, ${Math.round(value).toLocaleString("en")} ${plot.axis.name}`;
      plot.curves.forEach((curve, i) => {
        const before = curve.steps.findLastIndex((logged) => logged <= value);
        plot.values[i].textContent = before < 0 ? "–" : curve.values[before];
      });
    }
  };
  const rest = () => {
    for (const plot of plots) {
      plot.cursor.classList.remove("on");
      plot.at.textContent = "";
      plot.curves.forEach((curve, i) => { plot.values[i].textContent = curve.values.at(-1); });
    }
  };

  // Sample pictures: one at a time.
  const frames = [...document.querySelectorAll(".frame")];
  const steps = frames.map((frame) => Number(frame.dataset.step));
  const time = named("time"), play = named("play"), best = named("best");
  let shown = frames.length - 1, touched = false, timer = 0;
  const show = (i) => {
    shown = i;
    frames.forEach((frame, j) => { frame.hidden = j !== i; });
    if (time) {
      time.value = String(i);
      time.setAttribute("aria-valuetext", `step ${steps[i]}`);
    }
    if (touched) inspect(steps[i]);
  };
  const nearest = (step) => steps.reduce(
    (found, each, i) => (Math.abs(each - step) < Math.abs(steps[found] - step) ? i : found), 0);
  const go = (i) => { touched = true; show(i); };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  if (frames.length) show(shown);
  if (time) {
    named("controls").hidden = false;
    time.addEventListener("input", () => { stop(); go(Number(time.value)); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      // Play more slowly if the user prefers reduced motion.
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (shown === frames.length - 1) go(0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        go(shown + 1);
        if (shown === frames.length - 1) stop();
      }, calm ? 1200 : 250);
    });
    if (best) best.addEventListener("click", () => { stop(); go(nearest(Number(best.dataset.step))); });
  }

  // The discriminator's logits behind the points.
  const surfaces = named("surfaces");
  if (surfaces) {
    surfaces.closest("p").hidden = false;
    surfaces.addEventListener("change", () => {
      for (const layer of document.querySelectorAll(".surface")) layer.hidden = !surfaces.checked;
    });
  }

  // What scores are drawn over.
  const axis = named("axis");
  if (axis) {
    axis.closest("p").hidden = false;
    axis.addEventListener("change", () => {
      for (const figure of document.querySelectorAll("[data-axis]")) figure.hidden = figure.dataset.axis !== axis.value;
    });
  }

  // Pointing at a plot shows the values of a step; a click shows its picture.
  for (const plot of plots) {
    const under = (event) => {
      const box = plot.svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * plot.svg.viewBox.baseVal.width;
      const value = plot.from + (x - plot.left) / (plot.right - plot.left) * (plot.to - plot.from);
      return stepOf(plot, Math.min(Math.max(value, Math.max(plot.from, 0)), plot.to));
    };
    plot.svg.addEventListener("pointermove", (event) => inspect(under(event)));
    plot.svg.addEventListener("pointerleave", () => { if (touched) inspect(steps[shown]); else rest(); });
    plot.svg.addEventListener("click", (event) => {
      if (!time) return;
      stop();
      go(nearest(under(event)));
    });
  }
})();
