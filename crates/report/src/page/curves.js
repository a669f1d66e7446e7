// The learning curves: a panel for each distortion, on one scale.

const curves = { hidden: new Set(), panels: [] };
/** Around a panel's lines, in pixels. */
const EDGE = { left: 46, right: 14, top: 8, bottom: 40 };
const HEIGHT = 260;
/** Lines drawn at most: those that end lowest. */
const MOST_LINES = 300;
/** Models in the legend at most. */
const MOST_LISTED = 60;

function startCurves() {
  const controls = ["curves-lines", "curves-test", "curves-train", "curves-smoothing", "curves-log"];
  controls.forEach((id) => byId(id).addEventListener("input", drawCurves));
  filter.listeners.push(drawCurves);
  ticked.listeners.push(drawCurves);
  byId("curves-log").checked = spansDecades();
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) > 1) drawCurves();
    width = entry.contentRect.width;
  }).observe(byId("curves-panels"));
}

/** Whether test errors span more than a factor of eight: then the scale is logarithmic at first. */
function spansDecades() {
  let [least, greatest] = [Infinity, 0];
  for (const trial of data.trials) {
    for (const error of curveOf(trial, "test").errors) {
      if (error > 0) [least, greatest] = [Math.min(least, error), Math.max(greatest, error)];
    }
  }
  return greatest / least > 8;
}

/** What the controls ask for. */
function chosenLines() {
  const smoothing = byId("curves-smoothing");
  const strength = Number(smoothing.value);
  smoothing.setAttribute("aria-valuetext", strength === 0 ? "none" : strength.toFixed(2));
  const looked = ticked.trials.size > 0 ? data.trials.filter((trial) => ticked.trials.has(trial.index)) : data.trials.filter(passes);
  const trials = looked.filter((trial) => !curves.hidden.has(trial.series));
  const of = ticked.trials.size > 0 || byId("curves-lines").value === "each" ? eachLine : meanLines;
  const splits = ["test", "train"].filter((split) => byId(`curves-${split}`).checked);
  const all = splits.flatMap((split) => of(trials, split, strength)).filter((line) => line.points.some((point) => point.error !== null));
  const lines = leading(all);
  const notes = [];
  if (lines.length < all.length) notes.push(`The ${MOST_LINES} lines that end lowest are drawn, of ${grouped(all.length)}: filter or tick trials for others.`);
  if (data.thinned) notes.push(`To keep this page small, every curve has ${data.thinned} points at most; metrics.parquet has them all.`);
  byId("curves-note").textContent = notes.join(" ");
  // With many models the legend has those drawn alone.
  const series = new Set(looked.map((trial) => trial.series));
  const listed = series.size <= MOST_LISTED ? series : new Set(lines.map((line) => line.series));
  return { series: [...listed].sort((a, b) => a - b).slice(0, MOST_LISTED), lines };
}

/** The lines that end lowest, in their order. */
function leading(lines) {
  if (lines.length <= MOST_LINES) return lines;
  const end = (line) => line.points.findLast((point) => point.error !== null).error;
  const last = lines.map(end).sort((a, b) => a - b)[MOST_LINES - 1];
  return lines.filter((line) => end(line) <= last).slice(0, MOST_LINES);
}

function drawCurves() {
  const { series, lines } = chosenLines();
  drawLegend(series);
  const distortions = data.distortions.filter((name) => lines.some((line) => line.distortion === name));
  const scale = scales(lines);
  const place = byId("curves-panels");
  if (lines.length === 0) {
    place.replaceChildren(element("p", { class: "note" }, "There are no curves to draw: no trial is chosen, or none has been evaluated."));
    return;
  }
  place.classList.toggle("several", distortions.length > 1);
  const columns = getComputedStyle(place).gridTemplateColumns.split(" ").length;
  const gap = 24;
  const width = Math.max(240, (place.clientWidth - gap * (columns - 1)) / columns);
  const focused = [...place.querySelectorAll(".panel svg")].indexOf(document.activeElement);
  place.replaceChildren(...distortions.map((name) => panel(name, lines.filter((line) => line.distortion === name), scale, width)));
  place.querySelectorAll(".panel svg")[focused]?.focus({ preventScroll: true });
}

function drawLegend(series) {
  const legend = byId("curves-legend");
  const known = series.join(" ");
  if (legend.dataset.series === known) return;
  legend.dataset.series = known;
  const entry = (index) => {
    const box = element("input", { type: "checkbox", value: index });
    box.checked = !curves.hidden.has(index);
    box.addEventListener("change", () => {
      if (box.checked) curves.hidden.delete(index);
      else curves.hidden.add(index);
      drawCurves();
    });
    return element("label", { class: "chip" }, box, swatch(index), data.series[index]);
  };
  legend.replaceChildren(...series.map(entry));
}

