// Pictures and words in one space: pictures are found by words and by pictures, and told in words.

import { post, upload, url } from "../api.js";
import { busy, el, field, fill, number, problem } from "../dom.js";
import { dropped } from "../learn.js";
import { lines } from "../lines.js";
import { dataChoice, forSampleOnly } from "../pick.js";

export const prepare = (host) => forSampleOnly(host, ["image_size"]);

export async function show(host, run) {
  const answer = el("div"), made = el("div", { role: "status" });
  const open = async (data) => {
    fill(answer);
    try { drawSearch(answer, run, await index(made, run, data)); }
    catch (error) { fill(made, problem(error)); }
  };
  const picker = await dataChoice(run, open, "The pictures that are searched; they are looked at once, and remembered.");
  fill(host, picker.node, made, answer);
  await open(picker.value());
}

// Make data searchable, with a bar for how far it is.
async function index(host, run, data) {
  const bar = el("div"), told = el("span", { class: "soft" }, "looking at the pictures …");
  fill(host, told, el("div", { class: "progress" }, bar));
  let last = {};
  await lines(`/runs/${run.id}/indexes`, { data }, (line) => {
    last = line;
    if (line.done) { told.textContent = `${line.done} of ${line.total} pictures are looked at`;
      bar.style.width = `${100 * line.done / line.total}%`; }
  });
  fill(host, el("p", { class: "soft" }, `${last.total} pictures can be searched.`));
  return { id: last.index, data };
}

const FIRST = { "glyphs (built in)": "black chess queen" };

function drawSearch(host, run, index) {
  const words = el("input", { maxlength: 400, value: FIRST[run.data] ?? "", autocomplete: "off" });
  const plus = el("input", { maxlength: 400, autocomplete: "off" }), minus = el("input", { maxlength: 400, autocomplete: "off" });
  const own = el("input", { type: "file", accept: "image/*" }), liked = el("div"), said = el("div", { role: "status" }), sheet = el("div"),
    detail = el("div");
  const button = el("button", { type: "submit", class: "main" }, "Search");
  const state = { run, index, like: null, text: "" };
  const form = el("form", { novalidate: true }, el("div", { class: "fields" }, field("Words", words, "What the pictures show."),
    field("and more of", plus, "Words that are added."), field("but less of", minus, "Words that are taken away."),
    field("or like a picture", own, "Dropped here or chosen; it is also told in words.")), liked, el("div", { class: "row" }, button));
  const search = () => busy(button, form, async () => {
    if (!words.value.trim() && !plus.value.trim() && !state.like) return void fill(said,
      el("p", { class: "soft" }, "Give some words, or a picture."));
    state.text = words.value.trim();
    const split = (input) => input.value.split(",").map((text) => text.trim()).filter(Boolean).slice(0, 8);
    const told = await post(`/runs/${run.id}/indexes/${index.id}/search`,
      { text: state.text || null, plus: split(plus), minus: split(minus), like: state.like
      ? [{ data: state.like.data, row: state.like.row }] : [] });
    fill(said, ...outcome(told));
    drawSheet(sheet, told, (item) => { look({ data: told.data, ...item }); detail.scrollIntoView({ block: "nearest" }); });
    return told;
  });
  const like = (item) => {
    state.like = item; words.value = "";
    drawLiked(liked, item, () => { state.like = null; fill(liked); search(); });
    return search();
  };
  const look = (item) => drawDetail(detail, state, item, like);
  const send = (files) => busy(button, form, async () => {
    if (!files.length) return;
    const item = { data: (await upload([files[0]], { isInput: true })).id, row: 0, name: files[0].name };
    like(item); look(item);
  });
  own.addEventListener("change", () => send(own.files));
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", async (event) => { event.preventDefault(); send(await dropped(event.dataTransfer)); });
  form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
  fill(host, form, said, sheet, detail);
  if (words.value) search().then((told) => { if (told) look({ data: told.data, ...told.items[0] }); });
}

const picture = ({ data, row }, side) => url(`/data/${data}/items/${row}/picture?side=${side}`);

