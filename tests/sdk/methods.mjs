// methods.mjs [METHOD...] - a scenario per method of the official JavaScript SDK, on
// the host that the environment names (run.sh sets it). Same rules as check.py: checks
// name the method; a scenario that throws is one failed check, one that hangs the last.
import { createRequire } from 'node:module'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import crypto from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

const require = createRequire(process.env.SDK_JS + '/')
const sdk = require('e2b')
const { Sandbox, CommandExitError } = sdk
const version = require(process.env.SDK_JS + '/node_modules/e2b/package.json').version
const title = `e2b-js ${version}`
const hostUrl = process.env.SDK_HOST_URL
const domain = process.env.E2B_DOMAIN
// Of servers inside: sandboxes share the network of the host, where other runs may be.
const port = 20000 + (process.pid % 4000) * 10
const limit = Number(process.env.SDK_LIMIT || 30) * 1000

let passed = 0,
  failed = 0,
  method = '',
  box
const scenarios = [],
  boxes = []
const scenario = (name, f) => scenarios.push([name, f])
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

function ok(what, good, got) {
  const line = `${title} ${method}: ${what}`
  if (good) {
    passed++
    if (process.env.SDK_VERBOSE) console.log('ok    ', line)
  } else {
    failed++
    console.log(
      'FAILED',
      line,
      got === undefined ? '' : `(got ${String(JSON.stringify(got)).slice(0, 500)})`,
    )
  }
  return good
}
const eq = (what, got, want) => ok(what, isDeepStrictEqual(got, want), [got, 'wanted', want])

async function throws(what, names, f) {
  try {
    ok(what, false, await f())
  } catch (e) {
    const classes = []
    for (let p = e; p; p = Object.getPrototypeOf(p)) classes.push(p.constructor.name)
    ok(
      what,
      names.split('|').some((n) => classes.includes(n)),
      `${e.name}: ${e.message}`,
    )
    return e
  }
}
async function until(f, ms = 8000) {
  for (const end = Date.now() + ms; ; await sleep(50)) {
    const got = await f()
    if (got || Date.now() > end) return got
  }
}
async function create(opts = {}) {
  const b = await Sandbox.create({ timeoutMs: 120_000, ...opts })
  boxes.push(b)
  return b
}
// fetch() may not set Host, so a plain client.
function web(verb, url, { headers = {}, body } = {}) {
  return new Promise((done, fail) => {
    const q = http.request(url, { method: verb, headers }, (r) => {
      const parts = []
      r.on('data', (d) => parts.push(d))
      r.on('end', () => done({ status: r.statusCode, text: Buffer.concat(parts).toString() }))
    })
    q.on('error', fail)
    q.end(body)
  })
}

// ---- commands ----
scenario('commands.run', async () => {
  let r = await box.commands.run('echo out; echo err >&2')
  eq('stdout', r.stdout, 'out\n')
  eq('stderr', r.stderr, 'err\n')
  eq('exitCode', r.exitCode, 0)
  const e = await throws('non-zero is CommandExitError', 'CommandExitError', () =>
    box.commands.run('echo partial; exit 7'),
  )
  eq(
    'its exitCode, stdout, error',
    [e?.exitCode, e?.stdout, e?.error],
    [7, 'partial\n', 'exit status 7'],
  )
  r = await box.commands.run('echo "$A|$(pwd)|$(id -un)"', {
    envs: { A: 'é "x' },
    cwd: '/tmp',
    user: 'root',
  })
  eq('envs, cwd, user', r.stdout, 'é "x|/tmp|root\n')
  await throws('a cwd that is not there', 'InvalidArgumentError', () =>
    box.commands.run('pwd', { cwd: '/no/such' }),
  )
  await throws('a user that is not there', 'AuthenticationError', () =>
    box.commands.run('true', { user: 'nobody-such' }),
  )
  const out = [],
    err = []
  await box.commands.run('for i in 1 2 3; do echo o$i; echo e$i >&2; sleep .05; done', {
    onStdout: (d) => {
      out.push(d)
    },
    onStderr: (d) => {
      err.push(d)
    },
  })
  eq('onStdout', out.join(''), 'o1\no2\no3\n')
  eq('onStderr', err.join(''), 'e1\ne2\ne3\n')
  r = await box.commands.run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
  eq('3 MB', [r.stdout.length, r.stdout.slice(-5)], [3000005, '\nend\n'])
  r = await box.commands.run(
    "printf '\\xe2'; sleep .1; printf '\\x82'; sleep .1; printf '\\xac\\n'",
  )
  eq('a character in three pieces', r.stdout, '€\n')
  const began = Date.now()
  await throws('timeoutMs', 'TimeoutError', () =>
    box.commands.run('exec sleep 30', { timeoutMs: 800 }),
  )
  ok('in time', Date.now() - began < 5000, Date.now() - began)
  const all = await Promise.all(
    [...Array(20).keys()].map((i) => box.commands.run(`sleep .3; echo ${i}`)),
  )
  eq(
    '20 at once',
    all.map((a) => a.stdout),
    [...Array(20).keys()].map((i) => `${i}\n`),
  )
})

