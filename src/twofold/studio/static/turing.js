// Real or fake? A trial is set up, judged by people, and told with its verdict. The game itself stands in trial.js.

import { get, post, remove } from "./api.js";
import { $, about, busy, choice, el, field, fill, problem, say } from "./dom.js";
import { learnForm } from "./learn.js";
import { drawNetworks } from "./networks.js";
import { watch } from "./training.js";
import { play } from "./trial.js";
import { showVerdict } from "./verdict.js";

const wish = about(), OWN = "two data sets";
if (wish.drawing) drawNetworks($("#networks"), wish.drawing);

const unit = { pictures: "picture", sounds: "sound", rows: "row", texts: "passage" };
const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// ---- setting up ----

async function drawSetup(first = null) {
  const host = $("#setup-body");
  const [all, stocks] = await Promise.all([get("/runs"), get("/data")]).catch((error) => { fill(host, problem(error)); throw error; });
  const runs = all.filter(({ method, state }) => wish.methods.includes(method) && ["finished", "stopped"].includes(state));
  const asked = new URLSearchParams(location.search).get("run");
  const run = choice([...runs.map(({ id, name, method, data }) => [id, `${name}: ${WAYS[method]} ${data}`]),
    [OWN, "two data sets: real ones and fakes of yours"]], first ?? asked ?? runs[0]?.id);
  const kinds = stocks.map(({ id, title, about: what }) => [id, `${title}: ${what}`]);
  const data = choice(kinds), fake = choice(kinds);
  const fakes = field("Fakes", fake, "Generated, repaired or decompressed: of the same kind as the real ones.");
  const n = number(15, 1, 200), breaks = number(0, 0, 1000), seed = number(0, 0, 2 ** 31 - 1);
  const pairs = choice([["", "one at a time: real or fake?"], ["pairs", "side by side: which one is the fake?"]]);
  const view = choice([["", "as long as I like"], ["2000", "2 seconds"], ["1000", "1 second"], ["500", "half a second"],
    ["250", "a quarter of a second"], ["100", "a tenth of a second"]]);
  const training = choice([["", "only at the end"], ["training", "after each answer: training"]]);
  const onRun = () => {
    const own = runs.find(({ id }) => id === run.value);
    fakes.hidden = Boolean(own);
    const title = own && stocks.find((stock) => stock.title === own.data);
    if (title) data.value = title.id;
  };
  run.addEventListener("change", onRun);
  onRun();
  const hint = "Nothing that forges was learned yet: learn a generator first, or judge two data sets of your own.";
  const form = el("form", { novalidate: true },
    runs.length ? null : el("p", { class: "soft" }, hint),
    el("div", { class: "fields" },
      field("What is judged", run, "A run whose fakes are made now, or fakes that you have."),
      field("Real data", data, "Of what a run learned from, only items that it never saw are shown."),
      fakes,
      field("Items of each side", n, "As many real ones as fakes; side by side: so many pairs."),
      field("How they are shown", pairs, "Side by side is easier: there is always one to compare with."),
      field("Each is seen for", view, "A short look shows what is noticed at once.")),
    el("details", {}, el("summary", {}, "More settings"), el("div", { class: "fields" },
      field("The truth is told", training, "Who is told learns, and gets better: good for practice, no proof."),
      field("Break after", breaks, "Answers between two breaks; 0: none."),
      field("Seed", seed, "The same seed draws the same items in the same order."))));
  const button = el("button", { class: "main", type: "submit" }, "Make the trial");
  form.append(el("div", { class: "row" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const isOwn = run.value === OWN;
    busy(button, form, async () => openTrial((await post("/trials", {
      run: isOwn ? null : run.value, data: data.value, fake_data: isOwn ? fake.value : null,
      n: whole(n, 15), seed: whole(seed, 0), are_pairs: pairs.value === "pairs", is_training: training.value === "training",
      view_milliseconds: view.value ? +view.value : null, break_every: whole(breaks, 0),
    })).id));
  });
  fill(host, form);
  return runs.length;
}

const WAYS = {
  gan: "made from noise, like", compressor: "through a file and back, from", masked: "parts painted, from", language: "written on, like",
};
const number = (value, min, max) => el("input", { type: "number", value, min, max, step: 1 });
const whole = (node, otherwise) => isFinite(node.valueAsNumber) ? Math.round(node.valueAsNumber) : otherwise;

// ---- one trial ----

async function openTrial(id, { isQuiet = false } = {}) {
  const trial = await get(`/trials/${id}`);
  if (new URLSearchParams(location.search).get("trial") !== id) history.pushState({}, "", `/turing?trial=${id}`);
  $("#trial").hidden = false;
  $("#trial-title").textContent = `${trial.title}: real or fake?`;
  const told = el("div"), verdict = el("div");
  fill($("#trial-body"), el("p", {}, sentence(trial)), ...trial.notes.map((note) => el("p", { class: "soft" }, `Note: ${note}.`)),
    joinForm(trial), told, verdict);
  tellPeople(told, trial);
  const isTold = trial.may_tell && trial.judges.some(({ n_answers }) => n_answers);
  if (isTold) await showVerdict(verdict, trial);
  if (!isQuiet) $("#trial").scrollIntoView({ block: "start" });
  if (!isQuiet && !isTold) $("#nickname")?.focus();
  drawTrials();
}

function sentence(trial) {
  const word = unit[trial.what], half = trial.n_questions / 2;
  const pairs = `${many(trial.n_questions, "pair")} of ${trial.what}: a real one and a fake side by side, of ${trial.data}.`;
  const what = trial.are_pairs ? `${pairs} Which one is the fake?`
    : `${many(half, `real ${word}`)} of ${trial.data} and ${many(half, "fake")}, one after the other. Which is which?`;
  const look = trial.view_milliseconds ? ` Each is seen for ${trial.view_milliseconds / 1000} s.` : "";
  return what + look + (trial.is_training ? " Training: the truth is told after each answer." : "");
}

function joinForm(trial) {
  if (trial.is_ended) return el("p", { class: "soft" }, "This trial was ended.");
  const known = localStorage.getItem("nickname") ?? "";
  const name = el("input", { id: "nickname", value: known, maxlength: 40, autocomplete: "off", required: true });
  const button = el("button", { class: "main", type: "submit" });
  const label = () => {
    const own = trial.judges.find(({ nickname }) => nickname === name.value.trim());
    const isOver = Boolean(own) && own.n_answers >= trial.n_questions;
    button.textContent = !own ? "Start" : isOver ? "All answered" : `Go on at ${own.n_answers + 1} of ${trial.n_questions}`;
    button.disabled = isOver;
  };
  name.addEventListener("input", label);
  label();
  const keys = trial.are_pairs ? "Keys: ← the left one is the fake, → the right one; Escape: a pause."
    : "Keys: R real, F fake; Escape: a pause.";
  const form = el("form", { class: "row" },
    field("Your nickname", name, `Several people can judge; come back under the same one to go on. ${keys}`), button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, form, async () => {
      const judge = await post(`/trials/${trial.id}/judges`, { nickname: name.value });
      localStorage.setItem("nickname", judge.nickname);
      const isOver = await play($("#stage"), trial, judge);
      await openTrial(trial.id);
      if (!isOver) say("A pause. Start again under the same nickname to go on.");
    }).then(label);
  });
  return form;
}

