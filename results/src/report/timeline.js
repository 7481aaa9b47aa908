// The operations themselves: a row for each client thread, boxes when there is room and densities when there is not.

const BOXES = 6000, LEVELS = 6;

class Timeline extends Track {
  constructor(app) {
    super(app, "", 300);
    this.caption.remove();
    this.element.classList.add("lanes");
    const n = app.run.lanes.length;
    this.row = n > 60 ? 14 : n > 24 ? 18 : 24;
    this.full = Math.max(48, n * this.row + 6);
    // The canvas is as tall as what is visible and sticks to the top of a taller box, which scrolls.
    this.spacer = document.createElement("div");
    this.spacer.append(this.canvas);
    this.element.append(this.spacer);
    this.element.addEventListener("scroll", () => app.axis.invalidate(), { passive: true });
  }

  paint() {
    const limit = Math.min(innerHeight * .7, 640);
    this.height = Math.min(this.full, limit);
    this.spacer.style.height = `${this.full}px`;
    super.paint();
  }

  get scroll() { return this.element.scrollTop; }

  draw(ctx, width, height) {
    const { axis, run } = this.app;
    if (run.n || this.app.bands.length) this.background(ctx, height);
    const firstLane = Math.max(0, Math.floor(this.scroll / this.row));
    const lastLane = Math.min(run.lanes.length, Math.ceil((this.scroll + height) / this.row));
    let ops = 0;
    const ranges = [];
    for (let lane = firstLane; lane < lastLane; lane++) {
      const range = visible(run, run.lanes[lane], axis.from, axis.to);
      ranges.push(range);
      ops += range[1] - range[0];
    }
    for (let lane = firstLane; lane < lastLane; lane++) this.drawName(ctx, lane);
    if (!run.n) {
      ctx.textAlign = "center";
      ctx.fillStyle = theme.quiet;
      return ctx.fillText("No operation was recorded.", width / 2, height / 2);
    }
    this.inside(ctx, height, () => {
      for (let lane = firstLane; lane < lastLane; lane++) this.drawOpen(ctx, lane);
      if (ops <= BOXES) this.drawBoxes(ctx, firstLane, ranges);
      else this.drawDensity(ctx, firstLane, lastLane);
      this.drawWitnesses(ctx);
      if (this.app.selected >= 0) this.outline(ctx, this.app.selected, theme.focus, 2.5);
    });
  }

  top(lane) { return lane * this.row - this.scroll + 3; }

  drawName(ctx, lane) {
    const { axis, run } = this.app;
    ctx.fillStyle = theme.quiet;
    ctx.textAlign = "right";
    ctx.fillText(run.lanes[lane].name, axis.gutter - 8, this.top(lane) + (this.row - 3) / 2, axis.gutter - 10);
    ctx.fillStyle = theme.grid;
    ctx.fillRect(axis.gutter, this.top(lane) + this.row - 2, axis.plot, 1);
  }

  /** Operations that never completed reach to the end of the run, as a thin line under the others. */
  drawOpen(ctx, lane) {
    const { axis, run, shown } = this.app, y = this.top(lane) + this.row - 6;
    ctx.fillStyle = theme.info;
    ctx.globalAlpha = .5;
    for (const op of run.lanes[lane].open) {
      if (run.start[op] > axis.to || shown && !shown[op]) continue;
      const x = Math.max(axis.gutter, axis.x(run.start[op]));
      ctx.fillRect(x, y, Math.min(axis.x(run.end[op]), axis.gutter + axis.plot) - x, 2);
    }
    ctx.globalAlpha = 1;
  }

  box(op) {
    const { axis, run } = this.app, x = axis.x(run.start[op]);
    const end = run.outcome[op] === OPEN ? x + 6 : axis.x(run.end[op]);
    return [x, this.top(run.lane[op]), Math.max(1.5, end - x - .5), this.row - 5];
  }

  drawBoxes(ctx, firstLane, ranges) {
    const { axis, run, shown } = this.app;
    const paths = [0, 1, 2].flatMap(() => [new Path2D(), new Path2D()]), labels = [];
    ranges.forEach(([from, to]) => {
      for (let i = from; i < to; i++) {
        const op = run.list[i], [x, y, w, h] = this.box(op), hidden = shown && !shown[op];
        paths[SHADE[run.outcome[op]] * 2 + (hidden ? 1 : 0)].rect(x, y, w, h);
        if (w > 26 && !hidden) labels.push(op);
      }
    });
    paths.forEach((path, i) => {
      ctx.globalAlpha = i % 2 ? .12 : .92;
      ctx.fillStyle = theme.shades[i >> 1];
      ctx.fill(path);
    });
    ctx.globalAlpha = 1;
    ctx.textAlign = "left";
    if (this.row < 16) return;
    for (const op of labels.slice(0, 1500)) {
      ctx.fillStyle = theme.dark ? "#0d0e10" : SHADE[run.outcome[op]] === 2 ? "#fff" : theme.ink;
      const [x, y, w, h] = this.box(op), from = Math.max(x, axis.gutter) + 4, room = x + w - from - 3;
      if (room < 14) continue;
      const text = label(run, op), fits = Math.floor(room / 6.3);
      ctx.fillText(text.length > fits ? text.slice(0, Math.max(1, fits - 1)) + "…" : text, from, y + h / 2 + .5);
    }
  }