scenario('commands.run background', async () => {
  const out = []
  const h = await box.commands.run('echo a; sleep .6; echo b', {
    background: true,
    onStdout: (d) => {
      out.push(d)
    },
  })
  ok('pid', h.pid > 0, h.pid)
  const r = await h.wait()
  eq('wait', [r.stdout, r.exitCode], ['a\nb\n', 0])
  eq('onStdout', out.join(''), 'a\nb\n')
  const bad = await box.commands.run('exit 3', { background: true })
  const e = await throws('wait of a failed one', 'CommandExitError', () => bad.wait())
  ok('class', e instanceof CommandExitError)
  eq('its code', e?.exitCode, 3)
})

scenario('commands.list', async () => {
  const h = await box.commands.run('sleep 20', {
    background: true,
    envs: { MARK: 'm1' },
    cwd: '/tmp',
  })
  h.wait().catch(() => {})
  const p = (await box.commands.list()).find((x) => x.pid === h.pid)
  eq('entry', p && [p.cmd, p.args, p.envs.MARK, p.cwd], [
    '/bin/bash',
    ['-l', '-c', 'sleep 20'],
    'm1',
    '/tmp',
  ])
  eq('commands.kill', await box.commands.kill(h.pid), true)
  ok('gone', await until(async () => !(await box.commands.list()).some((x) => x.pid === h.pid)))
  eq('commands.kill: no such process', await box.commands.kill(999999), false)
})

scenario('commands.sendStdin', async () => {
  let h = await box.commands.run('read a; echo got:$a', { background: true, stdin: true })
  await box.commands.sendStdin(h.pid, 'zwei ü\n')
  eq('a line', (await h.wait()).stdout, 'got:zwei ü\n')
  h = await box.commands.run('wc -c', { background: true, stdin: true })
  await h.sendStdin(new Uint8Array([0, 255, 1]))
  await box.commands.closeStdin(h.pid)
  eq('closeStdin', (await h.wait()).stdout.trim(), '3')
  await throws('no such process', 'NotFoundError', () => box.commands.sendStdin(999999, 'x'))
})

scenario('commands.connect', async () => {
  const h = await box.commands.run('for i in 1 2 3 4 5 6 7 8; do echo $i; sleep .1; done', {
    background: true,
  })
  const again = await box.commands.connect(h.pid)
  const r = await again.wait()
  ok('output from then on', r.stdout.endsWith('8\n'), r.stdout)
  eq('the first handle has all', (await h.wait()).stdout, '1\n2\n3\n4\n5\n6\n7\n8\n')
  await throws('no such process', 'NotFoundError', () => box.commands.connect(999999))
  const d = await box.commands.run('sleep 1; echo x >/tmp/js-still; sleep 2', { background: true })
  await d.disconnect()
  ok('disconnect: the process goes on', await until(() => box.files.exists('/tmp/js-still'), 4000))
})

// ---- terminals ----
async function terminal(opts = {}) {
  const t = { seen: '' }
  t.h = await box.pty.create({
    cols: 80,
    rows: 24,
    ...opts,
    onData: (d) => {
      t.seen += Buffer.from(d).toString()
    },
  })
  t.end = t.h.wait()
  t.end.catch(() => {})
  t.type = (s) => box.pty.sendInput(t.h.pid, new TextEncoder().encode(s))
  t.see = (s) => until(() => t.seen.includes(s))
  return t
}

