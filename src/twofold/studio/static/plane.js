// A plane of points with thumbnails: zoomed by wheel and + −, panned by dragging and Shift + arrows, walked by arrows.

import { colour } from "./plots.js";
import { drag } from "./wipe.js";

const STEP = 14, PAN = 80, NEAR = 16, DOT = 2.6;
const LEAST_TILE = 18, LARGEST_TILE = 72;

// `points`: [{ x, y, colour, place }]; `sheet`: { image, side, n_columns } or null. `onSelect(point)` is called for an
// item, `onWander(x, y)` for a place where none is.
export function plane(canvas, { points, sheet, onSelect, onWander }) {
  const brush = canvas.getContext("2d");
  const state = { scale: 1, first: 1, x: 0, y: 0, cursor: null, held: null, selected: null, near: new Set(), showsTiles: true, only: null };
  let isAsked = false;
  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const onScreen = ({ x, y }) => {
    const [w, h] = size();
    return [w / 2 + (x - state.x) * state.scale, h / 2 - (y - state.y) * state.scale];
  };
  const inPlane = (left, top) => {
    const [w, h] = size();
    return { x: state.x + (left - w / 2) / state.scale, y: state.y - (top - h / 2) / state.scale };
  };
  const redraw = () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; draw(brush, canvas, { points, sheet, state, onScreen }); });
  };

  const fit = () => {
    const [w, h] = size(), xs = points.map(({ x }) => x), ys = points.map(({ y }) => y);
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    Object.assign(state, { x: (left + right) / 2, y: (low + high) / 2 });
    state.first = state.scale = 0.92 * Math.min(w / Math.max(right - left, 1e-9), h / Math.max(high - low, 1e-9));
    redraw();
  };
  const zoom = (factor, left, top) => {
    const [w, h] = size(), before = inPlane(left ?? w / 2, top ?? h / 2);
    state.scale = Math.min(state.first * 60, Math.max(state.first * 0.5, state.scale * factor));
    const after = inPlane(left ?? w / 2, top ?? h / 2);
    state.x += before.x - after.x; state.y += before.y - after.y;
    redraw();
  };
  const pan = (dx, dy) => { state.x -= dx / state.scale; state.y += dy / state.scale; redraw(); };
  const nearest = (left, top) => {
    let best = null, least = Infinity;
    for (const point of points) {
      const [x, y] = onScreen(point), far = Math.hypot(x - left, y - top);
      if (far < least) { least = far; best = point; }
    }
    return { point: best, far: least };
  };
  const select = (point) => {
    Object.assign(state, { selected: point, cursor: { x: point.x, y: point.y }, held: null });
    keepInView(); redraw(); onSelect(point);
  };
  const wander = (place) => { state.cursor = place; keepInView(); redraw(); onWander(place.x, place.y); };
  const keepInView = () => {
    const [w, h] = size(), [left, top] = onScreen(state.cursor), edge = 24;
    pan(left < edge ? edge - left : left > w - edge ? w - edge - left : 0, top < edge ? edge - top : top > h - edge ? h - edge - top : 0);
  };
  const hit = (left, top) => {
    const { point, far } = nearest(left, top);
    if (far <= NEAR) select(point); else wander(inPlane(left, top));
  };
  const zoomHere = (factor) => zoom(factor, ...(state.cursor ? onScreen(state.cursor) : []));

  byPointer(canvas, { pan, zoom, hit });
  byKey(canvas, {
    move: (dx, dy) => { const [left, top] = onScreen(state.cursor ?? state); wander(inPlane(left + dx * STEP, top + dy * STEP)); },
    pan: (dx, dy) => pan(-dx * PAN, -dy * PAN), zoom: zoomHere, fit,
    enter: () => select(nearest(...onScreen(state.cursor ?? state)).point),
  });
  new ResizeObserver(() => { if (state.first === 1) fit(); else redraw(); }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  fit();
  return {
    fit, zoom: zoomHere, select,
    change: (what) => { Object.assign(state, what); redraw(); },
  };
}

function byPointer(canvas, { pan, zoom, hit }) {
  let start = null, last = null;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  drag(canvas, (event) => {
    const [left, top] = place(event);
    if (last && Math.hypot(left - start[0], top - start[1]) > 4) { canvas.classList.add("grabbed"); pan(left - last[0], top - last[1]); }
    last = [left, top];
  }, {
    onStart: (event) => { start = place(event); last = null; canvas.focus({ preventScroll: true }); },
    onEnd: (event) => {
      if (!canvas.classList.contains("grabbed")) hit(...place(event));
      canvas.classList.remove("grabbed");
    },
  });
  // the page scrolls as ever until the map was clicked or tabbed to
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...place(event));
  }, { passive: false });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function byKey(canvas, { move, pan, zoom, fit, enter }) {
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) (event.shiftKey ? pan : move)(...arrow);
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "0") fit();
    else if (event.key === "Enter" || event.key === " ") enter();
    else return;
    event.preventDefault();
  });
}

