// js.mjs - node --import: 'e2b' is the package in SDK_JS, wherever the program stands.
import { register } from 'node:module'

const source = `
export async function resolve(name, context, next) {
  return name === 'e2b'
    ? next(name, { ...context, parentURL: 'file://' + process.env.SDK_JS + '/index.mjs' })
    : next(name, context)
}`
register('data:text/javascript,' + encodeURIComponent(source))
