// The game of a trial, on a calm full screen: what is shown, for how long, and what was said after how many milliseconds.
// What is shown next is fetched and decoded before its turn; time begins with the frame on which it is seen.

import { get, post } from "./api.js";
import { el, fill, problem } from "./dom.js";

const CROSS = 400, AHEAD = 3, AT_ONCE = 20, FRAME = 1000 / 60;
const frame = () => new Promise((done) => requestAnimationFrame(done));
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Ask until all is answered (true) or a pause is made (false).
export async function play(stage, trial, judge) {
  const game = {
    trial, judge, queue: [], asked: new Set(), items: new Map(), n: judge.n_answers,
    sent: Promise.resolve(), trouble: null, isOver: false, key: null,
  };
  const view = draw(stage, game);
  stage.showModal();
  view.place.focus();
  try {
    for (let since = 0; await refill(game); since++) {
      if (trial.break_every && since && since % trial.break_every === 0) await rest(view, game);
      const question = game.queue.shift();
      prepare(game);
      await ask(view, game, question);
    }
    await game.sent;
  } catch (error) {
    if (error !== PAUSE) { await tellTrouble(view, game, error); }
  } finally {
    // what was said is sent to the end, also before a pause
    await game.sent.catch(() => {});
    for (const nodes of game.items.values()) (await nodes.catch(() => [])).forEach((node) => node.release?.());
    stage.close();
  }
  return game.n >= judge.n_questions;
}

const PAUSE = new Error("a pause");
// a key, what it says in words, and whether that is "fake", or "the first is the fake"
const KINDS = [["r", "Real (R)", false], ["f", "Fake (F)", true]];
const SIDES = [["ArrowLeft", "← The left one is the fake", true], ["ArrowRight", "The right one is the fake →", false]];

function draw(stage, game) {
  const bar = el("div"), count = el("span", { role: "status" }), verdict = el("div", { class: "told", role: "status" });
  const place = el("div", { class: "place", tabindex: -1, "aria-live": "polite" });
  const names = game.trial.are_pairs ? SIDES : KINDS;
  const buttons = names.map(([, text, saidFake]) =>
    el("button", { type: "button", onclick: (event) => game.key?.(saidFake, event.timeStamp) }, text));
  const pause = el("button", { type: "button", class: "quiet", onclick: () => stop() }, "Pause (Esc)");
  const stop = () => { game.isOver = true; game.key?.(null); };
  stage.oncancel = (event) => { event.preventDefault(); stop(); };
  stage.onclose = stop;  // a second Escape closes it in spite of that
  stage.onkeydown = (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const own = names.find(([key]) => key.toLowerCase() === event.key.toLowerCase());
    if (own) { event.preventDefault(); game.key?.(own[2], event.timeStamp); }
    else if (event.key === " " && event.target === place) { event.preventDefault(); game.again?.(); }
  };
  fill(stage, el("header", {}, el("div", { class: "progress" }, bar), el("div", { class: "row" }, count, pause)), place, verdict,
    el("footer", { class: "row" }, ...buttons));
  const step = () => {
    bar.style.width = `${100 * game.n / game.judge.n_questions}%`;
    count.textContent = `${Math.min(game.n + 1, game.judge.n_questions)} of ${game.judge.n_questions}`;
  };
  step();
  return { place, verdict, buttons, step };
}

// ---- what comes next ----

async function refill(game) {
  if (game.trouble) throw game.trouble;
  if (game.isOver) throw PAUSE;
  if (!game.queue.length && game.n < game.judge.n_questions) {
    await game.sent;
    const next = await get(`/trials/${game.trial.id}/questions?judge=${game.judge.judge}&n=${AT_ONCE}`);
    game.queue.push(...next.filter(({ number }) => !game.asked.has(number)));
    prepare(game);
  }
  return game.queue.length > 0;
}

function prepare(game) {
  for (const question of game.queue.slice(0, AHEAD)) {
    if (!game.items.has(question.number)) game.items.set(question.number, madeFor(game, question));
  }
}

function madeFor(game, question) {
  const nodes = Promise.all(question.items.map((address) => made(game.trial.what, address)));
  nodes.catch(() => {});  // told when its turn comes
  return nodes;
}

async function made(what, address) {
  if (what === "pictures") {
    const node = el("img", { src: address, alt: "the picture to judge", class: "shown" });
    await node.decode();
    return size(node);
  }
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`An item could not be fetched: ${answer.status}.`);
  if (what === "sounds") {
    const node = el("audio", { src: URL.createObjectURL(await answer.blob()), controls: true, preload: "auto", class: "shown" });
    node.release = () => URL.revokeObjectURL(node.src);
    await new Promise((done, failed) => {
      node.oncanplaythrough = done;
      node.onerror = () => failed(new Error("A sound cannot be played."));
    });
    return node;
  }
  const told = await answer.json();
  if (what === "texts") return el("blockquote", { class: "shown" }, told);
  const cell = (value) => value === null ? "–" : String(value);
  return el("table", { class: "shown" }, el("tbody", {},
    ...Object.entries(told).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, cell(value))))));
}