// ---- drawing ----

function draw(brush, canvas, { points, sheet, state, onScreen }) {
  const ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio)) canvas.width = Math.round(w * ratio);
  if (canvas.height !== Math.round(h * ratio)) canvas.height = Math.round(h * ratio);
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, w, h);
  brush.imageSmoothingEnabled = false;
  const tile = Math.min(LARGEST_TILE, Math.max(LEAST_TILE, 24 * Math.sqrt(state.scale / state.first)));
  const isNear = (value, end) => value > -2 * tile && value < end + 2 * tile;
  const placed = points.map((point) => ({ point, at: onScreen(point) })).filter(({ at: [x, y] }) => isNear(x, w) && isNear(y, h));
  for (const { point, at } of placed) dot(brush, at, point, state);
  if (sheet && state.showsTiles) for (const { point, at } of uncrowded(placed, tile)) thumbnail(brush, at, point, { tile, sheet, state });
  for (const { point, at } of placed) if (state.near.has(point) || point === state.selected) ring(brush, at, point, { tile, sheet, state });
  if (state.cursor) crosshair(brush, onScreen(state.cursor), state);
}

const dimmed = (point, { only }) => only !== null && point.label !== only;

function dot(brush, [x, y], point, state) {
  brush.globalAlpha = dimmed(point, state) ? 0.12 : 0.85;
  brush.fillStyle = point.colour;
  brush.beginPath(); brush.arc(x, y, Math.min(2 * DOT, DOT * Math.sqrt(state.scale / state.first)), 0, 7); brush.fill();
  brush.globalAlpha = 1;
}

// Those that can be shown without lying on each other; the earlier goes before, so that none flickers while moving.
function uncrowded(placed, tile) {
  const taken = new Map(), kept = [];
  for (const one of placed) {
    const [x, y] = one.at, column = Math.floor(x / tile), line = Math.floor(y / tile);
    let isFree = true;
    for (let dy = -1; dy <= 1 && isFree; dy++) for (let dx = -1; dx <= 1; dx++) {
      const other = taken.get(`${column + dx},${line + dy}`);
      if (other && Math.abs(other[0] - x) < tile && Math.abs(other[1] - y) < tile) { isFree = false; break; }
    }
    if (isFree) { taken.set(`${column},${line}`, one.at); kept.push(one); }
  }
  return kept;
}

function thumbnail(brush, [x, y], point, { tile, sheet, state }) {
  const { image, side, n_columns } = sheet, half = tile / 2 - 1;
  brush.globalAlpha = dimmed(point, state) ? 0.15 : 1;
  brush.fillStyle = point.colour;
  brush.fillRect(x - half - 1.5, y - half - 1.5, 2 * half + 3, 2 * half + 3);
  const left = (point.place % n_columns) * side, top = Math.floor(point.place / n_columns) * side;
  brush.drawImage(image, left, top, side, side, x - half, y - half, 2 * half, 2 * half);
  brush.globalAlpha = 1;
}

function ring(brush, at, point, { tile, sheet, state }) {
  const isChosen = point === state.selected, hasTile = sheet && state.showsTiles && isChosen;
  const half = hasTile ? tile / 2 + 3 : isChosen ? 9 : 6;
  if (hasTile) thumbnail(brush, at, point, { tile, sheet, state: { only: null } });
  brush.strokeStyle = colour("ink"); brush.lineWidth = isChosen ? 3.5 : 1.8;
  brush.beginPath();
  if (hasTile) brush.rect(at[0] - half, at[1] - half, 2 * half, 2 * half); else brush.arc(...at, half, 0, 7);
  brush.stroke();
}

// The cursor, and beside it what was decoded there.
function crosshair(brush, [x, y], { held }) {
  brush.strokeStyle = colour("ink"); brush.lineWidth = 1.5;
  brush.beginPath();
  brush.moveTo(x - 11, y); brush.lineTo(x - 4, y); brush.moveTo(x + 4, y); brush.lineTo(x + 11, y);
  brush.moveTo(x, y - 11); brush.lineTo(x, y - 4); brush.moveTo(x, y + 4); brush.lineTo(x, y + 11);
  brush.stroke();
  if (!held) return;
  const side = 64, left = x + 14, top = y - side - 14;
  brush.fillStyle = colour("ink"); brush.fillRect(left - 2, top - 2, side + 4, side + 4);
  brush.drawImage(held, left, top, side, side);
}
