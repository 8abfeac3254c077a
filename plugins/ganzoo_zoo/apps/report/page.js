// The page of the report. It follows uPlot and charts.js in one script, see page.py.
{
  const named = (id) => document.getElementById(id);

  // Curves, interactive in the place of the plots that stand where scripts are off.
  const charts = JSON.parse(named("plots").textContent).map((plot, i) => {
    if (!plot.curves) return null;
    const figure = named(`plot-${i}`), still = figure.querySelector(".still");
    const curves = plot.curves.map((curve) => ({ ...curve, colour: `--line-${curve.colour}` }));
    const live = document.createElement("div");
    live.className = "live";
    still.hidden = true;
    still.after(live);
    return {
      ...plot, figure, curves,
      isOfLog: Boolean(figure.closest("#curves")),
      at: figure.querySelector(".at"),
      values: [...figure.querySelectorAll(".legend .value")],
      chart: makeChart(live, curves, {
        label: figure.querySelector("h3").textContent,
        whole: !plot.axis,
        low: plot.low,
        high: plot.high,
        log: plot.log,
        onCursor: (value) => { if (value === null) rest(); else inspect(stepOf(plot, value)); },
        onPick: (value) => { if (time) { stop(); go(nearest(stepOf(plot, value))); } },
      }),
    };
  }).filter(Boolean);
  // A plot may be drawn over another axis than steps.
  const between = (from, to, value) => {
    const i = from.findIndex((each) => each >= value);
    if (i < 1) return i ? to.at(-1) : to[0];
    return to[i - 1] + (value - from[i - 1]) / (from[i] - from[i - 1]) * (to[i] - to[i - 1]);
  };
  const valueOf = (plot, step) => plot.axis ? between(plot.axis.steps, plot.axis.at, step) : step;
  const stepOf = (plot, value) => plot.axis ? between(plot.axis.at, plot.axis.steps, value) : value;
  const write = (plot, values) => values.forEach((value, i) => {
    plot.values[i].textContent = value === null ? "–" : formatNumber(value);
  });
  const inspect = (step) => {
    for (const plot of charts) {
      const value = valueOf(plot, step);
      plot.chart.point(value);
      plot.at.textContent = `step ${Math.round(step).toLocaleString("en")}`;
      if (plot.axis) plot.at.textContent += `, ${Math.round(value).toLocaleString("en")} ${plot.axis.name}`;
      write(plot, plot.chart.at(value));
    }
  };
  const rest = () => {
    if (touched) { inspect(steps[shown]); return; }
    for (const plot of charts) {
      plot.chart.point(null);
      plot.at.textContent = "";
      write(plot, plot.chart.at(Infinity));
    }
  };

  // Light and dark theme.
  const root = document.documentElement, theme = named("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const showTheme = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    for (const { chart } of charts) chart.redraw();
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  showTheme();
  theme.hidden = false;

  // Smoothing of all curves of the log, and the curves as a file.
  const smoothing = named("smoothing");
  if (smoothing && charts.length) {
    named("tools").hidden = false;
    smoothing.addEventListener("input", () => {
      const weight = Number(smoothing.value);
      named("smoothed").hidden = !weight;
      named("smooth").textContent = weight ? weight.toFixed(2) : "off";
      for (const plot of charts) if (plot.isOfLog) plot.chart.smooth(weight);
    });
    const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    named("csv").addEventListener("click", () => {
      const rows = ["run,metric,step,value"];
      for (const plot of charts) {
        if (plot.axis) continue; // the same values once more
        for (const { run, metric, steps: at, values } of plot.curves) {
          if (metric) at.forEach((step, i) => rows.push([quoted(run), quoted(metric), step, values[i]].join(",")));
        }
      }
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([`${rows.join("\n")}\n`], { type: "text/csv" }));
      link.download = "curves.csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  // Sample pictures: one of each run at a time, the newest that is not after the step.
  const stages = [...document.querySelectorAll(".stage")].map((stage) => {
    const frames = [...stage.querySelectorAll(".frame")];
    return { frames, steps: frames.map((frame) => Number(frame.dataset.step)) };
  });
  const steps = [...new Set(stages.flatMap((stage) => stage.steps))].sort((a, b) => a - b);
  const time = named("time"), play = named("play"), best = named("best");
  let shown = steps.length - 1, timer = 0, touched = false;
  const show = (i) => {
    shown = i;
    for (const stage of stages) {
      const newest = Math.max(stage.steps.findLastIndex((step) => step <= steps[i]), 0);
      stage.frames.forEach((frame, j) => { frame.hidden = j !== newest; });
    }
    if (time) {
      time.value = i;
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
  if (time) time.max = steps.length - 1;
  if (steps.length) show(shown);
  if (time) {
    named("controls").hidden = false;
    time.addEventListener("input", () => { stop(); go(Number(time.value)); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      // Play more slowly if the user prefers reduced motion.
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (shown === steps.length - 1) go(0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        go(shown + 1);
        if (shown === steps.length - 1) stop();
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
}
