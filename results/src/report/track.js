// A track of the stack, and the colours that all of them share.

const theme = {};
const FAULT_HUES = { partition: 345, kill: 12, pause: 38, clock: 205, disk: 88, packets: 268, membership: 172 };

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
