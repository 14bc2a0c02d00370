// The form that begins a training: data, a time, and whatever a method's fields allow.

import { get, post, upload } from "./api.js";
import { $, busy, choice, el, field, fill, problem, say } from "./dom.js";

// Draw the form into `host`; `onBegun(job)` is called when a training is in the queue.
export async function learnForm(host, wish, onBegun, onMethod = () => {}) {
  const [methods, stocks] = await Promise.all([get("/methods"), get("/data")]).catch((error) => { fill(host, problem(error)); throw error; });
  const chosen = choice(methods.map(({ name, about }) => [name, `${name}: ${about}`]), wish.methods?.[0]);
  const data = await dataPicker(stocks, wish);
  const more = el("div");
  const form = el("form", { novalidate: true }, el("div", { class: "fields" },
    wish.methods?.length ? null : field("Method", chosen, "What is to be learned."), data.node), more);
  const draw = () => { drawFields(more, methods.find(({ name }) => name === chosen.value), wish, data); onMethod(chosen.value); };
  chosen.addEventListener("change", draw);
  draw();
  const button = el("button", { class: "main", type: "submit" }, "Learn");
  form.append(el("div", { class: "row" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, form, async () => onBegun(await post("/runs", question(chosen.value, data, more))));
  });
  fill(host, form);
}

async function dataPicker(stocks, wish) {
  const select = choice(stocks.map(({ id, title, about }) => [id, `${title}: ${about}`]), wish.stock || stocks[0]?.id);
  const told = el("small", { role: "status" });
  const files = el("input", { type: "file", multiple: true, class: "quiet", "aria-label": "Files of your own" });
  const folder = el("input", { type: "file", webkitdirectory: true, class: "quiet", "aria-label": "A folder of your own" });
  const add = async (list) => {
    if (!list.length) return;
    try {
      const stock = await upload(list, { onProgress: (n, of) => { told.textContent = `${n} of ${of} files are here`; } });
      select.prepend(el("option", { value: stock.id }, `${stock.title}: ${stock.about}`));
      select.value = stock.id;
      select.dispatchEvent(new Event("change"));
    } catch (error) { told.textContent = error.message; }
  };
  for (const input of [files, folder]) input.addEventListener("change", () => add(input.files));
  const drop = el("div", { class: "drop" }, `Drop ${wish.reads || "files"} here, or choose `,
    el("span", { class: "row" }, field("files", files), field("a folder", folder)));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault(); drop.classList.remove("over");
    add(await dropped(event.dataTransfer));
  });
  const node = el("div", { class: "wide" }, field("Data", select, "A built-in sample, what you uploaded, or a folder that was named at the start."),
    el("details", {}, el("summary", {}, "Your own data"), drop, told));
  const columns = el("datalist", { id: "columns" });
  node.append(columns);
  const look = async () => {
    told.textContent = "";
    if (!select.value) return;
    try {
      const what = await get(`/data/${select.value}`);
      fill(columns, ...what.labels.map((name) => el("option", { value: name })));
      told.textContent = [`${what.n} ${what.what}`, ...what.notes, what.bad.length ? `${what.bad.length} cannot be read: ${what.bad[0].name}: ${what.bad[0].reason}` : ""].filter(Boolean).join(". ");
    } catch (error) { told.textContent = error.message; }
  };
  select.addEventListener("change", look);
  look();
  return { node, value: () => select.value };
}

// Every file of what was dropped, folders walked through, each with its path.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  for (const entry of entries) await walk(entry, files);
  return files;
}

async function walk(entry, files) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    const path = entry.fullPath.replace(/^\//, "");
    files.push(path === file.name ? file : Object.defineProperty(file, "webkitRelativePath", { value: path }));
    return;
  }
  const reader = entry.createReader();
  for (let some; (some = await new Promise((done, failed) => reader.readEntries(done, failed))).length;)
    for (const inner of some) await walk(inner, files);
}

// ---- the fields of a method ----

