// Elements, words for people, and small habits that all pages share.

// el("button", { class: "main", onclick: f, "aria-label": "…" }, "text", child, …)
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const $ = (selector, root = document) => root.querySelector(selector);

export function fill(node, ...children) { node.replaceChildren(...children.filter(Boolean)); return node; }

// Told to eyes and to screen readers, for a while.
let silence;
export function say(text) {
  const place = $("#says");
  place.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { place.textContent = ""; }, 6000);
}

export const problem = (error) => el("p", { class: "error", role: "alert" }, error.message);

// Run something slow from a button: it cannot be pressed twice, and what goes wrong is told in `place`.
export async function busy(button, place, work) {
  const text = button.textContent;
  button.disabled = true; button.setAttribute("aria-busy", "true");
  $(":scope > .error", place)?.remove();
  try { return await work(); }
  catch (error) { place.prepend(problem(error)); return undefined; }
  finally { button.disabled = false; button.removeAttribute("aria-busy"); button.textContent = text; }
}

let nFields = 0;
// A labelled control with a line of help under it.
export function field(label, control, help = "") {
  control.id ||= `field-${nFields++}`;
  const text = help ? el("small", { id: `${control.id}-help` }, help) : null;
  if (text) control.setAttribute("aria-describedby", text.id);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, text);
}

export function choice(options, chosen) {
  const node = el("select");
  for (const [value, text] of options) node.append(el("option", { value, selected: value === chosen }, text));
  return node;
}

export const number = (value) =>
  value === null || value === undefined ? "–" : Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(2) : String(+value.toPrecision(4));

export function seconds(n) {
  if (n === null || !isFinite(n)) return "–";
  return n < 90 ? `${Math.round(n)} s` : n < 5400 ? `${Math.round(n / 60)} min` : `${(n / 3600).toFixed(1)} h`;
}

export function facts(pairs) {
  return el("dl", { class: "facts" }, ...pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
}

export const about = () => JSON.parse($("#about").textContent);
