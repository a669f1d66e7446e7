// What is under the pointer, or where the arrow keys have gone: marked on the panel and told below.

const tell = settled((text) => (byId("curves-value").textContent = text));

const told = (line, point) => {
  const range = point.least === undefined ? "" : `, ${short(point.least)} to ${short(point.greatest)} over the seeds`;
  return `${line.name}: after ${counted(point.step, "step")} ${point.error.toFixed(3)} % on ${line.split === "test" ? "the test set" : "training batches"}${range}`;
};

/** Makes a panel answer to the pointer and to the keys. */
function listen(svg, mark, lines, place) {
  const drawn = lines.map((line) => ({ line, points: line.points.filter((point) => point.error !== null && Number.isFinite(place(point)[1])) }));
  const there = drawn.filter(({ points }) => points.length > 0);
  const at = { line: 0, point: -1 };
  const show = (line, point) => {
    [at.line, at.point] = [line, point];
    const { line: shown, points } = there[line];
    emphasise(svg, shown);
    drawMark(svg, mark, shown, points[point], place(points[point]));
    tell(told(shown, points[point]));
  };
  const hide = () => {
    mark.setAttribute("visibility", "hidden");
    emphasise(svg, null);
  };
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const nearest = nearestPoint(there, place, event.clientX - box.left, event.clientY - box.top);
    if (nearest) show(...nearest);
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", () => document.activeElement !== svg && hide());
  svg.addEventListener("focus", () => at.point < 0 && there.length > 0 && show(0, there[0].points.length - 1));
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    if (there.length === 0) return;
    if (at.point < 0) show(0, there[0].points.length - 1);
    const next = walked(event.key, there, at);
    if (!next) return;
    event.preventDefault();
    show(...next);
  });
}

/** Where a key leads: left and right along the line, up and down to the line with the next error at the same step. */
function walked(key, there, at) {
  const { points } = there[at.line];
  const along = { ArrowLeft: at.point - 1, ArrowRight: at.point + 1, Home: 0, End: points.length - 1 }[key];
  if (along !== undefined) return [at.line, Math.min(Math.max(along, 0), points.length - 1)];
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const { step } = points[at.point];
  const places = there.map(({ points }, line) => {
    const point = points.reduce((best, candidate, i) => (Math.abs(candidate.step - step) < Math.abs(points[best].step - step) ? i : best), 0);
    return { line, point, error: points[point].error };
  });
  const ordered = places.sort((a, b) => a.error - b.error || a.line - b.line);
  const next = ordered[ordered.findIndex((place) => place.line === at.line) + (key === "ArrowUp" ? 1 : -1)];
  return next ? [next.line, next.point] : [at.line, at.point];
}

function nearestPoint(there, place, x, y) {
  let [best, least] = [null, Infinity];
  there.forEach(({ points }, line) => {
    points.forEach((point, i) => {
      const [px, py] = place(point);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [[line, i], distance];
    });
  });
  return best;
}

function emphasise(svg, line) {
  svg.classList.toggle("pointed", line !== null);
  svg.querySelectorAll("path.line").forEach((path) => {
    path.classList.toggle("chosen", line !== null && path.dataset.name === line.name && path.classList.contains("train") === (line.split === "train"));
  });
}

/** A disc on the point, and a plate with its name beside it. */
function drawMark(svg, mark, line, point, [x, y]) {
  mark.setAttribute("visibility", "visible");
  const top = drawing("text", { x: 0, y: 0, class: "tick strong" }, line.name);
  const below = drawing("text", { x: 0, y: 0, class: "tick" }, `step ${grouped(point.step)}: ${point.error.toFixed(2)} %`);
  const plate = drawing("rect", { class: "plate", rx: 3 });
  mark.replaceChildren(drawing("circle", { cx: x, cy: y, r: 4.5, fill: colourOf(line.series), class: "dot" }), plate, top, below);
  const room = svg.viewBox.baseVal.width;
  shorten(top, room - 16);
  const width = Math.max(top.getComputedTextLength(), below.getComputedTextLength()) + 12;
  const left = Math.min(Math.max(x - width / 2, 2), room - width - 2);
  const upper = y > 56 ? y - 50 : y + 12;
  Object.entries({ x: left, y: upper, width, height: 38 }).forEach(([name, value]) => plate.setAttribute(name, value));
  top.setAttribute("x", left + 6);
  top.setAttribute("y", upper + 15);
  below.setAttribute("x", left + 6);
  below.setAttribute("y", upper + 31);
}

function shorten(text, room) {
  while (text.getComputedTextLength() > room && text.textContent.length > 4) text.textContent = `${text.textContent.slice(0, -4)}…`;
}
