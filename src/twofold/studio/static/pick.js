// Whole data to be used on: what is listed, or files that are dropped or chosen.

import { get, upload } from "./api.js";
import { $, choice, el, field, fill, problem } from "./dom.js";
import { dropped } from "./learn.js";

// The data that a run learned from, by their title.
export const stockOf = (stocks, run) => stocks.find(({ title }) => title === run.data)?.id ?? "";

// { node, value(), title() }; `onChange(id)` is called when other data are chosen, or files were sent.
export async function dataChoice(run, onChange, help = "") {
  const stocks = await get("/data"), told = el("small", { role: "status" });
  const list = choice(stocks.map(({ id, title, about }) => [id, `${title}: ${about}`]), stockOf(stocks, run));
  const files = el("input", { type: "file", multiple: true });
  const send = async (some) => {
    if (!some.length) return;
    told.textContent = "sending …";
    try {
      const stock = await upload(some, { isInput: true });
      list.prepend(el("option", { value: stock.id }, `${stock.title}: ${stock.about}`));
      list.value = stock.id; told.textContent = "";
      onChange(list.value);
    } catch (error) { fill(told, problem(error)); }
  };
  list.addEventListener("change", () => onChange(list.value));
  files.addEventListener("change", () => send(files.files));
  const node = el("div", { class: "fields" }, field("Data", list, help),
    field("or files of your own", files, "They may be dropped here too."), told);
  node.addEventListener("dragover", (event) => event.preventDefault());
  node.addEventListener("drop", async (event) => { event.preventDefault(); send(await dropped(event.dataTransfer)); });
  return { node, value: () => list.value, title: () => list.selectedOptions[0]?.textContent ?? "" };
}

// Settings that suit a page's sample need not suit other data: there they are decided for anew.
export function forSampleOnly(host, names) {
  const data = $("select", host), sample = data.value, nodes = names.map((name) => $(`[name="${name}"]`, host)),
    first = nodes.map(({ value }) => value);
  data.addEventListener("change", () => nodes.forEach((node, place) => { node.value = data.value === sample ? first[place] : ""; }));
}
