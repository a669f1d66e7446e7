// Elements, numbers as text, and what is said aloud.

const byId = (id) => document.getElementById(id);

/** An element with attributes (those that are null or false are left out) and children: elements or texts. */
function element(tag, attributes = {}, ...children) {
  return dressed(document.createElement(tag), attributes, children);
}

/** The same for SVG, whose namespace an element of the page tells. */
function drawing(tag, attributes = {}, ...children) {
  return dressed(document.createElementNS(byId("namespace").namespaceURI, tag), attributes, children);
}

function dressed(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (typeof child === "number" ? String(child) : child)));
  return node;
}

const NOTHING = "–";
const grouped = (n) => (n === null || n === undefined ? NOTHING : String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ","));
const percent = (n) => (n === null || n === undefined ? NOTHING : n.toFixed(2));
/** Three figures. */
const short = (n) => (n === null || n === undefined ? NOTHING : n >= 100 ? grouped(Math.round(n)) : n >= 10 ? n.toFixed(1) : n.toFixed(2));
const counted = (n, what) => `${grouped(n)} ${what}${n === 1 ? "" : "s"}`;

/** Says something to those who cannot see it happen. */
function announce(text) {
  byId("announcement").textContent = text;
}

/** Calls `work` once, when the calls have stopped for a moment. */
function settled(work, milliseconds = 80) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}

/** Text a, then b, numbers in them by their size; what is missing stands last either way. */
function compared(a, b, descending) {
  const missing = (v) => v === null || v === undefined || v === "" || Number.isNaN(v);
  if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
  const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  return descending ? -order : order;
}
const collator = new Intl.Collator("en", { numeric: true });

const data = JSON.parse(byId("data").textContent);
data.trials.forEach((trial, index) => {
  trial.index = index;
  trial.name = [data.series[trial.series] ?? trial.model, `on ${trial.distortion}`, `seed ${trial.seed}`].join(", ");
});

/** The trials by data, model and seed. */
const inOrder = [...data.trials].sort((a, b) => data.distortions.indexOf(a.distortion) - data.distortions.indexOf(b.distortion) || a.series - b.series || a.seed - b.seed);

/** The colour of a model and how its line is broken, once the colours come again. */
const colourOf = (series) => `var(--s${(series ?? 0) % data.colours})`;
const dashOf = (series) => ["", "6 3", "2 3", "8 3 2 3"][Math.floor((series ?? 0) / data.colours) % 4];
