// A language model at work: it writes on, tells what might have come instead, and what surprises it.

import { post } from "../api.js";
import { busy, el, facts, field, fill, number, problem } from "../dom.js";
import { lines } from "../lines.js";

export async function show(host, run) {
  const writing = el("section", { "aria-label": "Write on" }), surprise = el("section", { "aria-label": "What surprises it" });
  fill(host, writing, surprise);
  drawSurprise(surprise, run);
  await drawWriting(writing, run);
}

const percent = (share) => share >= 0.0995 ? `${Math.round(100 * share)} %` : share >= 0.001 ? `${(100 * share).toFixed(1)} %` : "< 0.1 %";
const VISIBLE = { "\n": "⏎", "\t": "⇥", " ": "␣" };
const visible = (text) => text.replace(/^[ \n\t]+|[ \n\t]+$/g, (blank) => [...blank].map((letter) => VISIBLE[letter]).join("")) || "∅";

// ---- writing ----

async function drawWriting(host, run) {
  const prompt = el("textarea", { maxlength: 4000, spellcheck: "false" }, FIRST[run.data] ?? "The ");
  const range = (min, max, step, value) => el("input", { type: "range", min, max, step, value });
  const tokens = el("input", { type: "number", min: 1, max: 1000, step: 1, value: 300 }),
    seed = el("input", { type: "number", min: 0, step: 1, value: 0 });
  const temperature = range(0, 2, 0.05, 0.8), topP = range(0.05, 1, 0.05, 1), shownT = el("output", {}, "0.8"),
    shownP = el("output", {}, "1");
  for (const [control, shown] of [[temperature, shownT], [topP, shownP]]) control.addEventListener("input",
    () => { shown.textContent = control.value; });
  const write = el("button", { type: "submit", class: "main" }, "Write"), stop = el("button", { type: "button", disabled: true }, "Stop");
  const text = el("div", { class: "write-text", role: "group", "aria-label": "The text, token by token" }),
    said = el("p", { class: "soft", role: "status" });
  const others = el("div", { class: "write-others" }), next = el("div", { class: "write-others" });
  const form = el("form", { novalidate: true }, field("How the text begins", prompt), el("h3", {}, "What may come next"), next,
    el("div", { class: "fields" }, field("Tokens", tokens, "How much is written."),
      field("Temperature", el("span", { class: "row write-range" }, temperature, shownT),
        "0 takes the likeliest each time, 1 draws as the model believes, more is wilder."),
      field("Only the likeliest", el("span", { class: "row write-range" }, topP, shownP),
        "The likeliest tokens that make up this share are drawn from."),
      field("Seed", seed, "The same number writes the same text.")), el("div", { class: "row" }, write, stop, said));
  named(temperature, "Temperature"); named(topP, "Only the likeliest");
  const reader = tokenReader(text, others, (before, instead) => { prompt.value = before + instead; foresee(); begin(); });
  let going = null;
  const begin = async () => {
    going?.abort();
    going = new AbortController();
    const own = going;
    const asked = { prompt: prompt.value, tokens: Math.min(1000, Math.max(1, Math.round(tokens.valueAsNumber) || 200)),
      temperature: temperature.valueAsNumber, top_p: topP.valueAsNumber, seed: Math.max(0, Math.round(seed.valueAsNumber) || 0) };
    stop.disabled = false; said.textContent = "writing …"; reader.clear(asked.prompt);
    form.querySelector(":scope > .error")?.remove();
    try { await lines(`/runs/${run.id}/write`, asked, (piece) => piece.copy === undefined ? reader.add(piece) : tellCopy(said, piece.copy),
      own.signal); }
    catch (error) { if (error.name !== "AbortError") form.prepend(problem(error)); said.textContent = ""; }
    if (own === going) { stop.disabled = true; if (own.signal.aborted) said.textContent = "stopped"; }
  };
  const foresee = later(150,
    async () => drawChances(next, await post(`/runs/${run.id}/next`, { text: prompt.value }),
    (piece) => { prompt.value += piece; foresee(); }));
  form.addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  stop.addEventListener("click", () => going?.abort());
  prompt.addEventListener("input", foresee);
  fill(host, form, el("div", { class: "write-page" }, text, others));
  foresee();
  await begin();
}

const FIRST = { "topics (built in)": "The statement " };

// A label for a control that stands beside its value.
function named(control, text) { control.setAttribute("aria-label", text); }

function later(wait, work) {
  let soon;
  return () => { clearTimeout(soon); soon = setTimeout(() => work().catch(() => {}), wait); };
}

function tellCopy(node, copy) {
  node.textContent = copy ? `Done. ${copy.length} characters stand so in the training text: “${copy.slice(0, 60)}…”`
    : "Done. No long passage is copied from the training text.";
}

