// The tracks above the operations: overview, faults, throughput, latency.

const theme = {};
const FAULT_HUES = { partition: 345, kill: 12, pause: 38, clock: 205, disk: 88, network: 268, membership: 172 };

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "quiet", "line", "grid", "card", "sunken", "ok", "fail", "info", "bad", "focus", "p50", "p95", "p99"]) {
    theme[name] = style.getPropertyValue(`--${name}`).trim();
  }
  theme.dark = style.colorScheme === "dark";
  theme.shades = [theme.ok, theme.fail, theme.info];
}

/** A colour for a kind of fault: the same kind has the same in every report. */
function faultHue(kind) {
  const known = Object.keys(FAULT_HUES).find(name => kind.includes(name));
  if (known) return FAULT_HUES[known];
  let hash = 7;
  for (const char of kind) hash = (hash * 31 + char.charCodeAt(0)) % 360;
  return hash;
}

const faultColour = (kind, alpha = 1) => `hsl(${faultHue(kind)} ${theme.dark ? "65% 64%" : "58% 44%"} / ${alpha})`;

function hatch(ctx, colour) {
  const tile = new OffscreenCanvas(8, 8), on = tile.getContext("2d");
  on.strokeStyle = colour;
  on.lineWidth = 1.5;
  on.beginPath();
  for (const x of [-8, 0, 8]) { on.moveTo(x, 8); on.lineTo(x + 8, 0); }
  on.stroke();
  return ctx.createPattern(tile, "repeat");
}

class Track {
  constructor(app, name, height) {
    this.app = app;
    this.height = height;
    this.element = document.createElement("div");
    this.element.className = "track";
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.caption = document.createElement("div");
    this.caption.className = "name";
    this.element.append(this.caption, this.canvas);
    this.say(name);
  }

  /** Sets the caption: a title, then `[text, colour]` pairs as a legend. */
  say(title, legend = []) {
    const bold = document.createElement("b");
    bold.textContent = title;
    this.caption.replaceChildren(bold, ...legend.map(([text, colour]) => {
      const item = document.createElement("span");
      item.textContent = text;
      item.style.color = colour;
      return item;
    }));
  }

  paint() {
    const { width } = this.app.axis, ratio = devicePixelRatio || 1, { canvas, height } = this;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.height = `${height}px`;
      canvas.style.width = `${width}px`;
    }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    ctx.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    this.draw(ctx, width, height);
  }

  /** Vertical lines, faults in force as tints, and the operation that is selected. */
  background(ctx, height) {
    const { axis, bands, selected, run } = this.app;
    ctx.save();
    ctx.beginPath();
    ctx.rect(axis.gutter, 0, axis.plot, height);
    ctx.clip();
    for (const band of bands) {
      if (band.failed || band.end_ns < axis.from || band.start_ns > axis.to) continue;
      const x = axis.x(band.start_ns);
      ctx.fillStyle = faultColour(band.fault, band.confirmed ? .09 : .04);
      ctx.fillRect(x, 0, Math.max(1, axis.x(band.end_ns) - x), height);
    }
    ctx.fillStyle = theme.grid;
    for (const time of axis.ticks().times) ctx.fillRect(Math.round(axis.x(time)), 0, 1, height);
    if (selected >= 0) {
      const x = axis.x(run.start[selected]);
      ctx.globalAlpha = .16;
      ctx.fillStyle = theme.focus;
      ctx.fillRect(x - 1, 0, Math.max(2, axis.x(run.end[selected]) - x + 2), height);
    }
    ctx.restore();
  }

  /** Runs `draw` where nothing outside the plot is touched. */
  inside(ctx, height, draw) {
    const { axis } = this.app;
    ctx.save();
    ctx.beginPath();
    ctx.rect(axis.gutter, 0, axis.plot, height);
    ctx.clip();
    draw();
    ctx.restore();
  }

  tipAt() { return null; }
  clickAt() {}
}

class Overview extends Track {
  constructor(app) {
    super(app, "", 46);
    this.element.dataset.ownDrag = "";
    this.canvas.style.cursor = "ew-resize";
    this.canvas.style.touchAction = "none";
    let grab = null;
    const whole = x => app.axis.min + (x - app.axis.gutter) / app.axis.plot * (app.axis.max - app.axis.min);
    const local = event => event.clientX - this.canvas.getBoundingClientRect().left;
    this.canvas.addEventListener("pointerdown", event => {
      const time = whole(local(event)), { axis } = app, zoomed = axis.to - axis.from < (axis.max - axis.min) * .999;
      grab = zoomed && time > axis.from && time < axis.to ? { move: time } : { from: time };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", event => {
      if (!grab) return;
      const time = whole(local(event)), { axis } = app;
      if ("move" in grab) { axis.pan(time - grab.move); grab.move = time; }
      else if (Math.abs(time - grab.from) * axis.plot / (axis.max - axis.min) > 4) axis.show(Math.min(time, grab.from), Math.max(time, grab.from));
    });
    for (const type of ["pointerup", "pointercancel"]) this.canvas.addEventListener(type, () => { grab = null; });
  }

