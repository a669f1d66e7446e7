// Which classes a model takes for which, its seeds together.

function startConfusion() {
  const { matrices, note } = data.confusion;
  if (note) byId("confusion-note").textContent = note;
  if (matrices.length === 0) {
    byId("confusion-controls").hidden = true;
    byId("confusion-table").parentElement.hidden = true;
    byId("confusion-note").textContent ||= "None of these trials has kept which classes it took for which.";
    return;
  }
  const list = byId("confusion-of");
  list.append(...matrices.map((matrix, i) => element("option", { value: i }, `${data.series[matrix.series]}, on ${matrix.distortion}`)));
  list.addEventListener("change", showConfusion);
  byId("confusion-share").addEventListener("change", showConfusion);
  showConfusion();
}

function showConfusion() {
  const { series, distortion, seeds, images } = data.confusion.matrices[Number(byId("confusion-of").value)];
  const shares = byId("confusion-share").checked;
  const classes = [...new Set(images.map(([kind]) => kind))].sort((a, b) => a - b);
  const answers = [...new Set(images.flatMap(([kind, answer]) => [kind, answer]))].sort((a, b) => (a < 0) - (b < 0) || a - b);
  const named = (kind) => (kind < 0 ? "not found" : String(kind));
  const count = new Map(images.map(([kind, answer, n]) => [`${kind} ${answer}`, n]));
  const row = (kind) => {
    const all = answers.reduce((sum, answer) => sum + (count.get(`${kind} ${answer}`) ?? 0), 0);
    const cell = (answer) => {
      const n = count.get(`${kind} ${answer}`) ?? 0;
      const share = n / all;
      const text = n === 0 ? "" : shares ? (100 * share).toFixed(1) : grouped(n);
      const node = element("td", { class: "number" }, text);
      // Wrong answers are few: their shade grows faster.
      const shade = answer === kind ? share * 30 : Math.min(share * 300, 45);
      node.style.backgroundColor = `color-mix(in srgb, var(${answer === kind ? "--right" : "--off"}) ${shade.toFixed(1)}%, transparent)`;
      return node;
    };
    return element("tr", {}, element("th", { scope: "row" }, named(kind)), ...answers.map(cell));
  };
  const table = byId("confusion-table");
  table.caption.textContent = `${data.series[series]} on ${distortion}, ${counted(seeds, "seed")}: rows are classes, columns what their images are taken for${shares ? ", in percent of the row" : ""}`;
  table.tHead.replaceChildren(element("tr", {}, element("th", { scope: "col" }, "class"), ...answers.map((kind) => element("th", { scope: "col", class: "number" }, named(kind)))));
  table.tBodies[0].replaceChildren(...classes.map(row));
}
