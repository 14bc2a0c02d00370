// Map: everything on one plane, like beside like; any item rebuilt from few numbers; any place decoded.

import { latest, slider, sliderField } from "../asking.js";
import { post } from "../api.js";
import { choice, el, fill, number } from "../dom.js";
import { dataChoice } from "../pick.js";
import { plane } from "../plane.js";

const PALETTE = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#a5a2b4"];
const OTHER = "#8a909c";
const HINT = "Click an item to see it rebuilt, or any empty place to see what the decoder makes of it. "
  + "Wheel zooms (once the map was clicked), dragging moves. "
  + "By keyboard: arrows walk and decode, Enter takes the nearest item, + and − zoom, Shift with arrows moves the map, 0 shows all.";

export async function show(host, run) {
  const body = el("div"), status = el("div", { role: "status" }), ask = latest(status);
  const draw = (data, n = 1000, label = null) => {
    if (!data) return;
    status.textContent = "drawing the map …";
    ask(() => post(`/runs/${run.id}/map`, { data, n, label }).then(withSheet),
      (told) => open(body, run, { data, n, redraw: (more) => draw(data, more.n ?? n, more.label ?? label) }, told));
  };
  const picker = await dataChoice(run, (data) => draw(data),
    "What is put on the map: the data that were learned from, or others of their kind.");
  fill(host, picker.node, status, body);
  draw(picker.value());
}

async function withSheet(told) {
  if (!told.sheet) return { ...told, tiles: null };
  const image = new Image();
  image.src = told.sheet.url;
  await image.decode();
  return { ...told, tiles: { ...told.sheet, image } };
}

function open(body, run, asked, told) {
  const { colourOf, legend } = coloursOf(told.labels);
  const points = told.rows.map((row, place) => {
    const label = told.labels?.[place] ?? null;
    return { row, place, x: told.x[place], y: told.y[place], label, colour: colourOf(label) };
  });
  const canvas = el("canvas", { class: "plane", tabindex: 0, role: "application", "aria-label": `Map of ${points.length} ${told.what}`,
    "aria-describedby": "map-hint" });
  const one = el("section", { class: "found", "aria-label": "The chosen item" });
  const here = el("section", { class: "found", "aria-label": "This place" });
  const look = item(one, run, asked, told, { points, choose: (point) => map.select(point), mark: (near) => map.change({ near }) });
  const wander = decoder(here, run, (held) => map.change({ held }));
  const hint = el("p", { class: "soft", id: "map-hint" }, HINT);
  fill(body, el("div", { class: "map" },
    el("div", {}, canvas, tools(() => map, told, asked), legend((only) => map.change({ only })), hint),
    el("div", { class: "map-side" }, one, here)));
  const map = plane(canvas, { points, sheet: told.tiles, onSelect: look, onWander: wander });
  map.select(points[0]);
}

function coloursOf(labels) {
  if (!labels) return { colourOf: () => OTHER, legend: () => null };
  if (areAmounts(labels)) return shades(labels.map(Number));
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const common = [...counts].sort((a, b) => b[1] - a[1]).slice(0, PALETTE.length).map(([label]) => label);
  common.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const colours = new Map(common.map((label, place) => [label, PALETTE[place]]));
  return { colourOf: (label) => colours.get(label) ?? OTHER, legend: (onOnly) => legendOf(colours, counts, onOnly) };
}

const isAmount = (label) => label !== "" && isFinite(label);
const areAmounts = (labels) => new Set(labels).size > 12 && labels.filter(isAmount).length > 0.9 * labels.length;

// Many different numbers are shades, by their rank: from blue for the least to yellow for the most.
function shades(amounts) {
  const sorted = amounts.filter(isFinite).sort((a, b) => a - b);
  const rank = new Map(sorted.map((amount, place) => [amount, place / (sorted.length - 1)]));
  const shade = (share) => `hsl(${250 - 205 * share} 62% ${46 + 8 * share}%)`;
  const ramp = [0, 0.25, 0.5, 0.75, 1].map(shade).join(", ");
  return {
    colourOf: (label) => label !== "" && rank.has(+label) ? shade(rank.get(+label)) : OTHER,
    legend: () => el("div", { class: "row legend soft" }, number(sorted[0]),
      el("span", { class: "ramp", style: `background:linear-gradient(90deg, ${ramp})`, "aria-hidden": "true" }),
      `${number(sorted.at(-1))} (by rank)`),
  };
}

