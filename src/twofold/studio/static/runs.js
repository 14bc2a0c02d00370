// All runs; one of them with all that is known of it.

import { get, post, remove, url } from "./api.js";
import { $, busy, el, facts, fill, number, problem, seconds } from "./dom.js";
import { measureForm } from "./measuring.js";
import { curves, PAGES, watch } from "./training.js";

export function runTable(runs) {
  if (!runs.length) return el("p", { class: "soft" }, "None yet. Every page learns with one button; its sample data are built in.");
  const head = el("tr", {}, ...["Run", "Method", "State", "Learned from", "Trained", "Measured", "When"].map((name) => el("th", { scope: "col" }, name)));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...runs.map(row))));
}

function row(run) {
  const [name, value] = Object.entries(run.measures)[0] ?? [];
  return el("tr", {}, el("td", {}, el("a", { href: `/runs?run=${run.id}` }, run.name)), el("td", {}, run.method),
    el("td", {}, el("span", { class: `tag ${run.state}` }, run.state)), el("td", {}, run.data), el("td", {}, seconds(run.seconds)),
    el("td", {}, name ? `${name.replaceAll("_", " ")} ${number(value)}` : ""), el("td", { class: "when" }, run.when));
}

async function showRun(id) {
  const host = $("#run-body"), section = $("#run");
  section.hidden = false;
  const [run, { lines }] = await Promise.all([get(`/runs/${id}`), get(`/runs/${id}/progress`)]);
  $("#run-title").textContent = run.name;
  const changed = Object.entries(run.settings).filter(([, value]) => value !== null);
  const plots = el("div", { class: "side-by-side" }, ...["losses", "measures"].map(() => el("div", { class: "plot" })));
  const preview = run.has_preview ? el("img", { class: "pixels", src: url(`/runs/${id}/preview`), alt: "What the training showed on the way" }) : null;
  fill(host, facts([["method", run.method], ["state", run.state], ["learned from", run.data], ["steps", run.step], ["trained", seconds(run.seconds)],
    ...Object.entries(run.measures).slice(0, 6).map(([name, value]) => [name.replaceAll("_", " "), number(value)])]),
  actions(run, host), plots, preview && el("figure", {}, preview), run.state === "finished" || run.state === "stopped" ? await measureForm(run) : null, el("h3", {}, "Model card"), el("pre", {}, run.card.replace(/^---[\s\S]*?---\n/, "")),
  el("details", {}, el("summary", {}, "Settings"), el("pre", {}, changed.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join("\n"))));
  if (lines.length) {
    curves(plots.children[0], lines, "losses", "loss").catch(() => {});
    if (lines.some((line) => Object.keys(line.measures ?? {}).length)) curves(plots.children[1], lines, "measures", "measure").catch(() => {});
  } else plots.remove();
  if (run.job && ["waiting", "running", "stopping"].includes(run.job.state)) watchHere(run.job);
}

function actions(run, host) {
  const use = PAGES[run.method] ? el("a", { class: "button", href: `/${PAGES[run.method]}?run=${run.id}` }, "Use it") : null;
  const isUnder = ["waiting", "running", "stopping"].includes(run.state);
  const resume = !isUnder && run.state !== "finished" ? el("button", { type: "button", onclick: (event) => busy(event.target, host, async () => watchHere(await post(`/runs/${run.id}/resume`))) }, "Go on learning") : null;
  const away = isUnder ? null : el("button", { type: "button", onclick: (event) => busy(event.target, host, async () => {
    if (event.target.dataset.sure) { await remove(`/runs/${run.id}`); location.href = "/runs"; }
    else { event.target.dataset.sure = "1"; setTimeout(() => { event.target.textContent = "Really remove it from the disk?"; }); }
  }) }, "Remove");
  return el("div", { class: "row" }, use, resume, away);
}

function watchHere(job) {
  $("#jobs").hidden = false;
  watch($("#jobs-body"), job, null, () => showRun(job.run).catch(() => {}));
}

async function open() {
  const runs = await get("/runs");
  fill($("#runs-body"), runTable(runs));
  const asked = new URLSearchParams(location.search).get("run");
  if (asked) await showRun(asked);
  const job = (await get("/jobs")).find(({ state }) => ["waiting", "running", "stopping"].includes(state));
  if (job && $("#jobs").hidden) watchHere(job);
}

if ($("#runs-body")) open().catch((error) => fill($("#runs-body"), problem(error)));