/** One scale for all panels. On a linear one training curves do not decide where test errors are drawn. */
function scales(lines) {
  const leading = lines.some((line) => line.split === "test") ? lines.filter((line) => line.split === "test") : lines;
  const errors = leading.flatMap((line) => line.points.flatMap((point) => (point.error === null ? [] : [point.least ?? point.error, point.greatest ?? point.error])));
  const bounds = (values) => values.reduce(([least, most], v) => [Math.min(least, v), Math.max(most, v)], [Infinity, -Infinity]);
  const positive = bounds(errors.filter((v) => v > 0));
  const onLog = byId("curves-log").checked && Number.isFinite(positive[0]);
  const lastStep = bounds(lines.flatMap((line) => line.points.map((point) => point.step)))[1];
  return { steps: linear(0, Math.max(lastStep, 1), 4), errors: onLog ? logarithmic(...positive) : linear(0, bounds(errors)[1] || 1, 5) };
}

/** The panel of a distortion. */
function panel(name, lines, scale, width) {
  const [inner, tall] = [width - EDGE.left - EDGE.right, HEIGHT - EDGE.top - EDGE.bottom];
  const x = (step) => EDGE.left + scale.steps.share(step) * inner;
  const y = (error) => EDGE.top + (1 - scale.errors.share(error)) * tall;
  const place = (point) => [x(point.step), y(point.error)];
  const clip = `clip-${data.distortions.indexOf(name)}`;
  const cut = drawing("clipPath", { id: clip }, drawing("rect", { x: EDGE.left, y: 0, width: inner + EDGE.right, height: EDGE.top + tall + 1 }));
  const strokes = drawing("g", { "clip-path": `url(#${clip})` }, ...lines.flatMap((line) => band(line, x, y)), ...lines.map((line) => stroke(line, place)));
  const mark = drawing("g", { class: "mark", visibility: "hidden" });
  const svg = drawing(
    "svg",
    { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-describedby": "curves-value" },
    cut, ...ruler(scale, x, y, tall, inner), strokes, mark,
  );
  svg.setAttribute("aria-label", `Error against training steps, ${name}: ${counted(lines.length, "line")}`);
  listen(svg, mark, lines, place);
  return element("div", { class: "panel" }, element("h3", {}, name), svg);
}

function ruler(scale, x, y, tall, inner) {
  const bottom = EDGE.top + tall;
  const across = scale.errors.ticks.flatMap((tick) => [
    drawing("line", { class: "rule", x1: EDGE.left, x2: EDGE.left + inner, y1: y(tick), y2: y(tick) }),
    drawing("text", { class: "tick", x: EDGE.left - 6, y: y(tick) + 4, "text-anchor": "end" }, scale.errors.label(tick)),
  ]);
  const last = scale.steps.ticks.length - 1;
  const below = scale.steps.ticks.map((tick, i) =>
    drawing("text", { class: "tick", x: i === last ? Math.min(x(tick), EDGE.left + inner + EDGE.right) : x(tick), y: bottom + 16, "text-anchor": i === last ? "end" : "middle" }, scale.steps.label(tick)),
  );
  return [
    ...across,
    drawing("line", { class: "base", x1: EDGE.left, x2: EDGE.left + inner, y1: bottom, y2: bottom }),
    ...below,
    drawing("text", { class: "axis", x: EDGE.left + inner / 2, y: bottom + 34, "text-anchor": "middle" }, "training steps"),
    drawing("text", { class: "axis", x: -(EDGE.top + tall / 2), y: 11, transform: "rotate(-90)", "text-anchor": "middle" }, "error (%)"),
  ];
}

function stroke(line, place) {
  const parts = pieces(line.points, place);
  // A piece of one point is a dot.
  const path = parts.map((piece) => pathOf(piece.length > 1 ? piece : [piece[0], piece[0]])).join("");
  const thin = line.split === "train";
  return drawing("path", {
    class: thin ? "line train" : "line", d: path, stroke: colourOf(line.series), "stroke-dasharray": thin ? null : dashOf(line.series) || null,
    "data-name": line.name,
  });
}

/** The range over the seeds. */
function band(line, x, y) {
  const within = (v) => (Number.isFinite(v) ? v : EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom));
  const points = line.points.filter((point) => point.least !== undefined);
  if (points.length < 2 || line.split === "train") return [];
  const upper = points.map((point) => [x(point.step), within(y(point.greatest))]);
  const lower = points.map((point) => [x(point.step), within(y(point.least))]).reverse();
  return [drawing("path", { class: "band", d: `${pathOf([...upper, ...lower])}Z`, fill: colourOf(line.series) })];
}