  draw(ctx, width, height) {
    const { axis, density, bands, run } = this.app, columns = Math.max(1, Math.floor(axis.plot / 2));
    const x = time => axis.gutter + (time - axis.min) / (axis.max - axis.min) * axis.plot;
    ctx.fillStyle = theme.sunken;
    ctx.fillRect(axis.gutter, 0, axis.plot, height);
    for (const band of bands) {
      ctx.fillStyle = faultColour(band.fault, band.confirmed ? .28 : .12);
      ctx.fillRect(x(band.start_ns), 0, Math.max(1, x(band.end_ns) - x(band.start_ns)), height);
    }
    const rates = density.rates(axis.min, axis.max * 1.0000001, columns);
    drawStack(ctx, rates, columns, axis.gutter, axis.plot, height - 4, height, maxRate(rates));
    ctx.fillStyle = theme.bad;
    for (const anomaly of run.meta.anomalies) {
      const at = x(anomaly.start_ns);
      ctx.beginPath();
      ctx.moveTo(at - 4, 0); ctx.lineTo(at + 4, 0); ctx.lineTo(at, 7);
      ctx.fill();
    }
    const [left, right] = [x(axis.from), x(axis.to)];
    ctx.fillStyle = theme.card;
    ctx.globalAlpha = .68;
    ctx.fillRect(axis.gutter, 0, left - axis.gutter, height);
    ctx.fillRect(right, 0, axis.gutter + axis.plot - right, height);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = theme.quiet;
    ctx.strokeRect(left + .5, .5, Math.max(2, right - left - 1), height - 1);
  }
}

function maxRate(rates) {
  let max = 0;
  for (let i = 0; i < rates.length; i += 3) max = Math.max(max, rates[i] + rates[i + 1] + rates[i + 2]);
  return max;
}

/** Columns of ok, fail and info on top of each other. Failures come first, at the bottom, where they are seen. */
function drawStack(ctx, rates, columns, left, width, height, bottom, max) {
  if (!max) return;
  const step = width / columns, base = new Float32Array(columns).fill(bottom);
  for (const shade of [2, 1, 0]) {
    ctx.fillStyle = theme.shades[shade];
    ctx.beginPath();
    for (let column = 0; column < columns; column++) {
      const n = rates[column * 3 + shade];
      if (!n) continue;
      const tall = shade ? Math.max(1, n / max * height) : n / max * height;
      ctx.rect(left + column * step, base[column] - tall, step + .3, tall);
      base[column] -= tall;
    }
    ctx.fill();
  }
}

class Faults extends Track {
  constructor(app) {
    super(app, "", 20);
    this.kinds = [...new Set(app.bands.map(band => band.fault))].sort();
    this.height = this.kinds.length * 22 + 4;
    this.caption.remove();
    this.row = 22;
  }

  draw(ctx, width, height) {
    const { axis, bands } = this.app;
    ctx.fillStyle = theme.quiet;
    ctx.textAlign = "right";
    this.kinds.forEach((kind, row) => ctx.fillText(kind, axis.gutter - 8, row * this.row + 13, axis.gutter - 10));
    ctx.textAlign = "left";
    this.inside(ctx, height, () => {
      const hatches = new Map();
      for (const band of bands) {
        if (band.end_ns < axis.from || band.start_ns > axis.to) continue;
        const y = this.kinds.indexOf(band.fault) * this.row + 3, x = axis.x(band.start_ns);
        const wide = Math.max(2, axis.x(band.end_ns) - x);
        const colour = faultColour(band.fault, .85);
        if (!hatches.has(band.fault)) hatches.set(band.fault, hatch(ctx, faultColour(band.fault, .7)));
        ctx.fillStyle = band.confirmed ? faultColour(band.fault, .3) : hatches.get(band.fault);
        ctx.strokeStyle = colour;
        if (!band.failed) ctx.fillRect(x, y, wide, this.row - 6);
        ctx.setLineDash(band.confirmed ? [] : [3, 2]);
        ctx.strokeRect(x + .5, y + .5, Math.max(1, wide - 1), this.row - 7);
        ctx.setLineDash([]);
        const text = band.failed ? `not injected: ${band.what}` : band.what, from = Math.max(x, axis.gutter) + 6;
        if (x + wide - from > 34) {
          ctx.save();
          ctx.beginPath();
          ctx.rect(from, y, x + wide - from - 4, this.row);
          ctx.clip();
          if (!band.confirmed) { ctx.fillStyle = theme.card; ctx.fillRect(from - 2, y + 2, ctx.measureText(text).width + 4, this.row - 10); }
          ctx.fillStyle = theme.ink;
          ctx.fillText(text, from, y + (this.row - 6) / 2 + .5);
          ctx.restore();
        }
      }
    });
  }

