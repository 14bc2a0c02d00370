// A page of one wish: learn, watch, use. What its use looks like stands in uses/KEY.js.

import { get } from "./api.js";
import { $, about, choice, el, field, fill, problem } from "./dom.js";
import { learnForm } from "./learn.js";
import { drawNetworks } from "./networks.js";
import { watch } from "./training.js";

const wish = about();
let networks = wish.drawing ? drawNetworks($("#networks"), wish.drawing) : null;

// The runs of this page's methods; `use.show(host, run)` of uses/KEY.js is called with the chosen one.
async function openUse(first = null) {
  const host = $("#use-body"), place = $("#use-run");
  if (!host) return;
  const use = await import(`./uses/${wish.key}.js`).catch(() => null);
  const runs = (await get("/runs").catch((error) => { fill(host, problem(error)); return []; }))
    .filter(({ method, state }) => wish.methods.includes(method) && ["finished", "stopped"].includes(state));
  if (!runs.length) { fill(place); fill(host, el("p", { class: "soft" }, "Nothing was learned yet: press Learn above.")); return; }
  const list = choice(runs.map(({ id, name, data }) => [id, `${name} (learned from ${data})`]), first ?? new URLSearchParams(location.search).get("run") ?? runs[0].id);
  if (!list.value) list.value = runs[0].id;
  const show = async () => {
    const run = await get(`/runs/${list.value}`).catch((error) => { fill(host, problem(error)); return null; });
    if (!run) return;
    networks?.shapes(run.shapes);
    fill(host);
    await use?.show(host, run);
  };
  list.addEventListener("change", show);
  if (!$(".jump")) $("main header").prepend(el("a", { class: "jump", href: "#use" }, "Use what was learned ↓"));
  fill(place, field("Run", list, "What was learned before can be used at any time."));
  await show();
}

function begin(job) {
  $("#training").hidden = false;
  watch($("#training-body"), job, networks, (ended) => { if (ended.state !== "failed") openUse(ended.run); });
  $("#training").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

// where any method can be learned, the drawing is that of the chosen one
const drawMethod = (method) => { if (wish.drawings?.[method]) networks = drawNetworks($("#networks"), wish.drawings[method]); };

// a page may add to the form, by `prepare(form, begin)` of uses/KEY.js
const prepare = async () => wish.methods?.length && (await import(`./uses/${wish.key}.js`)).prepare?.($("#learn-form"), begin);

if ($("#learn-form")) learnForm($("#learn-form"), wish, begin, drawMethod).then(prepare).catch(() => {});
openUse();
// a training of this page's method that is under way, begun here before or in another window
get("/jobs").then((jobs) => {
  const job = jobs.find(({ state, title }) => ["waiting", "running", "stopping"].includes(state) && (!wish.methods?.length || wish.methods.some((name) => title.startsWith(name))));
  if (job && $("#training").hidden) begin(job);
}).catch(() => {});
