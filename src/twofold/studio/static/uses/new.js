// A generator at work: a sheet of what it makes, what the detective says of each, and a walk between two of them.

import { get, url } from "../api.js";
import { busy, el, field, fill, number, problem } from "../dom.js";
import { forSampleOnly } from "../pick.js";

export const prepare = (host) => forSampleOnly(host, ["size", "conditional"]);

export async function show(host, run) {
  const sheet = el("div"), walk = el("div");
  const classes = el("select"), seed = el("input", { type: "number", min: 0, max: 2 ** 31 - 300, step: 1, value: 0 });
  const n = el("input", { type: "number", min: 1, max: 256, step: 1, value: run.about_data.n_rows ? 24 : 36 });
  const make = el("button", { type: "submit", class: "main" }, "Make"), next = el("button", { type: "button" }, "Others");
  const form = el("form", { novalidate: true }, el("div", { class: "fields" },
    field("How many", n, "Each one is made from noise of its own."),
    field("Seed", seed, "The same number makes the same items again."),
    field("Class", classes, "What is to be made, where the run has learned classes.")), el("div", { class: "row" }, make, next));
  const asked = () => ({ n: Math.min(256, Math.max(1, Math.round(n.valueAsNumber) || 1)),
    seed: Math.max(0, Math.round(seed.valueAsNumber) || 0), label: classes.value });
  const draw = () => busy(make, form, async () => {
    drawSheet(sheet, walk, run, asked(), await get(`/runs/${run.id}/made?${query(asked())}`));
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); draw(); });
  next.addEventListener("click", () => { seed.value = asked().seed + asked().n; draw(); });
  classes.addEventListener("change", draw);
  fill(host, form, sheet, walk);
  fill(classes, el("option", { value: "" }, "as often as in the data"));
  classes.append(...run.classes.map((name) => el("option", { value: name }, name)));
  classes.closest(".field").hidden = !run.classes.length;
  await draw();
}

const query = (asked) => new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== "")).toString();
const surely = (real) => real === null ? "" : `${Math.round(100 * real)} %`;

function drawSheet(host, walkHost, run, asked, told) {
  const chosen = [0, Math.min(1, told.items.length - 1)];
  const walk = () => drawWalk(walkHost, run, asked, told, chosen).catch((error) => fill(walkHost, problem(error)));
  const pick = (place) => { if (place !== chosen[1]) { chosen.shift(); chosen.push(place); } mark(host, chosen); walk(); };
  const mean = told.items.reduce((sum, { real }) => sum + (real ?? 0), 0) / told.items.length;
  const file = url(`/runs/${run.id}/made/file?${query(asked)}`);
  fill(host, el("p", {}, el("strong", {}, `${told.items.length} new ${told.what}`),
    `. The detective takes ${surely(mean)} of them for real on the whole: 50 % would mean that it cannot tell. `,
    el("span", { class: "soft" }, "Its word for each stands below it; press two, to walk between them.")),
  SHEETS[told.what](run, asked, told, pick),
    el("p", { class: "row" }, el("a", { class: "button", href: file, download: "" }, FILES[told.what])));
  mark(host, chosen);
  walk();
}

function mark(host, chosen) {
  for (const button of host.querySelectorAll("[data-place]")) button.setAttribute("aria-pressed",
    String(chosen.includes(+button.dataset.place)));
}

const FILES = { pictures: "All as PNG, in a ZIP", rows: "All as CSV", sounds: "All as WAV, in a ZIP", texts: "All as text" };

// ---- a sheet for each kind ----

const name = ({ place, label, real }) =>
  [`item ${place + 1}`, label, real === null ? null : `${surely(real)} real`].filter(Boolean).join(", ");

function bar(item) {
  const inner = el("i");
  inner.style.width = `${100 * (item.real ?? 0)}%`;
  return el("span", { class: "new-real", "aria-hidden": "true" }, inner);
}

const SHEETS = {
  pictures: (run, asked, told, pick) => el("div", { class: "new-sheet", role: "group", "aria-label": "Made pictures" },
    ...told.items.map((item) =>
    el("button", { type: "button", "data-place": item.place, "aria-label": name(item), title: name(item), onclick: () => pick(item.place) },
      el("img", { class: "pixels", alt: "", src: url(`/runs/${run.id}/made/${item.place}/picture?${query(asked)}`) }), bar(item)))),
  sounds: (run, asked, told, pick) => el("ul", { class: "new-list" }, ...told.items.map((item) => el("li", {},
    el("audio", { controls: true, preload: "none", src: url(`/runs/${run.id}/made/${item.place}/sound?${query(asked)}`),
      "aria-label": name(item) }),
    el("button", { type: "button", "data-place": item.place, onclick: () => pick(item.place) },
      `${item.label ?? ""} ${surely(item.real)} real`)))),
  texts: (run, asked, told, pick) => el("ul", { class: "new-list" }, ...told.items.map((item) => el("li", {},
    el("button", { type: "button", "data-place": item.place, "aria-label": `${item.text}, ${name(item)}`, onclick: () => pick(item.place) },
      item.text || "(nothing)"), el("small", {}, surely(item.real))))),
  rows: (run, asked, told, pick) => el("div", { class: "scroll odd-list", tabindex: 0, role: "region", "aria-label": "Made rows" },
    rows(told, pick)),
};