scenario('pty.create', async () => {
  const t = await terminal({ cols: 101, rows: 30, envs: { MINE: 'v1' }, cwd: '/tmp' })
  await t.type('stty size; echo t:$TERM m:$MINE w:$(pwd) l:$LANG; echo fin$((1+1))\n')
  ok('a shell that answers', await t.see('fin2'), t.seen)
  ok('size', t.seen.includes('30 101'), t.seen)
  ok('TERM, envs, cwd, LANG', t.seen.includes('t:xterm-256color m:v1 w:/tmp l:C.UTF-8'), t.seen)
  method = 'pty.resize'
  await box.pty.resize(t.h.pid, { cols: 177, rows: 55 })
  await t.type('stty size; echo fun$((1+1))\n')
  ok('new size', (await t.see('fun2')) && t.seen.includes('55 177'), t.seen)
  await throws('no such process', 'NotFoundError', () =>
    box.pty.resize(999999, { cols: 1, rows: 1 }),
  )
  method = 'pty.connect'
  let seen = ''
  const again = await box.pty.connect(t.h.pid, {
    onData: (d) => {
      seen += Buffer.from(d).toString()
    },
  })
  await t.type('echo both$((1+1))\n')
  ok(
    'both handles see',
    (await t.see('both2')) && (await until(() => seen.includes('both2'))),
    seen,
  )
  again.wait().catch(() => {})
  method = 'pty.kill'
  eq('true', await box.pty.kill(t.h.pid), true)
  await throws('wait tells', 'CommandExitError', () => t.end)
  eq('no such process: false', await box.pty.kill(999999), false)
  method = 'pty.sendInput'
  const x = await terminal()
  await x.type('exit 5\n')
  const e = await throws('exit code of the shell', 'CommandExitError', () => x.end)
  eq('5', e?.exitCode, 5)
  await throws('no such process', 'NotFoundError', () =>
    box.pty.sendInput(999999, new Uint8Array([65])),
  )
})

// ---- files ----
scenario('files.write', async () => {
  const f = box.files
  const i = await f.write('w/deep/a.txt', 'héllo\n')
  eq('entry', [i.name, i.path, i.type], ['a.txt', '/home/user/w/deep/a.txt', 'file'])
  eq('text', await f.read('w/deep/a.txt'), 'héllo\n')
  const data = crypto.randomBytes(1 << 20)
  await f.write('w/bin', data.buffer.slice(data.byteOffset, data.byteOffset + data.length))
  ok('1 MiB', data.equals(Buffer.from(await f.read('w/bin', { format: 'bytes' }))))
  await f.write('w/blob', new Blob(['from a ', 'blob']))
  eq('a Blob', await f.read('w/blob'), 'from a blob')
  await f.write('w/stream', new Blob(['from a ', 'stream']).stream())
  eq('a ReadableStream', await f.read('w/stream'), 'from a stream')
  await f.write('w/sp ace ü #?&%41+.txt', 'odd')
  eq('an odd name', await f.read('w/sp ace ü #?&%41+.txt'), 'odd')
  await f.write('/root/by-root', 'r', { user: 'root' })
  eq(
    'user',
    (await box.commands.run('stat -c %U /root/by-root', { user: 'root' })).stdout,
    'root\n',
  )
  method = 'files.write several'
  const many = await f.write([
    { path: 'many/1', data: 'a' },
    { path: 'many/2', data: 'b' },
  ])
  eq(
    'entries',
    many.map((m) => m.path),
    ['/home/user/many/1', '/home/user/many/2'],
  )
  eq('writeFiles', (await f.writeFiles([{ path: 'many/3', data: 'c' }])).length, 1)
  eq('content', await f.read('many/2'), 'b')
  method = 'files.write options'
  await f.write('w/octet', 'raw', { useOctetStream: true })
  eq('useOctetStream', await f.read('w/octet'), 'raw')
  const text = 'line of text\n'.repeat(5000)
  await f.write('w/gz', text, { gzip: true })
  eq('gzip', await f.read('w/gz', { gzip: true }), text)
  eq('metadata', (await f.write('w/meta', 'x', { metadata: { Colour: 'blue' } })).metadata, {
    colour: 'blue',
  })
})

scenario('files.read', async () => {
  const f = box.files
  await f.write('r.txt', 'abc€')
  eq('text', await f.read('r.txt'), 'abc€')
  eq('bytes', Buffer.from(await f.read('r.txt', { format: 'bytes' })).toString(), 'abc€')
  eq('blob', await (await f.read('r.txt', { format: 'blob' })).text(), 'abc€')
  const parts = []
  for await (const p of await f.read('r.txt', { format: 'stream' })) parts.push(Buffer.from(p))
  eq('stream', Buffer.concat(parts).toString(), 'abc€')
  const e = await throws('missing', 'FileNotFoundError', () => f.read('no-such'))
  ok('its text', e?.message.includes('does not exist'), e?.message)
  await throws('a directory', 'InvalidArgumentError', () => f.read('/tmp'))
  await f.write('empty', '')
  eq('empty', await f.read('empty'), '')
})

