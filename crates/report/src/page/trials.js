// The table of all trials.

/** Trials ticked: their curves alone are drawn. */
const ticked = { trials: new Set(), listeners: [] };
/** Rows shown before more are asked for. */
const ROWS = 300;

const COLUMNS = [
  { name: "model", of: (trial) => trial.model },
  ...data.keys.map((name, i) => ({ name, of: (trial) => asNumber(trial.values[i]), text: (trial) => trial.values[i] ?? NOTHING })),
  { name: "distortion", of: (trial) => trial.distortion },
  { name: "seed", of: (trial) => trial.seed, number: true },
  { name: "test error %", of: (trial) => trial.error, text: (trial) => percent(trial.error), number: true },
  { name: "parameters", of: (trial) => trial.parameters, text: (trial) => grouped(trial.parameters), number: true },
  { name: "steps", of: (trial) => trial.steps, text: (trial) => grouped(trial.steps), number: true },
  { name: "ms / step", of: (trial) => trial.ms, text: (trial) => short(trial.ms), number: true },
  { name: "time (s)", of: (trial) => trial.seconds, text: (trial) => short(trial.seconds), number: true },
  { name: "status", of: (trial) => trial.status },
  { name: "trial", of: (trial) => trial.id, code: true },
];

function asNumber(text) {
  const number = Number(text);
  return text === null || text === undefined || text === "" || Number.isNaN(number) ? text : number;
}

function startTrials() {
  const table = byId("trials-table");
  const heading = (column) => element("th", { scope: "col", class: column.number ? "number" : null }, column.name);
  table.tHead.append(element("tr", {}, element("th", { scope: "col", "data-fixed": true }, element("span", { class: "hidden" }, "curve")), ...COLUMNS.map(heading)));
  const rows = inOrder.map((trial) => trialRow(trial));
  const waiting = data.unfinished.map((name) => waitingRow(name));
  let most = ROWS;
  let there = [];
  const show = sortable(table, () => there.slice(), () => most);
  const more = byId("trials-more");
  const refresh = () => {
    there = rows.filter((row) => passes(row.trial));
    if (!filtering()) there.push(...waiting);
    show();
    more.hidden = there.length <= most;
    more.textContent = `Show all ${grouped(there.length)} rows`;
  };
  more.addEventListener("click", () => {
    most = Infinity;
    refresh();
  });
  filter.listeners.push(refresh);
  const untick = byId("trials-untick");
  untick.addEventListener("click", () => {
    ticked.trials.clear();
    table.querySelectorAll("input").forEach((box) => (box.checked = false));
    tickedChanged();
    byId("trials-table").querySelector("button")?.focus();
  });
  ticked.listeners.push(() => (untick.hidden = ticked.trials.size === 0));
}

/** A row of the table, made when it is first shown. */
function trialRow(trial) {
  let row = null;
  const make = () => {
    const box = element("input", { type: "checkbox", "aria-label": `Curve of ${trial.name}` });
    box.checked = ticked.trials.has(trial.index);
    box.addEventListener("change", () => {
      if (box.checked) ticked.trials.add(trial.index);
      else ticked.trials.delete(trial.index);
      tickedChanged();
    });
    const cell = (column, i) => {
      const text = column.text ? column.text(trial) : (column.of(trial) ?? NOTHING);
      if (i === 0) return element("th", { scope: "row" }, swatch(trial.series), text);
      return element("td", { class: column.number ? "number" : null }, column.code ? element("code", {}, text) : text);
    };
    return element("tr", { class: trial.status === "done" ? null : "bad" }, element("td", {}, box), ...COLUMNS.map(cell));
  };
  return { trial, values: [null, ...COLUMNS.map((column) => column.of(trial))], element: () => (row ??= make()) };
}

/** A trial that has no results yet. */
function waitingRow(name) {
  const status = COLUMNS.findIndex((column) => column.name === "status");
  const texts = COLUMNS.map((_, i) => (i === 0 ? name : i === status ? "not finished" : null));
  const cell = (text, i) => element(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}, text ?? NOTHING);
  let row = null;
  return { values: [null, ...texts], element: () => (row ??= element("tr", { class: "waiting" }, element("td"), ...texts.map(cell))) };
}

/** A small line in a model's colour. */
function swatch(series) {
  const line = drawing("line", { x1: 1, x2: 21, y1: 5, y2: 5, stroke: colourOf(series), "stroke-width": 3, "stroke-dasharray": dashOf(series) });
  return drawing("svg", { class: "swatch", width: 22, height: 10, "aria-hidden": "true" }, line);
}

function tickedChanged() {
  ticked.listeners.forEach((listener) => listener());
}
