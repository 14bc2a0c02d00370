// Questions that follow a slider: only the latest one counts, and one is on its way at a time.

import { el, fill, problem } from "./dom.js";

// ask(work, done): `work()` answers later; while it does, newer questions wait and all but the newest are dropped.
export function latest(place) {
  let isBusy = false, next = null;
  const run = async ([work, done]) => {
    isBusy = true; place.setAttribute("aria-busy", "true");
    try { const answer = await work(); if (!next) { fill(place); done(answer); } }
    catch (error) { if (!next) fill(place, problem(error)); }
    isBusy = false; place.removeAttribute("aria-busy");
    if (next) { const one = next; next = null; run(one); }
  };
  return (work, done) => { if (isBusy) next = [work, done]; else run([work, done]); };
}

// A slider with its value beside its name; `onChange(value)` when it comes to rest, `onMove` on the way.
export function slider({ min, max, value, step = 1, unit = "", label, onChange, onMove = () => {} }) {
  const told = el("output", {}, `${value}${unit}`);
  const node = el("input", { type: "range", min, max, step, value, "aria-label": label });
  node.addEventListener("input", () => { told.textContent = `${node.value}${unit}`; onMove(+node.value); });
  node.addEventListener("change", () => onChange(+node.value));
  return { node, told, set: (number) => { node.value = number; told.textContent = `${node.value}${unit}`; } };
}

// A slider as a field of a form: name and value above it, a sentence below.
export function sliderField(label, help, slide) {
  slide.node.id ||= `slide-${label.replace(/\W+/g, "-").toLowerCase()}`;
  slide.node.removeAttribute("aria-label");
  const text = el("small", { id: `${slide.node.id}-help` }, help);
  slide.node.setAttribute("aria-describedby", text.id);
  return el("div", { class: "field" }, el("span", { class: "slide-name" }, el("label", { for: slide.node.id }, label), " ", slide.told),
    slide.node, text);
}

// Said where a picture was learned from: figures on it flatter.
export const learnedFrom = (run, stocks, data) => stocks.find(({ id }) => id === data)?.title === run.data
  ? " This is one of those that were learned from: figures on others will be worse." : "";

export const bytes = (n) => n < 1000 ? `${n} bytes` : n < 1e6 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1e6).toFixed(2)} MB`;

export const decibel = (number) => number === null ? "–" : `${number.toFixed(1)} dB`;
