// The tracks above the operations: overview, ruler, faults, throughput.

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