scenario('files.list', async () => {
  const f = box.files
  await box.commands.run('mkdir -p l/b/c l/a; echo 1 >l/z; ln -s z l/link; chmod 640 l/z')
  const got = await f.list('l')
  eq(
    'names, in order',
    got.map((g) => g.name),
    ['a', 'b', 'link', 'z'],
  )
  const z = got[3]
  eq(
    'fields',
    [z.type, z.path, z.size, z.mode, z.permissions, z.owner, z.group],
    ['file', '/home/user/l/z', 2, 0o640, '-rw-r-----', 'user', 'user'],
  )
  ok('modifiedTime', Math.abs(Date.now() - z.modifiedTime) < 60_000, z.modifiedTime)
  eq(
    'depth',
    (await f.list('l', { depth: 2 })).map((g) => g.path.slice(13)),
    ['a', 'b', 'b/c', 'link', 'z'],
  )
  await throws('missing', 'FileNotFoundError', () => f.list('no-such'))
  await throws('a file', 'InvalidArgumentError', () => f.list('l/z'))
})

scenario('files.getInfo', async () => {
  const f = box.files
  await box.commands.run('mkdir -p gi; printf 12345 >gi/f; chmod 755 gi/f; ln -sfn f gi/link')
  const i = await f.getInfo('gi/f')
  eq(
    'file',
    [i.name, i.path, i.type, i.size, i.permissions],
    ['f', '/home/user/gi/f', 'file', 5, '-rwxr-xr-x'],
  )
  eq('target of a link', (await f.getInfo('gi/link')).symlinkTarget, '/home/user/gi/f')
  await throws('missing', 'FileNotFoundError', () => f.getInfo('gi/no'))
  method = 'files.exists'
  eq('true', await f.exists('gi/f'), true)
  eq('false', await f.exists('gi/no'), false)
  method = 'files.makeDir'
  eq('true', await f.makeDir('gi/x/y'), true)
  eq('false', await f.makeDir('gi/x/y'), false)
  await throws('a file is there', 'InvalidArgumentError', () => f.makeDir('gi/f'))
  method = 'files.rename'
  const m = await f.rename('gi/f', 'gi/n/g')
  eq('entry', [m.name, m.path, m.type], ['g', '/home/user/gi/n/g', 'file'])
  await throws('missing', 'FileNotFoundError', () => f.rename('gi/f', 'gi/h'))
  method = 'files.remove'
  await f.remove('gi/n')
  eq('a tree', await f.exists('gi/n'), false)
  eq('missing is no error', await f.remove('gi/n'), undefined)
})

scenario('files.watchDir', async () => {
  await box.commands.run('mkdir -p wd/sub; touch wd/old')
  const events = []
  let ended = 0
  const see = (type, name) =>
    until(() => events.find((e) => e.type === type && e.name === name), 5000)
  const w = await box.files.watchDir(
    'wd',
    (e) => {
      events.push(e)
    },
    {
      onExit: () => {
        ended++
      },
    },
  )
  await box.files.write('wd/a', '1')
  ok('create', await see('create', 'a'), events)
  ok('write', await see('write', 'a'), events)
  await box.commands.run('chmod 600 wd/old; mv wd/old wd/new; rm wd/new')
  ok('chmod', await see('chmod', 'old'), events)
  ok('rename', await see('rename', 'old'), events)
  ok('remove', await see('remove', 'new'), events)
  await w.stop()
  ok('onExit', await until(() => ended === 1, 2000), ended)
  method = 'files.watchDir recursive, includeEntry'
  const r = await box.files.watchDir(
    'wd',
    (e) => {
      events.push(e)
    },
    { recursive: true, includeEntry: true },
  )
  await box.files.write('wd/sub/deep', '12')
  const e = await see('write', 'sub/deep')
  ok('below', e, events)
  eq('entry', e?.entry && [e.entry.name, e.entry.path], ['deep', '/home/user/wd/sub/deep'])
  await r.stop()
  await throws('missing', 'FileNotFoundError|NotFoundError', () =>
    box.files.watchDir('no-such', () => {}),
  )
})

