// Before and after on one place, with a curtain between them: dragged, or moved by the arrow keys of its slider.

import { el } from "./dom.js";

// { node, show(before, after) }: addresses of two pictures of one size; `names` stand in their corners.
export function wipe(names, what = "Before and after") {
  const under = el("img", { alt: "", draggable: "false" }), over = el("img", { alt: "", class: "over", draggable: "false" });
  const line = el("div", { class: "curtain", "aria-hidden": "true" });
  const tags = names.map((name, place) => el("span", { class: place ? "right" : "left", "aria-hidden": "true" }, name));
  const stage = el("div", { class: "wipe", role: "img",
    "aria-label": `${what}: ${names[0]} on the left of the curtain, ${names[1]} on its right` },
    under, over, line, ...tags);
  const slider = el("input", { type: "range", min: 0, max: 100, step: 1, value: 50,
    "aria-label": `Curtain between ${names[0]} and ${names[1]}, in per cent from the left` });
  const move = (share) => { slider.value = share; stage.style.setProperty("--at", `${slider.value}%`); };
  slider.addEventListener("input", () => move(slider.value));
  drag(stage, (event) => { const box = stage.getBoundingClientRect(); move(100 * (event.clientX - box.left) / box.width); });
  move(50);
  const show = (before, after) => {
    under.src = before; over.src = after;
    // a small picture is shown by its pixels, not by a blur
    under.onload = () => stage.classList.toggle("pixels", under.naturalWidth < 200);
  };
  const name = (one, other) => tags.forEach((tag, place) => { tag.textContent = place ? other : one; });
  return { node: el("div", { class: "wipe-box" }, stage, slider), show, name };
}

// Call `move` while the pointer is held down on a node.
export function drag(node, move, { onStart = () => {}, onEnd = () => {} } = {}) {
  let isHeld = false;
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    isHeld = true; node.setPointerCapture(event.pointerId); onStart(event); move(event);
  });
  node.addEventListener("pointermove", (event) => { if (isHeld) move(event); });
  const end = (event) => { if (isHeld) { isHeld = false; onEnd(event); } };
  for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, end);
}
