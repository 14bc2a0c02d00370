// A detector at work: how strange everything is, what gave it away, and a row to try things with.

import { get, post, url } from "../api.js";
import { el, fill, number, problem } from "../dom.js";
import { dataChoice } from "../pick.js";
import { colour, plot } from "../plots.js";

export async function show(host, run) {
  const said = el("div", { role: "status" }), answer = el("div");
  const look = async (id) => {
    fill(answer); fill(said, el("p", { class: "soft" }, "looking …"));
    try {
      const told = await post(`/runs/${run.id}/detect`, { data: id });
      fill(said, verdict(told));
      await tell(answer, run, id, told);
    } catch (error) { fill(said, problem(error)); }
  };
  const picker = await dataChoice(run, look, "Each item of these is judged; the strangest are shown first.");
  fill(host, picker.node, said, answer);
  await look(picker.value());
}

async function tell(host, run, data, told) {
  const bars = el("div", { class: "plot" }), trial = el("div");
  fill(host, labels(told), bars,
    el("h3", {}, told.what === "rows" ? "The strangest rows, and what gave them away" : "The strangest pictures, red where"),
    told.what === "rows" ? table(told, (item) => attempt(trial, run, data, item, told).then(() => goTo(trial))) : pictures(data, told),
    el("p", { class: "row" }, el("a", { class: "button", href: told.file, download: "scores.csv" }, "Scores of all, as CSV")), trial);
  await histogram(bars, told);
  if (told.what === "rows") await attempt(trial, run, data, told.items[0], told);
}

// To what was asked for, for eyes and for the keyboard.
function goTo(node) {
  node.scrollIntoView({ block: "nearest" });
  node.querySelector("input, button")?.focus({ preventScroll: true });
}

const percent = (share) => `${number(100 * share)} %`;

function verdict(told) {
  const some = told.n < told.n_items ? ` (the first ${told.n} of ${told.n_items})` : "";
  const seen = told.n_seen ? ` ${told.n_seen} of them were learned from: each is judged without itself, but figures on them flatter.` : "";
  return el("p", {}, el("strong", {}, `${told.n_anomalies} of ${told.n} ${told.what} are odd`),
    `${some}: they score above ${number(told.alarm_line)}, which ${percent(told.alarm_rate)} of what is normal would.${seen}`);
}

// Where the data say themselves what each is: how many of each kind were found.
function labels(told) {
  if (told.by_label.length < 2) return null;
  return el("p", { class: "row" }, ...told.by_label.slice(0, 8).map(({ label, n, anomalies }) =>
    el("span", { class: "tag" }, `${label}: ${anomalies} of ${n} odd`)));
}

async function histogram(node, told) {
  const { edges, counts } = told.histogram, width = edges[1] - edges[0];
  const traces = Object.entries(counts).map(([name, y]) => ({
    type: "bar", name, y, x: y.map((_, i) => edges[i] + width / 2), width: y.map(() => width * 0.94),
    hovertemplate: "%{y} score about %{x:.3g}<extra></extra>",
  }));
  const line = { type: "line", x0: told.alarm_line, x1: told.alarm_line, yref: "paper", y0: 0, y1: 1,
    line: { color: colour("bad"), width: 2, dash: "dot" } };
  await plot(node, traces, {
    barmode: "stack", shapes: [line], xaxis: { title: { text: "how strange" } }, yaxis: { title: { text: `number of ${told.what}` } },
    annotations: [{ x: told.alarm_line, yref: "paper", y: 1, text: "alarm", showarrow: false, xanchor: "left", xshift: 5,
      font: { color: colour("bad") } }],
  }, `How often each score came. ${told.n_anomalies} of ${told.n} are above the alarm line at ${number(told.alarm_line)}.`);
}

// ---- rows ----

function table(told, onTry) {
  const hasLabel = told.items.some(({ label }) => label !== null);
  const head = [["Row"], ...hasLabel ? [["Is"]] : [], ["Score", "number"], ["p", "number"], ["What gave it away"]];
  const cells = (item) => [
    el("td", {}, item.name || String(item.row + 1)), hasLabel ? el("td", {}, item.label) : null,
    el("td", { class: "number" }, el("strong", { class: item.is_anomaly ? "odd-high" : "" }, number(item.anomaly_score))),
    el("td", { class: "number" }, number(item.p_value)), el("td", {}, el("div", { class: "odd-why" }, ...item.why.map(reason))),
    el("td", {}, el("button", { type: "button", "aria-label": `Try row ${item.row + 1}`, onclick: () => onTry(item) }, "Try")),
  ];
  return el("div", { class: "scroll odd-list", tabindex: 0, role: "region", "aria-label": "The strangest rows" }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map(([text, kind]) => el("th", { scope: "col", class: kind }, text)),
      el("th", { scope: "col" }, el("span", { class: "unseen" }, "Try it")))),
    el("tbody", {}, ...told.items.map((item) => el("tr", {}, ...cells(item))))));
}

