// Latency over time: every operation as a dot, and percentiles of those that were ok.

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
