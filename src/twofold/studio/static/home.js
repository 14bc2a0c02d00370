import { get } from "./api.js";
import { $, about, fill, problem } from "./dom.js";
import { miniature } from "./networks.js";
import { runTable } from "./runs.js";

const { drawings } = about();
for (const place of document.querySelectorAll(".mini")) {
  const drawing = drawings[place.dataset.wish];
  if (drawing) place.append(miniature(drawing));
}

get("/runs").then((runs) => fill($("#latest"), runTable(runs.slice(0, 8)))).catch((error) => fill($("#latest"), problem(error)));