const said = (value) => value === null ? "missing" : typeof value === "number" ? number(value) : value;

// A column: what stands there, what was expected, and a bar for how much of the strangeness it carries.
function reason({ column, seen, expected, share }) {
  const bar = el("i", { "aria-hidden": "true" });
  bar.style.width = `${Math.round(100 * Math.min(1, share))}%`;
  return el("span", { class: "odd-reason", title: `${percent(Math.min(1, share))} of the strangeness goes when it is as expected` },
    el("b", {}, column.replaceAll("_", " ")), ` ${said(seen)} `, el("span", { class: "soft" }, `expected ${said(expected)}`), bar);
}

// A row whose cells can be changed, to see what would be normal.
async function attempt(host, run, data, item, told) {
  const page = await get(`/data/${data}/items?start=${item.row}&n=1`);
  const cells = { ...page.items[0].cells }, score = el("div", { class: "odd-score", "aria-live": "polite" });
  const known = told.columns.filter((name) => name in cells);
  const fields = Object.fromEntries(known.map((name) => [name, cellField(name, cells[name])]));
  const judge = async () => {
    const row = Object.fromEntries(known.map((name) => [name, fields[name].input.value === "" ? null : fields[name].input.value]));
    try { draw(score, (await post(`/runs/${run.id}/scores`, { rows: [row], why: true })), fields, judge); }
    catch (error) { fill(score, problem(error)); }
  };
  let soon;
  for (const { input } of Object.values(fields)) input.addEventListener("input",
    () => { clearTimeout(soon); soon = setTimeout(judge, 150); });
  fill(host, el("h3", {}, `What if? Row ${item.row + 1}, to be changed`),
    el("p", { class: "soft" },
      "Change a cell and see whether the row would still be odd; what gives it away is marked, and can be set to what was expected."),
    score, el("div", { class: "odd-cells" }, ...Object.values(fields).map(({ node }) => node)));
  await judge();
}

function cellField(name, value) {
  const input = el("input", { value: value ?? "", autocomplete: "off" });
  return { input, node: el("label", { class: "odd-cell" }, el("span", {}, name.replaceAll("_", " ")), input) };
}

function draw(host, { items: [item], alarm_line: line }, fields, again) {
  for (const { input } of Object.values(fields)) input.classList.remove("odd-mark");
  for (const { column } of item.why) if (item.is_anomaly) fields[column]?.input.classList.add("odd-mark");
  const bar = el("div"), top = 2 * Math.max(line, 1e-9);
  bar.style.width = `${Math.round(100 * Math.min(1, Math.max(0.01, item.anomaly_score / top)))}%`;
  const mend = item.is_anomaly ? item.why.filter(({ column }) => fields[column]).map(({ column, expected }) => el("button", {
    type: "button", onclick: () => { fields[column].input.value = expected ?? ""; again(); },
  }, `${column.replaceAll("_", " ")} → ${said(expected)}`)) : [];
  fill(host, el("p", {}, el("strong", { class: item.is_anomaly ? "odd-high" : "good" }, item.is_anomaly ? "odd" : "normal"),
    `, score ${number(item.anomaly_score)}; the alarm is at ${number(line)}; p = ${number(item.p_value)}`),
  el("div", { class: `progress odd-bar ${item.is_anomaly ? "is-odd" : ""}` }, bar), el("div", { class: "row" }, ...mend));
}

// ---- pictures ----

function pictures(data, told) {
  return el("div", { class: "odd-pictures" }, ...told.items.map((item) => el("figure", {},
    el("div", { class: "odd-pair" },
      el("img", { class: "pixels", src: url(`/data/${data}/items/${item.row}/picture?side=192`), alt: item.name, loading: "lazy" }),
      item.heat ? el("img", { class: "pixels", src: item.heat, alt: `Where it is strange: ${item.why[0]?.text ?? ""}`, loading: "lazy" })
        : null),
    el("figcaption", {}, el("strong", { class: item.is_anomaly ? "odd-high" : "" }, number(item.anomaly_score)),
      ` ${item.label ?? ""} ${item.name}. ${item.why[0]?.text ?? ""}`))));
}
