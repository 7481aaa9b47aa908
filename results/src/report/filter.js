// Restricting the page to some operations: filters and search.

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
