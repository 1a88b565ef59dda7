// Upload a project, build it, run its tests with their output streaming, fix what fails,
// fetch the result.
import { CommandExitError, Sandbox } from 'e2b'

const files = {
  'calc/calc.h': 'int add(int a, int b);\nint mul(int a, int b);\n',
  'calc/calc.c':
    '#include "calc.h"\n' +
    'int add(int a, int b) { return a + b; }\n' +
    'int mul(int a, int b) { return a + b; }\n',
  'calc/test.c':
    '#include <stdio.h>\n#include "calc.h"\n' +
    'static int bad;\n' +
    'static void check(const char *what, int got, int want) {\n' +
    '    printf("%s %s\\n", got == want ? "ok" : "FAIL", what); bad |= got != want; }\n' +
    'int main(void) { check("add", add(2, 3), 5); check("mul", mul(2, 3), 6); return bad; }\n',
  'calc/Makefile': 'test: build\n\t./test\nbuild:\n\t$(CC) -Wall -o test test.c calc.c\n',
}
const list = (names) => '[' + names.map((n) => `'${n}'`).join(', ') + ']'
const repr = (s) => `'${s.replaceAll('\n', '\\n')}'`
const cwd = '/home/user/calc'

const sandbox = await Sandbox.create({ timeoutMs: 120_000, metadata: { app: 'project' } })
try {
  await sandbox.files.write(Object.entries(files).map(([path, data]) => ({ path, data })))
  console.log('uploaded', list((await sandbox.files.list('calc')).map((e) => e.name)))
  const build = await sandbox.commands.run('make -s build CC=cc', { cwd })
  console.log('build', build.exitCode, repr(build.stderr))
  const onStdout = (data) => {
    process.stdout.write(data)
  }
  try {
    await sandbox.commands.run('./test', { cwd, onStdout })
  } catch (e) {
    if (!(e instanceof CommandExitError)) throw e
    console.log('tests failed with', e.exitCode)
  }
  const fixed = (await sandbox.files.read('calc/calc.c')).replace(
    'mul(int a, int b) { return a + b',
    'mul(int a, int b) { return a * b',
  )
  await sandbox.files.write('calc/calc.c', fixed)
  const tests = await sandbox.commands.run('make -s test CC=cc | tee report.txt', { cwd, onStdout })
  console.log('tests', tests.exitCode)
  console.log('report', repr(await sandbox.files.read('calc/report.txt')))
  const binary = await sandbox.files.read('calc/test', { format: 'bytes' })
  console.log(
    'binary',
    `b'${Buffer.from(binary.slice(1, 4))}'`,
    binary.length > 1000 ? 'True' : 'False',
  )
  await sandbox.files.remove('calc')
  console.log('left', (await sandbox.files.exists('calc')) ? 'True' : 'False')
} finally {
  await sandbox.kill()
}
