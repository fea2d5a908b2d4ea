// Perfetto's own trace processor, as its UI has it (trace_processor.wasm), on a trace: answers each query as JSON, a line each.
// node trace_processor.js DIRECTORY TRACE SQL...   DIRECTORY holds engine_bundle.js and the .wasm files.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [directory, trace, ...queries] = process.argv.slice(2);

// Not with the line that it is on: that is the whole bundle.
const fail = (error) => {
  console.error(`the trace processor fails: ${String(error?.stack ?? error).split("\n").filter((l) => l.length < 300).join("\n")}`);
  process.exit(1);
};
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

// What the bundle finds where it is a browser's worker.
class XMLHttpRequest {
  open(_, url) { this.url = String(url); }
  send() { this.response = fs.readFileSync(path.join(directory, path.basename(this.url))); }
}
const log = { log() {}, warn() {}, error(...all) { console.error(...all.map((text) => String(text).slice(0, 300))); }, info() {}, debug() {} };
const scope = {
  console: log, WebAssembly, XMLHttpRequest, URL, TextDecoder, TextEncoder, performance, setTimeout, clearTimeout,
  Uint8Array, TypeError, crypto, WorkerGlobalScope() {}, location: { href: "http://x/engine_bundle.js" }, navigator: {},
};
scope.self = scope;
scope.globalThis = scope;
vm.runInNewContext(fs.readFileSync(path.join(directory, "engine_bundle.js"), "utf8"), scope);

// Protobuf, as much of it as the protocol uses.
const varint = (n) => {
  const bytes = [];
  for (n = BigInt(n); n > 127n; n >>= 7n) bytes.push(Number(n & 127n) | 128);
  return Buffer.from([...bytes, Number(n)]);
};
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
function* fields(buffer) {
  let at = 0;
  const next = () => {
    let n = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = buffer[at++];
      n |= BigInt(byte & 127) << shift;
      if (byte < 128) return n;
    }
  };
  while (at < buffer.length) {
    const tag = Number(next());
    const kind = tag & 7;
    if (kind === 0) yield [tag >> 3, next()];
    else {
      const length = kind === 2 ? Number(next()) : kind === 1 ? 8 : 4;
      yield [tag >> 3, buffer.subarray(at, (at += length))];
    }
  }
}
function* varints(buffer) {
  let n = 0n, shift = 0n;
  for (const byte of buffer) {
    n |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte < 128) { yield BigInt.asIntN(64, n); n = 0n; shift = 0n; }
  }
}

const port = {};
let heard = Buffer.alloc(0);
port.postMessage = (data) => { heard = Buffer.concat([heard, Buffer.from(data)]); };
scope.onmessage({ data: port });
let sequence = 0;
const say = (request, ...more) => {
  const rpc = Buffer.concat([number(1, sequence++), number(2, request), ...more]);
  port.onmessage({ data: new scope.Uint8Array(bytes(1, rpc)) });
};
const answers = async (is_whole) => {
  for (let n = 0; n < 3000; n++) {
    const all = [...fields(heard)].map(([, rpc]) => Object.fromEntries([...fields(rpc)]));
    if (is_whole(all)) { heard = Buffer.alloc(0); return all; }
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error("no answer");
};

const rows = (all) => {
  let names = [], cells = [];
  for (const rpc of all) {
    for (const [field, value] of fields(rpc[203] ?? Buffer.alloc(0))) {
      if (field === 1) names.push(value.toString());
      if (field === 2 && value.length) throw new Error(value.toString());
      if (field !== 3) continue;
      const batch = { kinds: [], numbers: [], floats: [], texts: [] };
      for (const [part, inner] of fields(value)) {
        if (part === 1) batch.kinds.push(...inner);
        if (part === 2) batch.numbers.push(...varints(inner));
        if (part === 3) for (let at = 0; at < inner.length; at += 8) batch.floats.push(inner.readDoubleLE(at));
        if (part === 5) batch.texts.push(...inner.toString().split("\0"));
      }
      for (const kind of batch.kinds) {
        cells.push(kind === 2 ? Number(batch.numbers.shift()) : kind === 3 ? batch.floats.shift()
          : kind === 4 ? batch.texts.shift() : null);
      }
    }
  }
  const table = [];
  while (cells.length) table.push(Object.fromEntries(cells.splice(0, names.length).map((cell, at) => [names[at], cell])));
  return table;
};

const is_last = (all) => all.some((rpc) => [...fields(rpc[203] ?? Buffer.alloc(0))].some(([field, batch]) =>
  (field === 2 && batch.length) || (field === 3 && [...fields(batch)].some(([part, value]) => part === 6 && value))));

(async () => {
  // The program was compiled above; its own first steps are behind promises that are kept.
  await new Promise((done) => setTimeout(done, 0));
  say(1, bytes(101, fs.readFileSync(trace)));
  await answers((all) => all.length > 0);
  say(2);
  await answers((all) => all.length > 0);
  for (const query of queries) {
    say(3, bytes(103, bytes(1, Buffer.from(query))));
    console.log(JSON.stringify(rows(await answers(is_last))));
  }
  process.exit(0);
})().catch(fail);
