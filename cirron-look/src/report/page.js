// Tables are sorted where a title is clicked. All that is said is said without this.
document.documentElement.classList.add("js");
for (const head of document.querySelectorAll("thead")) {
  head.addEventListener("click", (event) => {
    const title = event.target.closest("th");
    if (!title) return;
    const at = [...title.parentNode.children].indexOf(title);
    const down = title.classList.contains("n")
      ? title.getAttribute("aria-sort") !== "descending"
      : title.getAttribute("aria-sort") === "ascending";
    for (const other of title.parentNode.children) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.parentNode.tBodies[0];
    const rows = [...body.rows].map((row) => {
      const cell = row.cells[at];
      const value = cell.dataset.v;
      return [value === undefined ? null : Number(value), cell.textContent, row];
    });
    // What is not known is last, either way.
    rows.sort((a, b) => {
      if (title.classList.contains("n")) {
        if (a[0] === null || b[0] === null) return (a[0] === null) - (b[0] === null);
        return down ? b[0] - a[0] : a[0] - b[0];
      }
      return down ? b[1].localeCompare(a[1]) : a[1].localeCompare(b[1]);
    });
    for (const row of rows) body.append(row[2]);
  });
}
