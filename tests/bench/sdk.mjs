// The commands of bench.h by the official JavaScript SDK.
import { createRequire } from 'node:module'
const { Sandbox } = createRequire(process.env.BENCH_JS + '/')('e2b')

const n = Number(process.argv[3])
const box = await Sandbox.connect(process.env.BENCH_ID)
const took = []
for (let i = 0; i < n; i++) {
    const began = performance.now()
    const result = await box.commands.run('echo hello')
    if (result.stdout !== 'hello\n') throw new Error('wrong output')
    took.push(performance.now() - began)
}
took.sort((a, b) => a - b)
console.log(took[n >> 1])
process.exit(0)
