"use strict";
// The page is complete without this script but for the findings past the most severe ones. The script shows all of them,
// a page at a time, since a browser takes seconds to lay out ten thousand. Texts come from snapshots and may be hostile:
// they are only ever set as text, never parsed as markup.
(() => {
  const FINDINGS_A_PAGE = 50;
  const CLUSTERS_A_PAGE = 25;
  const OUTCOMES = ["pass", "fail", "not-applicable", "unknown"];
  const SEVERITIES = ["critical", "high", "medium", "low", "info"];

  const byId = (id) => document.getElementById(id);
  const words = (name) => name.charAt(0).toUpperCase() + name.slice(1).replace("-", " ");
  const number = (quantity) => quantity.toLocaleString("en");

  // Splits a list into pages: `show(start, end)` shows a part of it. Gives a function that goes to the page of a place.
  const pager = (controls, size, show) => {
    const [previous, next] = controls.querySelectorAll("button");
    let start = 0;
    let total = 0;
    const go = (place, length = total) => {
      total = length;
      start = Math.floor(place / size) * size;
      const end = Math.min(start + size, total);
      controls.hidden = total <= size;
      controls.querySelector(".where-in").textContent = `${number(start + 1)}–${number(end)} of ${number(total)}`;
      previous.disabled = start === 0;
      next.disabled = end === total;
      show(start, end);
    };
    controls.addEventListener("click", (event) => {
      const step = Number(event.target.dataset.step);
      if (!step) return;
      go(start + step * size);
      controls.closest("section").scrollIntoView();
      if (event.target.disabled) controls.querySelector("button:enabled").focus();
    });
    return go;
  };

  // A text in which `this` is code, as pieces; one whose marks do not pair stays as it is.
  const prose = (value) => {
    const parts = value.split("`");
    if (parts.length % 2 === 0) return [value];
    return parts.map((part, place) => {
      if (place % 2 === 0) return part;
      const code = document.createElement("code");
      code.textContent = part;
      return code;
    });
  };

  // Fills a copy of the pattern of a finding: see the marks in parts.html.j2.
  const fill = (node, view) => {
    for (const pattern of [...node.querySelectorAll("[data-each]")]) {
      for (const item of view[pattern.dataset.each] ?? []) {
        const copy = pattern.cloneNode(true);
        delete copy.dataset.each;
        const holder = document.createDocumentFragment();
        holder.append(copy);
        fill(holder, typeof item === "string" ? { ".": item } : item);
        if (copy.matches("a")) copy.href = item;
        pattern.before(holder, " ");
      }
      pattern.remove();
    }
    for (const part of node.querySelectorAll("[data-if]")) {
      const value = view[part.dataset.if];
      if (value === null || value.length === 0) part.remove();
      delete part.dataset.if;
    }
    for (const place of node.querySelectorAll("[data-is]")) {
      const value = view[place.dataset.is];
      place.replaceChildren(...("prose" in place.dataset ? prose(value) : [value]));
      delete place.dataset.is;
    }
  };

  const data = JSON.parse(byId("data").textContent);
  const text = (place) => (place === null ? null : data.texts[place]);

  const readRule = ([id, title, why, decided, severityReason, disagreement, controls, references]) => ({
    rule: text(id),
    title: text(title),
    why: text(why),
    decided: text(decided),
    severityReason: text(severityReason),
    disagreement: text(disagreement),
    controls: text(controls),
    references,
  });
  const rules = data.rules.map(readRule);

  // The rows stay as they came, as numbers; only what is shown is read.
  const rows = data.findings.map(
    // In the order of _Row in data.py.
    ([rule, outcome, severity, clusters, resource, name, message, command, bicep, change, evidence, missing, mark]) => ({
      rule, outcome, severity, clusters, resource, name, message, command, bicep, change, evidence, missing, mark,
    }),
  );

  const readFinding = (row) => ({
    ...rules[row.rule],
    outcomeText: words(OUTCOMES[row.outcome]),
    severityText: words(SEVERITIES[row.severity]),
    clusters: row.clusters.map((cluster) => text(data.clusters[cluster])),
    resource: text(row.resource),
    name: text(row.name),
    message: text(row.message),
    command: text(row.command),
    bicep: text(row.bicep),
    change: text(row.change),
    evidence: row.evidence.map(([resource, pointer, value, origin = null]) => ({
      resource: text(resource), pointer: text(pointer), value: text(value), origin: text(origin),
    })),
    missing: row.missing.map(([kind, what, reason, action, scope]) => ({
      kind: text(kind), what: text(what), reason: text(reason), action: text(action), scope: text(scope),
    })),
  });

  const pattern = byId("finding-pattern");
  const render = (row) => {
    const item = pattern.content.cloneNode(true);
    const finding = item.querySelector(".finding");
    finding.id = `finding-${row.mark}`;
    finding.querySelector(".state").dataset.state = OUTCOMES[row.outcome];
    finding.querySelector(".severity").dataset.severity = SEVERITIES[row.severity];
    finding.querySelector(".permalink").href = `#finding-${row.mark}`;
    fill(item, readFinding(row));
    return item;
  };

  // What a row is searched by: made once, when somebody first searches.
  const haystack = (row) => {
    row.words ??= [
      rules[row.rule].rule, rules[row.rule].title, text(row.resource), text(row.message),
      ...row.clusters.map((cluster) => text(data.clusters[cluster])),
      ...row.evidence.flat().map(text), // resources, pointers and values
    ].join("\n").toLowerCase();
    return row.words;
  };

  const startFindings = () => {
    const form = byId("filter");
    if (!form) return;
    const list = byId("finding-list");
    let shown = [];

    const go = pager(byId("finding-pager"), FINDINGS_A_PAGE, (start, end) => {
      list.start = start + 1;
      list.replaceChildren(...shown.slice(start, end).map(render));
    });

    // In each group of boxes, none ticked asks for all.
    const filter = () => {
      const wanted = new FormData(form);
      const outcomes = wanted.getAll("outcome").map((name) => OUTCOMES.indexOf(name));
      const severities = wanted.getAll("severity").map((name) => SEVERITIES.indexOf(name));
      const [cluster, rule] = [wanted.get("cluster"), wanted.get("rule")];
      const search = wanted.get("text").trim().toLowerCase().split(/\s+/).filter(Boolean);
      shown = rows.filter(
        (row) =>
          (!outcomes.length || outcomes.includes(row.outcome)) &&
          (!severities.length || severities.includes(row.severity)) &&
          (!cluster || row.clusters.includes(Number(cluster))) &&
          (!rule || row.rule === Number(rule)) &&
          search.every((word) => haystack(row).includes(word)),
      );
      form.querySelector(".result").textContent = shown.length
        ? `${number(shown.length)} of ${number(rows.length)} findings`
        : "No finding is like that";
      go(0, shown.length);
    };

    // Asks for one thing alone; of every outcome where none is named.
    const ask = (name, value, outcome) => {
      const { outcome: outcomes, severity: severities, cluster, rule, text: search } = form.elements;
      for (const box of [...outcomes, ...severities]) box.checked = box.value === outcome;
      for (const field of [cluster, rule, search]) field.value = field.name === name ? value : "";
      filter();
    };

    // A link to a finding: shows it whatever the filter says.
    const follow = () => {
      if (!location.hash.startsWith("#finding-")) return;
      const mark = location.hash.slice("#finding-".length);
      const place = rows.findIndex((row) => row.mark.startsWith(mark));
      if (!mark || place < 0) return;
      if (!shown.includes(rows[place])) ask();
      go(shown.indexOf(rows[place]));
      const finding = byId(`finding-${rows[place].mark}`);
      finding.open = true;
      finding.scrollIntoView();
      finding.querySelector("summary").focus({ preventScroll: true });
    };

    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter)); // the fields are reset after the event
    form.addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("click", (event) => {
      const { rule, cluster } = event.target.closest("a[data-rule], a[data-cluster]")?.dataset ?? {};
      if (rule) ask("rule", rule, "fail");
      if (cluster) ask("cluster", cluster);
    });
    addEventListener("hashchange", follow);
    addEventListener("load", follow); // not before: the browser, done loading, moves the focus to the link's target
    filter();
  };

  const startClusters = () => {
    const table = byId("cluster-table");
    if (!table) return;
    const body = table.tBodies[0];
    const all = [...body.rows];
    const form = byId("cluster-filter");
    let shown = all;
    const go = pager(byId("cluster-pager"), CLUSTERS_A_PAGE, (start, end) => {
      body.replaceChildren(...shown.slice(start, end));
    });

    const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const sort = (heading) => {
      const numeric = heading.dataset.sort === "number";
      // The first click shows the worst first: names from A, the lowest score, the most failures.
      const falling = heading.ariaSort ? heading.ariaSort === "ascending" : numeric && heading.cellIndex > 1;
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.ariaSort = falling ? "descending" : "ascending";
      const compare = (a, b) => {
        const [left, right] = [value(a, heading.cellIndex), value(b, heading.cellIndex)];
        return (numeric ? left - right : left.localeCompare(right, "en", { numeric: true })) * (falling ? -1 : 1);
      };
      all.sort(compare);
      filter();
    };
    const filter = () => {
      const wanted = form?.elements.text.value.trim().toLowerCase() ?? "";
      shown = all.filter((row) => row.cells[0].textContent.toLowerCase().includes(wanted));
      if (form) form.querySelector(".result").textContent = `${number(shown.length)} of ${number(all.length)} clusters`;
      go(0, shown.length);
    };

    if (all.length > 1) {
      for (const heading of table.querySelectorAll("[data-sort]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = heading.textContent;
        button.addEventListener("click", () => sort(heading));
        heading.replaceChildren(button);
      }
    }
    form?.addEventListener("input", filter);
    form?.addEventListener("submit", (event) => event.preventDefault());
    filter();
  };

  // A page opened from a disk may lack the clipboard: then the text is selected, for the reader to copy.
  const copy = async (button) => {
    const source = button.parentNode.querySelector("pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.firstChild.data = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.firstChild.data = "Selected";
    }
    setTimeout(() => { button.firstChild.data = "Copy"; }, 2000);
  };

  document.documentElement.classList.add("script");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.classList.contains("copy")) copy(button);
    if (button?.classList.contains("more")) {
      byId("failed").classList.add("all");
      byId("failed").querySelector("[data-more] a").focus();
      button.remove();
    }
  });
  startClusters();
  startFindings();
})();
