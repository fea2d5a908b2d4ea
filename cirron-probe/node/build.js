'use strict'
// Compiles the addon with the system's C compiler and the headers that came with this Node. Where one
// of them is missing the package works, and tells nothing.

const { execFileSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { dirname, join } = require('node:path')

const output = process.argv[2] ?? join(__dirname, 'cirron_probe.node')
const candidates = [join(dirname(process.execPath), '..', 'include', 'node'), '/usr/include/node']
const headers = candidates.find((directory) => existsSync(join(directory, 'node_api.h')))
// In the repository the header lies beside the folder; a package that is published has a copy.
const ours = existsSync(join(__dirname, 'cirron.h')) ? __dirname : join(__dirname, '..', 'c')
if (headers === undefined || process.platform !== 'linux') {
  console.error('cirron-probe: no headers of Node here: nothing will be told')
} else {
  const compiler = process.env.CC ?? 'cc'
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter']
  execFileSync(compiler, ['-O2', '-fPIC', '-shared', ...warnings, '-I', headers, '-I', ours, '-o', output, join(__dirname, 'addon.c')], { stdio: 'inherit' })
}
