// The game in two dimensions: points are drawn or chosen, and forger and detective are watched turn by turn.
// What is played stands in the address, so that a game can be sent to somebody.

import { post, remove } from "./api.js";
import { $, about, choice, el, facts, field, fill, number, problem, say } from "./dom.js";
import { drawNetworks } from "./networks.js";
import { colour, plot } from "./plots.js";

const REACH = 1.15, SIDE = 36, CELLS = 64, MOST = 400, LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SPEEDS = { slow: [1, 500], steady: [2, 120], quick: [10, 0], rush: [40, 0] };
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const wish = about(), networks = wish.drawing ? drawNetworks($("#networks"), wish.drawing) : null;
const canvas = $("#plane"), pen = canvas.getContext("2d");
const wash = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
const bench = {
  id: null, points: [], frame: null, shown: [], losses: [], dabs: [], cursor: [32, 32],
  isPlaying: false, isDrawing: false, turn: Promise.resolve(), begun: 0, run: 0,
};

// ---- settings, which stand in the address ----

const FIELDS = {
  shape: ["What is forged", choice([["ring", "a ring of eight"], ["moons", "two moons"], ["grid", "a turned grid"],
    ["spiral", "a spiral"], ["line", "a line"], ["drawn", "my own drawing"]]),
    "Choose, or draw on the plane: with the pointer, or by arrow keys and space.", "ring"],
  loss: ["Loss", choice([["relativistic", "relativistic: which of two is real?"], ["nonsaturating", "nonsaturating: is this one real?"],
    ["dcgan", "dcgan: the classic of 2014"]]), "What the detective is asked.", "relativistic"],
  gamma: ["Gamma", el("input", { type: "number", min: 0.001, max: 1000, step: "any" }),
    "Penalty on steep scores, if relativistic: more holds the detective back.", 1],
  learning_rate: ["Learning rate", el("input", { type: "number", min: 1e-6, max: 0.1, step: "any" }),
    "Size of an update: larger learns faster, until the two chase each other in circles.", 0.001],
  noise_dim: ["Noise numbers", el("input", { type: "number", min: 1, max: 256, step: 1 }),
    "Random numbers that a point is made from, besides its place.", 8],
  n_steps: ["Turns in all", el("input", { type: "number", min: 50, max: 20000, step: 50 }), 
    "The updates become small towards the end.", 1500],
  seed: ["Seed", el("input", { type: "number", min: 0, max: 2147483647, step: 1 }), "The same seed plays the same game.", 0],
};

function drawSettings() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const [name, [, node, , first]] of Object.entries(FIELDS)) {
    node.value = asked.get(name) ?? first;
    if (!node.value) node.value = first;
    node.addEventListener("change", () => (name === "shape" && node.value === "drawn" ? draw([]) : begin()));
  }
  bench.dabs = unpacked(asked.get("dabs") ?? "");
  fill($("#settings"), ...Object.values(FIELDS).map(([label, node, help]) => field(label, node, help)));
  $("#settings").addEventListener("submit", (event) => event.preventDefault());
}

const chosen = (name) => {
  const [, node, , first] = FIELDS[name];
  return node.type !== "number" ? node.value : isFinite(node.valueAsNumber) ? node.valueAsNumber : first;
};
const isDrawn = () => chosen("shape") === "drawn";

function question() {
  const told = Object.fromEntries(Object.keys(FIELDS).map((name) => [name, chosen(name)]));
  for (const name of ["noise_dim", "n_steps", "seed"]) told[name] = Math.round(told[name]);
  if (isDrawn()) { told.shape = "ring"; told.dabs = bench.dabs.map(([x, y]) => [place(x), -place(y)]); }
  return told;
}

const place = (cell) => 2 * (cell + 0.5) / CELLS - 1;
const packed = (dabs) => dabs.map(([x, y]) => LETTERS[x] + LETTERS[y]).join("");
const unpacked = (text) => (text.match(/[A-Za-z0-9_-]{2}/g) ?? []).slice(0, MOST).map((two) => [...two].map((one) => LETTERS.indexOf(one)));