function tellPeople(host, trial) {
  const waiting = trial.judges.filter(({ n_answers }) => n_answers < trial.n_questions);
  const people = trial.judges.map(({ nickname, n_answers }) => `${nickname} ${n_answers} of ${trial.n_questions}`).join(" · ");
  const end = el("button", { type: "button" }, "End the trial"), drop = el("button", { type: "button" }, "Remove the trial");
  const ended = async () => { await post(`/trials/${trial.id}/end`); await openTrial(trial.id); };
  const dropped = async () => { await remove(`/trials/${trial.id}`); location.assign("/turing"); };
  end.addEventListener("click", () => busy(end, host, ended));
  drop.addEventListener("click", () => { if (confirm("Remove this trial and all its answers?")) busy(drop, host, dropped); });
  const who = `${waiting.map(({ nickname }) => nickname).join(" and ")} ${waiting.length === 1 ? "has" : "have"}`;
  const closed = !trial.may_tell && trial.judges.length ? `The verdict is told when ${who} answered all, or when the trial is ended.` : "";
  fill(host, people ? el("p", { class: "soft" }, `Judges: ${people}. ${closed}`) : null,
    el("div", { class: "row" }, trial.is_ended || !trial.judges.length ? null : end, drop));
}

async function drawTrials() {
  const trials = await get("/trials").catch(() => []);
  $("#trials").hidden = !trials.length;
  const state = (trial) => trial.is_ended ? "ended" : trial.may_tell ? "verdict is there" : trial.judges.length ? "under way" : "new";
  const rows = trials.slice(0, 20).map((trial) => [
    el("a", { href: `/turing?trial=${trial.id}` }, trial.title), `${trial.n_questions} ${trial.are_pairs ? "pairs" : trial.what}`,
    trial.judges.map(({ nickname }) => nickname).join(", ") || "nobody yet", state(trial), new Date(trial.begun * 1000).toLocaleString(),
  ]);
  const head = ["Trial", "Shows", "Judges", "State", "Made"].map((text) => el("th", { scope: "col" }, text));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell))));
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
  fill($("#trials-body"), el("div", { class: "scroll" }, table));
}

// ---- the page ----

async function begin() {
  const n_runs = await drawSetup();
  const toSetup = () => $("#setup").scrollIntoView({ block: "start" });
  learnForm($("#learn-form"), wish, (job) => {
    $("#training").hidden = false;
    watch($("#training-body"), job, null, ({ state, run }) => { if (state !== "failed") drawSetup(run).then(toSetup).catch(() => {}); });
    $("#training").scrollIntoView({ block: "nearest" });
  }).catch(() => {});
  $("#learn-more").open = !n_runs;
  // where there is nothing to judge yet, learning comes first
  if (!n_runs) $("#setup").before($("#learn"), $("#training"));
  drawTrials();
}

const openAsked = ({ isQuiet = false } = {}) => {
  const asked = new URLSearchParams(location.search).get("trial");
  const tell = (error) => { $("#trial").hidden = false; fill($("#trial-body"), problem(error)); };
  if (asked) openTrial(asked, { isQuiet }).catch(tell);
  else $("#trial").hidden = true;
};
addEventListener("popstate", () => openAsked({ isQuiet: true }));
begin().catch(() => {});
openAsked();