// Labels by colour; pressing one leaves only it bright.
function legendOf(colours, counts, onOnly) {
  const buttons = [...colours].map(([label, tone]) => {
    const button = el("button", { type: "button", class: "label", "aria-pressed": "false", title: `${counts.get(label)} items` },
      el("span", { class: "swatch", style: `background:${tone}`, "aria-hidden": "true" }), label);
    button.addEventListener("click", () => {
      const isOn = button.getAttribute("aria-pressed") === "true";
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button && !isOn));
      onOnly(isOn ? null : label);
    });
    return button;
  });
  const rest = counts.size - colours.size;
  return el("div", { class: "row legend", role: "group", "aria-label": "Show one label" }, ...buttons,
    rest > 0 ? el("span", { class: "soft" }, `and ${rest} rarer, grey`) : null);
}

// How many items are on the map: some, or all where that is not too many.
function sizes(told, { n, redraw }) {
  const all = `${told.n_items.toLocaleString("en")} ${told.what}`;
  const some = [300, 1000, 3000].filter((size) => size < told.n_items)
    .map((size) => [String(size), `${size.toLocaleString("en")} of ${all}`]);
  const list = choice(told.n_items > 3000 ? some : [...some, ["3000", `all ${all}`]], String(n));
  if (told.n_items <= n) list.value = "3000";
  list.setAttribute("aria-label", "How many are on the map");
  list.addEventListener("change", () => redraw({ n: +list.value }));
  return list;
}

// The column that gives the colours.
function tints(told, { redraw }) {
  if (!told.columns.length) return null;
  const list = choice([...(told.label ? [] : [["", "no colours"]]), ...told.columns.map((name) => [name, `colours: ${name}`])],
    told.label ?? "");
  list.setAttribute("aria-label", "Column that gives the colours");
  list.addEventListener("change", () => redraw({ label: list.value || null }));
  return list;
}

function tools(map, told, asked) {
  const press = (text, name, work) => el("button", { type: "button", "aria-label": name, title: name, onclick: work }, text);
  const tiles = el("input", { type: "checkbox", id: "map-tiles", checked: true,
    onchange: () => map().change({ showsTiles: tiles.checked }) });
  return el("div", { class: "row tools" },
    press("+", "Zoom in", () => map().zoom(1.5)), press("−", "Zoom out", () => map().zoom(1 / 1.5)),
    press("All", "Show the whole map", () => map().fit()),
    told.tiles ? el("span", { class: "row" }, tiles, el("label", { for: "map-tiles" }, "thumbnails")) : null,
    sizes(told, asked), tints(told, asked));
}

// ---- the chosen item ----

// What is done when an item is chosen: rebuilt from k numbers, and its neighbours.
function item(host, run, asked, told, { points, choose, mark }) {
  const title = el("h3"), body = el("div"), status = el("div", { role: "status" });
  const near = el("div", { class: "neighbours", role: "group", "aria-label": "Nearest in the latent" });
  const askRebuilt = latest(status), askNear = latest(near), byRow = new Map(points.map((point) => [point.row, point]));
  let row = null;
  const rebuild = () => askRebuilt(() => post(`/runs/${run.id}/rebuild`, { data: asked.data, row, k: +numbers.node.value }), (answer) => {
    title.textContent = `${answer.name}${byRow.get(row)?.label ? ` (${byRow.get(row).label})` : ""}`;
    fill(body, answer.pictures ? trio(answer) : null, answer.cells && !answer.pictures ? cells(answer.cells) : null,
      el("p", { class: "soft" }, `${answer.k} of ${answer.n_latent} numbers, error ${number(answer.error)}`));
  });
  const numbers = slider({ min: 1, max: told.n_latent, value: Math.min(8, told.n_latent), onMove: rebuild, onChange: rebuild });
  fill(host, title, status, body,
    sliderField("Latent numbers", "It is rebuilt from the first so many: they are in order, the most telling first.", numbers),
    el("h3", {}, "Nearest in the latent"), near);
  return (point) => {
    row = point.row;
    mark(new Set());
    rebuild();
    askNear(() => post(`/runs/${run.id}/neighbours`, { data: asked.data, row, n: asked.n, n_neighbours: 8 }), (answer) => {
      const found = answer.rows.map((other) => byRow.get(other)).filter(Boolean);
      fill(near, ...found.map((other, place) => neighbour(other, answer.distances[place], told.tiles, choose)));
      mark(new Set(found));
    });
  };
}

