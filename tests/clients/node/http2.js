// Node's own http2 client: `http2.js PLAN`, a file with {"base_url", "calls"} as ../openai_client.py has
// it, all of them at once on one connection. Prints what it saw as that does.
//
// Every frame that may be padded is. With "long" in the plan each request has a header of so many words:
// from 2000 on it is longer than a frame may be, and goes on in CONTINUATION.
"use strict";
const fs = require("fs");
const http2 = require("http2");

const WORD = "zq7canary";
const plan = JSON.parse(fs.readFileSync(process.argv[2]));
const base = new URL(plan.base_url);
const session = http2.connect(base.origin, { ca: process.env.SSL_CERT_FILE && fs.readFileSync(process.env.SSL_CERT_FILE), paddingStrategy: http2.constants.PADDING_STRATEGY_MAX });

function one(call) {
  const seen = { op: call.op, status: null, chunks: 0, id: null, model: call.model };
  const began = process.hrtime.bigint();
  const headers = { ":method": "POST", ":path": `${base.pathname}/chat/completions?q=${WORD}`, "content-type": "application/json", "x-ask": WORD };
  if (plan.long) headers["x-long"] = WORD.repeat(plan.long);
  const stream = session.request(headers);
  const content = (text) => {
    const answer = JSON.parse(text);
    seen.id = answer.id;
    if (!call.stream || !answer.choices[0]?.delta.content) return;
    seen.chunks += 1;
    seen.first_ms ??= Number(process.hrtime.bigint() - began) / 1e6;
  };
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("response", (h) => (seen.status = h[":status"]));
  stream.on("data", (text) => {
    rest += text;
    if (!call.stream) return;
    const events = rest.split("\n\n");
    rest = events.pop();
    events.map((e) => e.slice("data: ".length)).filter((e) => e !== "[DONE]").forEach(content);
  });
  stream.end(JSON.stringify({ model: call.model, stream: call.stream, messages: [{ role: "user", content: WORD }], ...call.extra }));
  return new Promise((done, fail) => {
    stream.on("error", fail);
    stream.on("end", () => {
      if (!call.stream) content(rest);
      done(seen);
    });
  });
}

Promise.all(plan.calls.map(one)).then((seen) => {
  console.log(JSON.stringify(seen));
  session.close();
});
