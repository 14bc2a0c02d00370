// Clean up: noise put on and taken off again; the picture as it is; by a run, or by the picture alone.

import { decibel, latest, learnedFrom, slider, sliderField } from "../asking.js";
import { get, post } from "../api.js";
import { choice, el, facts, field, fill, number } from "../dom.js";
import { inputPicker } from "../input.js";
import { stockOf } from "../pick.js";
import { wipe } from "../wipe.js";

export async function show(host, run) {
  const stocks = await get("/data"), picked = { data: "", row: 0 }, status = el("div", { role: "status" }), told = el("div"),
    actions = el("div", { class: "row" });
  const view = wipe(["noisy", "cleaned"], "The picture"), ask = latest(status);
  const strength = slider({ min: 0, max: 60, value: 25, onChange: () => send() });
  const by = choice([["run", `what ${run.name} learned`], ["alone", "the picture alone (slower, at most 160 pixels)"]], "run");
  const side = choice([["256", "at most 256 pixels"], ["384", "at most 384 pixels"], ["768", "at most 768 pixels (slower)"],
    ["1536", "at most 1,536 pixels (much slower)"]], "384");
  const send = () => {
    if (!picked.data) return;
    const question = { data: picked.data, row: picked.row, strength: +strength.node.value, side: +side.value };
    const path = by.value === "run" ? `/runs/${run.id}/clean` : "/clean";
    status.textContent = "cleaning …";
    const about = { isNoised: question.strength > 0, more: learnedFrom(run, stocks, question.data) };
    ask(() => post(path, question), (answer) => tell(answer, { view, told, actions, body, ...about }));
  };
  for (const list of [by, side]) list.addEventListener("change", send);
  const body = el("div", { hidden: true }, view.node, told, actions);
  const picker = await inputPicker(({ data, row }) => { Object.assign(picked, { data, row }); send(); },
    { first: stockOf(stocks, run) || "sample-photos" });
  fill(host, picker, el("div", { class: "fields uses" },
    sliderField("Noise to add", "How strong, of 255, so that you can see it taken away; 0 cleans the picture as it is.", strength),
    field("Clean it by", by, "A run knows how pictures look; alone, the picture's own patches tell what they have in common."),
    field("Size", side, "Larger pictures are shrunk to this before.")), status, body);
}

function tell(answer, { view, told, actions, body, isNoised, more }) {
  body.hidden = false;
  view.name(isNoised ? "noisy" : "as it is", "cleaned");
  view.show(answer.noisy, answer.cleaned);
  fill(told, facts([["noise found, of 255", number(answer.level)], ["gain foreseen", decibel(answer.gain)],
    ...(isNoised ? [["PSNR of the noisy one", decibel(answer.psnr_noisy)], ["PSNR of the cleaned one", decibel(answer.psnr_cleaned)]] : []),
    ["size", `${answer.width} × ${answer.height}`]]),
  el("p", { class: "soft" }, isNoised
    ? `PSNR: nearness to the true picture, more is nearer. The gain is foreseen without knowing that picture.${more}`
    : "The true picture is not known: the gain is foreseen from the picture and its answer alone."));
  fill(actions, el("a", { class: "button", href: answer.cleaned, download: "cleaned.png" }, "Download the cleaned picture"));
}
