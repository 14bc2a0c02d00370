import { get } from "./api.js";
import { $, fill, problem } from "./dom.js";
import { runTable } from "./runs.js";

get("/runs").then((runs) => fill($("#latest"), runTable(runs.slice(0, 8)))).catch((error) => fill($("#latest"), problem(error)));
