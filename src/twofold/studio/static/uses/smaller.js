// Make smaller: a picture as a real file at any quality, beside PNG and JPEG; and a file opened again.

import { bytes, decibel, latest, learnedFrom, slider, sliderField } from "../asking.js";
import { get, post } from "../api.js";
import { choice, el, field, fill } from "../dom.js";
import { inputPicker } from "../input.js";
import { stockOf } from "../pick.js";
import { wipe } from "../wipe.js";

const VIEWS = [["original", "the original"], ["jpeg", "JPEG, as small"], ["error", "where it is wrong"]];

export async function show(host, run) {
  const stocks = await get("/data"), picked = { data: "", row: 0 }, status = el("div", { role: "status" }),
    sizes = el("div", { class: "scroll" }), actions = el("div", { class: "row" });
  const view = wipe(["original", "from the file"], "The picture"), ask = latest(status);
  const beside = choice(VIEWS, "original");
  const quality = slider({ min: 0, max: 100, value: 20, onChange: () => send() });
  let answer = null;
  const look = () => {
    if (!answer) return;
    const [name, url] = {
      original: ["original", answer.original], jpeg: ["JPEG, as small", answer.jpeg_as_small.url],
      error: ["errors (white: the largest)", answer.error],
    }[beside.value];
    view.name(name, "from the file"); view.show(url, answer.ours.url);
  };
  const send = () => {
    if (!picked.data) return;
    status.textContent = "writing the file …";
    ask(() => post(`/runs/${run.id}/compress`, { data: picked.data, row: picked.row, quality: +quality.node.value }), (told) => {
      answer = told; body.hidden = false; look();
      fill(sizes, table(told, learnedFrom(run, stocks, picked.data)));
      fill(actions, el("a", { class: "button", href: told.file, download: "picture.tfz" }, "Download the .tfz file"));
    });
  };
  beside.addEventListener("change", look);
  const body = el("div", { hidden: true }, view.node, sizes, actions);
  const picker = await inputPicker(({ data, row }) => { Object.assign(picked, { data, row }); send(); },
    { first: stockOf(stocks, run) || "sample-photos" });
  fill(host, picker, el("div", { class: "fields uses" },
    sliderField("Quality", "0 writes the smallest file, 100 the one with the least error.", quality),
      field("Beside it", beside, "What stands on the left of the curtain.")),
  status, body, opener(run));
}

// Files beside each other, each with a bar as long as it is large.
function table(told, more) {
  const files = [["JPEG, as near to the picture", told.jpeg_as_good], ["JPEG, as small", told.jpeg_as_small], ["this file", told.ours]];
  const rows = [["PNG: nothing lost", told.png_bytes, null], ...files.map(([name, { n_bytes, psnr }]) => [name, n_bytes, psnr])];
  const most = Math.max(...rows.map(([, size]) => size));
  const line = ([name, size, psnr], place) => el("tr", { class: place === rows.length - 1 ? "ours" : null },
    el("th", { scope: "row" }, name), el("td", { class: "number" }, bytes(size)),
    el("td", { class: "number" }, `${(8 * size / told.width / told.height).toFixed(2)}`),
      el("td", { class: "number" }, psnr === null ? "no error" : decibel(psnr)),
    el("td", { class: "size-bar", "aria-hidden": "true" }, el("div", { style: `width:${Math.max(1, 100 * size / most)}%` })));
  return el("table", {}, el("caption", { class: "soft" }, `${told.width} × ${told.height} pixels, all measured here.${more}`),
    el("thead", {}, el("tr", {}, ...["file", "size", "bits a pixel", "PSNR"].map((text) => el("th", { scope: "col" }, text)), el("td"))),
    el("tbody", {}, ...rows.map(line)));
}

function opener(run) {
  const file = el("input", { type: "file", accept: ".tfz" }), shown = el("figure");
  const status = el("div", { role: "status" }), ask = latest(status);
  const open = (chosen) => {
    if (!chosen) return;
    const form = new FormData();
    form.append("file", chosen);
    status.textContent = "opening …";
    ask(() => post(`/runs/${run.id}/decompress`, form), (told) => fill(shown,
      el("img", { src: told.url, alt: `The picture in ${chosen.name}`, class: told.width < 200 ? "pixels" : null }),
      el("figcaption", {}, `${told.width} × ${told.height} pixels from ${bytes(chosen.size)}. `,
        el("a", { href: told.url, download: "opened.png" }, "Download it as PNG"))));
  };
  file.addEventListener("change", () => open(file.files[0]));
  const drop = el("div", { class: "drop" }, field("Drop a .tfz file here, or choose one", file,
    "Only the run that wrote a file can open it."));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); open(event.dataTransfer.files[0]); });
  return el("section", { class: "opener" }, el("h3", {}, "Open a file again"), drop, status, shown);
}
