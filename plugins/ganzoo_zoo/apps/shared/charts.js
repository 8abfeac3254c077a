// Charts of curves on uPlot, for the pages of several applications.
//
//   const chart = makeChart(container, curves, options);
//
// container  An element that the chart fills; the chart follows its width.
// curves     [{name, colour, dashed, plain, mark, steps, values}]: `colour` is the name of a CSS
//            variable, such as "--line-0"; `steps` rise, and `values` are finite numbers. Optional:
//            `dashed`; `plain` for a line that is never smoothed; `mark`, a step with a ring.
// options    All optional: `label`, what the chart shows, for who does not see it; `height` in
//            pixels; `whole`, whether steps are whole numbers (true); `low` and `high`, values that
//            are always in view; `log`, whether it begins with a log axis; `smoothing`, see below;
//            `onCursor(step or null)`, called as a pointer moves; `onPick(step)`, called at a click.
//
// The chart has
//   show(curves)        draw other curves; a zoom stays
//   smooth(weight)      0: as logged; towards 1: the mean of more and more steps before. The curve
//                       itself stays as a faint line
//   point(step)         put the cursor at a step; null takes it away
//   at(step)            the value of each curve at its last step that is not after this one, or null
//   redraw()            take up the colours of another theme
//   remove()
//
// A drag zooms, a double click or "Reset zoom" shows all again. "Log axis" toggles the axis of the
// values. With the keyboard: arrows move the cursor, + and - zoom, 0 shows all.
//
// It needs `uPlot`, and the styles charts.css and uPlot.min.css. It writes no HTML, so that a page
// may enforce a content security policy and trusted types.

const HEIGHT = 190, FEW = 30, WHOLE = [];
for (let power = 1; power < 1e15; power *= 10) WHOLE.push(power, 2 * power, 5 * power);

// Four digits; the same as format_number of the report's charts.py.
export const formatNumber = (value) => {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(Number(value.toPrecision(4))), isPlain = size === 0 || (size >= 1e-4 && size < 1e5);
  const text = isPlain
    ? Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 })
    : value.toExponential(3).replace(/\.?0*e\+?/, "e");
  return text.replaceAll("-", "−");
};

const formatStep = (step) => {
  const size = Math.abs(step);
  if (size >= 1e6) return `${Number((step / 1e6).toPrecision(4))}M`;
  return step.toLocaleString("en", { maximumFractionDigits: 2 });
};

// Few round numbers of a log axis.
const powers = (_, __, low, high) => {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))], found = [];
  const parts = to - from > 2 ? [1] : [1, 2, 5], every = Math.max(1, Math.ceil((to - from) / 5));
  for (let power = from; power <= to; power += every) found.push(...parts.map((part) => part * 10 ** power));
  const seen = found.filter((value) => value >= low && value <= high);
  return seen.length > 1 ? seen : [0.2, 0.4, 0.6, 0.8].map((share) => low + share * (high - low));
};

// A moving mean whose weights fall by a factor at each step; the first values are not pulled to 0.
export const smoothed = (values, weight) => {
  let mean = 0, share = 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return mean / share;
  });
};

const make = (name, kind, text) => {
  const element = document.createElement(name);
  element.className = kind;
  if (text) element.textContent = text;
  return element;
};