function rows(told, pick) {
  const columns = Object.keys(told.items[0].cells), hasLabel = told.items[0].label !== null;
  const head = ["", ...hasLabel ? ["class"] : [], "real?", ...columns.map((text) => text.replaceAll("_", " "))];
  return el("table", {}, el("thead", {},
    el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text || el("span", { class: "unseen" }, "walk"))))),
    el("tbody", {}, ...told.items.map((item) => el("tr", {},
      el("td", {}, el("button",
        { type: "button", "data-place": item.place, "aria-label": `Walk: ${name(item)}`, onclick: () => pick(item.place) },
        String(item.place + 1))),
      hasLabel ? el("td", {}, item.label) : null, el("td", { class: "number" }, surely(item.real)),
      ...columns.map((column) => cell(item.cells[column]))))));
}

const cell = (value) => typeof value === "number" ? el("td", { class: "number" }, number(value))
  : el("td", {}, value === null ? "–" : String(value));

// ---- the walk ----

const N_STEPS = 32;

async function drawWalk(host, run, asked, told, chosen) {
  const [from, to] = chosen.map((place) => told.items[place]);
  const way = { seed: from.seed, other: to.seed, n: N_STEPS, label: from.label ?? "" };
  const path = await get(`/runs/${run.id}/walk?${query(way)}`);
  const place = el("input", { type: "range", min: 0, max: N_STEPS - 1, value: Math.floor(N_STEPS / 2), "aria-label": "Place on the way" });
  const shown = el("div", { class: "new-walk" }), said = el("p", { class: "soft", "aria-live": "off" });
  const frame = await FRAMES[told.what](shown, run, way, path);
  const draw = () => { const at = place.valueAsNumber; frame(at);
    said.textContent = `step ${at + 1} of ${N_STEPS}; taken for real: ${surely(path.items[at].real)}`; };
  place.addEventListener("input", draw);
  fill(host, el("h3", {}, `A walk from item ${from.place + 1} to item ${to.place + 1}`),
    el("p", { class: "soft" },
      "The noise is turned slowly from one to the other: a generator that has understood shows something whole at each step."),
    el("div", { class: "row" }, playButton(place, draw), field("Place on the way", place)), shown, said);
  draw();
}

// Play to and fro, or stop. Where less motion is wanted it only moves when it is asked to.
function playButton(place, draw) {
  let timer = null, way = 1;
  const button = el("button", { type: "button" }, "Play");
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    button.textContent = "Stop";
    timer = setInterval(() => {
      if (!button.isConnected) return stop();
      if (place.valueAsNumber === +place.max) way = -1; else if (place.valueAsNumber === 0) way = 1;
      place.value = place.valueAsNumber + way;
      draw();
    }, 90);
  });
  return button;
}

const FRAMES = {
  pictures: async (host, run, way, path) => {
    const [height, width] = path.size, strip = new Image(),
      canvas = el("canvas", { width, height, class: "pixels", role: "img", "aria-label": "The picture at this place of the way" });
    strip.src = url(`/runs/${run.id}/walk/strip?${query(way)}`);
    await strip.decode();
    fill(host, canvas);
    return (at) => canvas.getContext("2d").drawImage(strip, at * width, 0, width, height, 0, 0, width, height);
  },
  sounds: async (host, run, way) => {
    const audio = el("audio", { controls: true, preload: "none", "aria-label": "The sound at this place of the way" });
    fill(host, audio);
    return (at) => { audio.src = url(`/runs/${run.id}/walk/${at}/sound?${query(way)}`); };
  },
  texts: async (host, run, way, path) => (at) => fill(host, el("p", { class: "new-text" }, path.items[at].text || "(nothing)")),
  rows: async (host, run, way, path) => (at) =>
    fill(host, el("dl", { class: "facts" }, ...Object.entries(path.items[at].cells).map(([column, value]) =>
    el("div", {}, el("dt", {}, column.replaceAll("_", " ")), el("dd", {}, typeof value === "number" ? number(value) : String(value)))))),
};
