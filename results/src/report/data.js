// The operations of the run, decoded from the binary columns that columns.rs writes.

const NULL = 0, INT = 1, TRUE = 2, FALSE = 3, TEXT = 4, PAIR = 5, SAME = 6, NONE = 7;
const OUTCOMES = ["ok", "fail", "info", "never completed"];
const OPEN = 3;

class Reader {
  constructor(bytes, at) { this.bytes = bytes; this.at = at; }

  unsigned() {
    const bytes = this.bytes;
    let byte = bytes[this.at++];
    if (byte < 128) return byte;
    let n = byte & 127, scale = 128;
    do {
      byte = bytes[this.at++];
      n += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return n;
  }

  signed() {
    const n = this.unsigned();
    return n % 2 ? -(n + 1) / 2 : n / 2;
  }
}

function bytesFromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Columns of the operations by start: see `Columns` in columns.rs. */
function decodeRun(meta, bytes, texts) {
  const { layout } = meta, n = layout.ops;
  let at = 0;
  const readers = layout.columns.map(length => { const reader = new Reader(bytes, at); at += length; return reader; });
  const [starts, spans, firsts, lasts, processes, kinds, tags, keys, errors, values] = readers;
  const run = {
    n, meta, texts, events: layout.events, keyed: layout.keyed, keyCount: layout.keys, functions: layout.functions,
    start: new Float64Array(n), end: new Float64Array(n), first: new Uint32Array(n), last: new Uint32Array(n),
    process: new Uint32Array(n), f: new Uint16Array(n), outcome: new Uint8Array(n), alone: new Uint8Array(n),
    key: new Uint32Array(n), error: new Uint32Array(n), argTag: new Uint8Array(n), resTag: new Uint8Array(n),
    arg: new Float64Array(n), res: new Float64Array(n), pairs: [], opOfEvent: new Uint32Array(layout.events).fill(n),
  };
  const near = new Float64Array(layout.keys + 1);
  const value = (tag, slot) => {
    if (tag === INT) return near[slot] += values.signed();
    if (tag === TEXT) return values.unsigned();
    if (tag === PAIR) return run.pairs.push(near[slot] + values.signed(), near[slot] + values.signed()) - 2;
    return 0;
  };
  let start = 0, first = 0;
  for (let op = 0; op < n; op++) {
    run.start[op] = start += starts.unsigned();
    run.end[op] = start + spans.unsigned();
    run.first[op] = first += firsts.signed();
    run.last[op] = first + lasts.unsigned();
    run.process[op] = processes.unsigned();
    const kind = kinds.unsigned();
    run.f[op] = Math.floor(kind / 8);
    run.alone[op] = kind >> 2 & 1;
    run.outcome[op] = kind & 3;
    const slot = run.key[op] = keys.unsigned();
    const tag = tags.bytes[tags.at++];
    run.argTag[op] = tag & 7;
    run.resTag[op] = tag >> 3 & 7;
    run.arg[op] = value(tag & 7, slot);
    run.res[op] = value(tag >> 3 & 7, slot);
    if (tag & 64) run.error[op] = 1 + errors.unsigned();
    run.opOfEvent[first] = op;
    run.opOfEvent[run.last[op]] = op;
  }
  return run;
}

/** Text of number `i`, with the `<` that the page had to hide. */
function textAt(run, i) {
  return (run.texts[i] ?? "").replace(/\\(\\|u003c)/g, (all, what) => what === "\\" ? all : "<");
}

const keyText = (run, key) => key ? textAt(run, key - 1) : "";

function errorText(run, op) {
  if (!run.error[op]) return "";
  const text = textAt(run, run.keyCount + run.error[op] - 1);
  return text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).replaceAll('\\"', '"') : text;
}

function valueText(run, tag, value) {
  switch (tag) {
    case INT: return String(value);
    case TRUE: return "true";
    case FALSE: return "false";
    case TEXT: return textAt(run, run.keyCount + value);
    case PAIR: return `[${run.pairs[value]},${run.pairs[value + 1]}]`;
    default: return "null";
  }
}

const argText = (run, op) => valueText(run, run.argTag[op], run.arg[op]);

function resText(run, op) {
  const tag = run.resTag[op];
  return tag === SAME ? argText(run, op) : tag === NONE ? "" : valueText(run, tag, run.res[op]);
}