export const makeChart = (container, curves, options = {}) => {
  const { label = "Chart", height = HEIGHT, whole = true, low, high } = options;
  let weight = options.smoothing ?? 0, isLog = false, plot = null, zoom = null, x = null;

  const probe = make("span", ""), box = make("div", "chart-plot");
  const tools = make("div", "chart-tools"), about = make("p", "chart-about");
  const logarithmic = make("button", "chart-tool", "Log axis");
  const all = make("button", "chart-tool", "Reset zoom");
  for (const button of [logarithmic, all]) button.type = "button";
  probe.hidden = all.hidden = about.hidden = true;
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `${label}. Arrow keys move the cursor, plus and minus zoom, 0 shows all.`);
  tools.append(logarithmic, all);
  container.replaceChildren(probe, box, tools, about);

  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const hasPlace = (value) => !isLog || value > 0;

  // A log axis has no place for zeros and negative values.
  const explain = () => {
    const hidden = curves.reduce((sum, curve) => sum + curve.values.filter((each) => !hasPlace(each)).length, 0);
    const parts = [];
    if (isLog) parts.push("Equal distances are equal factors.");
    if (hidden) parts.push(`A log axis has no place for 0 and below: ${hidden.toLocaleString("en")} ${hidden === 1 ? "point is" : "points are"} not shown.`);
    about.textContent = parts.join(" ");
    about.hidden = !parts.length;
    logarithmic.setAttribute("aria-pressed", String(isLog));
    logarithmic.disabled = !isLog && !curves.some((curve) => curve.values.some((value) => value > 0));
    logarithmic.title = logarithmic.disabled ? "No value is above 0." : "";
  };

  // Two lines a curve: as logged, and smoothed. uPlot wants all of them at the same steps.
  const aligned = () => {
    const tables = curves.map((curve) => {
      const seen = curve.values.map((value) => (hasPlace(value) ? value : null));
      const soft = weight && !curve.plain ? smoothed(curve.values, weight) : null;
      return [curve.steps, seen, soft ? soft.map((value) => (hasPlace(value) ? value : null)) : seen.map(() => null)];
    });
    const joined = tables.length ? uPlot.join(tables) : [[]];
    return [joined[0], ...curves.flatMap((_, i) => [joined[1 + 2 * i], joined[2 + 2 * i]])];
  };
  const span = () => {
    const steps = curves.flatMap((curve) => (curve.steps.length ? [curve.steps[0], curve.steps.at(-1)] : []));
    const [from, to] = [Math.min(...steps), Math.max(...steps)];
    return from < to ? { min: from, max: to } : { min: from - 1, max: from + 1 };
  };

  const rows = () => curves.flatMap((curve) => {
    const line = {
      stroke: () => colour(curve.colour),
      dash: curve.dashed ? [5, 4] : undefined,
      spanGaps: true,
    };
    const isFaint = weight > 0 && !curve.plain;
    return [
      { ...line, width: isFaint ? 1 : 1.6, alpha: isFaint ? 0.3 : 1, points: { show: !isFaint && curve.steps.length <= FEW && !curve.plain, size: 5 } },
      { ...line, width: 2, points: { show: false } },
    ];
  });
  const ring = (made) => {
    const { ctx } = made;
    for (const curve of curves) {
      const place = curve.steps.indexOf(curve.mark);
      if (place < 0 || !hasPlace(curve.values[place])) continue;
      const { min, max } = made.scales.x;
      if (curve.mark < min || curve.mark > max) continue;
      ctx.save();
      ctx.strokeStyle = colour("--mark");
      ctx.setLineDash([]);
      ctx.lineWidth = 1.6 * devicePixelRatio;
      ctx.beginPath();
      ctx.arc(made.valToPos(curve.mark, "x", true), made.valToPos(curve.values[place], "y", true), 5.5 * devicePixelRatio, 0, 2 * Math.PI);
      ctx.stroke();
      ctx.restore();
    }
  };
  const bounds = (made, from, to) => {
    if (from === null) return [low ?? 0, high ?? 1];
    if (isLog) return [from / 1.25, to * 1.25];
    const room = Math.abs(from) / 10 || 1;
    if (low === undefined) return from < to ? uPlot.rangeNum(from, to, 0.08, true) : [from - room, to + room];
    const [bottom, top] = [Math.min(low, from), Math.max(high ?? to, to)];
    return [bottom, top + 0.06 * (top - bottom || 1)];
  };
  const axis = { stroke: () => colour("--muted"), font: "12px system-ui, sans-serif", ticks: { show: false }, grid: { show: false } };

  const build = () => {
    plot?.destroy();
    plot = null;
    if (!box.clientWidth || !curves.length) return; // it is not in view, and is built once it is
    plot = new uPlot({
      width: box.clientWidth,
      height,
      padding: [8, 22, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: true },
        points: { size: 7 },
        dataIdx: (made, row, place) => {
          const values = made.data[row];
          let found = place;
          while (found > 0 && (values[found] === null || values[found] === undefined)) found -= 1;
          return found;
        },
      },
      scales: { x: { time: false }, y: { distr: isLog ? 3 : 1, range: bounds } },
      axes: [
        { ...axis, size: 30, space: 64, incrs: whole ? WHOLE : undefined, values: (_, steps) => steps.map(formatStep) },
        {
          ...axis,
          grid: { show: true, stroke: () => colour("--rule"), width: 1 },
          space: 34,
          ...(isLog ? { splits: powers, filter: (_, values) => values } : {}),
          values: (_, values) => values.map((value) => (value === null ? "" : formatNumber(value))),
          size: (_, texts) => 14 + 7 * Math.max(2, ...(texts ?? []).map((text) => text.length)),
        },
      ],
      series: [{}, ...rows()],
      hooks: {
        draw: [ring],
        setScale: [(made, name) => {
          if (name !== "x") return;
          const { min, max } = made.scales.x, every = span();
          zoom = min > every.min || max < every.max ? { min, max } : null;
          all.hidden = !zoom;
        }],
        setCursor: [(made) => {
          x = made.cursor.left >= 0 ? made.posToVal(made.cursor.left, "x") : null;
          options.onCursor?.(x);
        }],
      },
    }, aligned(), box);
    if (zoom) plot.setScale("x", zoom);
    let pressed = 0;
    plot.over.addEventListener("pointerdown", (event) => { pressed = event.clientX; });
    plot.over.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse") plot.setCursor({ left: event.offsetX, top: 0 });
    });
    plot.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - pressed) < 4 && x !== null) options.onPick?.(x);
    });
  };

  const look = (range) => {
    zoom = range;
    plot?.setScale("x", range ?? span());
  };
  const point = (step) => {
    x = step;
    if (!plot) return;
    const { min, max } = plot.scales.x, isSeen = step !== null && step >= min && step <= max;
    plot.setCursor(isSeen ? { left: plot.valToPos(step, "x"), top: 0 } : { left: -10, top: -10 }, false);
  };

  all.addEventListener("click", () => { look(null); box.focus(); });
  logarithmic.addEventListener("click", () => {
    isLog = !isLog;
    explain();
    build();
  });
  box.addEventListener("keydown", (event) => {
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max } = plot.scales.x, size = max - min, middle = x ?? (min + max) / 2;
    const move = { ArrowLeft: -size / 50, ArrowRight: size / 50 }[event.key];
    const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (move !== undefined) {
      point(Math.min(Math.max(middle + move, min), max));
      options.onCursor?.(x);
    } else if (factor !== undefined) {
      const every = span(), half = Math.min(size * factor, every.max - every.min) / 2;
      const from = Math.min(Math.max(middle - half, every.min), every.max - 2 * half);
      look({ min: from, max: from + 2 * half });
    } else if (event.key === "0") look(null);
    else return;
    event.preventDefault();
  });

  const fit = new ResizeObserver(() => {
    if (!plot) build();
    else if (box.clientWidth) plot.setSize({ width: box.clientWidth, height });
  });
  isLog = Boolean(options.log) && curves.some((curve) => curve.values.some((value) => value > 0));
  explain();
  build();
  fit.observe(box);

  return {
    show(others) {
      const isSame = plot && others.length === curves.length && others.every((curve, i) => curve.colour === curves[i].colour && curve.dashed === curves[i].dashed);
      curves = others;
      explain();
      if (!isSame) { build(); return; }
      plot.setData(aligned(), false);
      plot.setScale("x", zoom ?? span());
    },
    smooth(next) {
      const isOther = (next > 0) !== (weight > 0);
      weight = next;
      explain();
      if (isOther || !plot) { build(); return; }
      plot.setData(aligned(), false);
      plot.setScale("x", zoom ?? span());
    },
    point,
    at: (step) => curves.map((curve) => {
      const place = curve.steps.findLastIndex((each) => each <= step);
      return place < 0 ? null : curve.values[place];
    }),
    redraw: () => plot?.redraw(false), // the lines stay, and take their colours anew
    remove() {
      fit.disconnect();
      plot?.destroy();
      container.replaceChildren();
    },
  };
};
