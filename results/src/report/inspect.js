// Choosing operations: filters and search, and the panel with the details of one.

/** Restricts the page to some operations. Calls `done` with a column of 0 and 1, or null for all. */
class Filter {
  constructor(run, done, progress) {
    Object.assign(this, { run, done, progress, turn: 0 });
    this.f = -1;
    this.process = this.key = this.text = "";
    this.outcomes = [true, true, true];
  }

  get isEmpty() {
    return this.f < 0 && !this.process && !this.key && !this.text && this.outcomes.every(Boolean);
  }

  /** Scans in slices, so that the page stays alive; a newer scan ends an older one. */
  async apply() {
    const turn = ++this.turn, { run } = this;
    if (this.isEmpty) return this.done(null, run.n);
    const shown = new Uint8Array(run.n), test = this.test();
    let matched = 0, slice = performance.now();
    for (let op = 0; op < run.n; op++) {
      if (test(op)) { shown[op] = 1; matched++; }
      if (op % 2048 === 0 && performance.now() - slice > 24) {
        this.progress(op / run.n);
        await new Promise(resolve => setTimeout(resolve));
        if (turn !== this.turn) return;
        slice = performance.now();
      }
    }
    this.done(shown, matched);
  }

  test() {
    const { run, f, outcomes } = this, process = this.process.trim(), text = this.text.trim().toLowerCase();
    const who = process === "" ? -1 : process === "nemesis" ? 0 : /^\d+$/.test(process) ? Number(process) + 1 : -2;
    const key = this.key.trim(), keys = new Set();
    for (let i = 1; key && i <= run.keyCount; i++) {
      const own = keyText(run, i);
      if (own === key || own === JSON.stringify(key)) keys.add(i);
    }
    return op => outcomes[SHADE[run.outcome[op]]] && (f < 0 || run.f[op] === f) && (who === -1 || run.process[op] === who)
      && (!key || keys.has(run.key[op]))
      && (!text || `${label(run, op)} ${errorText(run, op)}`.toLowerCase().includes(text));
  }
}

function listenToFilters(app) {
  const { run } = app, filter = app.filter, byId = id => document.getElementById(id);
  run.functions.forEach((name, i) => byId("by-f").append(new Option(name, i)));
  byId("by-key-label").hidden = !run.keyed;
  for (let key = 1; key <= Math.min(run.keyCount, 500); key++) byId("keys").append(new Option(keyText(run, key)));
  byId("by-f").addEventListener("change", event => {
    filter.f = event.target.value === "" ? -1 : Number(event.target.value);
    filter.apply();
  });
  let timer = 0;
  for (const name of ["process", "key", "text"]) {
    byId(`by-${name}`).addEventListener("input", event => {
      filter[name] = event.target.value;
      clearTimeout(timer);
      timer = setTimeout(() => filter.apply(), 180);
    });
  }
  byId("by-text").addEventListener("keydown", event => {
    if (event.key === "Enter") app.nextMatch(event.shiftKey ? -1 : 1);
  });
  for (const button of document.querySelectorAll("[data-outcome]")) {
    button.addEventListener("click", () => {
      const on = filter.outcomes[button.dataset.outcome] = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", on);
      filter.apply();
    });
  }
}

/** The next operation in a direction that satisfies `test`, or -1. */
function seek(run, op, direction, test) {
  for (let i = op + direction; i >= 0 && i < run.n; i += direction) if (test(i)) return i;
  return -1;
}

const sameProcess = (run, op, direction) => seek(run, op, direction, i => run.lane[i] === run.lane[op]);
const sameKey = (run, op, direction) => run.key[op] ? seek(run, op, direction, i => run.key[i] === run.key[op]) : -1;

class Inspector {
  constructor(app) {
    this.app = app;
    this.element = document.getElementById("inspector");
  }

  hide() { this.element.hidden = true; }

  show(op) {
    const { app, element } = this, { run } = app, make = (tag, properties = {}, ...children) => {
      const node = Object.assign(document.createElement(tag), properties);
      node.append(...children);
      return node;
    };
    const close = make("button", { type: "button", className: "button icon", textContent: "×", onclick: () => app.select(-1) });
    close.setAttribute("aria-label", "Close");
    const dot = make("i", { className: `dot ${["ok", "fail", "info", "open"][run.outcome[op]]}` });
    const title = make("h3", {}, dot, clip(label(run, op), 120));
    const rows = this.rows(op).filter(([, value]) => value !== "").flatMap(([name, value, code]) => [
      make("dt", { textContent: name }), make("dd", {}, code ? make("code", { textContent: clip(value, 4000) }) : value),
    ]);
    const anomalies = app.anomaliesOf(op).map(nth => make("a", { href: `#anomaly-${nth}`, textContent: `anomaly ${nth}` }));
    if (anomalies.length) rows.push(make("dt", { textContent: "witness of" }), make("dd", {}, ...anomalies.flatMap((a, i) => i ? [", ", a] : [a])));
    const go = (text, target) => make("button", {
      type: "button", className: "button", textContent: text, disabled: target < 0, onclick: () => app.select(target, true),
    });
    const steps = make("div", { className: "steps-nav" },
      go("← process", sameProcess(run, op, -1)), go("process →", sameProcess(run, op, 1)));
    if (run.key[op]) steps.append(go("← key", sameKey(run, op, -1)), go("key →", sameKey(run, op, 1)));
    steps.append(make("button", {
      type: "button", className: "button", textContent: "Zoom to it",
      onclick: () => app.axis.frameAround(run.start[op], run.end[op], 3),
    }));
    steps.append(make("button", {
      type: "button", className: "button", textContent: "Copy link",
      onclick: event => app.copy(location.href.split("#")[0] + `#op-${run.first[op]}`, event.currentTarget),
    }));
    element.replaceChildren(make("header", {}, title, close), make("dl", {}, ...rows), steps);
    element.hidden = false;
  }

  rows(op) {
    const { run } = this.app, { concurrency, nodes } = run.meta, process = run.process[op];
    const lane = run.lanes[run.lane[op]], completed = run.last[op] !== run.first[op];
    const faults = this.app.bands.filter(band => !band.failed && band.start_ns <= run.end[op] && run.start[op] <= band.end_ns);
    const thread = process && concurrency && process - 1 >= concurrency ? ` (thread ${(process - 1) % concurrency})` : "";
    return [
      ["outcome", OUTCOMES[run.outcome[op]]],
      ["error", errorText(run, op), true],
      ["key", keyText(run, run.key[op]), true],
      ["invoked with", run.argTag[op] === NULL ? "" : argText(run, op), true],
      ["returned", completed && (run.outcome[op] === 0 || run.resTag[op] !== SAME) ? resText(run, op) : "", true],
      ["process", processText(process) + thread],
      ["node", process && concurrency && nodes.length ? lane.node : ""],
      [run.alone[op] ? "at" : "invoked", moment(run.start[op], 1)],
      ["completed", completed ? moment(run.end[op], 1) : ""],
      ["took", completed ? span(run.end[op] - run.start[op]) : ""],
      ["events", completed ? `${run.first[op]} and ${run.last[op]}` : String(run.first[op])],
      ["faults", faults.slice(0, 5).map(band => `${band.fault} ${band.what}${band.confirmed ? "" : " (unconfirmed)"}`).join("; ")],
    ];
  }
}

const clip = (text, length) => text.length > length ? text.slice(0, length) + "…" : text;