// ---- URLs, hosts ----
scenario('downloadUrl', async () => {
  await box.files.write('url dir/ü.txt', 'by url')
  let r = await web('GET', await box.downloadUrl('url dir/ü.txt', { user: 'user' }))
  eq('GET', [r.status, r.text], [200, 'by url'])
  r = await web(
    'GET',
    await box.downloadUrl('url dir/ü.txt', { user: 'user', useSignatureExpiration: 60_000 }),
  )
  eq('with an end', [r.status, r.text], [200, 'by url'])
  r = await web('GET', (await box.downloadUrl('/etc/hostname')).replace('hostname', 'passwd'))
  eq('another path', r.status, 401)
  method = 'uploadUrl'
  const body =
    '--form-7\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nsent\r\n--form-7--\r\n'
  const headers = { 'content-type': 'multipart/form-data; boundary=form-7' }
  r = await web('POST', await box.uploadUrl('up/l.txt', { user: 'user' }), { headers, body })
  eq('POST', [r.status, r.status === 200 || r.text], [200, true])
  eq('content', await box.files.read('up/l.txt'), 'sent')
})

scenario('getHost', async () => {
  const host = box.getHost(port)
  eq('name', host, `${port}-${box.sandboxId}.${domain}`)
  const h = await box.commands.run(
    `cd /tmp && echo hi >index.txt && exec python3 -m http.server ${port}`,
    { background: true, timeoutMs: 0 },
  )
  h.wait().catch(() => {})
  const r = await until(async () => {
    const a = await web('GET', hostUrl + '/index.txt', { headers: { host } })
    return a.status === 200 && a
  })
  eq('a server answers', r?.text, 'hi\n')
  const n = await web('GET', hostUrl + '/', { headers: { host: box.getHost(port + 1) } })
  ok('a port that is not open', n.status === 502 && n.text.includes('port is not open'), n)
  await h.kill()
  method = 'trafficAccessToken'
  const b = await create({ network: { allowPublicTraffic: false } })
  ok('given', b.trafficAccessToken?.length > 8, b.trafficAccessToken)
  const no = await web('GET', hostUrl + '/', { headers: { host: b.getHost(port + 2) } })
  ok('needed', no.status === 403 && no.text.includes('missing'), no)
  const yes = await web('GET', hostUrl + '/', {
    headers: { host: b.getHost(port + 2), 'e2b-traffic-access-token': b.trafficAccessToken },
  })
  eq('enough', yes.status, 502)
  method = 'getMcpUrl'
  eq('url', box.getMcpUrl(), `https://50005-${box.sandboxId}.${domain}/mcp`)
  method = 'getMcpToken'
  await box.files.write('/etc/mcp-gateway/.token', 'tok', { user: 'root' })
  eq('token', await box.getMcpToken(), 'tok')
})

// ---- sandboxes ----
scenario('Sandbox.create', async () => {
  const b = await create({ timeoutMs: 60_000, metadata: { k: 'v 1' }, envs: { G: 'global' } })
  eq('envs', (await b.commands.run('echo $G')).stdout, 'global\n')
  const i = await b.getInfo()
  eq('metadata', i.metadata, { k: 'v 1' })
  ok('timeoutMs', Math.abs(i.endAt - i.startedAt - 60_000) < 5000, i)
  method = 'Sandbox.getInfo'
  eq('fields', [i.sandboxId, i.name, i.state], [b.sandboxId, 'base', 'running'])
  ok('cpu, memory', i.cpuCount >= 1 && i.memoryMB >= 1, i)
  eq('by id', (await Sandbox.getInfo(b.sandboxId)).templateId, i.templateId)
  await throws('missing', 'NotFoundError', () => Sandbox.getInfo('inosuchsandbox'))
  method = 'Sandbox.create errors'
  await throws('no such template', 'SandboxError|NotFoundError', () =>
    Sandbox.create('no-such-template'),
  )
  await throws('a wrong key', 'AuthenticationError', () =>
    Sandbox.create({ apiKey: 'e2b_' + 'f'.repeat(40) }),
  )
  method = 'Sandbox.create allowInternetAccess'
  const n = await create({ allowInternetAccess: false })
  eq('told', (await n.getInfo()).allowInternetAccess, false)
  eq('no way out', (await n.commands.run('tail -n +2 /proc/net/route')).stdout, '')
  method = 'Sandbox.isRunning'
  eq('true', await n.isRunning(), true)
  method = 'Sandbox.kill'
  eq('true', await n.kill(), true)
  eq('false', await n.kill(), false)
  eq('by id', await Sandbox.kill(b.sandboxId), true)
  await throws('commands afterwards', 'TimeoutError|NotFoundError|SandboxError', () =>
    n.commands.run('true'),
  )
  method = 'Sandbox.isRunning'
  eq('false', await n.isRunning(), false)
})

