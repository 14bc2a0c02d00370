// A run measured on data, each measure beside its baselines.

import { follow, get, post } from "./api.js";
import { busy, choice, el, field, fill, number, problem } from "./dom.js";

export async function measureForm(run) {
  const stocks = await get("/data"), told = el("div", { role: "status" });
  const own = stocks.find(({ title }) => title === run.data)?.id;
  const list = choice(stocks.map(({ id, title }) => [id, title]), own);
  const label = el("input", { value: run.about_data.label ?? "" }), normal = el("input", { value: run.about_data.normal ?? "" });
  const button = el("button", { type: "submit" }, "Measure");
  const form = el("form", {}, el("div", { class: "fields" },
    field("Data", list, "Data that training did not see give sound figures."),
    field("Label", label, "The column or the classes that tell the truth, where there are any."),
    field("Normal value", normal, "Its value for normal items, of a detector.")), el("div", { class: "row" }, button), told);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, form, async () => {
      fill(told, el("p", { class: "soft" }, "measuring …"));
      const job = await post(`/runs/${run.id}/evaluate`, { data: list.value, label: label.value || null, normal: normal.value || null });
      await new Promise((done) => follow(job.id, { state: (state) => { if (showState(told, state)) done(); } }));
    });
  });
  return el("details", {}, el("summary", {}, "Measure it on data"), form);
}

function showState(host, { state, error, result }) {
  if (state === "failed") fill(host, problem({ message: error }));
  else if (state === "finished") fill(host, table(result.measures ?? {}));
  return ["finished", "stopped", "failed"].includes(state);
}

function table(measures) {
  const rows = Object.entries(measures).map(([name, { value, interval, baselines }]) => el("tr", {}, el("td", {}, name), el("td", { class: "number" }, number(value)),
    el("td", {}, interval ? `${number(interval[0])} to ${number(interval[1])}` : ""),
    el("td", {}, Object.entries(baselines).map(([other, its]) => `${other} ${number(its)}`).join(" · "))));
  const head = ["Measure", "Value", "95 %", "Beside it"].map((name) => el("th", { scope: "col" }, name));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}