function neighbour(point, distance, tiles, choose) {
  const name = `row ${point.row}${point.label ? `, ${point.label}` : ""}, ${number(distance)} away`;
  const button = el("button", { type: "button", title: name, "aria-label": name, onclick: () => choose(point) });
  if (!tiles) { button.textContent = `${point.row}${point.label ? ` · ${point.label}` : ""}`; return button; }
  const small = el("canvas", { width: tiles.side, height: tiles.side, "aria-hidden": "true" });
  small.getContext("2d").drawImage(tiles.image, (point.place % tiles.n_columns) * tiles.side,
    Math.floor(point.place / tiles.n_columns) * tiles.side, tiles.side, tiles.side, 0, 0, tiles.side, tiles.side);
  button.append(small);
  button.style.borderColor = point.colour;
  return button;
}

const picture = (src, text) => el("figure", {}, el("img", { src, alt: text, class: "pixels" }), el("figcaption", {}, text));

const trio = ({ pictures }) => el("div", { class: "trio" }, picture(pictures.original, "as it is"), picture(pictures.rebuilt, "rebuilt"),
  picture(pictures.error, "error"));

// Cells side by side, the worst first.
function cells(all) {
  const sorted = [...all].sort((a, b) => (b.off ?? -1) - (a.off ?? -1));
  const worst = new Set(sorted.filter(({ off }) => off > 0.5).slice(0, 3));
  const off = (cell) => `${worst.has(cell) ? "▲ " : ""}${cell.off === null ? "–" : cell.off.toFixed(2)}`;
  const line = (cell) => el("tr", { class: worst.has(cell) ? "worst" : null }, el("th", { scope: "row" }, cell.name),
    ...[cell.original, cell.rebuilt, off(cell)].map((text) => el("td", { class: "number" }, text ?? "–")));
  const head = el("tr", {}, ...["column", "as it is", "rebuilt", "off by"].map((text) => el("th", { scope: "col" }, text)));
  return el("div", { class: "scroll cells", tabindex: 0, role: "region", "aria-label": "Cells, as they are and rebuilt" },
    el("table", {}, el("thead", {}, head), el("tbody", {}, ...sorted.map(line))),
    el("p", { class: "soft" }, "Off by: in standard deviations of the column; ▲ marks the worst."));
}

// ---- any place ----

// What is done when a place is walked to: it is decoded.
function decoder(host, run, hold) {
  const status = el("div", { role: "status" }), ask = latest(status);
  const body = el("div", { "aria-live": "polite" },
    el("p", { class: "soft" }, "Click an empty place of the map, or walk it with the arrow keys."));
  fill(host, el("h3", {}, "This place, decoded"), status, body);
  return (x, y) => ask(() => post(`/runs/${run.id}/decode`, { points: [[x, y]] }), ({ pictures, cells: rows }) => {
    const at = `${x.toFixed(1)}, ${y.toFixed(1)}`;
    fill(body, pictures ? el("div", { class: "trio" }, picture(pictures[0], `decoded at ${at}`)) : plain(rows[0]));
    if (pictures) { const image = new Image(); image.onload = () => hold(image); image.src = pictures[0]; }
  });
}

const plain = (row) => el("div", { class: "scroll cells", tabindex: 0, role: "region", "aria-label": "Decoded cells" },
  el("table", {}, el("tbody", {}, ...Object.entries(row).map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, value ?? "–"))))));