  /** One small picture, a few pixels a row, stretched to the size of the rows. */
  drawDensity(ctx, firstLane, lastLane) {
    const { axis, density } = this.app, columns = Math.ceil(axis.plot), lanes = lastLane - firstLane;
    if (this.picture?.width !== columns || this.picture.height !== lanes * LEVELS) {
      this.picture = new OffscreenCanvas(columns, lanes * LEVELS);
      this.image = new ImageData(columns, lanes * LEVELS);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const colours = theme.shades.map(rgb), counts = new Float32Array(columns * 3);
    this.pixels.fill(0);
    for (let lane = firstLane; lane < lastLane; lane++) {
      counts.fill(0);
      density.laneInto(counts, lane, axis.from, axis.to, columns);
      this.fillRow(counts, columns, (lane - firstLane) * LEVELS, colours);
    }
    this.picture.getContext("2d").putImageData(this.image, 0, 0);
    ctx.imageSmoothingEnabled = false;
    for (let lane = firstLane; lane < lastLane; lane++) {
      ctx.drawImage(this.picture, 0, (lane - firstLane) * LEVELS, columns, LEVELS, axis.gutter, this.top(lane), columns, this.row - 5);
    }
  }

  fillRow(counts, columns, top, [ok, fail, info]) {
    let most = 1;
    for (let i = 0; i < counts.length; i += 3) most = Math.max(most, counts[i] + counts[i + 1] + counts[i + 2]);
    const scale = 155 / Math.log1p(most);
    for (let column = 0; column < columns; column++) {
      const good = counts[column * 3], bad = counts[column * 3 + 1], lost = counts[column * 3 + 2], all = good + bad + lost;
      if (all < .02) continue;
      const alpha = Math.min(255, 100 + Math.log1p(all) * scale | 0) << 24;
      // What is rare still gets a level of its own.
      const infos = lost > .02 ? Math.max(1, Math.round(lost / all * LEVELS)) : 0;
      const fails = bad > .02 ? Math.max(1, Math.round(bad / all * LEVELS)) : 0;
      for (let level = 0; level < LEVELS; level++) {
        const from = LEVELS - 1 - level;
        const colour = from < infos ? info | 0xff000000 : from < infos + fails ? fail | 0xff000000 : good > .02 ? ok | alpha : (infos ? info : fail) | alpha;
        this.pixels[(top + level) * columns + column] = colour;
      }
    }
  }

  outline(ctx, op, colour, thick) {
    const [x, y, w, h] = this.box(op);
    ctx.strokeStyle = colour;
    ctx.lineWidth = thick;
    ctx.strokeRect(x - 1, y - 1, Math.max(3, w) + 2, h + 2);
    ctx.lineWidth = 1;
  }

  drawWitnesses(ctx) {
    const { axis, run, witnesses } = this.app;
    for (const op of witnesses) {
      if (run.end[op] < axis.from || run.start[op] > axis.to) continue;
      this.outline(ctx, op, theme.bad, 2);
    }
  }

  /** The operation under a point, or the nearest within a few pixels; -1 if there is none. */
  opAt(x, y) {
    const { axis, run, shown } = this.app, lane = Math.floor((y + this.scroll - 3) / this.row);
    if (!(lane >= 0 && lane < run.lanes.length) || x < axis.gutter) return -1;
    const time = axis.time(x), reach = 6 * axis.resolution;
    const [from, to] = visible(run, run.lanes[lane], time - reach, time + reach);
    let best = -1, nearest = Infinity;
    for (let i = Math.max(from, to - 20000); i < to; i++) {
      const op = run.list[i];
      if (shown && !shown[op]) continue;
      const end = run.outcome[op] === OPEN ? run.start[op] + reach : run.end[op];
      const away = time < run.start[op] ? run.start[op] - time : time > end ? time - end : 0;
      if (away < nearest || away === nearest && this.app.isWitness(op)) { nearest = away; best = op; }
    }
    return nearest <= reach ? best : -1;
  }

  tipAt(x, y) {
    const { run } = this.app, op = this.opAt(x, y);
    if (op < 0) return null;
    const text = label(run, op), key = run.key[op] ? `key ${keyText(run, run.key[op])} · ` : "";
    const took = run.outcome[op] === OPEN ? "" : ` after ${span(run.end[op] - run.start[op])}`;
    const error = errorText(run, op);
    return `${key}${text.length > 160 ? text.slice(0, 160) + "…" : text}\nprocess ${processText(run.process[op])} · ${OUTCOMES[run.outcome[op]]}${took}${error ? "\n" + error : ""}`;
  }

  clickAt(x, y) { this.app.select(this.opAt(x, y)); }
}

/** A CSS colour as the 24 low bits of a little-endian pixel. */
function rgb(colour) {
  const ctx = rgb.ctx ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  ctx.fillStyle = colour;
  ctx.fillRect(0, 0, 1, 1);
  const [r, g, b] = ctx.getImageData(0, 0, 1, 1).data;
  return r | g << 8 | b << 16;
}
