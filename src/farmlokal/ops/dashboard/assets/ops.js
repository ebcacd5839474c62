// The dashboard: numbers from /ops/stream once a second, the rest from /ops/state. Whatever comes from
// elsewhere is put in as text, never as HTML.

import {line, timeline} from "./draw.js";

const KEPT = 180; // seconds that the plots show
const OLD_MS = 4000; // without a word for so long, what is shown is old
const STATE_MS = 5000;

const {csrf, scopes} = document.body.dataset;
const may = scope => scopes.split(" ").includes(scope);
const by = id => document.getElementById(id);
const past = [];
let heard = Date.now(), alerted = "", known = {suppliers: []};

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") made.addEventListener("click", value);
    else made.setAttribute(key, value);
  }
  made.append(...children.map(child => child instanceof Node ? child : String(child)));
  return made;
}

const number = (value, digits = 0) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", {maximumFractionDigits: digits});
const ms = value => value === null || value === undefined ? "–" : `${number(value, value < 10 ? 1 : 0)} ms`;
const percent = value => value === null ? "–" : `${number(value * 100, 1)} %`;
const clock = text => text ? new Date(text).toLocaleTimeString("en-GB") : "–";

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// What each tile is called, says, adds, and plots.
const TILES = [
  ["Requests", s => `${number(s.rate, 1)} /s`, s => `${s.process.in_flight} under way`, s => s.rate],
  ["Latency, 99 of 100", s => ms(s.times.p99), s => `half: ${ms(s.times.p50)}, 95: ${ms(s.times.p95)}`,
    s => s.times.p99],
  ["Errors", s => `${number(s.errors, 2)} /s`, s => `refused: ${number(s.refused, 1)} /s`, s => s.errors],
  ["Cache hits", s => percent(s.hit),
    s => Object.entries(s.cache).map(([name, rate]) => `${name} ${number(rate, 1)}`).join(", ") || "no lookups",
    s => s.hit],
  ["Database reads, 99 of 100", s => ms(s.database.times.p99),
    s => `${number(s.database.reads, 1)} reads, ${number(s.database.writes, 1)} writes, ` +
      `${number(s.database.failed, 1)} failed /s; ${s.database.busy} under way`, s => s.database.times.p99],
  ["Redis", s => s.redis === null ? "none" : s.redis ? "in use" : "away",
    s => s.redis === null ? "state is in the process" : s.redis ? "shared state" : "going on without it",
    s => s.redis === null ? null : Number(s.redis)],
  ["Rate limit", s => `${number(s.limiter.refused ?? 0, 1)} refused /s`,
    s => `${number(s.limiter.admitted ?? 0, 1)} admitted, ${number(s.limiter.alone, 1)} without Redis`,
    s => s.limiter.refused ?? 0],
  ["Event loop", s => `${percent(s.process.late)} late`,
    s => `${s.process.workers} worker(s), ${number(s.process.memory / 1e6)} MB`, s => s.process.late],
  ["Supplier token", s => s.token === null ? "none" : duration(s.token), () => "of life left", s => s.token],
  ["Order events", s => number(Object.values(s.webhooks).reduce((sum, count) => sum + count, 0)),
    s => Object.entries(s.webhooks).map(([name, count]) => `${name} ${count}`).join(", ") || "none so far",
    s => (s.webhooks.dead ?? 0) + (s.webhooks.mismatched ?? 0) + (s.webhooks.malformed ?? 0)],
];

function tiles(now) {
  by("tiles").replaceChildren(...TILES.map(([title, says, adds, plots]) => node("section", {class: "tile"},
    node("h2", {}, title), node("p", {class: "value"}, says(now)), node("p", {class: "hint"}, adds(now)),
    line(past.map(plots), KEPT))));
}

function table(where, heads, rows) {
  where.replaceChildren(
    node("thead", {}, node("tr", {}, ...heads.map(head => node("th", {scope: "col"}, head)))),
    node("tbody", {}, ...rows.map(([first, ...rest]) => node("tr", {},
      node("th", {scope: "row"}, first), ...rest.map(cell => node("td", {}, cell))))));
}

function routes(now) {
  table(by("routes"), ["Route", "/s", "5xx /s", "p50", "p95", "p99"], now.routes.map(each => [
    `${each.method} ${each.route}`, number(each.rate, 1), number(each.errors, 2),
    ms(each.times.p50), ms(each.times.p95), ms(each.times.p99)]));
}

// The live region changes only when the alerts do: it is read out each time.
function alerts(now) {
  const told = JSON.stringify(now.alerts);
  if (told === alerted) return;
  alerted = told;
  const shown = now.alerts.map(each => node("p", {class: "bad", "data-name": each.name},
    each.subject ? `${each.subject}: ${each.text}` : each.text));
  by("alerts").replaceChildren(...(shown.length ? shown : [node("p", {class: "calm"}, "All is well.")]));
  document.title = (shown.length ? `(${shown.length}) ` : "") + "FarmLokal operations";
}

function circuits() {
  for (const place of document.querySelectorAll("[data-circuit]")) {
    const states = past.map(each => each.suppliers.find(one => one.name === place.dataset.circuit)?.circuit ?? 0);
    const now = states.at(-1) ?? 0;
    place.replaceChildren(
      node("span", {class: now ? "bad" : "calm"}, `circuit ${now === 1 ? "open" : now ? "half open" : "closed"}`),
      timeline(states, KEPT));
  }
}