function drawFields(host, method, wish, data) {
  const isOwn = wish.methods?.[0] === method.name, first = isOwn ? wish.settings : {};
  const byName = (line) => input(line, line.name in first ? first[line.name] : line.default);
  const minutes = method.fields.find(({ name }) => name === "minutes");
  const rest = method.fields.filter(({ name }) => name !== "minutes");
  const asks = isOwn ? wish.asks : method.learns_labels || method.reads.includes("table") ? ["label", "normal"] : [];
  fill(host,
    el("div", { class: "fields" }, byName(minutes), ...asks.map((name) => ask(name, wish, data)),
      field("Name", el("input", { name: ".name", maxlength: 60, placeholder: "chosen for you" }), "What the run will be called.")),
    el("details", {}, el("summary", {}, "More settings"),
      el("div", { class: "fields" }, ...rest.filter((line) => !line.is_shared).map(byName)),
      el("h3", {}, "Shared by all methods"),
      el("div", { class: "fields" }, ...rest.filter((line) => line.is_shared).map(byName))));
  const suited = rest.filter(({ name }) => name in first);
  if (isOwn) data.node.addEventListener("change", () => suit(host, suited, first, data.value() === wish.stock));
}

// What suits the page's sample goes back to the defaults for other data, unless it was changed by hand.
function suit(host, lines, first, isSample) {
  for (const { name, default: usual } of lines) {
    const node = $(`[name="${name}"]`, host), [from, to] = isSample ? [usual, first[name]] : [first[name], usual];
    if (JSON.stringify(valueOf(node)) !== JSON.stringify(from)) continue;
    if (node.type === "checkbox") node.checked = to === true;
    else node.value = to ?? "";
  }
}

const ASKS = { label: ["Label", "The column that holds labels: never a feature."], normal: ["Normal value", "The label of what is normal: only that is learned from."] };

function ask(name, wish, data) {
  const node = el("input", { name: `.${name}`, list: name === "label" ? "columns" : null });
  const isFirst = () => data.value() === wish.stock;
  const set = () => { node.value = isFirst() ? wish.fit?.[name] ?? "" : ""; };
  set();
  data.node.addEventListener("change", (event) => { if (event.target.tagName === "SELECT") set(); });
  return field(ASKS[name][0], node, ASKS[name][1]);
}

const title = (name) => { const text = name.replace(/^n_/, "number of ").replaceAll("_", " "); return text[0].toUpperCase() + text.slice(1); };

function input(line, value) {
  let node;
  if (line.kind === "yes_no" && !line.is_optional) node = el("input", { type: "checkbox", checked: value === true });
  else if (line.kind === "yes_no") node = choice([["", "decided for you"], ["true", "yes"], ["false", "no"]], value === null ? "" : String(value));
  else if (line.kind === "choice") node = choice(line.choices.map((name) => [name, name]), value);
  else if (line.kind === "whole" || line.kind === "number") node = el("input", { type: "number", step: line.kind === "whole" ? 1 : "any", value, placeholder: line.is_optional ? "decided for you" : null });
  else if (line.kind === "run") node = runInput(value);
  else node = el("input", { value: value ?? "", placeholder: line.is_optional ? "decided for you" : null });
  node.name = line.name; node.dataset.kind = line.kind; node.dataset.first = JSON.stringify(line.default);
  return field(title(line.name), node, line.help);
}

// A name, or one of the runs, whose encoder is then lent.
function runInput(value) {
  const list = el("select", {}, el("option", { value: value ?? "" }, value || "none"));
  get("/runs").then((runs) => {
    for (const run of runs.filter(({ method }) => ["masked", "autoencoder", "gan", "clip"].includes(method)))
      list.append(el("option", { value: `run:${run.id}` }, `the run ${run.name} (${run.method})`));
    list.dispatchEvent(new CustomEvent("filled", { bubbles: true }));
  }).catch(() => {});
  return list;
}

function question(method, data, host) {
  const settings = {};
  for (const node of host.querySelectorAll("[data-kind]")) {
    const value = valueOf(node);
    if (JSON.stringify(value) !== node.dataset.first) settings[node.name] = value;
  }
  const own = (name) => $(`[name=".${name}"]`, host)?.value.trim() || null;
  return { method, data: data.value(), name: own("name") ?? "", label: own("label"), normal: own("normal"), settings };
}

function valueOf(node) {
  if (node.type === "checkbox") return node.checked;
  if (node.value === "") return null;
  if (node.dataset.kind === "yes_no") return node.value === "true";
  if (["whole", "number"].includes(node.dataset.kind)) {
    if (!isFinite(node.valueAsNumber)) { say(`${node.name} needs a number`); }
    return node.valueAsNumber;
  }
  return node.value;
}
