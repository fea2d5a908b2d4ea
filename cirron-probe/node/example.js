'use strict'
// A request whose parts run at the same time: each scope is a child of its own asynchronous context.

const { mark, request, scope } = require(process.argv[2] ?? './index.js')

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function shard (i) {
  await scope('shard', { index: i, rows: 3 }, async () => {
    await sleep(5 - i)
    scope('parse', () => mark('bytes', 42 + i))
    await sleep(i)
    mark('late', `shard ${i}`)
  })
}

async function main () {
  await request('job-7', { model: 'tiny' }, async () => {
    await Promise.all([0, 1, 2, 3].map(shard))
    mark('loss', 0.25, { kind: 'summary', final: true })
    mark('big', 2n ** 64n - 1n)
    mark('odd', {})
  })
  try {
    scope('fails', () => { throw new Error('on purpose') })
  } catch {}
  await scope('rejects', () => Promise.reject(new Error('on purpose'))).catch(() => {})
}

main()
