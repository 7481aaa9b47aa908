// The clocks of the nodes: how far each was from the true time, as the target saw it.

/** Offsets from a millisecond up, on a scale that is linear around none and logarithmic beyond, in both directions. */
const clockScale = ns => Math.sign(ns) * Math.log10(1 + Math.abs(ns) / 1e6);
/** Without a sample for so long, nothing is known: the node was down. */
const CLOCK_GAP_NS = 3.5e9;

class Clocks extends Track {
  constructor(app) {
    super(app, "Clocks", 96);
    this.lines = app.run.meta.clocks;
    const offsets = this.lines.flatMap(line => line.samples.flatMap(([, real, monotonic]) => [real, monotonic]));
    // Clocks that nobody touched lie on one line, which needs some room.
    this.from = clockScale(Math.min(-1e8, ...offsets));
    this.to = clockScale(Math.max(1e8, ...offsets));
    this.colours = new Map(this.lines.map(({ node }, i) => [node, i / this.lines.length * 300 + 20]));
  }

  colour(node) { return `hsl(${this.colours.get(node)} ${theme.dark ? "65% 64%" : "62% 40%"})`; }

  draw(ctx, width, height) {
    const { axis } = this.app, top = 22, bottom = height - 6;
    this.background(ctx, height);
    this.y = ns => bottom - (clockScale(ns) - this.from) / (this.to - this.from) * (bottom - top);
    ctx.textAlign = "right";
    let last = Infinity;
    for (const ns of [0, 1e9, 1e10, 1e11, 3.6e12, 1e14, 1e17].flatMap(ns => ns ? [ns, -ns] : [0])) {
      const scaled = clockScale(ns), y = this.y(ns);
      if (scaled < this.from || scaled > this.to) continue;
      ctx.fillStyle = ns ? theme.grid : theme.line;
      ctx.fillRect(axis.gutter, Math.round(y), axis.plot, 1);
      if (ns && Math.abs(y - this.y(0)) < 12) continue;
      if (ns && Math.abs(y - last) < 12) continue;
      last = y;
      ctx.fillStyle = theme.quiet;
      ctx.fillText(ns ? signedSpan(ns) : "true", axis.gutter - 8, y);
    }
    this.inside(ctx, height, () => {
      for (const { node, samples } of this.lines) {
        this.line(ctx, samples, 2, this.colour(node), [3, 3]);
        this.line(ctx, samples, 1, this.colour(node), []);
      }
    });
    this.say("Clocks, ahead of the true time (dashed: monotonic)", this.lines.map(({ node }) => [node, this.colour(node)]));
  }

  line(ctx, samples, which, colour, dash) {
    const { axis } = this.app;
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5;
    ctx.setLineDash(dash);
    ctx.beginPath();
    let before = -Infinity;
    for (const sample of samples) {
      const x = axis.x(sample[0]), y = this.y(sample[which]);
      if (sample[0] - before > CLOCK_GAP_NS) ctx.moveTo(x - 2, y);
      ctx.lineTo(x, y);
      before = sample[0];
    }
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.lineWidth = 1;
  }

  tipAt(x) {
    const { axis } = this.app, time = axis.time(x);
    const seen = this.lines.flatMap(({ node, samples }) => {
      const near = samples.filter(([at]) => Math.abs(at - time) < CLOCK_GAP_NS / 2);
      if (!near.length) return [];
      const [, real, monotonic] = near.reduce((a, b) => Math.abs(b[0] - time) < Math.abs(a[0] - time) ? b : a);
      return [`${node} ${signedSpan(real)}${Math.abs(monotonic) > 1e8 ? `, monotonic ${signedSpan(monotonic)}` : ""}`];
    });
    return seen.length ? [moment(time, axis.resolution), ...seen].join("\n") : null;
  }
}

/** A signed time, in hours where that is shorter. */
const signedSpan = ns => {
  const sign = ns < 0 ? "−" : "+", size = Math.abs(ns);
  return sign + (size >= 3.6e12 ? `${+(size / 3.6e12).toFixed(2)} h` : span(size).replace(/\.0+(?=\D|$)/, ""));
};