scenario('Sandbox.connect', async () => {
  const b = await create({ timeoutMs: 200_000 })
  const again = await Sandbox.connect(b.sandboxId)
  await again.files.write('c', 'x')
  eq('the same sandbox', await b.files.read('c'), 'x')
  const end = (await b.getInfo()).endAt
  await Sandbox.connect(b.sandboxId, { timeoutMs: 20_000 })
  ok('never shortens', (await b.getInfo()).endAt >= end)
  await b.connect({ timeoutMs: 1_000_000 })
  ok('lengthens', (await b.getInfo()).endAt - end > 500_000)
  method = 'Sandbox.setTimeout'
  await b.setTimeout(600_000)
  ok('longer', Math.abs((await b.getInfo()).endAt - Date.now() - 600_000) < 10_000)
  await Sandbox.setTimeout(b.sandboxId, 1000)
  ok('fires', await until(async () => !(await b.isRunning()), 6000))
  await throws('missing', 'NotFoundError', () => b.setTimeout(1000))
})

scenario('Sandbox.list', async () => {
  const run = crypto.randomUUID()
  const made = []
  for (let i = 0; i < 3; i++)
    made.push((await create({ metadata: { run, 'a b': `c&d=${i}` } })).sandboxId)
  const query = { metadata: { run } }
  const page = Sandbox.list({ query })
  eq(
    'by metadata, newest first',
    (await page.nextItems()).map((s) => s.sandboxId),
    [...made].reverse(),
  )
  eq('hasNext', page.hasNext, false)
  await throws('past the end', 'Error', () => page.nextItems())
  eq(
    'odd characters',
    (await Sandbox.list({ query: { metadata: { run, 'a b': 'c&d=1' } } }).nextItems()).map(
      (s) => s.sandboxId,
    ),
    [made[1]],
  )
  const pages = Sandbox.list({ query, limit: 2 }),
    seen = []
  while (pages.hasNext) seen.push(...(await pages.nextItems()).map((s) => s.sandboxId))
  eq('pages', seen, [...made].reverse())
  eq(
    'order',
    (await Sandbox.list({ query, order: 'asc' }).nextItems()).map((s) => s.sandboxId),
    made,
  )
  await Sandbox.pause(made[0])
  eq(
    'state',
    (await Sandbox.list({ query: { ...query, state: ['paused'] } }).nextItems()).map(
      (s) => s.sandboxId,
    ),
    [made[0]],
  )
})

scenario('Sandbox.pause', async () => {
  const b = await create()
  await b.files.write('kept', 'x')
  eq('true', await b.pause(), true)
  eq('state', (await b.getInfo()).state, 'paused')
  eq('again: false', await b.pause(), false)
  const again = await Sandbox.connect(b.sandboxId)
  eq('connect resumes', await again.files.read('kept'), 'x')
  eq('betaPause', await b.betaPause(), true)
  await b.connect()
  eq('connect of the handle', await b.isRunning(), true)
  eq('by id', await Sandbox.pause(b.sandboxId), true)
  await throws('missing', 'NotFoundError', () => Sandbox.pause('inosuchsandbox'))
  method = 'Sandbox.create lifecycle'
  const auto = await create({
    timeoutMs: 2000,
    lifecycle: { onTimeout: 'pause', autoResume: true },
  })
  await auto.files.write('kept', 'x')
  ok('the timeout pauses', await until(async () => (await auto.getInfo()).state === 'paused'))
  eq('traffic wakes it', await auto.files.read('kept'), 'x')
})

scenario('Sandbox.createSnapshot', async () => {
  const b = await create()
  await b.files.write('f', 'before')
  const s = await b.createSnapshot()
  await b.files.write('f', 'after')
  eq('a sandbox of it', await (await create({ template: s.snapshotId })).files.read('f'), 'before')
  const s2 = await Sandbox.createSnapshot(b.sandboxId)
  method = 'Sandbox.listSnapshots'
  eq(
    'of this sandbox',
    (await b.listSnapshots().nextItems()).map((x) => x.snapshotId).sort(),
    [s.snapshotId, s2.snapshotId].sort(),
  )
  const pages = Sandbox.listSnapshots({ sandboxId: b.sandboxId, limit: 1 }),
    seen = []
  while (pages.hasNext) seen.push(...(await pages.nextItems()).map((x) => x.snapshotId))
  eq('pages', seen.sort(), [s.snapshotId, s2.snapshotId].sort())
  method = 'Sandbox.deleteSnapshot'
  eq('true', await Sandbox.deleteSnapshot(s.snapshotId), true)
  eq('false', await Sandbox.deleteSnapshot(s.snapshotId), false)
  await Sandbox.deleteSnapshot(s2.snapshotId)
})

