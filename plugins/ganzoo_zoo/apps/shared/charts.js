// Charts of curves over steps, for the pages of several applications.
//
//   const chart = makeChart(figure, curves, options);
//
// figure     An element with `h3`, the title; `.plot`, where the chart goes, in place of a `.still` of
//            that; `.legend`, a list; `.at`, which says the step of the cursor; and `.spoken`, which
//            says the chart.
// curves     [{name, steps, values, last, colour, dashed, plain, mark}]: `steps` rise, and `values`
//            are finite numbers. Optional: `last`, a newer value for the legend; `colour`, a number
//            below 8; `dashed`; `plain` for a line that is never smoothed; `mark`, a step with a ring.
// options    All optional:
//   axis               {name, steps, at}: what the curves are drawn over, if their `steps` are places
//                      on another axis; `at` is the place of each step of its own `steps`
//   low, high          values that are always in view
//   log                whether the axis of the values is logarithmic
//   smoothing          see smooth()
//   zoom               see zoom()
//   extent()           the first and the last step that are shown without a zoom
//   changes()          steps with a vertical line
//   tools              whether it has buttons of its own, for the axis and for the zoom
//   onZoom(range)      in place of zoom(range), if charts zoom together
//   onCursor(step)     in place of point(step), if charts have one cursor
//   onPick(step)       called at a click
//
// The chart has
//   show(curves)       draw other curves; the zoom stays
//   log(yes)           values of 0 and below have no place on a logarithmic axis: the chart says how
//                      many it hides, and stays linear if they all are
//   smooth(weight)     0: as logged; towards 1: the mean of more and more steps before. The curve
//                      itself stays as a faint line
//   zoom([from, to])   show some steps; null shows all
//   point(step)        put the cursor at a step, with the values there in the legend; null takes it
//                      away, and the legend has the last values
//   redraw()           take up the colours of another theme
//   remove()
//
// A drag zooms, a double click shows all again. With the keyboard: arrows move the cursor, + and -
// zoom, 0 shows all. It needs uPlot, and the styles charts.css and uPlot.min.css. It writes no HTML,
// so that a page may enforce a content security policy and trusted types.
/* global uPlot */

import { number, steps, ticks } from "./numbers.js";
import { colours } from "./theme.js";

const HEIGHT = 206, FEW = 30, COLOURS = 8, FAINT = 0.3, MILLION = 1e6, STILL = 4;
const WHOLE = Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((part) => part * 10 ** power)).flat();

// A moving mean whose weights fall by a factor at each step; the first values are not pulled to 0.
export const smoothed = (values, weight) => {
  let mean = 0, share = 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return mean / share;
  });
};

const stepTicks = (found, increment) => (Math.max(...found.map(Math.abs)) < MILLION ? ticks(found, increment)
  : ticks(found.map((each) => each / MILLION), increment / MILLION).map((each) => `${each}M`));

// Few round numbers of a logarithmic axis.
const powers = (made, row, low, high) => {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))], found = [];
  const parts = to - from > 2 ? [1] : [1, 2, 5], every = Math.max(1, Math.ceil((to - from) / 5));
  for (let power = from; power <= to; power += every) found.push(...parts.map((part) => part * 10 ** power));
  const seen = found.filter((value) => value >= low && value <= high);
  if (seen.length > 1) return seen;
  const rough = (high - low) / 4, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((part) => part * unit >= rough) * unit, first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
};

// The indices of values without a neighbour to draw a line to.
const lone = (values) => {
  const places = [...values.keys()].filter((i) => values[i] !== undefined);
  const isNone = (i) => (values[places[i]] ?? null) === null;
  return places.filter((_, i) => !isNone(i) && isNone(i - 1) && isNone(i + 1));
};

// Read a table of two rising columns at a value of the first.
const between = (from, to, value) => {
  const i = from.findIndex((each) => each >= value);
  if (i < 1) return i ? to.at(-1) : to[0];
  return to[i - 1] + (value - from[i - 1]) / (from[i] - from[i - 1]) * (to[i] - to[i - 1]);
};

const make = (name, className, textContent = "") => Object.assign(document.createElement(name), { className, textContent });

