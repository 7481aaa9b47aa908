// The page: joins data, axis, tracks and panels.

class App {
  constructor(run) {
    this.run = run;
    this.bands = run.meta.bands;
    this.axis = new Axis(run.meta.end_ns);
    this.selected = -1;
    this.shown = null;
    this.density = new Density(run, null);
    this.filter = new Filter(run, (shown, matched) => this.filtered(shown, matched), part => this.say(`searching, ${Math.round(part * 100)} %`));
    this.inspector = new Inspector(this);
    this.anomaly = -1;
    this.anomalyOps = run.meta.anomalies.map(anomaly => anomaly.events.map(event => run.opOfEvent[event]).filter(op => op < run.n));
    this.witnesses = [...new Set(this.anomalyOps.flat())];
    this.witnessSet = new Set(this.witnesses);
    this.stack = document.getElementById("stack");
    this.build();
    this.listen();
  }

  build() {
    document.querySelector(".tools").hidden = document.querySelector(".hint").hidden = !this.run.n;
    if (!this.run.n) this.stack.setAttribute("aria-label", "No operation was recorded.");
    const overview = this.run.n ? [new Overview(this)] : [];
    const faults = this.bands.length ? [new Faults(this)] : [];
    const clocks = this.run.meta.clocks.length ? [new Clocks(this)] : [];
    const charts = this.run.n ? [new Throughput(this), new Latency(this)] : [];
    const ruler = this.run.n || this.bands.length ? [new Ruler(this)] : [];
    this.tracks = [...overview, ...ruler, ...faults, ...clocks, ...charts, this.timeline = new Timeline(this)];
    for (const track of this.tracks) this.stack.append(track.element);
    this.axis.onDraw(() => this.paint());
    document.querySelector('[data-do="next-anomaly"]').hidden = !this.run.meta.anomalies.length;
  }

  paint() {
    const wide = this.stack.clientWidth;
    this.axis.width = wide;
    this.axis.gutter = wide < 560 ? 50 : 70;
    for (const track of this.tracks) track.paint();
  }

