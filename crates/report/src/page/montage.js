// The transformers at work: each input with the grids over it, and what came out, at a moment of the training.

const montage = { playing: 0, view: [] };

function startMontage() {
  const { blocks, notes } = data.montage;
  if (blocks.length === 0) {
    byId("montage-controls").hidden = true;
    byId("montage-table").parentElement.hidden = true;
    byId("montage-notes").append(element("p", { class: "note" }, "None of these trials has a spatial transformer whose pictures are kept."));
    return;
  }
  byId("montage-notes").append(...notes.map((note) => element("p", { class: "note" }, note)));
  const list = byId("montage-distortion");
  const shown = data.distortions.filter((name) => blocks.some((block) => data.trials[block.trial].distortion === name));
  list.append(...shown.map((name) => element("option", { value: name }, name)));
  list.addEventListener("change", layMontage);
  byId("montage-choice").addEventListener("change", layMontage);
  byId("montage-choice-field").hidden = !blocks.some((block) => block.wrong.length);
  byId("montage-moment").addEventListener("input", showMoment);
  byId("montage-play").addEventListener("click", play);
  filter.listeners.push(layMontage);
  if (blocks.some((block) => block.wrong.length)) {
    byId("montage-notes").prepend(element("p", { class: "note" }, "The worst errors are the images of the whole test part that a network misread with the largest loss after training, worst first."));
  }
  byId("montage-notes").prepend(
    element("p", { class: "note" }, "One trial of each model, the one with the lowest seed. The dot is the upper left corner of the output; the red frame and number are what the network wrongly read."),
  );
}

/** Lays out the table of the chosen data and images, and shows the last moment. */
function layMontage() {
  if (data.montage.blocks.length === 0) return;
  stop();
  const worst = byId("montage-choice").value === "worst";
  const ofData = (block) => data.trials[block.trial].distortion === byId("montage-distortion").value && passes(data.trials[block.trial]);
  const shown = data.montage.blocks.filter((block) => block.wrong.length > 0 === worst && ofData(block));
  const table = byId("montage-table");
  montage.view = [];
  const columns = Math.max(0, ...shown.map((block) => block.samples.length));
  const [first] = shown;
  const head = (i) => element("th", { scope: "col" }, worst ? String(i + 1) : first?.samples[i] ? String(first.samples[i][0]) : "");
  table.tHead.replaceChildren(element("tr", {}, element("th", { scope: "col" }, worst ? "worst first" : "class"), ...Array.from({ length: columns }, (_, i) => head(i))));
  table.tBodies[0].replaceChildren(...shown.flatMap((block) => [...block.groups.flatMap((group) => rowsOf(block, group, extentOf(block))), ...wrongOf(block)]));
  if (shown.length === 0) table.tBodies[0].append(element("tr", {}, element("td", {}, "The filter leaves no model with pictures of this data.")));
  const moments = [...new Set(shown.flatMap((block) => block.moments))].sort((a, b) => a - b);
  const slider = byId("montage-moment");
  slider.max = Math.max(0, moments.length - 1);
  slider.value = slider.max;
  slider.dataset.moments = moments.join(" ");
  byId("montage-time").hidden = moments.length < 2;
  showMoment();
}

/** How far the grids of a block reach: 1 is the edge of the image. */
function extentOf(block) {
  let reach = 0;
  const outline = (grid) => grid.forEach((v) => (reach = Math.max(reach, Math.abs(v ?? 0))));
  block.groups.forEach((group) => group.cells.flat().forEach((cell) => cell?.[2].forEach(([, grid]) => grid && outline(grid))));
  reach /= data.montage.units;
  return reach <= 1 ? 1 : Math.min(reach + 0.05, 1.4);
}

/** A row of inputs, and one of outputs for each stage. */
function rowsOf(block, group, extent) {
  const trial = data.trials[block.trial];
  const several = block.groups.length > 1 || group.stages.length > 1;
  const layers = [...new Set(group.stages.map(([layer]) => layer))];
  const label = (text, ...more) => element("th", { scope: "row" }, ...more, element("span", { class: "part" }, text));
  const name = element("span", { class: "name" }, swatch(trial.series), data.series[trial.series] ?? trial.model, several ? ` (${layers.join(", ")})` : "");
  const cells = (part) => block.samples.map((_, sample) => {
    const svg = drawing("svg", { viewBox: "0 0 100 100", role: "img" });
    montage.view.push({ block, group, sample, part, svg, extent, series: trial.series });
    return element("td", {}, svg);
  });
  const stageName = ([layer, step], i) => {
    if (group.stages.length === 1) return "output";
    return layers.length > 1 ? `output of ${layer}${group.stages.some(([, step]) => step > 1) ? `, step ${step}` : ""}` : `output of step ${step}`;
  };
  return [
    element("tr", { class: "first" }, label("input and grid", name), ...cells(-1)),
    ...group.stages.map((stage, i) => element("tr", {}, label(stageName(stage, i)), ...cells(i))),
  ];
}

/** How the worst images of a block were misread. */
function wrongOf(block) {
  if (block.wrong.length === 0) return [];
  const cell = ([classes, read, loss]) => element("td", { class: "told" }, `${classes} as `, element("span", { class: "misread" }, read), element("br"), `loss ${loss}`);
  return [element("tr", {}, element("th", { scope: "row" }, element("span", { class: "part" }, "class, read as")), ...block.wrong.map(cell))];
}