function remember() {
  const told = new URLSearchParams();
  for (const [name, [, , , first]] of Object.entries(FIELDS)) if (String(chosen(name)) !== String(first)) told.set(name, chosen(name));
  if (isDrawn()) told.set("dabs", packed(bench.dabs));
  history.replaceState({}, "", `${location.pathname}${String(told) ? `#${told}` : ""}`);
}

// ---- a game ----

async function begin() {
  halt();
  remember();
  if (isDrawn() && !bench.dabs.length) { draw([]); return; }
  const number = ++bench.begun;
  await bench.turn.catch(() => {});
  if (number !== bench.begun) return;
  const old = bench.id;
  bench.id = null;
  bench.isDrawing = false;
  if (old) remove(`/games/${old}`).catch(() => {});
  try {
    const told = await post("/games", question());
    // of several that were asked for the last one counts
    if (number !== bench.begun) { remove(`/games/${told.id}`).catch(() => {}); return; }
    Object.assign(bench, { id: told.id, points: told.points, losses: [], shown: told.frame.made });
    take(told.frame);
    // Plotly remembers its node: a new game gets a new one
    lossPlot = fill($("#losses"), el("div")).firstChild;
    label();
  } catch (error) { fill($("#words"), problem(error)); }
}

// Turns one after the other; what is asked while one is on its way waits for it.
function play(n) {
  bench.turn = bench.turn.catch(() => {}).then(async () => {
    if (!bench.id || bench.frame?.is_over) { halt(); return; }
    const id = bench.id;
    try {
      const frame = await post(`/games/${id}/steps`, { n, side: SIDE });
      if (id === bench.id) take(frame);
    } catch (error) {
      halt();
      if (error.status !== 404) { fill($("#words"), problem(error)); return; }
      say("This game was let go: it begins anew.");
      setTimeout(begin);
    }
  });
  return bench.turn;
}

function take(frame) {
  const from = bench.shown;
  Object.assign(bench, { frame, losses: bench.losses.concat(frame.losses) });
  tellSurface(frame.surface);
  glide(from, frame.made);
  tell(frame);
  if (frame.is_over) halt();
}

async function run() {
  if (bench.frame?.is_over) await begin();
  const own = ++bench.run;
  bench.isPlaying = true;
  label();
  networks?.alive(true);
  while (bench.isPlaying && own === bench.run) {
    const [n, pause] = SPEEDS[speed.value], started = performance.now();
    await play(n);
    await new Promise((done) => setTimeout(done, Math.max(0, pause - (performance.now() - started))));
  }
}

function halt() { bench.isPlaying = false; networks?.alive(false); label(); }

// ---- the plane ----

const at = (value) => (value / REACH + 1) / 2;
const spot = ([x, y], side) => [at(x) * side, (1 - at(y)) * side];

function tellSurface(surface) {
  const brush = wash.getContext("2d"), image = brush.createImageData(SIDE, SIDE), tones = [rgb(colour("two")), rgb(colour("one"))];
  // what little it sees at first is shown as well: tones are relative to the surest place
  const surest = Math.max(0.03, ...surface.map((share) => Math.abs(share - 0.5)));
  surface.forEach((share, cell) => {
    const lean = (share - 0.5) / surest;
    image.data.set([...tones[lean > 0 ? 1 : 0], Math.round(130 * Math.abs(lean))], 4 * cell);
  });
  brush.putImageData(image, 0, 0);
}

// The canvas itself knows every way to write a colour, and answers with #rrggbb.
function rgb(text) {
  pen.fillStyle = text;
  const hex = pen.fillStyle;
  return [1, 3, 5].map((digit) => parseInt(hex.slice(digit, digit + 2), 16));
}

// From where the points were to where they are, in slow motion where there is time for it.
function glide(from, to) {
  const isStill = calm || !bench.isPlaying || from.length !== to.length, time = isStill ? 0 : Math.min(400, SPEEDS[speed.value][1]);
  const begun = performance.now(), mine = bench.frame;
  const move = (now) => {
    if (mine !== bench.frame) return;
    const done = time ? Math.min(1, Math.max(0, (now - begun) / time)) : 1;
    bench.shown = done < 1 ? to.map((place, i) => place.map((end, axis) => from[i][axis] + (end - from[i][axis]) * done)) : to;
    paint(done === 1);
    if (done < 1) requestAnimationFrame(move);
  };
  requestAnimationFrame(move);
}

function paint(hasArrows = true) {
  const ratio = devicePixelRatio || 1, side = canvas.clientWidth || 560;
  if (canvas.width !== Math.round(side * ratio)) canvas.width = canvas.height = Math.round(side * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, side, side);
  if (bench.isDrawing) { paintDrawing(side); return; }
  pen.imageSmoothingEnabled = true;
  pen.drawImage(wash, 0, 0, side, side);
  dots(bench.points, side, 2, colour("one"), 0.6);
  if (hasArrows && bench.frame) arrows(bench.shown, bench.frame.arrows, side);
  dots(bench.shown, side, 3, colour("two"), 0.95, colour("card"));
}

function dots(points, side, radius, tone, alpha, edge = null) {
  pen.globalAlpha = alpha; pen.fillStyle = tone; pen.strokeStyle = edge ?? tone; pen.lineWidth = 1;
  for (const point of points) {
    const [x, y] = spot(point, side);
    pen.beginPath(); pen.arc(x, y, radius, 0, 2 * Math.PI); pen.fill();
    if (edge) pen.stroke();
  }
  pen.globalAlpha = 1;
}

function arrows(points, ways, side) {
  pen.strokeStyle = colour("ink"); pen.globalAlpha = 0.55; pen.lineWidth = 1.2;
  pen.beginPath();
  points.forEach((point, i) => {
    const [x, y] = spot(point, side), [dx, dy] = [ways[i][0] * 26, -ways[i][1] * 26], size = Math.hypot(dx, dy);
    if (size < 2) return;
    pen.moveTo(x, y); pen.lineTo(x + dx, y + dy);
    // the tip
    const back = Math.atan2(dy, dx) + Math.PI, tip = Math.min(5, size / 2);
    for (const turn of [-0.45, 0.45]) {
      pen.moveTo(x + dx, y + dy);
      pen.lineTo(x + dx + tip * Math.cos(back + turn), y + dy + tip * Math.sin(back + turn));
    }
  });
  pen.stroke();
  pen.globalAlpha = 1;
}

// ---- drawing ----

function draw(dabs) {
  halt();
  bench.begun += 1;
  Object.assign(bench, { isDrawing: true, dabs });
  FIELDS.shape[1].value = "drawn";
  const keys = "Arrow keys move, space draws, Enter begins the game.";
  canvas.setAttribute("aria-label", `The plane, to draw on: ${bench.dabs.length} dabs. ${keys}`);
  fill($("#words"), "Draw on the plane: with the pointer, or by arrow keys and space. Then press Begin.");
  label();
  paint();
}

function dab(cell) {
  const [x, y] = cell.map((value) => Math.max(0, Math.min(CELLS - 1, value)));
  if (bench.dabs.length >= MOST || bench.dabs.some(([a, b]) => a === x && b === y)) return;
  bench.dabs.push([x, y]);
  draw(bench.dabs);
}

function paintDrawing(side) {
  const cells = bench.dabs.map(([x, y]) => [place(x), -place(y)]);
  dots(cells, side, 7, colour("one"), 0.8);
  const [x, y] = spot([place(bench.cursor[0]), -place(bench.cursor[1])], side);
  pen.strokeStyle = colour("ink"); pen.lineWidth = 1.5;
  pen.beginPath(); pen.moveTo(x - 9, y); pen.lineTo(x + 9, y); pen.moveTo(x, y - 9); pen.lineTo(x, y + 9); pen.stroke();
}

const cellOf = (event) => {
  const box = canvas.getBoundingClientRect(), [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  return [x, y].map((share) => Math.floor(((2 * share - 1) * REACH + 1) / 2 * CELLS));
};
canvas.addEventListener("pointerdown", (event) => {
  if (!bench.isDrawing) draw([]);
  canvas.setPointerCapture(event.pointerId);
  bench.cursor = cellOf(event); dab(bench.cursor);
});
canvas.addEventListener("pointermove", (event) => {
  if (!event.buttons || !bench.isDrawing) return;
  bench.cursor = cellOf(event); dab(bench.cursor);
});
canvas.addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] }, way = ways[event.key];
  if (!bench.isDrawing || !(way || event.key === " " || event.key === "Enter")) return;
  event.preventDefault();
  if (event.key === "Enter") { begin(); return; }
  if (way) bench.cursor = bench.cursor.map((value, axis) => Math.max(0, Math.min(CELLS - 1, value + way[axis])));
  if (event.key === " " || event.shiftKey) dab(bench.cursor); else paint();
});

