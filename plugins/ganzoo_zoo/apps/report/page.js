// The page of the report. It follows uPlot and the shared scripts in one module, see page.py.
/* global makeChart, offerThemes, saveTable */
{
  const named = (id) => document.getElementById(id);

  // Curves, interactive in the place of the plots that stand where scripts are off.
  const plots = JSON.parse(named("plots").textContent).map((plot, i) => ({ ...plot, figure: named(`plot-${i}`) }))
    .filter((plot) => plot.curves);
  const charts = plots.map(({ figure, curves, ...options }) => makeChart(figure, curves, {
    ...options,
    tools: true,
    onCursor: (step) => inspect(step ?? rest()),
    onPick: (step) => { if (time) { stop(); go(nearest(step)); } },
  }));
  const inspect = (step) => { for (const chart of charts) chart.point(step); };
  const rest = () => (touched ? moments[shown] : null); // the step of the sample pictures
  offerThemes(() => { for (const chart of charts) chart.redraw(); });

  // Smoothing of all curves of the log, and the curves as a file.
  const smoothing = named("smoothing");
  if (smoothing && charts.length) {
    named("tools").hidden = false;
    smoothing.addEventListener("input", () => {
      const weight = Number(smoothing.value);
      named("smoothed").hidden = !weight;
      named("smooth").textContent = weight ? weight.toFixed(2) : "off";
      charts.forEach((chart, i) => { if (plots[i].figure.closest("#curves")) chart.smooth(weight); });
    });
    named("csv").addEventListener("click", () => {
      const rows = plots.filter((plot) => !plot.axis) // over an axis are the same values once more
        .flatMap((plot) => plot.curves.filter(({ metric }) => metric))
        .flatMap(({ run, metric, steps, values }) => steps.map((step, i) => [run, metric, step, values[i]]));
      saveTable([["run", "metric", "step", "value"], ...rows], "curves.csv");
    });
  }

  // Sample pictures: one of each run at a time, the newest that is not after the step.
  const stages = [...document.querySelectorAll(".stage")].map((stage) => {
    const frames = [...stage.querySelectorAll(".frame")];
    return { frames, steps: frames.map((frame) => Number(frame.dataset.step)) };
  });
  const moments = [...new Set(stages.flatMap((stage) => stage.steps))].sort((a, b) => a - b);
  const time = named("time"), play = named("play"), best = named("best");
  let shown = moments.length - 1, timer = 0, touched = false;
  const show = (i) => {
    shown = i;
    for (const stage of stages) {
      const newest = Math.max(stage.steps.findLastIndex((step) => step <= moments[i]), 0);
      stage.frames.forEach((frame, j) => { frame.hidden = j !== newest; });
    }
    if (time) {
      time.value = i;
      time.setAttribute("aria-valuetext", `step ${moments[i]}`);
    }
    if (touched) inspect(moments[i]);
  };
  const nearest = (step) => moments.reduce(
    (found, each, i) => (Math.abs(each - step) < Math.abs(moments[found] - step) ? i : found), 0);
  const go = (i) => { touched = true; show(i); };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  if (time) time.max = moments.length - 1;
  if (moments.length) show(shown);
  if (time) {
    named("controls").hidden = false;
    time.addEventListener("input", () => { stop(); go(Number(time.value)); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      // Play more slowly if the user prefers reduced motion.
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (shown === moments.length - 1) go(0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        go(shown + 1);
        if (shown === moments.length - 1) stop();
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