function showMoment() {
  const slider = byId("montage-moment");
  const moments = slider.dataset.moments.split(" ").map(Number);
  const moment = moments[Number(slider.value)];
  byId("montage-step").textContent = grouped(moment);
  slider.setAttribute("aria-valuetext", `after ${counted(moment, "training step")}`);
  montage.view.forEach((cell) => drawCell(cell, moment));
}

/** Draws a cell: the input with its grids (part -1), or the output of a stage. */
function drawCell({ block, group, sample, part, svg, extent, series }, moment) {
  const latest = block.moments.findLastIndex((of) => of <= moment);
  const found = group.cells[Math.max(latest, 0)][sample];
  const [kind, number] = block.samples[sample];
  if (!found) {
    svg.replaceChildren();
    svg.setAttribute("aria-label", `class ${kind}: not kept at this moment`);
    return;
  }
  const [input, predicted, stages] = found;
  const told = block.wrong[sample];
  const wrong = predicted !== kind && !told;
  const words = part < 0 ? "input with the grid" : `output${wrong ? `, read as ${predicted}` : ""}`;
  svg.setAttribute("aria-label", `class ${kind}, image ${number}: ${words}`);
  if (part >= 0) {
    svg.replaceChildren(...imageOf(stages[part][0], 1));
    if (!wrong || part !== stages.length - 1) return;
    svg.append(drawing("rect", { class: "wrong", x: 1.5, y: 1.5, width: 97, height: 97 }));
    if (predicted >= 0) svg.append(drawing("text", { class: "read", x: 94, y: 20, "text-anchor": "end" }, String(predicted)));
    return;
  }
  const several = new Set(group.stages.map(([layer]) => layer)).size > 1;
  const grids = stages.flatMap(([, grid], i) => gridOf(grid, extent, several ? i : series, several || i === stages.length - 1));
  svg.replaceChildren(drawing("rect", { class: "around", width: 100, height: 100 }), ...imageOf(input, extent), ...grids);
}

function imageOf(picture, extent) {
  if (picture === null) return [];
  const [side, at] = [100 / extent, 50 - 50 / extent];
  const href = `data:image/png;base64,${data.montage.pictures[picture]}`;
  return [drawing("image", { href, x: at, y: at, width: side, height: side, preserveAspectRatio: "none" })];
}

/** The lattice of a grid, whole or of earlier steps the outline alone. */
function gridOf(grid, extent, series, whole) {
  if (!grid) return [];
  const points = latticeOf(grid);
  const place = (v) => (v / data.montage.units / extent + 1) * 50;
  const n = data.montage.lattice;
  const at = (row, column) => points[row * n + column];
  const path = (line) => {
    let begun = false;
    return line.map((point) => {
      if (point.some((v) => v === null)) {
        begun = false;
        return "";
      }
      const piece = `${begun ? "L" : "M"}${point.map((v) => place(v).toFixed(1)).join(" ")}`;
      begun = true;
      return piece;
    }).join("");
  };
  const span = [...Array(n).keys()];
  const inner = span.slice(1, -1).flatMap((i) => [span.map((j) => at(i, j)), span.map((j) => at(j, i))]);
  const outline = [...span.map((j) => at(0, j)), ...span.map((i) => at(i, n - 1)), ...span.map((j) => at(n - 1, n - 1 - j)), ...span.map((i) => at(n - 1 - i, 0))];
  const stroke = colourOfPaper(series);
  const lines = [drawing("path", { class: whole ? "outline" : "outline earlier", d: path(outline), stroke })];
  if (!whole) return lines;
  const [cx, cy] = at(0, 0);
  lines.unshift(drawing("path", { class: "lattice", d: inner.map(path).join(""), stroke }));
  if (cx !== null && cy !== null) lines.push(drawing("circle", { cx: place(cx), cy: place(cy), r: 3.5, fill: stroke }));
  return lines;
}

/** All points of a lattice; of an affine one they follow from three corners. */
function latticeOf(grid) {
  const n = data.montage.lattice;
  if (grid.length > 6) return Array.from({ length: n * n }, (_, i) => [grid[2 * i], grid[2 * i + 1]]);
  const [x, y, xr, yr, xd, yd] = grid;
  return Array.from({ length: n * n }, (_, i) => {
    const [right, down] = [(i % n) / (n - 1), Math.floor(i / n) / (n - 1)];
    return [x + right * (xr - x) + down * (xd - x), y + right * (yr - y) + down * (yd - y)];
  });
}

/** Pictures stand on white in the dark too, so their grids keep the colours of paper. */
const colourOfPaper = (series) => `var(--p${series % data.colours})`;

/** Steps through the moments once. */
function play() {
  if (montage.playing) return stop();
  const slider = byId("montage-moment");
  if (slider.value === slider.max) slider.value = 0;
  showMoment();
  byId("montage-play").textContent = "Stop";
  montage.playing = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    showMoment();
    if (slider.value === slider.max) stop();
  }, 700);
}

function stop() {
  clearInterval(montage.playing);
  montage.playing = 0;
  byId("montage-play").textContent = "Play";
}
