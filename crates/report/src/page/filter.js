// What is looked at: trials with all the words, and with a chosen value of every key.

const filter = { words: [], chosen: new Map(), listeners: [] };

/** The keys that trials are told apart by: name, and the value of a trial. */
const KEYS = [
  { name: "model", of: (trial) => trial.model },
  { name: "distortion", of: (trial) => trial.distortion },
  ...data.keys.map((name, i) => ({ name, of: (trial) => trial.values[i] ?? NOTHING })),
  { name: "seed", of: (trial) => String(trial.seed) },
  { name: "status", of: (trial) => trial.status.split(":")[0] },
];
/** With more values than these a key is a list to choose one from. */
const MOST_BOXES = 12;
/** With more than these (numbers drawn at random) only the text finds them. */
const MOST_VALUES = 200;

/** What the text is looked for in: also "seed=1", "lr=0.1" and so on. */
const searched = data.trials.map((trial) => [trial.id, trial.name, trial.status, ...KEYS.map((key) => `${key.name}=${key.of(trial)}`)].join(" ").toLowerCase());

/** Whether a trial is looked at. */
function passes(trial) {
  if (!filter.words.every((word) => searched[trial.index].includes(word))) return false;
  return KEYS.every((key) => {
    const chosen = filter.chosen.get(key.name);
    return !chosen || chosen.size === 0 || chosen.has(key.of(trial));
  });
}

const filtering = () => filter.words.length > 0 || [...filter.chosen.values()].some((chosen) => chosen.size > 0);

/** The values of a key, in the order of the trials where they are words, else by size. */
function valuesOf(key) {
  const values = [...new Set(inOrder.map(key.of))];
  return values.every((value) => value !== "" && !Number.isNaN(Number(value))) ? values.sort((a, b) => a - b) : values;
}

function startFilter() {
  const boxes = byId("filter-keys");
  for (const key of KEYS) {
    const values = valuesOf(key);
    if (values.length < 2 || values.length > MOST_VALUES) continue;
    filter.chosen.set(key.name, new Set());
    boxes.append(values.length > MOST_BOXES ? listOf(key, values) : boxesOf(key, values));
  }
  byId("filter-text").addEventListener("input", settled((event) => {
    filter.words = event.target.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    filterChanged();
  }));
  byId("filter-clear").addEventListener("click", () => {
    filter.words = [];
    filter.chosen.forEach((chosen) => chosen.clear());
    byId("filter-text").value = "";
    boxes.querySelectorAll("input").forEach((box) => (box.checked = false));
    boxes.querySelectorAll("select").forEach((list) => (list.value = ""));
    filterChanged();
  });
}

function boxesOf(key, values) {
  const box = (value) => {
    const input = element("input", { type: "checkbox", "data-key": key.name, value });
    input.addEventListener("change", () => {
      if (input.checked) filter.chosen.get(key.name).add(value);
      else filter.chosen.get(key.name).delete(value);
      filterChanged();
    });
    return element("label", { class: "chip" }, input, value);
  };
  return element("fieldset", {}, element("legend", {}, key.name), element("div", { class: "chips" }, ...values.map(box)));
}

function listOf(key, values) {
  const list = element("select", { "data-key": key.name }, element("option", { value: "" }, "all"), ...values.map((value) => element("option", { value }, value)));
  list.addEventListener("change", () => {
    const chosen = filter.chosen.get(key.name);
    chosen.clear();
    if (list.value !== "") chosen.add(list.value);
    filterChanged();
  });
  return element("label", { class: "field" }, key.name, " ", list);
}

function filterChanged() {
  const shown = data.trials.filter(passes);
  byId("filter-count").textContent = filtering() ? `${grouped(shown.length)} of ${counted(data.trials.length, "trial")}` : "";
  filter.listeners.forEach((listener) => listener(shown));
}