// As large as there is room for; small pictures by whole pixels, so that all are enlarged alike.
function size(node) {
  const room = Math.min(innerHeight * 0.58, innerWidth * 0.42), scale = room / Math.max(node.naturalWidth, node.naturalHeight);
  const by = scale >= 2 ? Math.floor(scale) : Math.min(1, scale);
  if (by >= 2) node.classList.add("pixels");
  node.width = node.naturalWidth * by; node.height = node.naturalHeight * by;
  return node;
}

// ---- one question ----

async function ask(view, game, question) {
  const { trial } = game, nodes = await (game.items.get(question.number) ?? madeFor(game, question));
  view.step();
  fill(view.verdict);
  fill(view.place, el("div", { class: "cross", "aria-hidden": "true" }, "+"));
  await wait(CROSS);
  if (game.isOver) throw PAUSE;
  const screens = nodes.map((node) => el("div", { class: "screen" }, node));
  await frame();
  fill(view.place, ...screens);
  if (trial.what === "sounds") nodes[0].play().catch(() => {});
  game.again = () => nodes[0].play?.();
  // the change is painted at the end of that frame: it is seen when the next one begins
  const begun = await frame(), said = saidAfter(view, game, begun);
  if (trial.view_milliseconds) hideAfter(view, screens, begun, trial.view_milliseconds, said);
  const [saidFake, milliseconds] = await said;
  if (saidFake === null) throw PAUSE;
  game.asked.add(question.number);
  game.items.delete(question.number);
  // a sound that is taken off the page would play on
  nodes.forEach((node) => { node.pause?.(); node.release?.(); });
  await take(view, game, { judge: game.judge.judge, question: question.number, said_fake: saidFake, milliseconds });
}

function saidAfter(view, game, begun) {
  for (const button of view.buttons) button.disabled = false;
  return new Promise((done) => {
    game.key = (saidFake, at) => {
      game.key = null;
      for (const button of view.buttons) if (button !== document.activeElement) button.disabled = true;
      done([saidFake, Math.max(0, (at ?? performance.now()) - begun)]);
    };
  });
}

// Behind a mask after its time: what is drawn in a frame is seen with the next one, so it is drawn one frame before.
async function hideAfter(view, screens, begun, milliseconds, said) {
  let isSaid = false, now = begun, gap = FRAME;
  said.then(() => { isSaid = true; });
  while (!isSaid && now + 1.5 * gap - begun < milliseconds) {
    const before = now;
    now = await frame();
    gap = Math.min(now - before, 2 * FRAME);
  }
  if (isSaid) return;
  screens.forEach((screen) => screen.append(mask(screen.firstChild)));
  view.place.dataset.seen = (await frame()) - begun;
}

function mask(node) {
  const { width, height } = node.getBoundingClientRect(), rows = Math.max(1, Math.round(48 * height / Math.max(1, width)));
  const canvas = el("canvas", { class: "mask", width: 48, height: rows, "aria-hidden": "true" });
  const pen = canvas.getContext("2d"), noise = pen.createImageData(canvas.width, canvas.height);
  for (let at = 0; at < noise.data.length; at += 4) {
    noise.data.fill(Math.random() * 255, at, at + 3);
    noise.data[at + 3] = 255;
  }
  pen.putImageData(noise, 0, 0);
  node.style.visibility = "hidden";
  return canvas;
}

// Sent behind the next question; in training it is waited for, as the truth comes with it.
async function take(view, game, answer) {
  const send = () => post(`/trials/${game.trial.id}/answers`, answer);
  // where nothing answers it is tried again; what is refused is refused
  const again = async (error) => { if (error.status) throw error; await wait(1500); return send(); };
  game.sent = game.sent.then(() => send().catch(again));
  game.sent.catch((error) => { game.trouble = error; });
  game.n += 1;
  if (!game.trial.is_training) return;
  const { is_right } = await game.sent;
  const isFake = answer.said_fake === is_right;
  const truth = game.trial.are_pairs ? `the ${isFake ? "left" : "right"} one is the fake` : isFake ? "a fake" : "real";
  fill(view.verdict, el("span", { class: is_right ? "good" : "error" }, `${is_right ? "Right" : "Wrong"}: ${truth}.`));
  await wait(is_right ? 700 : 1400);
}

async function rest(view, game) {
  const go = el("button", { class: "main", type: "button" }, "Go on");
  fill(view.place, el("div", { class: "rest" }, el("p", {}, `A break. ${game.judge.n_questions - game.n} are left.`), go));
  fill(view.verdict);
  go.focus();
  await new Promise((done) => { go.onclick = done; game.key = (saidFake) => { if (saidFake === null) done(); }; });
  game.key = null;
  if (game.isOver) throw PAUSE;
  view.place.focus();
}

async function tellTrouble(view, game, error) {
  const go = el("button", { class: "main", type: "button" }, "Back");
  fill(view.place, el("div", { class: "rest" }, problem(error), go));
  go.focus();
  await new Promise((done) => { go.onclick = done; game.key = done; });
}
