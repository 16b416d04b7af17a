"use strict";
// The page is complete without this script but for the findings past the most severe ones. The script shows all of them,
// a page or a group at a time, since a browser takes a minute to lay out a hundred thousand. Texts come from snapshots
// and may be hostile: they are only ever set as text, never parsed as markup.
(() => {
  const FINDINGS_A_PAGE = 50;
  const CLUSTERS_A_PAGE = 25;
  const FIXES_AT_ONCE = 200;
  const STEPS_LISTED = 10;
  const PRINTED = 20;
  const HIDDEN = ["fix", "before", "after"]; // what links ask for, and no field
  const NEWS = { new: "New", changed: "Changed" };

  if (!("DecompressionStream" in window)) return; // a browser of before 2023: the page as it is without scripts

  const byId = (id) => document.getElementById(id);
  const words = (name) => name.charAt(0).toUpperCase() + name.slice(1).replace("-", " ");
  const number = (quantity) => quantity.toLocaleString("en");
  const count = (quantity, noun) => `${number(quantity)} ${noun}${quantity === 1 ? "" : "s"}`;

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

  // Fills a copy of a pattern: see the marks in parts.html.j2.
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
    for (const link of node.querySelectorAll("[data-link]")) {
      link.href = view[link.dataset.link];
      delete link.dataset.link;
    }
    for (const place of node.querySelectorAll("[data-is]")) {
      const value = view[place.dataset.is];
      place.replaceChildren(...("prose" in place.dataset ? prose(value) : [value]));
      delete place.dataset.is;
    }
  };

  // The data, see data.py: its findings are columns of numbers, and only what is shown is read.
  const unpack = async () => {
    const text = atob(byId("data").textContent);
    const packed = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place++) packed[place] = text.charCodeAt(place);
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };

  const reader = (data) => {
    const { states, severities, areas, findings: columns } = data;
    const text = (place) => (place === null || place === undefined ? null : data.texts[place]);
    const rules = data.rules.map(([id, title, why, decided, severityReason, disagreement, controls, references, area]) => ({
      rule: text(id), title: text(title), why: text(why), decided: text(decided), severityReason: text(severityReason),
      disagreement: text(disagreement), controls: text(controls), references, area, numbers: [id, title],
    }));
    const followers = new Map(); // by row, those that can be mended after it
    columns.causes.forEach((causes, row) => {
      for (const cause of causes) {
        if (followers.has(cause)) followers.get(cause).push(row);
        else followers.set(cause, [row]);
      }
    });
    const ruleOf = (row) => rules[columns.rule[row]];
    const after = (row) => followers.get(row) ?? [];
    const step = (row) => ({
      link: `#finding-${columns.mark[row]}`, rule: ruleOf(row).rule, title: ruleOf(row).title, name: text(columns.name[row]),
    });
    const steps = (rows) => rows.slice(0, STEPS_LISTED).map(step);
    const moreSteps = (rows) => (rows.length > STEPS_LISTED ? `All ${number(rows.length)}` : null);
    const finding = (row) => ({
      ...rules[columns.rule[row]],
      stateText: words(states[columns.state[row]]),
      severityText: words(severities[columns.severity[row]]),
      clusters: columns.clusters[row].map((cluster) => text(data.clusters[cluster][1])),
      resource: text(columns.resource[row]),
      name: text(columns.name[row]),
      message: text(columns.message[row]),
      command: text(columns.command[row]),
      bicep: text(columns.bicep[row]),
      change: text(columns.change[row]),
      evidence: columns.evidence[row].map(([resource, pointer, value, origin]) => ({
        resource: text(resource), pointer: text(pointer), value: text(value), origin: text(origin),
      })),
      missing: columns.missing[row].map(([kind, what, reason, action, scope]) => ({
        kind: text(kind), what: text(what), reason: text(reason), action: text(action), scope: text(scope),
      })),
      news: NEWS[columns.compared[row]] ?? null,
      agreed: text(columns.agreed[row][0]),
      reason: text(columns.agreed[row][1]),
      source: text(columns.source[row][0]),
      sourceText: text(columns.source[row][1]),
      after: [...new Set(columns.causes[row].map((cause) => ruleOf(cause).rule))].join(", "),
      first: steps(columns.causes[row]),
      firstMore: moreSteps(columns.causes[row]),
      then: steps(after(row)),
      thenMore: moreSteps(after(row)),
    });

    const pattern = byId("finding-pattern");
    const render = (row) => {
      const item = pattern.content.cloneNode(true);
      const shown = item.querySelector(".finding");
      const mark = `finding-${columns.mark[row]}`;
      if (!byId(mark)) shown.id = mark; // a finding may stand in several groups
      shown.querySelector(".state").dataset.state = states[columns.state[row]];
      shown.querySelector(".severity").dataset.severity = severities[columns.severity[row]];
      shown.querySelector(".permalink").href = `#${mark}`;
      for (const link of shown.querySelectorAll(".steps-more [data-ask]")) link.dataset.ask += columns.mark[row];
      fill(item, finding(row));
      return item;
    };

    // Which rows say a word somewhere: each text is looked at once, however many findings it stands in.
    let lowered;
    let said; // the numbers of the texts of every row, one row after the other
    let starts;
    const prepare = () => {
      lowered = data.texts.map((one) => one.toLowerCase());
      said = [];
      starts = new Uint32Array(columns.rule.length + 1);
      for (let row = 0; row < columns.rule.length; row++) {
        said.push(...rules[columns.rule[row]].numbers, columns.resource[row], columns.message[row]);
        for (const cluster of columns.clusters[row]) said.push(data.clusters[cluster][1]);
        for (const evidence of columns.evidence[row]) said.push(...evidence);
        said.push(...columns.agreed[row], ...columns.source[row]);
        starts[row + 1] = said.length;
      }
    };
    const search = (wanted) => {
      if (!wanted.length) return () => true;
      if (!lowered) prepare();
      const hits = wanted.map((word) => Uint8Array.from(lowered, (one) => (one.includes(word) ? 1 : 0)));
      return (row) => hits.every((hit) => {
        for (let place = starts[row]; place < starts[row + 1]; place++) if (hit[said[place]]) return true;
        return false;
      });
    };

    // Of each way to group: the groups of a row, and what a group is called; -1 is what is in none.
    const lists = data.rules.map((_, rule) => {
      const holding = data.checklists.flatMap(([, , asked], list) => (asked.includes(rule) ? [list] : []));
      return holding.length ? holding : [-1];
    });
    const groupings = {
      rule: {
        of: (row) => [columns.rule[row]],
        called: (rule, row) => [rules[rule].title, text(columns.message[row]), rules[rule].rule],
      },
      cluster: {
        of: (row) => (columns.clusters[row].length ? columns.clusters[row] : [-1]),
        called: (cluster) => (cluster < 0
          ? ["Of no cluster", "", ""]
          : [text(data.clusters[cluster][1]), text(data.clusters[cluster][2]), ""]),
      },
      resource: {
        of: (row) => [columns.resource[row]],
        called: (resource, row) => [text(columns.name[row]), text(resource), ""],
      },
      area: {
        of: (row) => [rules[columns.rule[row]].area],
        called: (area) => [areas[area][1], "", areas[area][0]],
      },
      checklist: {
        of: (row) => lists[columns.rule[row]],
        called: (list) => (list < 0 ? ["In no checklist", "", ""] : [text(data.checklists[list][1]), "", ""]),
      },
      cause: {
        of: (row) => (columns.causes[row].length ? columns.causes[row] : [row]),
        called: (cause) => [ruleOf(cause).title, text(columns.message[cause]), ruleOf(cause).rule, text(columns.name[cause])],
      },
    };

    return { data, text, rules, columns, states, severities, render, search, groupings, after, total: columns.rule.length };
  };

  // Rows by group, the group with the worst row first, then the largest; rows come worst first.
  const grouped = (rows, { of }, { state, severity }) => {
    const groups = new Map();
    for (const row of rows) {
      for (const key of of(row)) {
        const group = groups.get(key);
        if (group) group.push(row);
        else groups.set(key, [row]);
      }
    }
    return [...groups].sort(([, a], [, b]) =>
      state[a[0]] - state[b[0]] || severity[a[0]] - severity[b[0]] || b.length - a.length);
  };

  const startFindings = (read) => {
    const form = byId("filter");
    if (!form) return;
    const { data, text, rules, columns, states, severities, render, search, groupings, after, total } = read;
    const list = byId("finding-list");
    const groupPattern = byId("group-pattern");
    const places = {
      rule: new Map(rules.map(({ rule }, place) => [rule, place])),
      cluster: new Map(data.clusters.map(([key], place) => [key, place])),
      area: new Map(data.areas.map(([id], place) => [id, place])),
    };
    let shown = []; // rows; or groups, where they are grouped
    let grouping = null;

    // A group of causes has its cause as head, and first of all that is in it.
    const renderGroup = ([key, found]) => {
      const caused = grouping === groupings.cause;
      const others = caused ? found.filter((row) => row !== key) : found;
      const rows = others.length < found.length ? [key, ...others] : others;
      const alone = caused ? !others.length : rows.length === 1 && grouping === groupings.rule;
      if (alone) return render(rows[0]); // it has its rule's title itself
      const item = groupPattern.content.cloneNode(true);
      const group = item.querySelector("details");
      const [title, said, id, name = ""] = grouping.called(key, rows[0]);
      const head = caused ? key : rows[0];
      const severity = severities[columns.severity[head]];
      const state = states[columns.state[head]];
      const quantity = (caused ? "then " : "") + count(others.length, "finding");
      fill(item, { title, said, id, name, quantity, state: words(state), severity: words(severity) });
      group.querySelector(".state").dataset.state = state;
      group.querySelector(".severity").dataset.severity = severity;
      const [inner, more] = [group.querySelector("ol"), group.querySelector(".more")];
      const extend = () => {
        const start = inner.children.length;
        inner.append(...rows.slice(start, start + FINDINGS_A_PAGE).map(render));
        more.hidden = inner.children.length >= rows.length;
        more.textContent = `Show more of ${number(rows.length)}`;
        return inner.children[start];
      };
      group.addEventListener("toggle", () => { if (group.open && !inner.children.length) extend(); });
      more.addEventListener("click", () => extend().querySelector("summary").focus());
      if (shown.length === 1) {
        extend();
        group.open = true;
      }
      return item;
    };

    const go = pager(byId("finding-pager"), FINDINGS_A_PAGE, (start, end) => {
      list.start = start + 1;
      list.replaceChildren();
      list.append(...shown.slice(start, end).map(grouping ? renderGroup : render));
    });

    const state = () => {
      const wanted = new FormData(form);
      const told = [...wanted.keys()].filter((name) => !["outcome", "severity"].includes(name));
      return {
        outcome: wanted.getAll("outcome").join(),
        severity: wanted.getAll("severity").join(),
        ...Object.fromEntries(told.map((name) => [name, wanted.get(name).trim()])),
      };
    };

    // What is asked for, as the address of the page tells it.
    const address = () => {
      const told = Object.entries(state()).filter(([name, value]) => value && !(name === "group" && value === "rule"));
      const asked = told.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
      return `#findings?${asked.join("&")}`;
    };

    // What a link asks for: how it is told, and its rows.
    const chosen = (wanted) => {
      const fix = wanted.fix && data.fixes[wanted.fix - 1];
      if (fix) return ["Mended by", text(fix[0]), fix.at(-1)];
      for (const [name, rowsOf] of [["before", (row) => columns.causes[row]], ["after", after]]) {
        const row = wanted[name] ? columns.mark.indexOf(wanted[name]) : -1;
        if (row >= 0) return [`Mended ${name}`, rules[columns.rule[row]].title, rowsOf(row)];
      }
      return ["", "", null];
    };

    // In each group of boxes, none ticked asks for all.
    const filter = () => {
      const wanted = state();
      const among = (told, names) => names.map((name) => !told || told.split(",").includes(name));
      const [outcomes, degrees] = [among(wanted.outcome, states), among(wanted.severity, severities)];
      const [cluster, rule, area] = ["cluster", "rule", "area"].map((name) => places[name].get(wanted[name]));
      const list = wanted.checklist && data.checklists.find(([name]) => name === wanted.checklist);
      const listed = list && new Set(list[2]);
      const [how, what, those] = chosen(wanted);
      const mended = those && new Set(those);
      const says = search((wanted.text ?? "").toLowerCase().split(/\s+/).filter(Boolean));
      const rows = [];
      for (let row = 0; row < total; row++) {
        if (
          outcomes[columns.state[row]] && degrees[columns.severity[row]] &&
          (rule === undefined || columns.rule[row] === rule) &&
          (area === undefined || rules[columns.rule[row]].area === area) &&
          (cluster === undefined || columns.clusters[row].includes(cluster)) &&
          (!listed || listed.has(columns.rule[row])) &&
          (!wanted.change || columns.compared[row] === wanted.change) &&
          (!mended || mended.has(row)) && says(row)
        ) rows.push(row);
      }
      grouping = groupings[wanted.group] ?? null;
      shown = grouping ? grouped(rows, grouping, columns) : rows;
      byId("finding-list").dataset.group = wanted.group;
      form.querySelector(".chosen").hidden = !those;
      form.querySelector(".chosen span").textContent = how;
      form.querySelector(".chosen strong").textContent = what;
      form.querySelector(".result").textContent = rows.length
        ? `${number(rows.length)} of ${count(total, "finding")}`
        : "No finding is like that";
      go(0, shown.length);
    };

    // Sets the form to what an address asks for, or to nothing but this.
    const ask = (wanted) => {
      const { elements } = form;
      for (const name of ["outcome", "severity"]) {
        const told = (wanted.get(name) ?? "").split(",");
        for (const box of elements[name]) box.checked = told.includes(box.value);
      }
      for (const name of ["area", "cluster", "rule", "checklist", "change", "group", "text", ...HIDDEN]) {
        const field = elements[name];
        if (!field) continue;
        field.value = wanted.get(name) ?? (name === "group" ? "rule" : "");
        if (field.selectedIndex === -1) field.selectedIndex = 0; // the report that a link is from had it, this has not
      }
      filter();
    };

    const showFinding = (mark) => {
      if (!byId(`finding-${mark}`)) {
        const row = columns.mark.indexOf(mark);
        if (row < 0) return;
        form.elements.group.value = "none";
        filter();
        if (!shown.includes(row)) ask(new URLSearchParams("group=none"));
        go(shown.indexOf(row));
      }
      const finding = byId(`finding-${mark}`);
      const group = finding.closest(".group");
      if (group) group.open = true;
      finding.open = true;
      finding.scrollIntoView();
      finding.querySelector("summary").focus({ preventScroll: true });
    };

    const follow = () => {
      const { hash } = location;
      if (hash.startsWith("#finding-")) showFinding(hash.slice("#finding-".length));
      if (hash.startsWith("#findings?")) {
        ask(new URLSearchParams(hash.slice("#findings?".length)));
        byId("findings").scrollIntoView();
        byId("findings").focus({ preventScroll: true });
      }
    };

    let writing;
    const changed = () => {
      filter();
      clearTimeout(writing); // browsers refuse to write the address at each key
      writing = setTimeout(() => history.replaceState(null, "", address()), 150);
    };
    const dropChosen = () => {
      for (const name of HIDDEN) form.elements[name].value = "";
      changed();
    };
    form.addEventListener("input", changed);
    form.addEventListener("reset", () => setTimeout(dropChosen));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      list.querySelector("summary")?.focus();
    });
    byId("drop-chosen").addEventListener("click", () => {
      dropChosen();
      form.elements.text.focus();
    });
    form.querySelector(".copy-link").addEventListener("click", (event) => copyLink(event.currentTarget, address()));
    addEventListener("hashchange", follow);
    list.addEventListener("click", (event) => {
      if (event.target.closest(".steps a")?.hash === location.hash) follow(); // the address stays as it is
    });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("[data-ask]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState(null, "", asked(link));
      follow();
    });
    addEventListener("beforeprint", () => {
      grouping = null;
      list.dataset.group = "none";
      list.replaceChildren(...Array.from({ length: Math.min(PRINTED, total) }, (_, row) => render(row)));
    });
    addEventListener("afterprint", filter);
    filter();
    follow();
  };

  const startFixes = ({ data, text, severities }) => {
    const more = byId("more-fixes");
    if (!more) return;
    const [list, pattern] = [byId("fix-list"), byId("fix-pattern")];
    const render = ([title, severity, effort, mends, where, command, change], place) => {
      const item = pattern.content.cloneNode(true);
      item.querySelector("a").dataset.ask = `fix=${place + 1}`;
      item.querySelector(".severity").dataset.severity = severities[severity];
      fill(item, {
        title: text(title), severityText: words(severities[severity]), effort: text(effort), mends: text(mends), where: text(where),
        command: text(command), change: text(change),
      });
      return item;
    };
    const label = () => {
      const left = data.fixes.length - list.children.length;
      more.hidden = !left;
      more.textContent = left > FIXES_AT_ONCE
        ? `Show ${FIXES_AT_ONCE} more of ${number(data.fixes.length)}`
        : `Show all ${number(data.fixes.length)}`;
    };
    more.addEventListener("click", () => {
      const start = list.children.length;
      const next = data.fixes.slice(start, start + FIXES_AT_ONCE);
      list.append(...next.map((fix, place) => render(fix, start + place)));
      label();
      list.children[start].querySelector("a").focus();
    });
    label();
  };

  const startClusters = () => {
    const table = byId("cluster-table");
    if (!table) return;
    const body = table.tBodies[0];
    body.append(...(byId("more-clusters")?.content.querySelectorAll("tbody > tr") ?? []));
    const all = [...body.rows];
    const form = byId("cluster-filter");
    let shown = all;
    const go = pager(byId("cluster-pager"), CLUSTERS_A_PAGE, (start, end) => {
      body.replaceChildren(...shown.slice(start, end));
    });

    const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const sort = (heading) => {
      const textual = heading.dataset.sort === "text";
      // The first click shows the worst first: names from A, the lowest score, the most failures.
      const falling = heading.ariaSort ? heading.ariaSort === "ascending" : heading.dataset.sort === "falling";
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.ariaSort = falling ? "descending" : "ascending";
      all.sort((a, b) => {
        const [left, right] = [value(a, heading.cellIndex), value(b, heading.cellIndex)];
        return (textual ? left.localeCompare(right, "en", { numeric: true }) : left - right) * (falling ? -1 : 1);
      });
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
        button.append(...heading.childNodes);
        button.addEventListener("click", () => sort(heading));
        heading.replaceChildren(button);
      }
    }
    form?.addEventListener("input", filter);
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      body.querySelector("a")?.focus();
    });
    filter();
  };

  const say = (button, told, before) => {
    button.firstChild.data = told;
    setTimeout(() => { button.firstChild.data = before; }, 2000);
  };

  // A page opened from a disk may lack the clipboard: then the text is selected, for the reader to copy.
  const copy = async (button) => {
    const source = button.closest(".code, .fix").querySelector("pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
      say(button, "Copied", "Copy");
    } catch {
      const folded = source.closest(".fix > details");
      if (folded) folded.open = true;
      getSelection().selectAllChildren(source);
      say(button, "Selected", "Copy");
    }
  };

  const copyLink = async (button, fragment) => {
    history.replaceState(null, "", fragment);
    try {
      await navigator.clipboard.writeText(location.href);
      say(button, "Copied", "Copy link");
    } catch {
      say(button, "It is in the address bar", "Copy link");
    }
  };

  // Links to findings get the address of what they ask for when somebody points at them: to open elsewhere, or to copy.
  const asked = (link) => `#findings?${link.dataset.ask}`;
  const address = (event) => {
    const link = event.target.closest?.("[data-ask]");
    if (link) link.href = asked(link);
  };

  // A link to a part that is folded unfolds it.
  const unfold = () => {
    const target = byId(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };

  document.documentElement.classList.add("script");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.classList.contains("copy")) copy(button);
    const link = button?.closest(".links")?.querySelector(".permalink");
    if (link) copyLink(button, link.hash);
  });
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, address);
  addEventListener("hashchange", unfold);
  unfold();
  startClusters();
  // After the load: the browser, done loading, moves the focus to the link's target.
  const loaded = new Promise((resolve) => { addEventListener("load", resolve); });
  Promise.all([unpack(), loaded]).then(([data]) => {
    const read = reader(data);
    startFixes(read);
    startFindings(read);
    document.documentElement.dataset.ready = "";
  });
})();
