// A classifier at work: what each picture is taken for, and what is mixed up.

import { follow, get, post, url } from "../api.js";
import { $, busy, el, facts, fill, problem } from "../dom.js";
import { dataChoice } from "../pick.js";
import { chance } from "./search.js";

// ---- what to borrow ----

// a forger's detective learns to see quickest of all that can lend: a masked autoencoder is finer, and takes minutes
const LENDERS = ["masked", "clip", "gan", "autoencoder"], FIRST = "first",
  QUICK = { method: "gan", settings: { n_steps: 150, conditional: false } };

// The body is borrowed from a run that is here; where there is none, one is learned first, and then the classes.
export async function prepare(host, begin) {
  const form = $("form", host), body = $('[name="backbone"]', host), note = el("p", { class: "soft", role: "status" });
  const runs = (await get("/runs")).filter(({ state }) => ["finished", "stopped"].includes(state));
  const lender = LENDERS.map((method) => runs.find((run) => run.method === method)).find(Boolean);
  $("button.main", form).parentElement.append(note);
  if (!lender) body.prepend(el("option", { value: FIRST }, "a small network that first looks at the same pictures"));
  const choose = () => { body.value = lender ? `run:${lender.id}` : FIRST; tell(); };
  const tell = () => { note.textContent = NOTES[body.value] ?? (body.value.startsWith("run:")
    ? `The body is borrowed from ${body.selectedOptions[0].textContent}.` : NOTES.fetched); };
  body.addEventListener("change", tell);
  body.addEventListener("filled", choose, { once: true });
  choose();
  form.addEventListener("submit", (event) => {
    if (body.value !== FIRST) return;
    event.preventDefault(); event.stopImmediatePropagation();
    busy($("button.main", form), form, () => learnBody(form, body, begin));
  }, { capture: true });
}

const NOTES = {
  [FIRST]: "There is no network here to borrow from yet. So one is learned first from the same pictures, without labels: "
    + "the detective of a short game against a counterfeiter. Then the classes follow by themselves.",
  fetched: "This body is fetched from the internet once, if it is not on this machine yet.",
};

async function learnBody(form, body, begin) {
  const job = await post("/runs", { ...QUICK, data: $("select", form).value });
  begin(job);
  await ended(job, ["finished", "stopped"]);
  body.append(el("option", { value: `run:${job.run}` }, `the run ${job.name} (${QUICK.method})`));
  body.value = `run:${job.run}`;
  body.dispatchEvent(new Event("change"));
  form.requestSubmit();
}

// ---- use ----

export async function show(host, run) {
  const sheet = el("div"), measured = el("div", { "aria-live": "polite" });
  let seed = 0;
  const look = async (data) => {
    fill(measured);
    try { drawSheet(sheet, run, data, await post(`/runs/${run.id}/recognise`, { data, seed }), () => { seed += 1; look(data); }); }
    catch (error) { fill(sheet, problem(error)); }
  };
  const picker = await dataChoice(run, look, "Pictures to be recognised; some of them are shown.");
  const button = el("button", { type: "button" }, "How often is it right?");
  button.addEventListener("click", () => busy(button, measured, () => measure(measured, run, picker.value())));
  fill(host, verdict(run), picker.node, sheet, el("h3", {}, "What is mixed up"),
    el("p", { class: "soft" },
      "All pictures of these data are recognised and compared with what the data say. "
      + "Give others than were learned from, or the figures flatter."),
    el("div", { class: "row" }, button), measured);
  await look(picker.value());
}

// What the run itself knows of how good it is, by pictures that it left out.
function verdict(run) {
  const share = (name) => run.measures[name] === undefined ? null : `${Math.round(100 * run.measures[name])} %`;
  const told = [["right, of pictures left out", share("accuracy on pictures left out")],
    ["always the commonest class", share("the same by commonest class")],
    ["raw pixels alone", share("the same by ridge on raw pixels")]].filter(([, value]) => value);
  return el("div", {}, told.length ? facts(told) : null);
}

function drawSheet(host, run, data, told, onOthers) {
  const known = told.items.filter(({ label }) => label !== null), right = known.filter(({ label, classes }) => label === classes[0].label);
  fill(host, known.length ? el("p", {}, el("strong", {}, `${right.length} of these ${known.length}`),
    " are taken for what the data say that they are.") : null,
    el("div", { class: "recognise-sheet" },
      ...told.items.map((item) => el("figure", { class: item.label !== null && item.label !== item.classes[0].label ? "mistaken" : "" },
      el("img", { class: "pixels", src: url(`/data/${data}/items/${item.row}/picture?side=160`), alt: item.name, loading: "lazy" }),
      el("figcaption", {}, el("strong", {}, item.classes[0].label), item.label !== null && item.label !== item.classes[0].label
        ? el("span", { class: "odd-high" }, ` is ${item.label}`) : null,
        ...item.classes.slice(0, 3).map(({ label, probability }) => chance(label, probability)))))),
    told.n > told.items.length ? el("p", {}, el("button", { type: "button", onclick: onOthers }, "Others")) : null);
}

// ---- what is mixed up ----

async function measure(host, run, data) {
  fill(host, el("p", { class: "soft" }, "recognising all of them …"));
  const result = await ended(await post(`/runs/${run.id}/evaluate`, { data }));
  const { accuracy } = result.measures;
  const pairs = mixed(result.confusion, result.classes);
  fill(host, facts([["right", `${Math.round(100 * accuracy.value)} %`],
    ...Object.entries(accuracy.baselines ?? {}).map(([name, value]) => [name, `${Math.round(100 * value)} %`])]),
    pairs.length ? el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Classes that are mixed up" }, el("table", {},
      el("thead", {}, el("tr", {}, ...["Is", "is taken for", "times", "of all such"].map((text, place) =>
        el("th", { scope: "col", class: place > 1 ? "number" : "" }, text)))),
      el("tbody", {}, ...pairs.map(([is, said, n, share]) => el("tr", {}, el("td", {}, is), el("td", {}, said),
        el("td", { class: "number" }, String(n)), el("td", { class: "number" }, `${Math.round(100 * share)} %`))))))
        : el("p", {}, "Nothing is mixed up."));
}

function mixed(table, classes) {
  const pairs = table.flatMap((row, i) =>
    row.map((n, j) => [classes[i], classes[j], n, n / Math.max(1, row.reduce((a, b) => a + b, 0))]).filter(([, , n], j) => n && i !== j));
  return pairs.sort((a, b) => b[2] - a[2]).slice(0, 12);
}

// The result of a job, when it is over.
function ended(job, good = ["finished"]) {
  return new Promise((done, failed) => follow(job.id, { state: ({ state, result, error }) => {
    if (good.includes(state)) done(result);
    else if (["failed", "stopped"].includes(state)) failed(new Error(error || "It was stopped."));
  } }));
}
