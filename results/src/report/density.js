// How many operations fall where: sums for the whole run that stay put, and counts for what is visible.

const RATE_BINS = 4096, TIME_BINS = 4096, LATENCY_BINS = 120, LANE_CELLS = 1 << 20;
/** Views shorter than this part of the run are counted from the operations themselves. */
const CLOSE = 1 / 4;
const SHADE = [0, 1, 2, 2];

/** Latency of each client operation as a step of a logarithmic scale. */
function layLatencies(run) {
  let low = Infinity, high = 0;
  for (let op = 0; op < run.n; op++) {
    if (!run.process[op] || run.outcome[op] === OPEN) continue;
    const took = run.end[op] - run.start[op];
    if (took > 0 && took < low) low = took;
    if (took > high) high = took;
  }
  if (!(low < Infinity)) [low, high] = [1e5, 1e8];
  const from = Math.floor(Math.log10(low) * 3) / 3, to = Math.max(from + 1, Math.ceil(Math.log10(high) * 3) / 3);
  const scale = LATENCY_BINS / (to - from), step = new Uint8Array(run.n);
  for (let op = 0; op < run.n; op++) {
    const took = run.end[op] - run.start[op];
    step[op] = took > 0 ? Math.max(0, Math.min(LATENCY_BINS - 1, (Math.log10(took) - from) * scale)) : 0;
  }
  run.latency = { from, to, step };
}

class Density {
  /** `shown` has a 1 for each operation that counts, or is null for all. */
  constructor(run, shown) {
    this.run = run;
    this.shown = shown;
    this.span = Math.max(1, run.meta.end_ns);
    this.laneBins = Math.min(8192, 2 ** Math.max(4, Math.floor(Math.log2(LANE_CELLS / Math.max(1, run.lanes.length)))));
    this.laneCounts = new Uint32Array(run.lanes.length * this.laneBins * 3);
    this.rateCounts = new Uint32Array(RATE_BINS * 3);
    this.latencyCounts = new Uint32Array(TIME_BINS * LATENCY_BINS * 3);
    this.total = 0;
    this.countRun();
  }

  countRun() {
    const { run, shown, span, laneBins, laneCounts, rateCounts, latencyCounts } = this;
    const { start, end, lane, process, outcome } = run, { step } = run.latency;
    const perLane = laneBins / span, perRate = RATE_BINS / span, perTime = TIME_BINS / span;
    for (let op = 0; op < run.n; op++) {
      if (shown && !shown[op]) continue;
      const shade = SHADE[outcome[op]], open = outcome[op] === OPEN;
      const from = Math.min(laneBins - 1, start[op] * perLane | 0);
      const to = open ? from : Math.min(laneBins - 1, end[op] * perLane | 0);
      for (let bin = from, base = lane[op] * laneBins; bin <= to; bin++) laneCounts[(base + bin) * 3 + shade]++;
      if (!process[op]) continue;
      this.total++;
      if (open) continue;
      rateCounts[Math.min(RATE_BINS - 1, end[op] * perRate | 0) * 3 + shade]++;
      latencyCounts[(Math.min(TIME_BINS - 1, start[op] * perTime | 0) * LATENCY_BINS + step[op]) * 3 + shade]++;
    }
  }

  isClose(from, to) {
    return to - from < this.span * CLOSE;
  }

  /** Completions by column and outcome. */
  rates(from, to, columns) {
    const out = new Float32Array(columns * 3), { run, shown } = this, scale = columns / (to - from);
    if (!this.isClose(from, to)) return regroup(this.rateCounts, RATE_BINS, 3, this.span, from, to, out, columns);
    const { byEnd, end, outcome } = run;
    for (let i = lowerBound(end, 0, byEnd.length, from, byEnd); i < byEnd.length; i++) {
      const op = byEnd[i], column = (end[op] - from) * scale | 0;
      if (column >= columns) break;
      if (!shown || shown[op]) out[column * 3 + SHADE[outcome[op]]]++;
    }
    return out;
  }

  /** Client operations by column of their start, step of latency and outcome. */
  latencies(from, to, columns) {
    const out = new Float32Array(columns * LATENCY_BINS * 3), { run, shown } = this, scale = columns / (to - from);
    if (!this.isClose(from, to)) {
      return regroup(this.latencyCounts, TIME_BINS, LATENCY_BINS * 3, this.span, from, to, out, columns);
    }
    const { start, outcome, process } = run, { step } = run.latency;
    for (let op = lowerBound(start, 0, run.n, from); op < run.n; op++) {
      const column = (start[op] - from) * scale | 0;
      if (column >= columns) break;
      if (process[op] && outcome[op] !== OPEN && (!shown || shown[op])) {
        out[(column * LATENCY_BINS + step[op]) * 3 + SHADE[outcome[op]]]++;
      }
    }
    return out;
  }

  /** A lane's operations by column and outcome, added to `out`, which has `columns * 3` zeros. */
  laneInto(out, lane, from, to, columns) {
    const { run, shown, laneBins } = this;
    if (!this.isClose(from, to)) {
      const own = this.laneCounts.subarray(lane * laneBins * 3, (lane + 1) * laneBins * 3);
      regroup(own, laneBins, 3, this.span, from, to, out, columns);
      return;
    }
    const [first, last] = visible(run, run.lanes[lane], from, to), scale = columns / (to - from);
    for (let i = first; i < last; i++) {
      const op = run.list[i];
      if (shown && !shown[op] || run.end[op] < from) continue;
      const shade = SHADE[run.outcome[op]], open = run.outcome[op] === OPEN;
      if (open && run.start[op] < from) continue;
      const left = Math.max(0, (run.start[op] - from) * scale | 0);
      const right = open ? left : Math.min(columns - 1, (run.end[op] - from) * scale | 0);
      for (let column = left; column <= right; column++) out[column * 3 + shade]++;
    }
  }
}

/** Adds bins of the whole run, `width` numbers each, to columns of a view. A bin on a border is shared by its columns. */
function regroup(bins, binCount, width, span, from, to, out, columns) {
  const perBin = span / binCount, scale = columns / (to - from);
  const first = Math.max(0, Math.floor(from / perBin)), last = Math.min(binCount - 1, Math.ceil(to / perBin));
  for (let bin = first; bin <= last; bin++) {
    const left = (bin * perBin - from) * scale, right = ((bin + 1) * perBin - from) * scale;
    const end = Math.min(columns - 1, Math.ceil(right) - 1);
    for (let column = Math.max(0, Math.floor(left)); column <= end; column++) {
      const share = (Math.min(right, column + 1) - Math.max(left, column)) / (right - left);
      for (let i = 0, at = bin * width, to = column * width; i < width; i++) {
        if (bins[at + i]) out[to + i] += bins[at + i] * share;
      }
    }
  }
  return out;
}
