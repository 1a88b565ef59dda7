// A terminal session: a shell whose state is kept, a program run in it that reads what
// is typed, interrupted, resized; then its exit code.
import { Sandbox } from 'e2b'

const sandbox = await Sandbox.create({ timeoutMs: 120_000 })
let screen = ''
const decoder = new TextDecoder()
const shell = await sandbox.pty.create({
  cols: 80,
  rows: 24,
  envs: { PS1: '> ' },
  timeoutMs: 60_000,
  onData: (data) => {
    screen += decoder.decode(data, { stream: true })
  },
})

async function typeAndWait(text, sign) {
  screen = ''
  await sandbox.pty.sendInput(shell.pid, new TextEncoder().encode(text))
  for (let i = 0; i < 500; i++) {
    if (screen.includes(sign)) return true
    await new Promise((done) => setTimeout(done, 20))
  }
  console.log('no', sign, 'in', JSON.stringify(screen))
  return false
}
const told = (yes) => (yes ? 'True' : 'False')

console.log(
  'state kept',
  told(
    (await typeAndWait('cd /tmp && NAME=world\n', '/tmp')) &&
      (await typeAndWait('echo "hello $NAME from $PWD" | tr a-z A-Z\n', 'HELLO WORLD FROM /TMP')),
  ),
)
console.log(
  'a program',
  told(
    (await typeAndWait('python3 -q\n', '>>> ')) &&
      (await typeAndWait('print(6 * 7)\n', '42')) &&
      (await typeAndWait('while True: pass\n\n', '... ')) &&
      (await typeAndWait('\x03', 'KeyboardInterrupt')) &&
      (await typeAndWait('exit()\n', '/tmp')),
  ),
)
await sandbox.pty.resize(shell.pid, { cols: 132, rows: 40 })
console.log('resized', told(await typeAndWait('stty size\n', '40 132')))
await typeAndWait('exit 9\n', 'exit')
await shell.wait().catch((e) => console.log('exit code', e.exitCode))
console.log('killed', told(await sandbox.kill()))
