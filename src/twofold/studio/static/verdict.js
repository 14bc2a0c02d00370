// The verdict of a trial: what people's answers are worth, the machine beside them, and which items misled whom.

import { get, url } from "./api.js";
import { el, fill, number, problem } from "./dom.js";
import { colour, plot } from "./plots.js";

const percent = (share) => share === null || share === undefined ? "–" : `${Math.round(100 * share)} %`;
const short = (value) => value.toFixed(2).replace(/^-(0\.00)$/, "$1");
const between = ([low, high]) => `${Math.round(100 * low)} to ${Math.round(100 * high)} %`;

export async function showVerdict(host, trial) {
  const told = await get(`/trials/${trial.id}/verdict`).catch((error) => { fill(host, problem(error)); return null; });
  if (!told) return;
  const { verdict } = told, chart = el("div"), machine = el("div", {}, el("p", { class: "soft" }, "The machine judges the same items …"));
  fill(host, el("h3", {}, "Verdict"), el("p", { class: `sentence ${verdict.kind.replaceAll(" ", "-")}` }, verdict.sentence),
    numbers(verdict, told.are_pairs),
    ...verdict.notes.map((note) => el("p", { class: "soft" }, `Note: ${note}.`)),
    el("h3", {}, "People and machine"), chart, machine,
    ...gallery("Fakes that fooled", "Taken for real, the best ones first.", told.fooled, told.what),
    ...gallery("Real ones that were doubted", "Taken for fakes: they show what people look for.", told.doubted, told.what),
    el("div", { class: "row" }, el("a", { class: "button", href: url(`/trials/${trial.id}/csv`), download: "" }, "Answers as CSV")));
  draw(chart, verdict, null);
  const { judgement } = await get(`/trials/${trial.id}/machine`).catch((error) => ({ judgement: { sentence: error.message } }));
  const tells = Object.entries(judgement.tells ?? {}).slice(0, 5).map(([name, value]) => `${name} ${number(value)}`).join(", ");
  fill(machine, el("p", {}, judgement.sentence), tells ? el("p", { class: "soft" }, `What it goes by: ${tells}.`) : null);
  draw(chart, verdict, judgement.test ?? null);
}

function numbers(verdict, arePairs) {
  const lines = [
    ["Right", percent(verdict.accuracy), between(verdict.interval), "Share of right answers; guessing gives 50 %."],
    [arePairs ? "Fake on the left, found" : "Hits", percent(verdict.hits), between(verdict.hits_interval),
      arePairs ? "Of pairs whose left one was the fake." : "Fakes that were called fake."],
    [arePairs ? "Fake on the right, missed" : "False alarms", percent(verdict.false_alarms), between(verdict.false_alarms_interval),
      arePairs ? "Of pairs whose right one was the fake." : "Real ones that were called fake."],
    ["d'", short(verdict.d_prime), verdict.d_prime_interval.map(short).join(" to "),
      "Skill apart from habit: 0 is guessing, 1 is fair, 3 hardly errs."],
    ["Criterion", short(verdict.criterion), "",
      arePairs ? "Habit: above 0 rather says “the right one”." : "Habit: above 0 rather says “real”."],
    ["Time", verdict.seconds === null ? "–" : `${number(verdict.seconds)} s`, "", "Median from sight to answer."],
  ];
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["", "Found", "95 % interval", "What it says"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...lines.map(([name, value, interval, about]) =>
      el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, value), el("td", { class: "number" }, interval),
      el("td", { class: "soft" }, about))))));
}

// Accuracies with their intervals, one line a judge, beside guessing.
function draw(node, verdict, test) {
  const own = verdict.people.slice(0, 30).map(({ person, accuracy, interval }) => [person, accuracy, interval, "one"]);
  const all = verdict.n_people > 1 ? [["all people", verdict.accuracy, verdict.interval, "one"]] : [];
  const rows = [...own, ...all, ...(test ? [["the machine", test.accuracy, test.accuracy_interval, "two"]] : [])].reverse();
  const trace = {
    x: rows.map(([, share]) => 100 * share), y: rows.map(([name]) => name), type: "scatter", mode: "markers",
    marker: { size: 10, color: rows.map((row) => colour(row[3])) }, showlegend: false,
    error_x: { type: "data", symmetric: false, array: rows.map(([, share, [, high]]) => 100 * (high - share)),
      arrayminus: rows.map(([, share, [low]]) => 100 * (share - low)), color: colour("soft"), thickness: 1.5 },
  };
  const said = rows.map(([name, share, interval]) => `${name} ${percent(share)}, ${between(interval)}`).reverse().join("; ");
  return plot(node, [trace], { height: 110 + 34 * rows.length, margin: { l: 110, r: 20, t: 10, b: 45 },
    xaxis: { range: [-3, 103], title: { text: "right answers, per cent" } }, yaxis: { type: "category" },
    shapes: [{ type: "line", x0: 50, x1: 50, yref: "paper", y0: 0, y1: 1, line: { color: colour("soft"), dash: "dot" } }] },
    `Right answers: ${said}`).catch(() => {});
}

function gallery(title, about, items, what) {
  if (!items.length) return [];
  const figures = items.map(({ item, n_answers, n_wrong }) => {
    const words = `${n_wrong} of ${n_answers}`;
    return el("figure", {}, exhibit(item, what, `wrong in ${words} answers`), el("figcaption", {}, words));
  });
  return [el("h3", {}, title), el("p", { class: "soft" }, about), el("div", { class: `noted ${what}` }, ...figures)];
}

function exhibit(address, what, words) {
  if (what === "pictures") return el("img", { src: address, alt: words, class: "pixels", loading: "lazy" });
  if (what === "sounds") return el("audio", { src: address, controls: true, preload: "none", "aria-label": words });
  const node = el("p");
  const spelled = (told) => Object.entries(told).map(([name, value]) => `${name} ${value ?? "–"}`).join(" · ");
  fetch(address).then((answer) => answer.json()).then((told) => { node.textContent = typeof told === "string" ? told : spelled(told); })
    .catch(() => {});
  return node;
}
