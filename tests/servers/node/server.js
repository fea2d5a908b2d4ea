// The scripted model on Node's own modules, http, https and http2: `node server.js HOST PORT`. See
// ../python/script.py. With CLUSTER it has two workers, to whom it passes connections. A HOST that is a path is a Unix socket.
"use strict";
const cluster = require("cluster");
const http = require("http");
const http2 = require("http2");
const https = require("https");
const fs = require("fs");
const { randomUUID } = require("crypto");

const WORD = "zq7canary";
const truth = fs.openSync(process.env.TRUTH_FILE || "/dev/null", "a");
const kinds = { "chat/completions": "chat", completions: "text", embeddings: "embeddings", responses: "responses" };
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

function begin(req) {
  return { method: req.method, path: req.url.split("?")[0], started: process.hrtime.bigint(), wall: Date.now() * 1e6 };
}

function log(s, more) {
  const line = { method: s.method, path: s.path, status: 200, pid: process.pid, start_wall_ns: s.wall, llm: false, stream: false, whole: true };
  line.duration_ns = Number(process.hrtime.bigint() - s.started);
  fs.writeSync(truth, JSON.stringify(Object.assign(line, more)) + "\n");
}

async function v1(s, b, res) {
  const kind = kinds[s.path.split("/v1/").pop()] || "chat";
  const id = "chatcmpl-" + randomUUID();
  const tokens = b.x_tokens ?? 5;
  const prompt = b.x_prompt_tokens ?? 7;
  const status = b.x_status ?? 200;
  const withUsage = b.x_usage ?? (b.stream ? Boolean(b.stream_options?.include_usage) : true);
  const usage = kind === "embeddings" ? { prompt_tokens: prompt, total_tokens: prompt } : { prompt_tokens: prompt, completion_tokens: tokens, total_tokens: prompt + tokens };
  const facts = { llm: true, stream: Boolean(b.stream), status, model: b.model, kind };
  const ok = { id: kind === "embeddings" ? null : id, prompt_tokens: prompt, tokens, usage: withUsage && kind !== "embeddings", ttft_ns: null, chunks_ns: [] };
  const word = (i) => `${WORD}${i} ` + "p".repeat(b.x_pad ?? 0);
  if (status >= 400 || !b.stream) {
    await sleep(b.x_ttft_ms ?? 0);
    let answer;
    if (status >= 400) answer = { error: { message: "scripted " + WORD, type: status < 500 ? "invalid_request_error" : "server_error", code: "scripted" } };
    else if (kind === "embeddings") answer = { object: "list", model: b.model, data: [{ object: "embedding", index: 0, embedding: [0.25] }], usage };
    else {
      const text = Array.from({ length: tokens }, (_, i) => word(i)).join("");
      const choice = kind === "text" ? { index: 0, text, finish_reason: "stop" } : { index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" };
      answer = { id, object: kind === "text" ? "text_completion" : "chat.completion", created: 1, model: b.model, choices: [choice] };
      if (withUsage) answer.usage = usage;
    }
    res.writeHead(status, { "Content-Type": "application/json", "X-Reply": WORD });
    res.end(JSON.stringify(answer));
    log(s, Object.assign(facts, status < 400 ? ok : {}));
    return;
  }
  res.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (choices, more) => res.write("data: " + JSON.stringify({ id, object: kind === "text" ? "text_completion" : "chat.completion.chunk", created: 1, model: b.model, choices, ...more }) + "\n\n");
  if (kind !== "text") send([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]);
  for (let i = 0; i < tokens; i++) {
    const wait = i ? b.x_interval_ms ?? 0 : b.x_ttft_ms ?? 0;
    if (wait) await sleep(wait);
    if (!i) ok.ttft_ns = Number(process.hrtime.bigint() - s.started);
    send([kind === "text" ? { index: 0, text: word(i), finish_reason: null } : { index: 0, delta: { content: word(i) }, finish_reason: null }]);
  }
  send([kind === "text" ? { index: 0, text: "", finish_reason: "length" } : { index: 0, delta: {}, finish_reason: "length" }]);
  if (withUsage) send([], { usage });
  res.end("data: [DONE]\n\n");
  log(s, Object.assign(facts, ok));
}

// With TLS_KEY and TLS_CERT it speaks HTTPS; with HTTP2 that by ALPN, over plain TCP nothing else.
const { TLS_KEY, TLS_CERT, HTTP2 } = process.env;
const listener = (req, res) => {
  const s = begin(req);
  if (s.path === "/health") {
    res.writeHead(200, { "Content-Type": "application/json", "X-Reply": WORD });
    res.end('{"ok":true}');
    log(s, {});
    return;
  }
  const parts = [];
  req.on("data", (d) => parts.push(d));
  req.on("end", () => v1(s, JSON.parse(Buffer.concat(parts)), res));
};
const tls = TLS_KEY && { key: fs.readFileSync(TLS_KEY), cert: fs.readFileSync(TLS_CERT) };
// Every frame that may be padded is.
const padded = { paddingStrategy: http2.constants.PADDING_STRATEGY_MAX };
const make = {
  http: () => http.createServer(listener),
  https: () => https.createServer(tls, listener),
  h2c: () => http2.createServer(padded, listener),
  h2: () => http2.createSecureServer({ ...tls, ...padded, allowHTTP1: true }, listener),
};
const [host, port] = process.argv.slice(2);
const server = make[HTTP2 ? (tls ? "h2" : "h2c") : tls ? "https" : "http"]();
if (process.env.CLUSTER && cluster.isPrimary) for (let i = 0; i < 2; i++) cluster.fork();
else if (host.startsWith("/")) server.listen(host);
else server.listen(Number(port), host);
