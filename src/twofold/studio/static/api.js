// Speaking with the studio: JSON, files, and what it tells by itself.

export class Problem extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

const BASE = "/api/v1";

async function ask(method, path, body) {
  const isFiles = body instanceof FormData;
  const headers = isFiles ? { "X-Twofold": "1" } : body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(BASE + path, { method, headers, body: isFiles || body === undefined ? body : JSON.stringify(body) })
    .catch(() => { throw new Problem("The studio does not answer. Is it still running in the terminal?", 0); });
  if (answer.status === 204) return null;
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(told.error ?? `It answered ${answer.status}.`, answer.status);
  return told;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body);
export const remove = (path) => ask("DELETE", path);
export const url = (path) => BASE + path;

const BATCH_BYTES = 60e6, BATCH_FILES = 200;

// Files become data; a path in `webkitRelativePath` is kept. Tells how many have gone.
export async function upload(files, { title = "", isInput = false, onProgress = () => {} } = {}) {
  const { upload: place } = await post("/data/uploads");
  let sent = 0;
  for (const batch of batches([...files])) {
    const form = new FormData();
    for (const file of batch) form.append("files", file, file.webkitRelativePath || file.name);
    await post(`/data/uploads/${place}/files`, form);
    onProgress(sent += batch.length, files.length);
  }
  return post(`/data/uploads/${place}/done`, { title, is_input: isInput });
}

function* batches(files) {
  let batch = [], bytes = 0;
  for (const file of files) {
    if (batch.length && (bytes + file.size > BATCH_BYTES || batch.length >= BATCH_FILES)) { yield batch; batch = []; bytes = 0; }
    batch.push(file); bytes += file.size;
  }
  if (batch.length) yield batch;
}

// Follow a job: handlers by event name. The stream is closed at its end; a broken one is taken up again by itself.
export function follow(job, handlers) {
  const source = new EventSource(`${BASE}/jobs/${job}/events`);
  for (const [name, handle] of Object.entries(handlers))
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  source.addEventListener("state", (event) => {
    if (["finished", "stopped", "failed"].includes(JSON.parse(event.data).state)) source.close();
  });
  return () => source.close();
}
