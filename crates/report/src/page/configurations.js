// What two trials differ in: keys of the configuration, and facts of the environment.

/** Facts that no two trials have in common. */
const OF_THE_RUN = ["started", "wall_seconds", "data_wait_ms", "peak_memory_bytes"];

/** Trials offered at most: the filter brings others. */
const MOST_OFFERED = 1000;

function startConfigurations() {
  const lists = ["configurations-first", "configurations-second"].map(byId);
  lists.forEach((list) => list.addEventListener("change", compare));
  filter.listeners.push(() => lists.forEach(offer));
  lists.forEach(offer);
  byId("configurations-all").addEventListener("change", compare);
  const other = inOrder.find((trial) => trial.series !== inOrder[0].series) ?? inOrder[1] ?? inOrder[0];
  if (other) lists[1].value = other.index;
  byId("configurations-table").tHead.append(element("tr", {}, ...["key", "first", "second"].map((name) => element("th", { scope: "col" }, name))));
  compare();
}

/** Offers the trials that are looked at, and the one that is chosen. */
function offer(list) {
  const chosen = list.value;
  const offered = inOrder.filter(passes).slice(0, MOST_OFFERED);
  const own = chosen === "" ? undefined : data.trials[chosen];
  if (own && !offered.includes(own)) offered.unshift(own);
  list.replaceChildren(...offered.map((trial) => element("option", { value: trial.index }, `${trial.name} (${trial.id})`)));
  if (chosen !== "") list.value = chosen;
}

/** Every leaf of a configuration by its path; lists of plain values are leaves. */
function flattened(value, path, into) {
  const plain = (v) => v === null || typeof v !== "object";
  if (plain(value) || (Array.isArray(value) && value.every(plain)) || Object.keys(value).length === 0) {
    into.set(path, typeof value === "string" ? value : JSON.stringify(value));
  } else {
    for (const [key, inner] of Object.entries(value)) flattened(inner, path === "" ? key : `${path}.${key}`, into);
  }
  return into;
}

/** Configuration and facts of a trial, as paths and texts. */
function described(index) {
  const { parts, trials } = data.configurations;
  const all = new Map();
  for (const part of trials[index] ?? []) flattened(parts[part], "", all);
  data.facts.names.forEach((name, i) => {
    const text = data.facts.trials[index][i];
    if (text !== null && !OF_THE_RUN.includes(name)) all.set(name, data.facts.texts[text]);
  });
  return all;
}

function compare() {
  const table = byId("configurations-table");
  if (data.trials.length === 0) return;
  const indices = ["configurations-first", "configurations-second"].map((id) => Number(byId(id).value));
  const [first, second] = indices.map(described);
  const keys = [...new Set([...first.keys(), ...second.keys()])].sort(collator.compare);
  const differs = (key) => first.get(key) !== second.get(key);
  const different = keys.filter(differs);
  const all = byId("configurations-all").checked;
  byId("configurations-count").textContent =
    indices[0] === indices[1] ? "Both are the same trial." : `${counted(different.length, "key")} differ, ${grouped(keys.length - different.length)} are the same.`;
  const cell = (text) => element("td", { class: "text" }, text === undefined ? element("em", {}, "not there") : text);
  const row = (key) => element("tr", { class: all && differs(key) ? "differs" : null }, element("th", { scope: "row" }, key), cell(first.get(key)), cell(second.get(key)));
  table.tBodies[0].replaceChildren(...(all ? keys : different).map(row));
}