function drawLiked(host, item, onEnd) {
  fill(host, el("p", { class: "row" }, el("img", { class: "pixels search-liked", src: picture(item, 96), alt: "" }), `like ${item.name}`,
    el("button", { type: "button", onclick: onEnd }, "Without it")));
}

// What was found, in words.
function outcome(told) {
  const fits = told.items.filter((item) => item.fits), nearest = told.items[0], least = number(told.least_score);
  const many = fits.length === told.items.length ? `${fits.length} or more` : fits.length;
  return [fits.length ? el("p", {}, el("strong", {}, `${many} of ${told.n} fit`), `; what scores below ${least} does not, and is paler.`)
    : el("p", {}, el("strong", {}, "Nothing fits."), nearest
      ? ` The nearest scores ${number(nearest.score)}; ${least} is needed. The nearest are shown all the same, paler.` : ""),
  told.unknown.length ? el("p", { class: "soft" },
    `Not in the captions that were learned from: ${told.unknown.join(", ")}. Other words may find more.`) : null];
}

function drawSheet(host, told, onPick) {
  fill(host, el("div", { class: "search-sheet", role: "group", "aria-label": "What was found" },
    ...told.items.map((item) => tile(told, item, onPick))));
}

function tile(told, item, onPick) {
  const bar = el("i", { "aria-hidden": "true" });
  bar.style.width = `${Math.max(0, Math.min(100, 100 * item.score))}%`;
  return el("button", { type: "button", class: item.fits ? "" : "paler", title: item.name,
    "aria-label": `${item.name}, likeness ${number(item.score)}${item.fits ? "" : ", does not fit"}`, onclick: () => onPick(item) },
    el("img", { class: "pixels", loading: "lazy", alt: "", src: picture({ data: told.data, row: item.row }, 128) }), el("span", {}, bar),
      el("small", {}, item.name));
}

// One picture: why it fits, what it shows in words, labels of one's own, and more like it.
function drawDetail(host, state, item, onLike) {
  const captions = el("div", { class: "soft", "aria-live": "polite" }, "…"), chances = el("div", { "aria-live": "polite" });
  const labels = el("input", { value: "letter, number, arrow, face, chess", autocomplete: "off" }),
    tell = el("button", { type: "submit" }, "Which of these?");
  const form = el("form", { novalidate: true },
    field("Labels of your own", labels, "With commas between them; training need not have named them."), el("div", { class: "row" }, tell));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(tell, form, async () =>
      drawChances(chances, await post(`/runs/${state.run.id}/classify`,
      { data: item.data, row: item.row, labels: labels.value.split(",").map((text) => text.trim()).filter(Boolean) })));
  });
  const why = new URLSearchParams({ data: item.data, row: item.row, text: state.text });
  fill(host, el("h3", {}, item.name), el("div", { class: "side-by-side" },
    el("figure", {}, el("img", { class: "pixels", src: picture(item, 384), alt: item.name }),
      el("figcaption", {}, el("button", { type: "button", onclick: () => onLike(item) }, "More like this"))),
    state.text ? el("figure", {},
      el("img", { class: "pixels", src: url(`/runs/${state.run.id}/why?${why}`), alt: `Where it fits “${state.text}”` }),
      el("figcaption", {}, `Red where it fits “${state.text}”.`)) : null,
    el("div", {}, el("h4", {}, "In words"), captions, form, chances)));
  post(`/runs/${state.run.id}/describe`, { data: item.data, row: item.row })
    .then((told) => fill(captions,
      el("ol", {}, ...told.captions.map(({ text, score }) => el("li", {}, `${text} `, el("small", {}, number(score)))))))
    .catch((error) => fill(captions, error.message));
}

function drawChances(host, { labels, probabilities }) {
  const order = labels.map((label, place) => [label, probabilities[place]]).sort((a, b) => b[1] - a[1]);
  fill(host, ...order.map(([label, share]) => chance(label, share)));
}

// A label, a bar and its share; the page that recognises shows its classes in the same way.
export function chance(label, share) {
  const bar = el("i", { "aria-hidden": "true" });
  bar.style.width = `${100 * share}%`;
  return el("div", { class: "chance" }, el("span", {}, label), el("span", { class: "chance-bar" }, bar),
    el("small", {}, `${Math.round(100 * share)} %`));
}
