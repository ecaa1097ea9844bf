// Asks for a script and shows it as it comes.

/** @param {string} id */
const element = (id) => document.getElementById(id);
const [form, status, script, verdict, write, stop, copy] = [
  "ask",
  "status",
  "script",
  "verdict",
  "write",
  "stop",
  "copy",
].map(element);

/** @type {AbortController | undefined} */
let asking;

/** The values that server-sent events hold, as they come. */
async function* events(/** @type {ReadableStream<Uint8Array>} */ body) {
  let rest = "";
  for await (const text of chunks(body.pipeThrough(new TextDecoderStream()))) {
    const lines = (rest + text).split("\n\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((line) => line.startsWith("data: "))) {
      const data = line.replace(/^data: /, "");
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

/** Not every browser can iterate over a stream. */
async function* chunks(/** @type {ReadableStream<string>} */ stream) {
  const reader = stream.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
}

async function ask() {
  asking = new AbortController();
  script.textContent = "";
  verdict.hidden = true;
  status.textContent = "…";
  write.disabled = copy.disabled = true;
  stop.disabled = false;
  const key = element("key").value, seed = element("seed").value;
  const started = performance.now();
  let tokens = 0;
  try {
    const response = await fetch("v1/completions", {
      method: "POST",
      signal: asking.signal,
      headers: {
        "content-type": "application/json",
        ...(key ? { authorization: `Bearer ${key}` } : {}),
      },
      body: JSON.stringify({
        prompt: element("prompt").value,
        temperature: Number(element("temperature").value),
        max_tokens: Number(element("tokens").value),
        seed: seed === "" ? null : Number(seed),
        echo: true,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    if (!response.ok) {
      if (response.status === 401) element("key-field").hidden = false;
      throw new Error((await response.json()).error.message);
    }
    let end;
    // The event of an error has no choices.
    for await (const { choices: [choice] = [], usage, error } of events(response.body)) {
      if (error) throw new Error(error.message);
      script.textContent += choice?.text ?? "";
      if (choice?.finish_reason) end = choice;
      tokens = usage?.completion_tokens ?? tokens;
    }
    if (!end) throw new Error("The answer broke off: ask again.");
    const seconds = (performance.now() - started) / 1000;
    const why = end.finish_reason === "stop" ? "finished" : "cut at the limit";
    status.textContent = `${why}, ${tokens} tokens in ${seconds.toFixed(2)} s, seed ${end.seed}`;
    showVerdict(end.verdict);
  } catch (error) {
    status.textContent = error.name === "AbortError" ? "stopped" : error.message;
  } finally {
    write.disabled = false;
    stop.disabled = true;
    copy.disabled = script.textContent === "";
  }
}

/** Tells what a script may do. */
function showVerdict(/** @type {{ level: string, findings: any[] } | undefined} */ judged) {
  if (!judged) return;
  const title = document.createElement("p");
  const level = document.createElement("strong");
  level.textContent = level.className = judged.level;
  title.append("Verdict: ", level);
  const list = document.createElement("ul");
  for (const { level, line, reason, text } of judged.findings) {
    const item = document.createElement("li"), code = document.createElement("code");
    code.textContent = text;
    item.append(`line ${line}, ${level}: ${reason} `, code);
    list.append(item);
  }
  verdict.replaceChildren(title, list);
  verdict.hidden = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
stop.addEventListener("click", () => asking?.abort());
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(script.textContent ?? "");
  status.textContent = "copied";
});