// ---- words and numbers ----

let plotted = 0, lossPlot = null;
function tell(frame) {
  const { coverage, fit, balance, gamma } = frame.measures, percent = (share) => `${Math.round(100 * share)} %`;
  if ($("#words").textContent !== frame.words) fill($("#words"), frame.words);
  const told = `${percent(fit)} of the made points lie where yours do, ${percent(coverage)} of yours are covered.`;
  canvas.setAttribute("aria-label", `The plane at turn ${frame.step}: ${told}`);
  fill($("#measures"), facts([["turn", `${frame.step} of ${frame.n_steps}`], ["made ones that fit", percent(fit)],
    ["yours that are covered", percent(coverage)], ["detective loses (guessing: 0.69)", number(balance)], ["gamma now", number(gamma)]]));
  const last = bench.losses.at(-1);
  if (last) networks?.losses({ discriminator: last[0], generator: last[1] });
  if (!bench.losses.length || (performance.now() - plotted < 600 && bench.isPlaying)) return;
  plotted = performance.now();
  curves().catch(() => {});
}

function curves() {
  // the last of each stretch stands for it: some 300 places are enough
  const stride = Math.ceil(bench.losses.length / 300);
  const kept = bench.losses.map((pair, i) => [i + 1, ...pair]).filter(([step]) => step % stride === 0 || step === bench.losses.length);
  const line = (name, place, tone) => ({ name, x: kept.map(([step]) => step), y: kept.map((row) => row[place]),
    mode: kept.length > 1 ? "lines" : "markers", line: { width: 2, color: colour(tone) }, marker: { color: colour(tone) } });
  const [detective, forger] = bench.losses.at(-1);
  const guessing = { type: "line", xref: "paper", x0: 0, x1: 1, y0: Math.LN2, y1: Math.LN2, line: { color: colour("soft"), dash: "dot" } };
  return plot(lossPlot, [line("detective", 1, "one"), line("forger", 2, "two")],
    { height: 230, xaxis: { title: { text: "turn" } }, yaxis: { title: { text: "nats" }, rangemode: "tozero" }, shapes: [guessing] },
    `Losses after ${bench.losses.length} turns: detective ${number(detective)}, forger ${number(forger)}; guessing is 0.69`);
}

// ---- buttons ----

const speed = choice([["slow", "slow motion: a turn, a look"], ["steady", "steady"], ["quick", "quick"], ["rush", "as fast as it goes"]],
  "steady");
const go = el("button", { class: "main", type: "button", onclick: () => (bench.isDrawing ? begin() : bench.isPlaying ? halt() : run()) });
const step = el("button", { type: "button", onclick: () => play(1) }, "One turn");
const anew = el("button", { type: "button", onclick: () => begin() }, "Begin anew");
const own = el("button", { type: "button", onclick: () => { draw([]); canvas.focus(); } }, "Draw your own");

function label() {
  go.textContent = bench.isDrawing ? "Begin" : bench.isPlaying ? "Pause" : bench.frame?.is_over ? "Play again" : "Play";
  go.disabled = bench.isDrawing && !bench.dabs.length;
  step.disabled = bench.isDrawing || bench.isPlaying || !bench.id || Boolean(bench.frame?.is_over);
  anew.disabled = bench.isDrawing;
}

speed.setAttribute("aria-label", "Speed");
fill($("#turns"), go, step, anew, own, speed);
drawSettings();
begin();
addEventListener("resize", () => paint());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
  () => { if (bench.frame) tellSurface(bench.frame.surface); paint(); });
