// Watch a directory while several commands write into it at once.
import { FilesystemEventType, Sandbox } from 'e2b'

const list = (a, quote = "'") => '[' + a.map((x) => quote + x + quote).join(', ') + ']'
const sandbox = await Sandbox.create({ timeoutMs: 120_000 })
await sandbox.files.makeDir('jobs')
const created = new Set()
let end
const ended = new Promise((done) => {
  end = done
})
const watcher = await sandbox.files.watchDir(
  'jobs',
  (event) => {
    if (event.type !== FilesystemEventType.CREATE) return
    created.add(event.name)
    if ([...created].filter((n) => n.endsWith('.done')).length === 5) end()
  },
  { recursive: true, timeoutMs: 0 },
)
const numbers = [1, 2, 3, 4, 5]
const results = await Promise.all(
  numbers.map((n) =>
    sandbox.commands.run(
      `mkdir jobs/${n} && sleep .3 && seq ${n}000 > jobs/${n}/out && touch jobs/${n}.done` +
        ` && wc -l < jobs/${n}/out`,
    ),
  ),
)
console.log('results', list(results.map((r) => r.stdout.trim())))
await Promise.race([ended, new Promise((done) => setTimeout(done, 10_000))])
await watcher.stop()
const names = [...created].sort()
console.log('done', list(names.filter((n) => n.endsWith('.done'))))
console.log('directories', list(names.filter((n) => /^\d+$/.test(n))))
console.log('below them', list(names.filter((n) => n.endsWith('/out'))))
const infos = await Promise.all(numbers.map((n) => sandbox.files.getInfo(`jobs/${n}/out`)))
console.log(
  'sizes',
  list(
    infos.map((i) => i.size),
    '',
  ),
)
await sandbox.kill()
console.log('running', (await sandbox.isRunning()) ? 'True' : 'False')