  bandAt(x, y) {
    const { axis, bands } = this.app, kind = this.kinds[Math.floor(y / this.row)];
    return bands.findLast(band => band.fault === kind && axis.x(band.start_ns) - 3 <= x && x <= axis.x(band.end_ns) + 3);
  }

  tipAt(x, y) {
    const band = this.bandAt(x, y);
    if (!band) return null;
    const state = band.failed ? "not injected" : band.confirmed ? "confirmed" : "unconfirmed";
    const healed = band.healed || band.failed ? "" : ", never healed";
    const lines = [`${band.fault} ${band.what}`, `${moment(band.start_ns)} for ${span(band.end_ns - band.start_ns)}${healed}`];
    return [...lines, `${state}${band.receipts.length ? ": " + band.receipts.join("; ") : ": no receipt"}`].join("\n");
  }

  clickAt(x, y) {
    const band = this.bandAt(x, y);
    if (band) this.app.axis.frameAround(band.start_ns, band.end_ns, .25);
  }
}

class Throughput extends Track {
  constructor(app) { super(app, "Throughput", 112); }

  draw(ctx, width, height) {
    const { axis, density } = this.app, most = Math.max(1, Math.floor(axis.plot / 3));
    this.background(ctx, height);
    let columns = most, rates = density.rates(axis.from, axis.to, columns);
    // A rate needs some operations to be one: where they are few, columns are wide.
    const wide = Math.max(Math.min(24, most), Math.floor(rates.reduce((sum, n) => sum + n, 0) / 4));
    if (wide < columns) rates = density.rates(axis.from, axis.to, columns = wide);
    this.rates = rates;
    const max = maxRate(rates);
    const seconds = (axis.to - axis.from) / columns / 1e9;
    this.perColumn = seconds;
    this.say("Throughput", [["ok", theme.ok], ["fail", theme.fail], ["info", theme.info]]);
    const top = niceTop(max / seconds), scale = (height - 24) / top;
    ctx.textAlign = "right";
    for (const rate of max ? [0, top / 2, top] : []) {
      const y = height - 1 - rate * scale;
      ctx.fillStyle = theme.line;
      ctx.fillRect(axis.gutter, Math.round(y), axis.plot, 1);
      ctx.fillStyle = theme.quiet;
      ctx.fillText(`${short(rate)}${rate === top ? "/s" : ""}`, axis.gutter - 8, Math.min(height - 7, y));
    }
    this.inside(ctx, height, () => drawStack(ctx, rates, columns, axis.gutter, axis.plot, max / seconds * scale, height - 1, max));
  }

  tipAt(x) {
    const { axis } = this.app, column = Math.floor((x - axis.gutter) / axis.plot * this.rates.length / 3);
    if (!(column >= 0 && column < this.rates.length / 3)) return null;
    const rate = shade => short(this.rates[column * 3 + shade] / this.perColumn);
    return `${moment(axis.time(x), axis.resolution)}\nok ${rate(0)}/s · fail ${rate(1)}/s · info ${rate(2)}/s`;
  }
}

