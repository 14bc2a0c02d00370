// What a run is used on: a file that is dropped, or an item of data that are there.

import { get, upload, url } from "./api.js";
import { choice, el, field, fill, problem } from "./dom.js";
import { dropped } from "./learn.js";

// The picker's node; `onPick({ data, row, title })` is called with the id of data and the row among its items.
// `what`: pictures, sounds, rows or texts; data that hold something else are not shown.
// `start`: which item of the `first` data is picked by itself.
export async function inputPicker(onPick, { what = "pictures", first = "", start = 0 } = {}) {
  const stocks = await get("/data"), told = el("div", { role: "status", class: "soft" }), items = el("div");
  const list = choice([["", "choose data …"], ...stocks.map(({ id, title }) => [id, title])], first);
  const files = el("input", { type: "file", multiple: true });
  const show = async (id) => {
    const at = id === first ? start : 0;
    fill(items); told.textContent = "";
    if (!id) return;
    try {
      const page = await get(`/data/${id}/items?n=60`);
      if (page.what !== what) { told.textContent = `These are ${page.what}; this run is used on ${what}.`; return; }
      if (what === "pictures") fill(items, thumbs(id, page.items, onPick, at));
      if (page.items.length) onPick({ data: id, row: at, title: page.items[at]?.name ?? "the first" });
    } catch (error) { fill(told, problem(error)); }
  };
  const send = async (some) => {
    if (!some.length) return;
    told.textContent = "sending …";
    try { const stock = await upload(some, { isInput: true }); list.value = ""; await show(stock.id); }
    catch (error) { fill(told, problem(error)); }
  };
  list.addEventListener("change", () => show(list.value));
  files.addEventListener("change", () => send(files.files));
  const drop = el("div", { class: "drop" }, el("div", { class: "row" }, field("Drop a file here, or choose one", files), field("or take it from", list)));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => { event.preventDefault(); drop.classList.remove("over"); send(await dropped(event.dataTransfer)); });
  if (first) show(first);
  return el("div", {}, drop, told, items);
}

function thumbs(id, items, onPick, at) {
  const buttons = items.map(({ row, name, label }) => {
    const title = label ? `${name} (${label})` : name;
    const button = el("button", { type: "button", title, "aria-label": title, "aria-pressed": row === at ? "true" : "false" },
      el("img", { src: url(`/data/${id}/items/${row}/picture?side=96`), alt: "", loading: "lazy" }));
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      onPick({ data: id, row, title: name });
    });
    return button;
  });
  const group = el("div", { class: "thumbs", role: "group", "aria-label": "Items; arrow keys go through them" }, ...buttons);
  rove(group, buttons, at);
  return group;
}

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

// Many buttons are one stop of the Tab key; arrows go from one to the next.
function rove(group, buttons, at) {
  const stop = (place) => buttons.forEach((button, other) => { button.tabIndex = other === place ? 0 : -1; });
  stop(Math.min(at, buttons.length - 1));
  group.addEventListener("focusin", (event) => { const place = buttons.indexOf(event.target); if (place >= 0) stop(place); });
  group.addEventListener("keydown", (event) => {
    const step = STEPS[event.key], place = buttons.indexOf(document.activeElement);
    if (!step || place < 0) return;
    event.preventDefault();
    buttons[Math.min(buttons.length - 1, Math.max(0, place + step))].focus();
  });
}
