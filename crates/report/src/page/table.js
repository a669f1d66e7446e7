// Tables that sort by any column: a button in every heading, its order told by aria-sort.

/**
 * Makes a table sort. `rows` gives, as often as it is asked, the rows that are there: their values, a column each, and their element. `most` limits how many are shown.
 * Returns what shows the rows anew.
 */
function sortable(table, rows, most = () => Infinity) {
  const headings = [...table.tHead.rows[0].cells];
  let sorted = { column: -1, descending: false };
  headings.forEach((heading, column) => {
    if (heading.hasAttribute("data-fixed")) return;
    const button = element("button", { type: "button", class: "sort" });
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const again = sorted.column === column;
      sorted = again && sorted.descending ? { column: -1, descending: false } : { column, descending: again };
      show();
      announce(sorted.column < 0 ? "In the order of the experiment" : `Sorted by ${button.textContent}, ${sorted.descending ? "descending" : "ascending"}`);
    });
  });
  const show = () => {
    headings.forEach((heading, column) => {
      if (column === sorted.column) heading.setAttribute("aria-sort", sorted.descending ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
    const ordered = rows();
    if (sorted.column >= 0) ordered.sort((a, b) => compared(a.values[sorted.column], b.values[sorted.column], sorted.descending));
    table.tBodies[0].replaceChildren(...ordered.slice(0, most()).map((row) => row.element()));
  };
  return show;
}

/** The number that a cell begins with, where its column has numbers, else its text. */
function valueOf(cell) {
  const text = cell.textContent.trim();
  if (!cell.classList.contains("number")) return text;
  const number = Number.parseFloat(text.replaceAll(",", ""));
  return Number.isNaN(number) ? null : number;
}

/** The table of results: its lines stand in the page, and know their trials. */
function startResults() {
  const table = byId("results-table");
  const lines = [...table.tBodies[0].rows].map((row) => ({
    trials: row.dataset.trials.split(" ").filter((index) => index !== "").map(Number),
    values: [...row.cells].map(valueOf),
    element: () => row,
  }));
  const show = sortable(table, () => lines.filter((line) => !filtering() || line.trials.some((index) => passes(data.trials[index]))));
  filter.listeners.push(show);
}