scenario('Sandbox.fork', async () => {
  const b = await create()
  await b.files.write('f', 'shared')
  const forks = await b.fork({ count: 2 })
  boxes.push(...forks.filter((f) => !(f instanceof Error)))
  eq(
    'two',
    forks.map((f) => f instanceof Sandbox),
    [true, true],
  )
  for (const f of forks) eq('its files', await f.files.read('f'), 'shared')
  await forks[0].files.write('f', 'own')
  eq('apart', await b.files.read('f'), 'shared')
  eq('by id', (await Sandbox.fork(b.sandboxId)).length, 1)
})

scenario('Sandbox.getMetrics', async () => {
  const b = await create()
  const got = await until(async () => {
    const m = await b.getMetrics()
    return m.length && m
  }, 12_000)
  const m = got?.[got.length - 1]
  ok('measured', m, got)
  if (m)
    ok(
      'values',
      m.cpuCount >= 1 &&
        m.cpuUsedPct >= 0 &&
        m.memUsed > 0 &&
        m.memTotal >= m.memUsed &&
        m.diskTotal > 0,
      m,
    )
  eq(
    'from a later start',
    await Sandbox.getMetrics(b.sandboxId, { start: new Date(Date.now() + 3600_000) }),
    [],
  )
  method = 'Sandbox.updateNetwork'
  eq('taken', await b.updateNetwork({ denyOut: ['0.0.0.0/0'] }), undefined)
})

// ---- templates ----
const waitForFile = sdk.waitForFile
const { Template } = sdk
async function drop(templateId) {
  const r = await web('DELETE', `${hostUrl}/templates/${templateId}`, {
    headers: { 'X-API-Key': process.env.E2B_API_KEY },
  })
  eq('deleted', r.status, 204)
}
const fresh = () => `sdk-js-${crypto.randomUUID().slice(0, 12)}`

scenario('Template.build', async () => {
  const name = fresh(),
    logs = [],
    where = fs.mkdtempSync(path.join(os.tmpdir(), 'sbx-sdk-context.'))
  fs.mkdirSync(`${where}/app/sub/empty`, { recursive: true })
  fs.writeFileSync(`${where}/app/main.sh`, 'echo main\n', { mode: 0o755 })
  fs.writeFileSync(`${where}/app/sub/data.txt`, 'data é\n')
  fs.writeFileSync(`${where}/app/skip.log`, 'no\n')
  fs.writeFileSync(`${where}/one.txt`, 'one\n')
  fs.symlinkSync('sub/data.txt', `${where}/app/link`)
  const template = Template({ fileContextPath: where, fileIgnorePatterns: ['**/*.log'] })
    .fromBaseImage()
    .runCmd('mkdir -p /opt/x && chmod 777 /opt/x', { user: 'root' })
    .setWorkdir('/opt/x')
    .setEnvs({ GREETING: 'hello', WHOLE: '$GREETING world' })
    .copy('app', 'app')
    .copy('one.txt', 'texts/', { mode: 0o640 })
    .makeDir('made', { mode: 0o700 })
    .makeSymlink('made', 'to-made')
    .runCmd(['echo $WHOLE > greeting', 'echo to-stderr >&2'])
    .setStartCmd('echo started > /tmp/started; exec sleep 1000', waitForFile('/tmp/started'))
  try {
    const onBuildLogs = (e) => logs.push(e.message)
    const info = await Template.build(template, name, {
      tags: ['v1', 'default'],
      cpuCount: 1,
      memoryMB: 512,
      onBuildLogs,
    })
    eq('its tags', info.tags, ['v1', 'default'])
    for (const part of ["Uploaded 'app'", '[builder 1/', '[stderr]: to-stderr', 'Template is ready'])
      ok(`the log says ${part}`, logs.some((m) => m.includes(part)), logs)
    const b = await create({ template: name })
    const r = await b.commands.run(
      'pwd; sh app/main.sh; cat app/link greeting; ls app; ls app/sub; readlink to-made; ' +
        "stat -c '%a %U' texts/one.txt app/main.sh; nproc; echo $GREETING",
    )
    eq('what it made', r.stdout.split('\n'), [
      '/opt/x', 'main', 'data é', 'hello world', 'link', 'main.sh', 'sub', 'data.txt', 'empty',
      'made', '640 user', '755 user', '1', 'hello', '',
    ])
    ok('the start command runs', await until(() => b.files.exists('/tmp/started')))
    eq('a relative path', await b.files.read('greeting'), 'hello world\n')
    await b.kill()
    logs.length = 0
    await Template.build(template, name, { onBuildLogs })
    ok(
      'nothing is uploaded again',
      logs.some((m) => m.includes("Skipping upload of 'app', already cached")),
      logs,
    )
    ok('and the cache is used', logs.filter((m) => m.includes('CACHED')).length >= 6, logs)
    logs.length = 0
    await Template.build(template, name, { skipCache: true, onBuildLogs })
    ok('skipCache runs all', !logs.some((m) => m.includes('CACHED')), logs)
    await drop(info.templateId)
  } finally {
    fs.rmSync(where, { recursive: true })
  }
})