  listen() {
    const { axis, stack, run } = this, crosshair = document.getElementById("crosshair"), tip = document.getElementById("tip");
    const under = event => {
      const track = this.tracks.find(track => track.canvas === event.target || track.element.contains(event.target));
      if (!track) return null;
      const box = track.canvas.getBoundingClientRect();
      return [track, event.clientX - box.left, event.clientY - box.top];
    };
    const leave = () => { tip.hidden = true; crosshair.style.display = "none"; };
    listenToGestures(stack, axis, {
      click: event => {
        const at = under(event);
        if (at) at[0].clickAt(at[1], at[2]);
      },
      hover: event => {
        const at = under(event);
        if (!at || event.pointerType === "touch") return leave();
        crosshair.className = "";
        crosshair.style.cssText = `display: ${at[1] < axis.gutter ? "none" : "block"}; left: ${at[1]}px; width: 1px`;
        const text = at[1] < axis.gutter || at[0].element.hasAttribute("data-own-drag") ? null : at[0].tipAt(at[1], at[2]);
        tip.hidden = !text;
        if (!text) return;
        tip.textContent = text;
        const left = event.clientX + 16 + tip.offsetWidth > innerWidth ? event.clientX - 12 - tip.offsetWidth : event.clientX + 16;
        const above = event.clientY + 18 + tip.offsetHeight > innerHeight;
        tip.style.cssText = `left: ${Math.max(4, left)}px; top: ${above ? event.clientY - 12 - tip.offsetHeight : event.clientY + 18}px`;
      },
      range: (from, to) => {
        if (from === null) return leave();
        const [left, right] = [axis.x(Math.min(from, to)), axis.x(Math.max(from, to))];
        crosshair.className = "range";
        crosshair.style.cssText = `display: block; left: ${left}px; width: ${right - left}px`;
      },
      leave,
    });
    stack.addEventListener("keydown", event => this.key(event));
    document.addEventListener("keydown", event => {
      const typing = event.target.closest("input, select, textarea");
      if (event.key === "/" && !typing) { event.preventDefault(); document.getElementById("by-text").focus(); }
      if (event.key === "Escape") { if (typing) typing.blur(); else this.select(-1); }
    });
    for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => this.do(button.dataset.do));
    for (const button of document.querySelectorAll("[data-anomaly]")) {
      button.addEventListener("click", () => this.showAnomaly(Number(button.dataset.anomaly) - 1, true));
    }
    for (const button of document.querySelectorAll("[data-from]")) {
      button.addEventListener("click", () => {
        axis.frameAround(Number(button.dataset.from), Number(button.dataset.to), .25);
        document.getElementById("run").scrollIntoView({ block: "start" });
      });
    }
    listenToFilters(this);
    new ResizeObserver(() => axis.invalidate()).observe(stack);
    addEventListener("hashchange", () => this.follow());
  }

  key(event) {
    const { axis, run, selected } = this, length = axis.to - axis.from;
    const move = find => { if (selected >= 0) { const op = find(); if (op >= 0) this.select(op, true); } };
    const actions = {
      ArrowLeft: () => axis.pan(-length * .12), ArrowRight: () => axis.pan(length * .12),
      "+": () => axis.zoom(.7), "=": () => axis.zoom(.7), "-": () => axis.zoom(1 / .7), 0: () => axis.reset(), Home: () => axis.reset(),
      a: () => this.do("next-anomaly"),
      n: () => move(() => sameProcess(run, selected, 1)), p: () => move(() => sameProcess(run, selected, -1)),
      N: () => move(() => sameKey(run, selected, 1)), P: () => move(() => sameKey(run, selected, -1)),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  }

  do(what) {
    if (what === "zoom-in") this.axis.zoom(.5);
    if (what === "zoom-out") this.axis.zoom(2);
    if (what === "reset") this.axis.reset();
    if (what === "next-anomaly" && this.anomalyOps.length) this.showAnomaly((this.anomaly + 1) % this.anomalyOps.length);
  }

  /** Zooms to an anomaly's witness; with `scroll` also brings the timeline into view. */
  showAnomaly(nth, scroll = false) {
    const anomaly = this.run.meta.anomalies[nth];
    if (!anomaly || !this.anomalyOps[nth].length) return;
    this.anomaly = nth;
    this.axis.frameAround(anomaly.start_ns, anomaly.end_ns);
    this.reveal(this.anomalyOps[nth][0]);
    if (scroll) document.getElementById("run").scrollIntoView({ block: "start" });
  }

  /** Brings an operation's row into the visible part of the timeline. */
  reveal(op) {
    const { element, row } = this.timeline, y = this.run.lane[op] * row;
    if (y < element.scrollTop || y + row > element.scrollTop + element.clientHeight) element.scrollTop = y - element.clientHeight / 2;
  }

  select(op, bringIntoView = false) {
    const { axis, run } = this;
    this.selected = op;
    axis.invalidate();
    if (op < 0) return this.inspector.hide();
    this.inspector.show(op);
    if (!bringIntoView) return;
    this.reveal(op);
    if (run.start[op] < axis.from || run.end[op] > axis.to) {
      const middle = (run.start[op] + run.end[op]) / 2, half = Math.max((axis.to - axis.from) / 2, run.end[op] - run.start[op]);
      axis.glide(middle - half, middle + half);
    }
  }

  isWitness(op) { return this.witnessSet.has(op); }

  anomaliesOf(op) {
    return this.witnessSet.has(op) ? this.anomalyOps.flatMap((ops, i) => ops.includes(op) ? [i + 1] : []) : [];
  }

  filtered(shown, matched) {
    this.shown = shown;
    this.density = new Density(this.run, shown);
    this.say(shown ? `${count(matched)} of ${count(this.run.n)} operations` : "", shown && matched > 0);
    this.axis.invalidate();
  }

  say(text, withNext = false) {
    const place = document.getElementById("matched");
    place.textContent = text;
    if (!withNext) return;
    for (const [text, direction] of [["previous", -1], ["next", 1]]) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: text });
      button.addEventListener("click", () => this.nextMatch(direction));
      place.append(button);
    }
  }

  nextMatch(direction) {
    if (!this.shown) return;
    const from = this.selected >= 0 ? this.selected : direction > 0 ? -1 : this.run.n;
    const op = seek(this.run, from, direction, i => this.shown[i]);
    if (op >= 0) this.select(op, true);
  }

  async copy(text, button) {
    try { await navigator.clipboard.writeText(text); } catch {
      // Pages from files may not use the clipboard everywhere: select a copy by hand.
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  }

  /** Goes where the address says: `#anomaly-1`, `#op-123`. */
  follow() {
    const [, kind, number] = location.hash.match(/^#(anomaly|op)-(\d+)$/) ?? [];
    if (kind === "anomaly") {
      const card = document.getElementById(`anomaly-${number}`);
      card?.closest("details")?.setAttribute("open", "");
      card?.scrollIntoView({ block: "start" });
      this.showAnomaly(Number(number) - 1);
    }
    if (kind !== "op") return;
    const op = this.run.opOfEvent[Number(number)] ?? this.run.n;
    if (op >= this.run.n) return this.say(`There is no operation ${number} in this run.`);
    const length = Math.max(2e6, (this.run.end[op] - this.run.start[op]) * 12);
    this.axis.glide(this.run.start[op] - length / 2, this.run.end[op] + length / 2);
    this.select(op);
    this.reveal(op);
    document.getElementById("run").scrollIntoView({ block: "start" });
  }
}

function listenToTheme(redraw) {
  const root = document.documentElement, stored = () => { try { return localStorage.getItem("squall-theme"); } catch { return null; } };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = choice => {
    if (choice) root.dataset.theme = choice;
    readTheme();
    for (const element of document.querySelectorAll('[data-fault]:not([data-fault="normal"])')) element.style.setProperty("--fault", faultColour(element.dataset.fault));
    redraw();
  };
  document.getElementById("theme").addEventListener("click", () => {
    const choice = theme.dark ? "light" : "dark";
    try { localStorage.setItem("squall-theme", choice); } catch { /* Private windows keep nothing. */ }
    apply(choice);
  });
  dark.addEventListener("change", () => apply(null));
  apply(stored());
}

function fillNavigation() {
  const sections = [["anomalies", "Anomalies"], ["run", "Timeline"], ["scorecard", "Scorecard"], ["checkers", "Checkers"], ["faults", "Faults"], ["files", "Files"]];
  const nav = document.querySelector(".bar nav");
  for (const [id, name] of sections) {
    if (document.getElementById(id)) nav.append(Object.assign(document.createElement("a"), { href: `#${id}`, textContent: name }));
  }
}

function start() {
  const text = id => document.getElementById(id).textContent;
  const began = performance.now();
  const run = decodeRun(JSON.parse(text("meta")), bytesFromBase64(text("columns")), text("texts").split("\n"));
  layLanes(run);
  orderByEnd(run);
  layLatencies(run);
  fillNavigation();
  readTheme();
  const app = new App(run);
  listenToTheme(() => app.axis.invalidate());
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => app.copy(document.getElementById(button.dataset.copy).textContent, button));
  }
  app.paint();
  app.follow();
  document.documentElement.dataset.readyMs = Math.round(performance.now() - began);
  // For whoever wants to look at the run from the console.
  window.squall = app;
}

start();