function niceTop(max) {
  if (!(max > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map(n => n * power).find(n => n >= max * .999);
}

const short = n => n >= 1e6 ? `${+(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${+(n / 1e3).toFixed(0)}k` : n >= 1e3 ? `${+(n / 1e3).toFixed(1)}k` : `${+n.toFixed(n < 10 ? 1 : 0)}`;

class Latency extends Track {
  constructor(app) { super(app, "Latency", 176); }

  draw(ctx, width, height) {
    const { axis, density, run, selected } = this.app, { from, to } = run.latency;
    const columns = Math.max(1, Math.floor(axis.plot / 3)), top = 20, tall = height - top - 2;
    this.background(ctx, height);
    this.y = ns => top + tall * (1 - (Math.log10(Math.max(1, ns)) - from) / (to - from));
    ctx.textAlign = "right";
    for (let power = Math.ceil(from); power <= to; power++) {
      const y = this.y(10 ** power);
      ctx.fillStyle = theme.grid;
      ctx.fillRect(axis.gutter, Math.round(y), axis.plot, 1);
      ctx.fillStyle = theme.quiet;
      ctx.fillText(span(10 ** power).replace(/\.0+/, ""), axis.gutter - 8, Math.max(7, Math.min(height - 7, y)));
    }
    const counts = density.latencies(axis.from, axis.to, columns);
    const { lines, group } = percentiles(counts, columns, run);
    Object.assign(this, { lines, step: axis.plot / columns * group });
    this.inside(ctx, height, () => {
      drawHeat(ctx, counts, columns, axis, top, tall);
      const colours = [theme.p50, theme.p95, theme.p99];
      lines.forEach((line, i) => drawLine(ctx, line, axis.gutter, this.step, this.y, colours[i]));
      if (selected >= 0 && run.process[selected]) {
        ctx.fillStyle = theme.focus;
        ctx.beginPath();
        ctx.arc(axis.x(run.start[selected]), this.y(run.end[selected] - run.start[selected]), 5, 0, 7);
        ctx.fill();
      }
    });
    this.say("Latency of ok operations", [["p50", theme.p50], ["p95", theme.p95], ["p99", theme.p99]]);
  }

  tipAt(x) {
    const { axis } = this.app, column = Math.floor((x - axis.gutter) / this.step);
    const [p50, p95, p99] = this.lines.map(line => line[column]);
    if (!(p50 > 0)) return null;
    return `${moment(axis.time(x), axis.resolution)}\np50 ${span(p50)} · p95 ${span(p95)} · p99 ${span(p99)}`;
  }
}

/**
 * p50, p95 and p99 of ok operations, exact to a step of the scale; 0 where there is none. Each value is for so many
 * neighbouring columns that it rests on some forty operations: fewer would show noise as spikes.
 */
function percentiles(counts, columns, run) {
  const { from, to } = run.latency, value = step => 10 ** (from + (step + .5) / LATENCY_BINS * (to - from));
  let all = 0;
  for (let i = 0; i < counts.length; i += 3) all += counts[i];
  const group = Math.max(1, Math.min(Math.ceil(columns / 12), Math.ceil(columns * 40 / Math.max(1, all))));
  const groups = Math.ceil(columns / group), lines = [.5, .95, .99].map(() => new Float64Array(groups));
  const steps = new Float64Array(LATENCY_BINS);
  for (let g = 0; g < groups; g++) {
    steps.fill(0);
    let total = 0;
    for (let cell = g * group * LATENCY_BINS, end = Math.min(columns, (g + 1) * group) * LATENCY_BINS; cell < end; cell++) {
      steps[cell % LATENCY_BINS] += counts[cell * 3];
      total += counts[cell * 3];
    }
    if (total < .5) continue;
    const goals = [total * .5, total * .95, total * .99];
    for (let step = 0, seen = 0, next = 0; step < LATENCY_BINS && next < 3; step++) {
      seen += steps[step];
      while (next < 3 && seen >= goals[next] - 1e-3) lines[next++][g] = value(step);
    }
  }
  return { lines, group };
}

function drawHeat(ctx, counts, columns, axis, top, tall) {
  let max = 0;
  for (let i = 0; i < counts.length; i++) if (counts[i] > max) max = counts[i];
  if (!max) return;
  const step = axis.plot / columns, cell = tall / LATENCY_BINS, dot = Math.max(2.4, cell);
  const levels = 4, strongest = Math.log1p(max);
  for (const shade of [0, 1, 2]) {
    ctx.fillStyle = theme.shades[shade];
    const paths = Array.from({ length: levels }, () => new Path2D());
    for (let at = shade, i = 0; at < counts.length; at += 3, i++) {
      const n = counts[at];
      if (n < .02) continue;
      const level = Math.min(levels - 1, Math.log1p(n) / strongest * levels | 0);
      const x = axis.gutter + Math.floor(i / LATENCY_BINS) * step, y = top + tall - (i % LATENCY_BINS + .5) * cell;
      paths[level].rect(x, y - dot / 2, Math.max(2.4, step), dot);
    }
    paths.forEach((path, level) => {
      ctx.globalAlpha = (shade ? .55 : .22) + level * .14;
      ctx.fill(path);
    });
  }
  ctx.globalAlpha = 1;
}

function drawLine(ctx, line, left, step, y, colour) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  let last = -9;
  for (let i = 0; i < line.length; i++) {
    if (!line[i]) continue;
    const x = left + (i + .5) * step;
    // A gap of more than a few values is a gap in the run.
    if (i - last <= 3) ctx.lineTo(x, y(line[i]));
    else { ctx.moveTo(x - step / 2, y(line[i])); ctx.lineTo(x, y(line[i])); }
    last = i;
  }
  ctx.stroke();
  ctx.lineWidth = 1;
}

class Ruler extends Track {
  constructor(app) { super(app, "", 22); this.caption.remove(); }

  draw(ctx, width, height) {
    const { axis } = this.app, { times, text } = axis.ticks();
    ctx.fillStyle = theme.quiet;
    ctx.textAlign = "center";
    for (const time of times) {
      const x = axis.x(time);
      if (x > axis.gutter - 4 && x < width - 24) ctx.fillText(text(time), x, height / 2);
    }
  }
}