// The text as tokens: hovered, or reached by the arrow keys, each tells what might have come instead.
function tokenReader(host, panel, onInstead) {
  let prompt = "", pieces = [], at = -1;
  const look = (place) => {
    at = place;
    for (const node of host.querySelectorAll(".looked-at")) { node.classList.remove("looked-at"); node.tabIndex = -1; }
    const node = pieces[place].node;
    node.classList.add("looked-at"); node.tabIndex = 0;
    const before = prompt + pieces.slice(0, place).map(({ text }) => text).join("");
    drawOthers(panel, pieces[place], (instead) => onInstead(before, instead));
  };
  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!step || !pieces.length) return;
    event.preventDefault();
    look(Math.min(pieces.length - 1, Math.max(0, at + step)));
    pieces[at].node.focus();
  });
  const clear = (text) => { prompt = text; pieces = []; at = -1; fill(host, el("span", { class: "write-prompt" }, text));
    fill(panel, el("p", { class: "soft" }, HINT)); };
  const add = ({ text, probability, others }) => {
    const place = pieces.length;
    const node = el("span", { role: "button", tabindex: place ? -1 : 0, class: "write-token",
      "aria-label": `${visible(text)}, ${percent(probability)}`, onmouseenter: () => look(place), onfocus: () => look(place) }, text);
    node.style.setProperty("--doubt", `${Math.round(34 * (1 - probability))}%`);
    pieces.push({ text, probability, others, node });
    host.append(node);
  };
  return { clear, add };
}

const HINT = "Point at a token, or walk through the text with the arrow keys: here stands what might have come instead. "
  + "Darker tokens were less likely.";

function drawOthers(host, { text, probability, others }, onInstead) {
  const rest = Math.max(0, 1 - others.reduce((sum, [, share]) => sum + share, 0));
  fill(host, el("p", {}, "Here came ", el("code", {}, visible(text)),
    `, ${percent(probability)} likely. Press another one to go on from there:`),
    ...others.map(([name, share]) => chance(name, share, name === text, () => onInstead(name))),
    el("p", { class: "soft" }, `all others together ${percent(rest)}`));
}

function drawChances(host, told, onPick) {
  fill(host, ...told.chances.slice(0, 8).map(({ text, probability }) => chance(text, probability, false, () => onPick(text))),
    el("p", { class: "soft" },
      `of ${told.n_tokens.toLocaleString("en")} tokens; ${number(told.bits)} bits open: `
      + `as if ${number(2 ** told.bits)} were equally likely. Press one to add it.`));
}

function chance(text, share, isTaken, onPick) {
  const bar = el("i", { "aria-hidden": "true" });
  bar.style.width = `${100 * share}%`;
  return el("button", { type: "button", class: "write-chance", "aria-label": `${visible(text)}, ${percent(share)}`, "aria-pressed": isTaken
    ? "true" : null, onclick: onPick },
    el("code", {}, visible(text)), el("span", {}, bar), el("small", {}, percent(share)));
}

// ---- surprise ----

function drawSurprise(host, run) {
  const text = el("textarea", { maxlength: 20000 },
    "The statement returns a value. The quick brown fox jumps over the lazy dog. Return the value of the named attribute of object.");
  const button = el("button", { type: "submit" }, "What surprises it?"), answer = el("div", { "aria-live": "polite" });
  const form = el("form", { novalidate: true }, field("A text", text, "Each token is coloured by how little the model expected it."),
    el("div", { class: "row" }, button));
  form.addEventListener("submit",
    (event) => { event.preventDefault();
    busy(button, form, async () => tell(answer, await post(`/runs/${run.id}/surprise`, { text: text.value }))); });
  fill(host, el("h3", {}, "How well does it foresee a text?"), form, answer);
}

function tell(host, told) {
  const most = Math.max(8, ...told.tokens.map(({ bits }) => bits));
  const page = el("div", { class: "write-text" }, ...told.tokens.map(({ text, bits }) => {
    const node = el("span", { class: "write-token", title: `${number(bits)} bits` }, text);
    node.style.setProperty("--doubt", `${Math.round(70 * Math.max(0, bits) / most)}%`);
    return node;
  }));
  const beside = Object.entries(told.beside).map(([name, value]) => [name, `${number(value)} bits`]);
  const worst = passages(told.tokens);
  fill(host, facts([["a byte costs the model", `${number(told.bits_per_byte)} bits`], ...beside]),
    el("p", { class: "soft" }, "A compressor by this model needs that many bits a byte; the others begin without having read anything."),
      page,
    worst.length ? el("p", { class: "soft" }, "Most surprising: ",
      ...worst.map(({ text, bits }) => el("span", {}, el("code", {}, visible(text)), ` ${number(bits)} bits  `))) : null);
}

// Words, each with what its tokens cost; the dearest.
function passages(tokens) {
  const words = [{ text: "", bits: 0 }];
  for (const { text, bits } of tokens) {
    if (/^\s/.test(text) && words.at(-1).text) words.push({ text: "", bits: 0 });
    words.at(-1).text += text.trim(); words.at(-1).bits += bits;
  }
  return words.filter(({ text }) => text).sort((a, b) => b.bits - a.bits).slice(0, 5);
}