export const makeChart = (figure, curves, options = {}) => {
  const { axis, low, high, tools } = options, find = (what) => figure.querySelector(what);
  let weight = options.smoothing ?? 0, wantsLog = Boolean(options.log), zoom = options.zoom ?? null;
  let plot = null, built = "", isLog = false, cursor = null, isScaling = false;

  const live = make("div", "live"), box = make("div", "chart-plot"), about = make("p", "chart-about");
  const bar = make("div", "chart-tools"), shades = new Map(), still = find(".still");
  const logarithmic = make("button", "chart-tool", "Log axis"), all = make("button", "chart-tool", "Reset zoom");
  logarithmic.type = all.type = "button";
  bar.append(logarithmic, all);
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `${find("h3").textContent}. Arrow keys move the cursor, plus and minus zoom, 0 shows all.`);
  live.append(box, ...(tools ? [bar] : []), about);
  if (still) still.hidden = true;
  find(".plot").append(live);

  const shade = (name) => {
    if (!shades.has(name)) shades.set(name, colours(figure, [name])[name]);
    return shades.get(name);
  };
  // Places on the axis, and steps.
  const stepOf = (place) => (axis ? between(axis.at, axis.steps, place) : place);
  const placeOf = (step) => (axis ? between(axis.steps, axis.at, step) : step);
  const spread = () => {
    const ends = curves.flatMap((curve) => (curve.steps.length ? [curve.steps[0], curve.steps.at(-1)] : []));
    const [from, to] = options.extent?.() ?? [Math.min(...ends), Math.max(...ends)];
    return from < to ? { min: from, max: to } : { min: from - 1, max: from + 1 };
  };
  const range = () => (zoom ? { min: zoom[0], max: zoom[1] } : spread());
  const hasPlace = (value) => !isLog || value > 0;
  const isSmooth = (curve) => weight > 0 && !curve.plain;

  // What is drawn: a line for a curve, or the curve and its mean. uPlot wants all at the same steps.
  const aligned = () => {
    const tables = curves.map((curve) => {
      const lines = isSmooth(curve) ? [curve.values, smoothed(curve.values, weight)] : [curve.values];
      return [curve.steps, ...lines.map((values) => values.map((value) => (hasPlace(value) ? value : null)))];
    });
    return tables.length ? uPlot.join(tables) : [[]];
  };
  const rows = () => curves.flatMap((curve, i) => {
    const line = (width, alpha, hasDots) => ({
      width,
      alpha,
      stroke: () => shade(`line-${curve.colour}`),
      dash: curve.dashed ? [5, 4] : undefined,
      points: {
        size: 6,
        show: () => hasDots && !curve.plain && curves[i].steps.length <= FEW,
        filter: (made, row, isShown) => (isShown ? null : lone(made.data[row])),
      },
    });
    return isSmooth(curve) ? [line(1, FAINT, false), line(2, 1, false)] : [line(1.6, 1, true)];
  });

  const bounds = (_, from, to) => {
    if (from === null) return [low ?? 0, high ?? 1];
    if (isLog) return [from / 1.25, to * 1.25];
    const room = Math.abs(from) / 10 || 1;
    if (low === undefined) return from < to ? uPlot.rangeNum(from, to, 0.08, true) : [from - room, to + room];
    const [bottom, top] = [Math.min(low, from), Math.max(high ?? to, to)];
    return [bottom, top + 0.06 * (top - bottom || 1)];
  };

  // Rings and vertical lines, over the curves.
  const mark = (made) => {
    const { ctx: context, bbox: { left, top, width, height } } = made;
    const isShown = (x) => x >= left && x <= left + width;
    context.save();
    context.lineWidth = devicePixelRatio;
    context.strokeStyle = shade("ink");
    context.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    context.beginPath();
    for (const x of (options.changes?.() ?? []).map((step) => made.valToPos(placeOf(step), "x", true)).filter(isShown)) {
      context.moveTo(x, top);
      context.lineTo(x, top + height);
    }
    context.stroke();
    context.lineWidth = 1.6 * devicePixelRatio;
    context.strokeStyle = shade("mark");
    context.setLineDash([]);
    for (const curve of curves) {
      const value = curve.values[curve.steps.indexOf(curve.mark)], x = made.valToPos(curve.mark, "x", true);
      if (value === undefined || !hasPlace(value) || !isShown(x)) continue;
      context.beginPath();
      context.arc(x, made.valToPos(value, "y", true), 5.5 * devicePixelRatio, 0, 2 * Math.PI);
      context.stroke();
    }
    context.restore();
  };

  const ask = (wanted) => (options.onZoom ?? zoomTo)(wanted);
  const move = (step) => (options.onCursor ?? point)(step);

  const build = () => {
    plot?.destroy();
    plot = null;
    if (!box.clientWidth || !curves.length) return; // it is not in view, and is built once it is
    const look = { stroke: () => shade("muted"), font: "12px system-ui, sans-serif", ticks: { show: false } };
    plot = new uPlot({
      width: box.clientWidth,
      height: HEIGHT,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false, dist: STILL },
        bind: { dblclick: () => () => ask(null) },
        dataIdx: (made, row, place) => {
          let found = place;
          while (found > 0 && (made.data[row][found] ?? null) === null) found -= 1;
          return found;
        },
      },
      scales: { x: { time: false }, y: { distr: isLog ? 3 : 1, range: bounds } },
      axes: [
        {
          ...look,
          grid: { show: false },
          label: axis?.name ?? "step",
          labelFont: look.font,
          labelSize: 16,
          labelGap: 0,
          size: 26,
          space: 60,
          incrs: axis ? undefined : WHOLE,
          values: (_, found, __, ___, increment) => stepTicks(found, increment),
        },
        {
          ...look,
          grid: { stroke: () => shade("rule"), width: 1 },
          space: 34,
          size: (_, texts) => 14 + 7 * Math.max(2, ...(texts ?? []).map((text) => text.length)),
          ...(isLog ? { splits: powers, filter: (_, found) => found } : {}),
          values: (_, found, __, ___, increment) => (isLog ? found.map(number) : ticks(found, increment)),
        },
      ],
      series: [{}, ...rows()],
      hooks: {
        draw: [mark],
        setCursor: [(made) => !isScaling && move(made.cursor.left < 0 ? null : stepOf(made.posToVal(made.cursor.left, "x")))],
        setSelect: [(made) => {
          const { left, width } = made.select;
          if (!width) return;
          made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          ask([made.posToVal(left, "x"), made.posToVal(left + width, "x")]);
        }],
      },
    }, aligned(), box);
    scale();
    const { root, over } = plot;
    root.setAttribute("aria-hidden", "true"); // its box is named, and .spoken tells what it shows
    let pressed = 0;
    over.addEventListener("pointerdown", (event) => { pressed = event.clientX; });
    over.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse") plot.setCursor({ left: event.offsetX, top: 0 });
    });
    over.addEventListener("click", (event) => {
      if (cursor !== null && Math.abs(event.clientX - pressed) < STILL) options.onPick?.(cursor);
    });
  };
  const scale = (update = () => {}) => {
    isScaling = true; // the pointer does not move
    plot?.batch(() => { update(); plot.setScale("x", range()); });
    isScaling = false;
  };

  // Draw what is to be seen now, in a plot of its own if it has other lines or another axis.
  const draw = () => {
    const hasPositive = curves.some((curve) => curve.values.some((value) => value > 0));
    isLog = wantsLog && hasPositive;
    explain(hasPositive);
    const looks = JSON.stringify([isLog, curves.map((curve) => [curve.colour, curve.dashed, isSmooth(curve)])]);
    if (!plot || looks !== built) build();
    else scale(() => plot.setData(aligned(), false));
    built = looks;
    list();
    speak();
    point(cursor);
  };
  const explain = (hasPositive) => {
    const hidden = curves.reduce((sum, curve) => sum + curve.values.filter((each) => !hasPlace(each)).length, 0);
    const parts = [];
    if (isLog && tools) parts.push("Equal distances are equal factors.");
    if (hidden) parts.push(`A log axis has no place for 0 and below: ${steps(hidden)} ${hidden === 1 ? "point is" : "points are"} not shown.`);
    if (wantsLog && !hasPositive) parts.push("No value is above 0, so this axis is linear.");
    about.textContent = parts.join(" ");
    about.hidden = !parts.length;
    logarithmic.setAttribute("aria-pressed", String(isLog));
    logarithmic.disabled = !hasPositive;
    logarithmic.title = hasPositive ? "" : "No value is above 0.";
    all.hidden = !zoom;
  };
  const list = () => {
    const legend = find(".legend");
    if (legend.children.length !== curves.length) {
      legend.replaceChildren(...curves.map(() => {
        const item = make("li", "");
        item.append(...["key", "name", "value"].map((kind) => make("span", kind)));
        item.firstChild.setAttribute("aria-hidden", "true");
        return item;
      }));
    }
    curves.forEach((curve, i) => {
      const [key, name] = legend.children[i].children;
      key.className = `key line-${curve.colour}${curve.dashed ? " dashed" : ""}`;
      name.textContent = curve.name;
    });
  };
  const speak = () => {
    const said = curves.filter((curve) => !curve.plain && curve.values.length).map(({ name, steps: at, values }) => {
      const [first, last] = [at[0], at.at(-1)].map((place) => steps(stepOf(place)));
      return `${name}: ${number(values[0])} at step ${first}, ${number(values.at(-1))} at step ${last}, `
        + `between ${number(Math.min(...values))} and ${number(Math.max(...values))}.`;
    });
    if (isLog) said.push("Drawn on a logarithmic axis.");
    find(".spoken").textContent = said.join(" ");
  };

  const zoomTo = (wanted) => {
    zoom = wanted;
    all.hidden = !zoom;
    scale();
    point(cursor);
  };
  const point = (step) => {
    cursor = step;
    const place = step === null ? Infinity : placeOf(step), values = figure.querySelectorAll(".legend .value");
    const over = axis && step !== null ? `, ${steps(place)} ${axis.name}` : "";
    find(".at").textContent = step === null ? "" : `step ${steps(step)}${over}`;
    curves.forEach((curve, i) => {
      const found = curve.values[curve.steps.findLastIndex((each) => each <= place)];
      values[i].textContent = number(step === null ? curve.last ?? found : found);
    });
    if (!plot) return;
    const { min, max } = plot.scales.x, isSeen = place >= min && place <= max;
    plot.setCursor(isSeen ? { left: plot.valToPos(place, "x"), top: 0 } : { left: -10, top: -10 }, false);
  };
  const log = (yes) => {
    wantsLog = yes;
    draw();
  };
  const show = (others) => {
    curves = others.map((curve, i) => ({ colour: i % COLOURS, dashed: i >= COLOURS, ...curve }));
    draw();
  };

  all.addEventListener("click", () => { ask(null); box.focus(); });
  logarithmic.addEventListener("click", () => log(!isLog));
  box.addEventListener("keydown", (event) => {
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max } = plot.scales.x, size = max - min;
    const middle = cursor === null ? (min + max) / 2 : Math.min(Math.max(placeOf(cursor), min), max);
    const way = { ArrowLeft: -size / 50, ArrowRight: size / 50 }[event.key];
    const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (way !== undefined) {
      move(stepOf(Math.min(Math.max(middle + way, min), max)));
    } else if (factor !== undefined) {
      const every = spread(), half = Math.min(size * factor, every.max - every.min) / 2;
      const from = Math.min(Math.max(middle - half, every.min), every.max - 2 * half);
      ask(size * factor < every.max - every.min ? [from, from + 2 * half] : null);
    } else if (event.key === "0") ask(null);
    else return;
    event.preventDefault();
  });

  const fit = new ResizeObserver(() => {
    const width = box.clientWidth;
    if (!plot) { build(); point(cursor); } else if (width && width !== plot.width) plot.setSize({ width, height: HEIGHT });
  });
  show(curves);
  fit.observe(box);

  return {
    show,
    log,
    smooth(next) {
      weight = next;
      draw();
    },
    zoom: zoomTo,
    point,
    redraw() {
      shades.clear();
      plot?.redraw(false); // the lines stay, and take their colours anew
    },
    remove() {
      fit.disconnect();
      plot?.destroy();
      live.remove();
    },
  };
};