async function act(path, form = {}) {
  const answer = await fetch(`/ops/${path}`, {method: "POST", body: new URLSearchParams({csrf, ...form})});
  const told = await answer.json();
  by("said").textContent = answer.ok ? "Done." : told.detail;
  await state();
}

const encoded = encodeURIComponent;

function supplier(each) {
  const job = known.jobs?.find(one => one.supplier === each.name), last = each.lastSync;
  const parts = [node("h3", {}, each.name), node("div", {class: "circuit", "data-circuit": each.name}),
    node("p", {}, `answers: ${Object.entries(each.calls.answers).map(([k, n]) => `${k} ${n}`).join(", ")}; ` +
      `token: ${each.tokenLeftS === null ? "none at hand" : duration(each.tokenLeftS)}`),
    node("p", {}, last ? `job ${last.job}: ${last.state} since ${clock(last.finishedAt ?? last.createdAt)} ${last.reason}`
      : "never synced")];
  if (job) {
    if (job.diff) parts.push(node("p", {}, `created ${job.diff.created}, changed ${job.diff.changed}, ` +
      `unchanged ${job.diff.unchanged}, vanished ${job.diff.vanished}`));
    const rows = job.quarantine.rows.slice(0, 10);
    if (job.quarantine.count) parts.push(node("details", {}, node("summary", {}, `${job.quarantine.count} set aside`),
      node("ul", {}, ...rows.map(row => node("li", {}, `${row.code}: ${row.reason}`)))));
  }
  const buttons = node("p", {class: "row"});
  const name = each.name;
  if (may("suppliers:sync")) {
    // Not `disabled`, which would take the focus from whoever has just pressed it.
    buttons.append(node("button", {on: () => each.syncing || act(`suppliers/${encoded(name)}/sync`),
      "aria-label": `Sync ${name}`, "aria-disabled": each.syncing}, "Sync"));
    if (last?.state === "waiting") buttons.append(
      node("button", {on: () => act(`jobs/${last.job}/approve`), "aria-label": `Approve job ${last.job}`}, "Approve"));
  }
  return node("article", {class: "tile"}, ...parts, buttons);
}

// What is opened, and has the focus, stays so.
function replace(where, children) {
  const label = document.activeElement?.getAttribute("aria-label");
  const opened = [...where.querySelectorAll("details")].map(each => each.open);
  where.replaceChildren(...children);
  where.querySelectorAll("details").forEach((each, index) => { each.open = opened[index] ?? false; });
  if (label) where.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus();
}

function letters(found) {
  if (found === null) return [node("p", {class: "hint"}, "To see them the client needs the scope orders:repair.")];
  if (!found.data.length) return [node("p", {class: "calm"}, "None.")];
  return found.data.map(each => node("article", {class: "tile"},
    node("h3", {}, `${each.id}: ${each.kind}${each.settled ? ", settled" : ""}`),
    node("p", {}, `${each.source} ${each.eventId ?? ""}, ${each.attempts} time(s), last ${clock(each.lastAt)}`),
    node("p", {}, each.reason),
    node("p", {class: "row"}, node("button", {on: () => act(`dead-letters/${each.id}/replay`),
      "aria-label": `Replay letter ${each.id}`}, "Replay"))));
}

// Made once: a choice that somebody is about to make must not vanish.
function switches(found) {
  by("outside").hidden = !found;
  if (!found || by("switches").childElementCount) return;
  by("switches").replaceChildren(...found.endpoints.map(endpoint => {
    const choice = node("select", {}, node("option", {value: ""}, "honest"),
      ...found.faults.map(fault => node("option", {value: fault}, fault)));
    choice.addEventListener("change", () => act(`simulator/${encoded(endpoint)}`, {fault: choice.value}));
    return node("label", {}, `${endpoint} `, choice);
  }));
}

async function state() {
  try {
    const answer = await fetch("/ops/state");
    if (answer.status === 401) location.assign("/ops/login");
    if (!answer.ok) return;
    known = await answer.json();
  } catch {
    return; // the alert that the server is away says it
  }
  const shown = known.suppliers.map(supplier);
  replace(by("suppliers"), shown.length ? shown : [node("p", {class: "hint"}, "None is set up.")]);
  replace(by("letters"), letters(known.letters));
  switches(known.switches);
  circuits();
}

function show(now) {
  heard = Date.now();
  by("away").hidden = true;
  past.push(now);
  if (past.length > KEPT) past.shift();
  by("about").textContent = `version ${now.process.version}, as of ${new Date(now.at * 1000).toLocaleTimeString("en-GB")}`;
  alerts(now);
  if (document.hidden) return;
  tiles(now);
  routes(now);
  circuits();
}

function listen() {
  const stream = new EventSource("/ops/stream");
  stream.addEventListener("message", event => show(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000); // refused: the browser gave up
  });
}

listen();
state();
setInterval(state, STATE_MS);
setInterval(() => { by("away").hidden = Date.now() - heard < OLD_MS; }, 500);
