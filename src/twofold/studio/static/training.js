// A training that is under way: curves, what it shows on the way, how long it takes, stop and go on.

import { follow, get, post, url } from "./api.js";
import { busy, el, facts, fill, number, problem, seconds } from "./dom.js";
import { colour, plot } from "./plots.js";

// Where a method's runs are used.
export const PAGES = { autoencoder: "map", denoiser: "clean", detector: "odd", compressor: "smaller", gan: "new", masked: "fill", language: "write", clip: "search", transfer: "recognise" };

// Watch a job in `host`; networks (may be null) come alive; `onEnd(job)` is called when it is over.
export function watch(host, job, networks, onEnd = () => {}) {
  const told = el("div"), bar = el("div"), losses = el("div", { class: "plot" }), measures = el("div", { class: "plot", hidden: true });
  const preview = el("img", { class: "pixels", alt: "What the training shows on the way", hidden: true });
  const stop = el("button", { type: "button" }, "Stop, and keep what was learned");
  const notes = el("div", { class: "soft" }), actions = el("div", { class: "row" }, stop);
  fill(host, told, el("div", { class: "progress" }, bar), actions,
    el("div", { class: "side-by-side" }, losses, measures, el("figure", {}, preview)), notes);
  let lines = [], state = job, drawn = 0, minutes = null;
  stop.addEventListener("click", () => busy(stop, host, () => post(`/jobs/${job.id}/stop`)));

  const tell = () => {
    const last = lines.at(-1);
    fill(told, facts([["run", job.name], ["state", words(state)], ["step", last ? `${last.step}${last.n_steps ? ` of ${last.n_steps}` : ""}` : "–"],
      ["trained", seconds(last?.seconds ?? null)], ["still takes", state.state === "running" && last ? `about ${seconds(left(last, minutes))}` : "–"],
      ...Object.entries(latest(lines)).slice(0, 4).map(([name, value]) => [name.replaceAll("_", " "), number(value)])]));
    bar.style.width = `${100 * (state.state === "finished" ? 1 : last ? share(last, minutes) : 0)}%`;
    if (last) networks?.losses(last.losses);
    fill(notes, ...lines.filter(({ note }) => note).slice(-4).map(({ note }) => el("p", {}, note)));
  };
  const draw = () => {
    if (performance.now() - drawn < 900 && !over(state)) return;
    drawn = performance.now();
    curves(losses, lines, "losses", "loss").catch(() => {});
    if (!Object.keys(latest(lines)).length) return;
    // the first plot makes room for the second
    if (measures.hidden) { measures.hidden = false; window.dispatchEvent(new Event("resize")); }
    curves(measures, lines, "measures", "measure").catch(() => {});
  };
  networks?.alive(true);
  tell();
  return follow(job.id, {
    lines: (event) => {
      if (!lines.length) get(`/runs/${job.run}`).then((run) => { minutes = run.settings.minutes; tell(); }).catch(() => {});
      lines = event.is_whole ? event.lines : lines.concat(event.lines);
      tell(); draw();
    },
    preview: ({ changed }) => { preview.src = url(`/runs/${job.run}/preview?${changed}`); preview.hidden = false; },
    state: (event) => {
      state = event; tell();
      if (!over(state)) return;
      draw(); networks?.alive(false);
      fill(actions, ...ending(state, onEnd));
      if (state.state === "failed") host.prepend(problem({ message: state.error }));
      onEnd(state);
    },
  });
}

// How much is done: by steps or by the clock, whichever is further, as the training itself reckons.
const share = (last, minutes) => Math.min(1, Math.max(last.n_steps ? last.step / last.n_steps : 0, minutes ? last.seconds / (60 * minutes) : 0));
const left = (last, minutes) => { const done = share(last, minutes); return done ? last.seconds * (1 - done) / done : null; };

const over = ({ state }) => ["finished", "stopped", "failed"].includes(state);
const words = ({ state }) => ({ waiting: "waits for another training", running: "learning", stopping: "coming to an end" })[state] ?? state;
const latest = (lines) => lines.findLast((line) => Object.keys(line.measures ?? {}).length)?.measures ?? {};

function ending(job, onEnd) {
  const done = el("span", { class: job.state === "failed" ? "error" : "good" }, { finished: "Learned.", stopped: "Stopped; what was learned so far can be used.", failed: "It failed." }[job.state]);
  const place = document.getElementById("use") ? "#use" : `/${PAGES[job.title.split(" ")[0]] ?? "runs"}?run=${job.run}`;
  const use = job.state === "failed" ? null : el("a", { class: "button", href: place }, "Use it");
  const link = el("a", { class: "button", href: `/runs?run=${job.run}` }, "Look at the run");
  const alarms = (job.result?.alarms ?? []).map((text) => el("p", { class: "error" }, text));
  return [done, use, link, ...alarms];
}

// Loss terms or measures over steps.
export async function curves(node, lines, what, title) {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line[what] ?? {})))].slice(0, 6);
  const traces = names.map((name) => {
    const own = lines.filter((line) => typeof line[what]?.[name] === "number");
    return { name: name.replaceAll("_", " "), x: own.map(({ step }) => step), y: own.map((line) => line[what][name]), mode: own.length > 1 ? "lines" : "markers", line: { width: 2 } };
  });
  const said = names.map((name) => `${name} ${number(lines.findLast((line) => name in (line[what] ?? {}))?.[what][name])}`).join(", ");
  await plot(node, traces, { height: 260, showlegend: true, xaxis: { title: { text: "step" } }, yaxis: { title: { text: title }, color: colour("ink") } }, `${title} over steps: ${said}`);
}
