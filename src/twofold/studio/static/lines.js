// Answers that come line by line, as JSON objects, while they are worked on.

import { Problem, url } from "./api.js";

export async function lines(path, body, onLine, signal = undefined) {
  const answer = await fetch(url(path), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    signal });
  if (!answer.ok) throw new Problem((await answer.json().catch(() => ({}))).error ?? `It answered ${answer.status}.`, answer.status);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) onLine(JSON.parse(line));
  }
}
