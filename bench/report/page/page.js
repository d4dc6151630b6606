"use strict";
(() => {
  const targets = JSON.parse(document.getElementById("page-targets").textContent);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (name, text) => { const e = document.createElement(name); if (text) e.textContent = text; return e; };
  const controls = document.getElementById("controls");

  // Show and hide a target in all charts.
  const drawn = targets.filter(t => document.querySelector(`figure [data-t="${t.key}"]`));
  const show = (key, on) => all(`figure svg [data-t="${key}"]`).forEach(e => e.classList.toggle("off", !on));
  if (drawn.length > 1) {
    const field = make("fieldset"), boxes = [];
    field.append(make("legend", "Show"));
    for (const t of drawn) {
      const label = make("label"), box = make("input"), sample = document.querySelector(`th[data-t="${t.key}"] .swatch`);
      box.type = "checkbox"; box.checked = true; box.name = t.key;
      box.addEventListener("change", () => show(t.key, box.checked));
      label.append(box); if (sample) label.append(sample.cloneNode(true));
      label.append(make("span", t.name));
      boxes.push(box); field.append(label);
    }
    for (const [word, on] of [["all", true], ["none", false]]) {
      const button = make("button", word); button.type = "button";
      button.addEventListener("click", () => boxes.forEach(b => { b.checked = on; show(b.name, on); }));
      field.append(button);
    }
    controls.append(field); controls.hidden = false;
  }

  // Pick a quantile: one column of the tables beside curves, and a line through the curves.
  const quantiles = [...new Set(all("th[data-q]").map(e => Number(e.dataset.q)))].sort((a, b) => a - b);
  const pick = p => {
    all("[data-q]").forEach(e => { e.hidden = p !== null && Number(e.dataset.q) !== p; });
    all(".guide").forEach(e => e.remove());
    if (p === null) return;
    all("figure[id$=-distribution] > svg").forEach(svg => {
      const top = Number(svg.dataset.top), bottom = Number(svg.dataset.bottom), y = bottom + (top - bottom) * p;
      const box = svg.querySelector("clipPath rect"), line = document.createElementNS(svg.namespaceURI, "line");
      line.setAttribute("class", "guide");
      line.setAttribute("x1", box.getAttribute("x"));
      line.setAttribute("x2", Number(box.getAttribute("x")) + Number(box.getAttribute("width")));
      line.setAttribute("y1", y); line.setAttribute("y2", y);
      svg.append(line);
      const details = svg.parentElement.querySelector("details"); if (details) details.open = true;
    });
  };
  if (quantiles.length > 1) {
    const field = make("fieldset");
    field.append(make("legend", "Quantile"));
    for (const p of [null, ...quantiles]) {
      const label = make("label"), radio = make("input");
      radio.type = "radio"; radio.name = "quantile"; radio.checked = p === null; radio.value = p ?? "all";
      radio.addEventListener("change", () => pick(p));
      label.append(radio, make("span", p === null ? "all" : `p${Math.round(p * 1000) / 10}`));
      field.append(label);
    }
    controls.append(field); controls.hidden = false;
  }

  // Sort a table by a column; unknown values stay at the end.
  for (const table of all("table")) {
    const heads = all("thead th", table), body = table.tBodies[0];
    if (!body || body.rows.length < 2) continue;
    heads.forEach((head, place) => {
      const button = make("button"); button.type = "button";
      button.append(...head.childNodes); head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(h => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = row => {
          const cell = row.cells[place];
          if (cell.dataset.v !== undefined) return Number(cell.dataset.v === "inf" ? Infinity : cell.dataset.v);
          return head.classList.contains("num") ? null : cell.textContent;
        };
        const order = [...body.rows].map(row => [value(row), row]);
        order.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          const by = typeof a === "number" && typeof b === "number" ? a - b || 0 : String(a).localeCompare(String(b));
          return down ? -by : by;
        });
        body.append(...order.map(pair => pair[1]));
      });
    });
  }

  // Values under the pointer, and the target of the row under it.
  const tip = document.getElementById("tip");
  for (const svg of all("figure > svg.w")) {
    const series = all("[data-p]", svg).map(e => ({
      e, words: e.dataset.w.split("\n"), points: e.dataset.p ? e.dataset.p.split(" ").map(at => at.split(",").map(Number)) : [],
    }));
    const leave = () => { tip.hidden = true; svg.classList.remove("faded"); series.forEach(s => s.e.classList.remove("up")); };
    svg.addEventListener("pointermove", event => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let best = null, nearest = 28 * 28;
      for (const s of series) {
        if (s.e.classList.contains("off")) continue;
        s.points.forEach(([x, y], i) => {
          const far = (x - at.x) ** 2 + (y - at.y) ** 2;
          if (far < nearest) { nearest = far; best = [s, i]; }
        });
      }
      if (!best) { leave(); return; }
      const [s, i] = best;
      tip.textContent = s.words[i]; tip.hidden = false;
      series.forEach(other => other.e.classList.toggle("up", other === s));
      const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
      tip.style.left = `${Math.max(4, left)}px`; tip.style.top = `${event.clientY + 16}px`;
    });
    svg.addEventListener("pointerleave", leave);
  }
  for (const head of all("tbody th[data-t]")) {
    const row = head.parentElement, mark = on => {
      all(`figure svg .s[data-t="${head.dataset.t}"]`).forEach(e => e.classList.toggle("up", on));
    };
    row.addEventListener("pointerenter", () => mark(true));
    row.addEventListener("pointerleave", () => mark(false));
  }
})();
