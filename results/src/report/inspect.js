// The panel with the details of one operation, and its neighbours.

/** The next operation in a direction that satisfies `test`, or -1. */
function seek(run, op, direction, test) {
  for (let i = op + direction; i >= 0 && i < run.n; i += direction) if (test(i)) return i;
  return -1;
}

const sameProcess = (run, op, direction) => seek(run, op, direction, i => run.lane[i] === run.lane[op]);
const sameKey = (run, op, direction) => run.key[op] ? seek(run, op, direction, i => run.key[i] === run.key[op]) : -1;

class Inspector {
  constructor(app) {
    this.app = app;
    this.element = document.getElementById("inspector");
  }

  hide() { this.element.hidden = true; }

  show(op) {
    const { app, element } = this, { run } = app, make = (tag, properties = {}, ...children) => {
      const node = Object.assign(document.createElement(tag), properties);
      node.append(...children);
      return node;
    };
    const close = make("button", { type: "button", className: "button icon", textContent: "×", onclick: () => app.select(-1) });
    close.setAttribute("aria-label", "Close");
    const dot = make("i", { className: `dot ${["ok", "fail", "info", "open"][run.outcome[op]]}` });
    const title = make("h3", {}, dot, clip(label(run, op), 120));
    const rows = this.rows(op).filter(([, value]) => value !== "").flatMap(([name, value, code]) => [
      make("dt", { textContent: name }), make("dd", {}, code ? make("code", { textContent: clip(value, 4000) }) : value),
    ]);
    const anomalies = app.anomaliesOf(op).map(nth => make("a", { href: `#anomaly-${nth}`, textContent: `anomaly ${nth}` }));
    if (anomalies.length) rows.push(make("dt", { textContent: "witness of" }), make("dd", {}, ...anomalies.flatMap((a, i) => i ? [", ", a] : [a])));
    const go = (text, target) => make("button", {
      type: "button", className: "button", textContent: text, disabled: target < 0, onclick: () => app.select(target, true),
    });
    const steps = make("div", { className: "steps-nav" },
      go("← process", sameProcess(run, op, -1)), go("process →", sameProcess(run, op, 1)));
    if (run.key[op]) steps.append(go("← key", sameKey(run, op, -1)), go("key →", sameKey(run, op, 1)));
    steps.append(make("button", {
      type: "button", className: "button", textContent: "Zoom to it",
      onclick: () => app.axis.frameAround(run.start[op], run.end[op], 3),
    }));
    steps.append(make("button", {
      type: "button", className: "button", textContent: "Copy link",
      onclick: event => app.copy(location.href.split("#")[0] + `#op-${run.first[op]}`, event.currentTarget),
    }));
    element.replaceChildren(make("header", {}, title, close), make("dl", {}, ...rows), steps);
    element.hidden = false;
  }

  rows(op) {
    const { run } = this.app, { concurrency, nodes } = run.meta, process = run.process[op];
    const lane = run.lanes[run.lane[op]], completed = run.last[op] !== run.first[op];
    const faults = this.app.bands.filter(band => !band.failed && band.start_ns <= run.end[op] && run.start[op] <= band.end_ns);
    const thread = process && concurrency && process - 1 >= concurrency ? ` (thread ${(process - 1) % concurrency})` : "";
    return [
      ["outcome", OUTCOMES[run.outcome[op]]],
      ["error", errorText(run, op), true],
      ["key", keyText(run, run.key[op]), true],
      ["invoked with", run.argTag[op] === NULL ? "" : argText(run, op), true],
      ["returned", completed && (run.outcome[op] === 0 || run.resTag[op] !== SAME) ? resText(run, op) : "", true],
      ["process", processText(process) + thread],
      ["node", process && concurrency && nodes.length ? lane.node : ""],
      [run.alone[op] ? "at" : "invoked", moment(run.start[op], 1)],
      ["completed", completed ? moment(run.end[op], 1) : ""],
      ["took", completed ? span(run.end[op] - run.start[op]) : ""],
      ["events", completed ? `${run.first[op]} and ${run.last[op]}` : String(run.first[op])],
      ["faults", faults.slice(0, 5).map(band => `${band.fault} ${band.what}${band.confirmed ? "" : " (unconfirmed)"}`).join("; ")],
    ];
  }
}

const clip = (text, length) => text.length > length ? text.slice(0, length) + "…" : text;
