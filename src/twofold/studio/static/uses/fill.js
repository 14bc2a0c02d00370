// Fill in: hide with a brush, and see it painted anew.

import { decibel, latest, slider, sliderField } from "../asking.js";
import { get, post, url } from "../api.js";
import { el, facts, fill, problem, say } from "../dom.js";
import { inputPicker } from "../input.js";
import { stockOf } from "../pick.js";
import { drag } from "../wipe.js";

const N = 32, BLOCK = 4; // fields across, and across what is hidden at random
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HINT = "Draw over what is to be hidden. By keyboard: arrows move the brush, Space hides what is under it, Backspace shows it again.";

export async function show(host, run) {
  const picked = { data: "", row: 0 }, hidden = new Uint8Array(N * N), status = el("div", { role: "status" }), ask = latest(status);
  const answer = el("div", { class: "answers" }), told = el("div");
  const send = () => {
    const numbers = [...hidden.keys()].filter((place) => hidden[place]);
    ask(() => post(`/runs/${run.id}/fill`, { data: picked.data, row: picked.row, n_fields: N, hidden: numbers }),
      (one) => tell(one, { answer, told }));
  };
  const easel = canvasOf(hidden, send);
  const share = slider({ min: 10, max: 90, step: 5, value: 40, unit: " %", onChange: () => again() });
  const again = () => { hideAtRandom(hidden, +share.node.value / 100); easel.draw(); send(); };
  const wipeOff = () => { hidden.fill(0); easel.draw(); send(); say("nothing is hidden"); };
  const pick = async ({ data, row }) => {
    Object.assign(picked, { data, row });
    try { await easel.load(url(`/data/${data}/items/${row}/picture?side=512`)); again(); }
    catch { fill(status, problem({ message: "The picture could not be opened. Choose another one." })); }
  };
  const body = el("div", {}, el("div", { class: "fields uses" },
    sliderField("Brush", "How wide the brush is, in 32nds of the picture.", easel.brush),
    sliderField("Hidden at random", "How much the next button hides.", share)),
  el("div", { class: "row" }, el("button", { type: "button", onclick: again }, "Hide a random share"), easel.rubber,
    el("button", { type: "button", onclick: wipeOff }, "Show all again")),
  el("div", { class: "fill" }, el("figure", {}, easel.node, el("figcaption", { id: "fill-hint" }, HINT)), answer), told);
  const stocks = await get("/data");
  const picker = await inputPicker(pick, { first: stockOf(stocks, run) || "sample-glyphs", start: 5 });
  fill(host, picker, status, body);
}

function tell(one, { answer, told }) {
  const shown = (src, text) => el("figure", {}, el("img", { src, alt: text, class: one.width < 200 ? "pixels" : null }),
    el("figcaption", {}, text));
  fill(answer, shown(one.painted, "painted"), shown(one.original, "as it was"));
  fill(told, facts([["hidden", `${Math.round(100 * one.hidden_share)} %`], ["PSNR of what was painted", decibel(one.psnr)],
    ["of a smooth filling", decibel(one.psnr_smooth)]]),
    el("div", { class: "row" }, el("a", { class: "button", href: one.painted, download: "painted.png" }, "Download the painted picture")));
}

// Squares of fields, each hidden or not.
function hideAtRandom(hidden, share) {
  const across = N / BLOCK, blocks = [...Array(across * across).keys()];
  for (let place = blocks.length - 1; place > 0; place--) {
    const other = Math.floor(Math.random() * (place + 1));
    [blocks[place], blocks[other]] = [blocks[other], blocks[place]];
  }
  hidden.fill(0);
  for (const block of blocks.slice(0, Math.round(share * blocks.length)))
    for (let place = 0; place < BLOCK * BLOCK; place++)
      hidden[(Math.floor(block / across) * BLOCK + Math.floor(place / BLOCK)) * N + (block % across) * BLOCK + place % BLOCK] = 1;
}

// ---- the easel ----

const inside = (value) => Math.min(N - 0.5, Math.max(0.5, value));

// The picture with what is hidden on it, drawn on by pointer or keyboard; `onChange` after a stroke.
function canvasOf(hidden, onChange) {
  const node = el("canvas", { class: "easel", tabindex: 0, role: "application", "aria-label": "The picture to hide parts of",
    "aria-describedby": "fill-hint" });
  const image = new Image(), at = { x: N / 2, y: N / 2 };
  const brush = slider({ min: 1, max: 12, value: 5, onChange: () => draw(), onMove: () => draw() });
  const rubber = el("button", { type: "button", "aria-pressed": "false",
    onclick: () => rubber.setAttribute("aria-pressed", String(!isRubbing())) }, "Rub out");
  const isRubbing = () => rubber.getAttribute("aria-pressed") === "true";
  const draw = () => drawEasel(node, image, hidden, { at, reach: +brush.node.value / 2, isShown: document.activeElement === node });
  const dab = (isHidden) => { dabAt(hidden, at, +brush.node.value / 2, isHidden); draw(); };
  const move = (event) => {
    const box = node.getBoundingClientRect();
    Object.assign(at, { x: N * (event.clientX - box.left) / box.width, y: N * (event.clientY - box.top) / box.height });
  };
  drag(node, (event) => { move(event); dab(!isRubbing()); }, { onStart: () => node.focus({ preventScroll: true }), onEnd: onChange });
  node.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key], step = Math.max(1, Math.round(+brush.node.value / 2));
    if (arrow) { Object.assign(at, { x: inside(at.x + step * arrow[0]), y: inside(at.y + step * arrow[1]) }); draw(); }
    else if (event.key === " " || event.key === "Enter") { dab(!isRubbing()); onChange(); say(isRubbing() ? "shown again" : "hidden"); }
    else if (event.key === "Backspace" || event.key === "Delete") { dab(false); onChange(); say("shown again"); }
    else return;
    event.preventDefault();
  });
  for (const name of ["focus", "blur"]) node.addEventListener(name, draw);
  const load = async (address) => {
    image.src = address; await image.decode();
    const scale = 512 / Math.max(image.naturalWidth, image.naturalHeight);
    node.width = Math.round(image.naturalWidth * scale); node.height = Math.round(image.naturalHeight * scale);
    hidden.fill(0); draw();
  };
  return { node, brush, rubber, draw, load };
}

function dabAt(hidden, { x, y }, reach, isHidden) {
  for (let line = 0; line < N; line++) for (let column = 0; column < N; column++) {
    const isIn = Math.hypot(column + 0.5 - x, line + 0.5 - y) <= reach || (Math.floor(x) === column && Math.floor(y) === line);
    if (isIn) hidden[line * N + column] = isHidden ? 1 : 0;
  }
}

function drawEasel(node, image, hidden, { at, reach, isShown }) {
  const brush = node.getContext("2d"), w = node.width / N, h = node.height / N;
  brush.imageSmoothingEnabled = image.naturalWidth >= 200;
  brush.drawImage(image, 0, 0, node.width, node.height);
  brush.fillStyle = "#7d8596";
  for (let place = 0; place < N * N; place++)
    if (hidden[place]) brush.fillRect((place % N) * w, Math.floor(place / N) * h, w + 0.5, h + 0.5);
  if (!isShown) return;
  for (const [tone, width] of [["#000", 4], ["#fff", 2]]) {
    brush.strokeStyle = tone; brush.lineWidth = width;
    brush.beginPath(); brush.ellipse(at.x * w, at.y * h, Math.max(reach, 0.5) * w, Math.max(reach, 0.5) * h, 0, 0, 7); brush.stroke();
  }
}
