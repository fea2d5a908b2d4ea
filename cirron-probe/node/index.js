'use strict'
// Scopes, marks and requests of a Node program, as USDT probes. The current scope is that of the
// asynchronous context (AsyncLocalStorage): callbacks, promises and timers each have their own, and no
// thread is claimed for one. Without the addon everything runs as it would, and nothing is told.

const { AsyncLocalStorage } = require('node:async_hooks')

const SCOPE_OPEN = 1
const REQUEST_OPEN = 3
const INT = 1, FLOAT = 2, BOOL = 3, TEXT = 4, UINT = 5, INDEX = 6, LEFT_OUT = 127
const SUMMARY = 1 << 8, CUT = 1 << 9
const ENDED = 0, FAILED = 1
const TOO_DEEP = 1, NO_KIND = 2
const MAX_DEPTH = 64, MAX_TEXT = 256, MAX_KEY = 128, MAX_ATTRIBUTES = 512

const silence = new Uint16Array(1)
let probes = { scopeOpen: silence, requestOpen: silence, mark: silence }
let available = true
try {
  probes = require('./cirron_probe.node')
} catch {
  available = false
}

const current = new AsyncLocalStorage()

/** The nearest scope around what runs here that has not ended. */
function innermost () {
  let node = current.getStore()
  while (node !== undefined && node.ended) node = node.up
  return node
}

/** The first bytes of a text, to a whole character. */
function cut (bytes, limit) {
  if (bytes.length <= limit) return bytes
  while (limit > 0 && (bytes[limit] & 0xc0) === 0x80) limit--
  return bytes.subarray(0, limit)
}

/** The kind of a value and its bytes; undefined where no kind fits. */
function encode (value) {
  const bytes = Buffer.alloc(8)
  if (typeof value === 'boolean') return [BOOL, Buffer.from([value ? 1 : 0])]
  if (typeof value === 'string') return [TEXT, Buffer.from(value)]
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    bytes.writeDoubleLE(value)
    return [FLOAT, bytes]
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined
  const whole = BigInt(value)
  if (BigInt.asIntN(64, whole) === whole) {
    bytes.writeBigInt64LE(whole)
    return [INT, bytes]
  }
  if (BigInt.asUintN(64, whole) !== whole) return undefined
  bytes.writeBigUInt64LE(whole)
  return [UINT, bytes]
}

/** Attributes as docs/probes.md has them. Undefined and null are absent. */
function pack (attributes, index) {
  const entries = []
  let length = 0
  let missing = 0
  const add = (kind, key, value) => {
    const encoded = encode(value)
    if (encoded === undefined || (kind === INDEX && encoded[0] !== INT)) return missing++
    const name = cut(Buffer.from(key), MAX_KEY)
    const bytes = cut(encoded[1], MAX_TEXT)
    if (length + 4 + name.length + bytes.length + 8 > MAX_ATTRIBUTES) return missing++
    const head = Buffer.from([kind ?? encoded[0], name.length, bytes.length & 0xff, bytes.length >> 8])
    entries.push(head, name, bytes)
    length += 4 + name.length + bytes.length
  }
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue
    if (key === index) add(INDEX, '', value)
    else add(undefined, key, value)
  }
  if (missing > 0) {
    const last = Buffer.from([LEFT_OUT, 0, 4, 0, 0, 0, 0, 0])
    last.writeUInt32LE(missing, 4)
    entries.push(last)
  }
  return Buffer.concat(entries)
}

/** Runs a function inside of a node; the scope ends with it, or with the promise that it returns. */
function run (node, work) {
  const end = (outcome) => {
    node.ended = true
    probes.end(node.id, outcome)
  }
  let result
  try {
    result = current.run(node, work)
  } catch (error) {
    end(FAILED)
    throw error
  }
  // Another thenable may begin its work when it is asked, so that it is not asked.
  if (!(result instanceof Promise)) {
    end(ENDED)
    return result
  }
  // The caller gets what follows, so that an error that nobody handles is still nobody's.
  return result.then(
    (value) => {
      end(ENDED)
      return value
    },
    (error) => {
      end(FAILED)
      throw error
    }
  )
}

/** `scope('preprocess', { index: 0, rows: 3 }, () => ...)`: what the function returns. */
function scope (name, attributes, work = attributes) {
  if (probes.scopeOpen[0] === 0) return work()
  const up = innermost()
  if (up !== undefined && up.depth >= MAX_DEPTH) {
    probes.leftOut(TOO_DEEP)
    return work()
  }
  const packed = attributes === work ? undefined : pack(attributes, 'index')
  const id = probes.start(SCOPE_OPEN, up?.id ?? 0, name, packed)
  return run({ id, up, depth: (up?.depth ?? 0) + 1, ended: false }, work)
}

/** `request('job-7', { model: 'tiny' }, () => ...)`: a root. With no id the tracer makes one. */
function request (id, attributes, work = attributes) {
  if (probes.requestOpen[0] === 0) return work()
  const packed = attributes === work ? undefined : pack(attributes)
  return run({ id: probes.start(REQUEST_OPEN, 0, id, packed), up: undefined, depth: 1, ended: false }, work)
}

/** `mark('tokens', 17, { kind: 'summary', source: 'model' })`: a value of the current scope. */
function mark (name, value, { kind = 'point', ...attributes } = {}) {
  if (probes.mark[0] === 0) return
  const encoded = encode(value)
  if (encoded === undefined) return probes.leftOut(NO_KIND)
  const [code, bytes] = encoded
  const kept = code === TEXT ? cut(bytes, MAX_TEXT) : Buffer.concat([bytes], 8)
  const bits = code | (kind === 'summary' ? SUMMARY : 0) | (code === TEXT && kept.length < bytes.length ? CUT : 0)
  probes.tell(innermost()?.id ?? 0, name, bits, kept, pack(attributes))
}

module.exports = { available, scope, request, mark }