/** What an operation did: `write 12`, `read → 12`. */
function label(run, op) {
  let text = run.functions[run.f[op]];
  if (run.argTag[op] !== NULL) text += " " + argText(run, op);
  const tag = run.resTag[op];
  const empty = run.argTag[op] === NULL && run.outcome[op] === 0 && (tag === SAME || tag === NULL);
  if (empty) text += " → null";
  else if (tag !== NONE && tag !== SAME && tag !== NULL) text += " → " + valueText(run, tag, run.res[op]);
  return text;
}

const processText = process => process ? String(process - 1) : "nemesis";

/** Rows of the timeline: the nemesis, then the client threads, or each process where threads are not known. */
function layLanes(run) {
  const { concurrency, nodes } = run.meta;
  const number = new Map();
  const idOf = process => !process ? -1 : concurrency ? (process - 1) % concurrency : process - 1;
  for (const process of run.process) number.set(idOf(process), 0);
  const ids = [...number.keys()].sort((a, b) => a - b);
  ids.forEach((id, lane) => number.set(id, lane));
  const lanes = ids.map(id => {
    if (id < 0) return { name: "nemesis", from: 0, to: 0, open: [] };
    const node = concurrency && nodes.length ? nodes[id % nodes.length] : "";
    return { name: node ? `${id} · ${node}` : String(id), node, from: 0, to: 0, open: [] };
  });
  const lane = new Uint32Array(run.n);
  for (let op = 0; op < run.n; op++) lane[op] = number.get(idOf(run.process[op]));
  const sizes = new Uint32Array(lanes.length + 1);
  for (let op = 0; op < run.n; op++) sizes[lane[op] + 1]++;
  lanes.forEach((row, i) => { row.from = row.to = sizes[i]; sizes[i + 1] += sizes[i]; });
  // By lane the operations in order of start, and the latest end so far: both sorted, so both can be searched.
  const list = new Uint32Array(run.n), reach = new Float64Array(run.n);
  for (let op = 0; op < run.n; op++) {
    const row = lanes[lane[op]], at = row.to++;
    list[at] = op;
    const before = at > row.from ? reach[at - 1] : 0;
    if (run.outcome[op] === OPEN) row.open.push(op);
    reach[at] = run.outcome[op] === OPEN ? Math.max(before, run.start[op]) : Math.max(before, run.end[op]);
  }
  Object.assign(run, { lanes, lane, list, reach });
}

/** The first index in `[from, to)` whose value, by `at`, is at least `wanted`. */
function lowerBound(array, from, to, wanted, at) {
  while (from < to) {
    const middle = from + to >>> 1;
    if ((at ? array[at[middle]] : array[middle]) < wanted) from = middle + 1; else to = middle;
  }
  return from;
}

/** Positions in `run.list` of a lane's operations that are partly within a time. */
function visible(run, lane, from, to) {
  const first = lowerBound(run.reach, lane.from, lane.to, from);
  return [first, lowerBound(run.start, first, lane.to, to, run.list)];
}

/** Client operations in order of their ends. */
function orderByEnd(run) {
  const order = new Uint32Array(run.n);
  let count = 0, sorted = true;
  for (let event = 0; event < run.events; event++) {
    const op = run.opOfEvent[event];
    if (op >= run.n || run.last[op] !== event || !run.process[op] || run.outcome[op] === OPEN) continue;
    if (count && run.end[op] < run.end[order[count - 1]]) sorted = false;
    order[count++] = op;
  }
  const ends = order.subarray(0, count);
  if (!sorted) ends.sort((a, b) => run.end[a] - run.end[b]);
  run.byEnd = ends;
}

/** A length of time in three digits. */
function span(ns) {
  const [value, unit] = ns < 1e3 ? [ns, "ns"] : ns < 1e6 ? [ns / 1e3, "µs"] : ns < 1e9 ? [ns / 1e6, "ms"] : [ns / 1e9, "s"];
  return `${unit === "ns" || value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
}

/** A moment with as many digits as `resolution`, in nanoseconds, deserves. */
function moment(ns, resolution = 1e6) {
  const digits = Math.max(0, Math.min(9, Math.ceil(9 - Math.log10(Math.max(1, resolution)) - 1e-9)));
  return `${(ns / 1e9).toFixed(digits)} s`;
}

const count = n => n.toLocaleString("en-US");
