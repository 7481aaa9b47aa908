// The list of runs: fetched every two seconds while it is looked at, sorted and filtered here.

const EVERY_MS = 2000;
const SEVERITY = { invalid: 0, unknown: 1, incomplete: 2, valid: 3 };
const query = new URLSearchParams(location.search);
const view = { sort: "id", down: true, text: query.get("q") ?? "", hidden: new Set() };
let runs = [], last = "";

const SORTS = {
  status: run => SEVERITY[run.status], target: run => `${run.target} ${run.workload}`, summary: run => run.summary,
  nemeses: run => run.nemeses.join(), ops: run => run.totals?.ops ?? -1, duration: run => run.totals?.duration_ns ?? -1, id: run => run.id,
};

const count = n => n.toLocaleString("en-US");

function duration(ns) {
  const seconds = ns / 1e9;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function ago(started) {
  const seconds = (Date.now() - Date.parse(started)) / 1000;
  if (!(seconds >= 0)) return started.slice(0, 10);
  for (const [length, unit] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    const n = Math.floor(seconds / length);
    if (n) return n > 30 && unit === "day" ? started.slice(0, 10) : `${n} ${unit}${n === 1 ? "" : "s"} ago`;
  }
  return "just now";
}

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function row(run) {
  const href = `/runs/${encodeURIComponent(run.id)}/report.html`;
  const link = make("a", { href, textContent: run.target ? `${run.target} · ${run.workload}` : "unreadable run.toml" });
  link.dataset.id = run.id;
  const found = make("td", { className: "wide" }, run.anomalies.length ? run.anomalies.join(", ") : "");
  if (run.summary) found.append(make("small", { textContent: run.summary, title: run.summary }));
  const { totals } = run;
  const when = make("td", { className: "n", textContent: ago(run.started), title: run.started });
  const tr = make("tr", {},
    make("td", {}, make("span", { className: `word ${run.status}`, textContent: run.status })),
    make("td", {}, link), found,
    make("td", { className: "wide", textContent: run.nemeses.join(", ") }),
    make("td", { className: "n", textContent: totals ? count(totals.ops) : "–" }),
    make("td", { className: "n wide", textContent: totals ? duration(totals.duration_ns) : "–" }), when);
  tr.addEventListener("click", event => { if (!event.target.closest("a") && !getSelection().toString()) location.href = href; });
  return tr;
}

function matches(run, words) {
  const text = [run.id, run.status, run.summary, run.target, run.workload, run.seed, ...run.nemeses, ...run.anomalies].join(" ").toLowerCase();
  return words.every(word => text.includes(word));
}

function show() {
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean), by = SORTS[view.sort], sign = view.down ? -1 : 1;
  const found = runs.filter(run => matches(run, words));
  for (const button of document.querySelectorAll("[data-status]")) {
    button.querySelector("span").textContent = found.filter(run => run.status === button.dataset.status).length;
  }
  const shown = found.filter(run => !view.hidden.has(run.status))
    .sort((a, b) => sign * (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0) || (a.id < b.id ? 1 : -1));
  document.querySelector("tbody").replaceChildren(...shown.slice(0, 2000).map(row));
  const empty = document.getElementById("empty");
  empty.hidden = shown.length > 0;
  empty.textContent = runs.length ? "No run matches." : "No runs yet. `squall demo` makes one in under a minute.";
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const response = await fetch("/api/runs");
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    state.textContent = "";
    if (text === last) return;
    last = text;
    runs = JSON.parse(text);
    show();
  } catch (error) {
    state.textContent = `not connected: ${error.message}`;
  }
}

for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    const { sort } = button.dataset;
    view.down = view.sort === sort ? !view.down : ["ops", "duration", "id"].includes(sort);
    view.sort = sort;
    for (const th of document.querySelectorAll("th")) th.removeAttribute("aria-sort");
    button.parentElement.setAttribute("aria-sort", view.down ? "descending" : "ascending");
    show();
  });
}
for (const button of document.querySelectorAll("[data-status]")) {
  button.addEventListener("click", () => {
    const { status } = button.dataset, hide = !view.hidden.delete(status);
    if (hide) view.hidden.add(status);
    button.setAttribute("aria-pressed", !hide);
    show();
  });
}
// The reader's choice on a report holds here too.
try { document.documentElement.dataset.theme = localStorage.getItem("squall-theme") ?? ""; } catch { /* Private windows keep nothing. */ }
const search = document.getElementById("search");
search.value = view.text;
search.addEventListener("input", () => { view.text = search.value; show(); });
document.addEventListener("keydown", event => {
  if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
refresh();