scenario('Template.build that fails', async () => {
  const name = fresh()
  let e = await throws('a failing step', 'BuildError', () =>
    Template.build(Template().fromBaseImage().runCmd('true').runCmd('echo why >&2; exit 3'), name),
  )
  ok(
    'says what',
    e?.message.includes("failed to run command 'echo why >&2; exit 3': exit status 3"),
    e?.message,
  )
  e = await throws('an unknown image', 'BuildError', () =>
    Template.build(Template().fromImage('python:3.12'), name),
  )
  ok('names the known ones', e?.message.includes('e2bdev/base'), e?.message)
  await throws('a bad name', 'BuildError', () =>
    Template.build(Template().fromBaseImage(), 'no such name'),
  )
  const info = await Template.buildInBackground(Template().fromBaseImage(), name)
  await drop(info.templateId)
})

scenario('Template.buildInBackground, getBuildStatus, exists, tags', async () => {
  const name = fresh()
  eq('not there', await Template.exists(name), false)
  const one = await Template.buildInBackground(
    Template().fromBaseImage().runCmd('echo 1 > ~/v; echo line'),
    `${name}:v1`,
  )
  const done = async () => {
    const s = await Template.getBuildStatus(one, { logsOffset: 0 })
    return ['ready', 'error'].includes(s.status) && s
  }
  const s = await until(done, 20000)
  eq('ready', s.status, 'ready')
  ok('its log', s.logEntries.some((l) => l.message.includes('[stdout]: line')), s.logEntries)
  eq('exists', await Template.exists(name), true)
  const two = await Template.build(
    Template().fromTemplate(`${name}:v1`).runCmd('echo 2 >> ~/v'),
    `${name}:v2`,
  )
  eq('the same template', two.templateId, one.templateId)
  const got = await Template.assignTags(`${name}:v1`, ['stable', 'default'])
  eq('assigned', [got.buildId, got.tags], [one.buildId, ['stable', 'default']])
  eq(
    'listed',
    (await Template.getTags(name)).map((g) => g.tag).sort(),
    ['default', 'stable', 'v1', 'v2'],
  )
  for (const [tag, want] of [
    ['', '1\n'],
    [':v2', '1\n2\n'],
  ]) {
    const b = await create({ template: name + tag })
    eq(`a sandbox of '${tag}'`, await b.files.read('v'), want)
    await b.kill()
  }
  await Template.removeTags(name, 'stable')
  ok('removed', !(await Template.getTags(name)).some((g) => g.tag === 'stable'))
  await throws('no such template', 'TemplateError', () => Template.assignTags(`no-${name}`, 'x'))
  await drop(one.templateId)
})

// ---- the loop ----
const report = () => console.log(`checks ${title}: ${passed} passed, ${failed} failed`)
const only = process.argv.slice(2)
process.on('unhandledRejection', () => {}) // a background stream that ends with its sandbox
for (const [name, f] of scenarios) {
  if (only.length && !only.some((o) => name.includes(o))) continue
  method = name
  const dog = setTimeout(() => {
    ok(`no end within ${limit / 1000} s: the rest was not run`, false)
    report()
    process.exit(1)
  }, limit)
  try {
    box ??= await create({ timeoutMs: 600_000 })
    await f()
  } catch (e) {
    ok(
      `goes through (line ${/methods\.mjs:(\d+)/.exec(e.stack)?.[1]})`,
      false,
      `${e.name}: ${e.message}`,
    )
  }
  clearTimeout(dog)
}
await Promise.allSettled(boxes.map((b) => b.kill()))
report()
process.exit(failed ? 1 : 0)
