// The drawing of two networks: what they are, how large, what flows, and how well they do.

const NS = "http://www.w3.org/2000/svg", WIDTH = 1000, HEIGHT = 190, W = 128, H = 62;

function svg(tag, attributes = {}, text = null) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== null) node.textContent = text;
  return node;
}

const place = (part) => [part.x / 100 * (WIDTH - W - 8) + W / 2 + 4, part.y / 100 * (HEIGHT - H - 34) + H / 2 + 6];

function outline(part) {
  const [x, y] = place(part), w = W / 2, h = H / 2, slope = 15;
  const [left, right] = part.kind === "narrowing" ? [h, h - slope] : part.kind === "widening" ? [h - slope, h] : [h, h];
  if (part.kind === "code") return svg("rect", { x: x - w * 0.8, y: y - h * 0.72, width: w * 1.6, height: h * 1.44, rx: 16, class: "part code" });
  if (part.kind === "data") return svg("rect", { x: x - w * 0.92, y: y - h * 0.8, width: w * 1.84, height: h * 1.6, rx: 4, class: "part data" });
  if (part.kind === "judge") return svg("ellipse", { cx: x, cy: y, rx: w * 0.96, ry: h * 0.92, class: "part judge" });
  return svg("polygon", { points: `${x - w},${y - left} ${x + w},${y - right} ${x + w},${y + right} ${x - w},${y + left}`, class: `part ${part.kind}` });
}

function arrow(from, to, label, isBack) {
  const [x1, y1] = place(from), [x2, y2] = place(to), way = Math.sign(x2 - x1) || 1, group = svg("g");
  if (Math.abs(x2 - x1) < W) {
    const down = Math.sign(y2 - y1);
    group.append(svg("path", { class: "flow", d: `M${x1},${y1 + down * H / 2} L${x2},${y2 - down * (H / 2 + 6)}` }));
    return group;
  }
  const start = x1 + way * W / 2, end = x2 - way * (W / 2 + 7), middle = (start + end) / 2;
  const d = isBack ? `M${x1},${y1 - H / 2} C${x1},${-14} ${x2},${-14} ${x2},${y2 - H / 2 - 6}`
    : `M${start},${y1} C${middle},${y1} ${middle},${y2} ${end},${y2}`;
  group.append(svg("path", { class: isBack ? "flow back" : "flow", d }));
  const tip = isBack ? `${x2 - 5},${y2 - H / 2 - 8} ${x2 + 5},${y2 - H / 2 - 8} ${x2},${y2 - H / 2}` : `${end},${y2 - 5} ${end},${y2 + 5} ${end + 7 * way},${y2}`;
  group.append(svg("polygon", { class: "head", points: tip }));
  // above the top of the curve, which is a cubic
  const top = isBack ? (y1 + y2 - H - 6) / 8 - 10.5 : (y1 + y2) / 2;
  if (label) group.append(svg("text", { class: "about", x: (x1 + x2) / 2, y: top - 9 }, label));
  return group;
}

// The same without words, small: for a card.
export function miniature(drawing) {
  const parts = Object.fromEntries(drawing.parts.map((part) => [part.id, part]));
  const canvas = svg("svg", { viewBox: `0 -14 ${WIDTH} ${HEIGHT}` });
  for (const { start, end } of drawing.arrows) canvas.append(arrow(parts[start], parts[end], "", parts[end].x < parts[start].x));
  canvas.append(...drawing.parts.map(outline));
  return canvas;
}

// Draw into a figure; the answer updates it: alive(true), losses({term: value}), shapes({tensor: [..]}).
export function drawNetworks(figure, drawing) {
  const parts = Object.fromEntries(drawing.parts.map((part) => [part.id, part]));
  const canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describe(drawing) });
  for (const { start, end, label } of drawing.arrows) canvas.append(arrow(parts[start], parts[end], label, parts[end].x < parts[start].x));
  const sizes = {}, losses = {};
  for (const part of drawing.parts) {
    const [x, y] = place(part);
    canvas.append(outline(part), svg("text", { x, y }, part.label));
    sizes[part.id] = svg("text", { class: "size", x, y: y + H / 2 + 10 }, part.about ?? "");
    losses[part.id] = svg("text", { class: "loss", x, y: y + H / 2 + 25 });
    canvas.append(sizes[part.id], losses[part.id]);
  }
  const caption = document.createElement("figcaption");
  caption.textContent = drawing.caption;
  figure.replaceChildren(canvas, caption);
  return {
    alive: (is) => figure.classList.toggle("alive", is),
    losses: (terms) => showLosses(drawing, losses, terms),
    shapes: (tensors) => showSizes(drawing, sizes, tensors),
  };
}

const describe = (drawing) => `${drawing.caption} ${drawing.arrows.map(({ start, end }) => `${start} to ${end}`).join(", ")}.`;

function showLosses(drawing, places, terms) {
  const left = { ...terms };
  for (const part of drawing.parts) {
    const own = part.losses.filter((name) => name in left);
    places[part.id].textContent = own.map((name) => `${name} ${(+left[name]).toPrecision(3)}`).join(" · ");
    for (const name of own) delete left[name];
  }
  // a term that no part claims is shown at the last that claims any, so that none is lost
  const last = [...drawing.parts].reverse().find((part) => part.losses.length);
  const rest = Object.entries(left).filter(([, value]) => typeof value === "number").slice(0, 2).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  if (last && rest.length) places[last.id].textContent = [places[last.id].textContent, ...rest].filter(Boolean).join(" · ");
}

function showSizes(drawing, places, tensors) {
  for (const part of drawing.parts) {
    const own = Object.entries(tensors).filter(([name]) => part.weights.some((stem) => name.startsWith(stem)));
    const n = own.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const layers = own.filter(([, shape]) => shape.length > 1).length;
    if (n) places[part.id].textContent = layers ? `${layers} layers, ${n.toLocaleString("en")} weights` : `${n.toLocaleString("en")} numbers`;
  }
}
