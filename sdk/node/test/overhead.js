// What the middleware costs a request: the same application with and without it, in turns.
//
// `node test/overhead.js` prints microseconds of one request over loopback, asked one after the
// other over one connection, and of `record` and `tokenId` alone. The agent is the tests' own, in a
// process of its own. Figures of one run, to be compared with each other only.

import { fork } from 'node:child_process'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { Ledgerline, tokenId } from 'ledgerline'
import * as onExpress from './app-express.js'
import * as onFastify from './app-fastify.js'
import { FakeAgent } from './fake-agent.js'

const TOKEN = 'tok-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6Qw3E'
const ROUNDS = Number(process.env.ROUNDS ?? 12)
const CALLS = Number(process.env.CALLS ?? 500)
const agentOf = new http.Agent({ keepAlive: true, maxSockets: 1 })

function ask(port) {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const options = { host: '127.0.0.1', port, path: '/orders/4711', headers, agent: agentOf }
  return new Promise((resolve, reject) => {
    const request = http.get(options, (response) => {
      response.resume()
      response.on('end', resolve)
    })
    request.on('error', reject)
  })
}

function told(taken) {
  const sorted = Float64Array.from(taken).sort()
  const at = (part) => sorted[Math.floor(sorted.length * part)].toFixed(1).padStart(7)
  const mean = (taken.reduce((sum, one) => sum + one, 0) / taken.length).toFixed(1)
  return { text: `p50 ${at(0.5)}  p99 ${at(0.99)}  mean ${mean}`, p50: Number(at(0.5)) }
}

async function round(port, into) {
  for (let n = 0; n < CALLS; n += 1) {
    const began = performance.now()
    await ask(port)
    into.push((performance.now() - began) * 1000)
  }
}

async function compare(name, off, on, client) {
  const [without, withIt] = [[], []]
  await round(off, [])
  await round(on, [])
  for (let n = 0; n < ROUNDS; n += 1) {
    await round(off, without)
    await round(on, withIt)
    await client.flush(30_000)
  }
  const [a, b] = [told(without), told(withIt)]
  const added = (b.p50 - a.p50).toFixed(1)
  console.log(`${name.padEnd(9)} off: ${a.text} us   on: ${b.text} us   added p50 ${added} us`)
}

function alone(name, call) {
  const taken = []
  for (let n = 0; n < 20_000; n += 1) {
    const began = performance.now()
    call()
    taken.push((performance.now() - began) * 1000)
  }
  console.log(`${name.padEnd(9)} ${told(taken.slice(5000)).text} us`)
}

async function listening(app) {
  const server = http.createServer(app)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server.address().port
}

async function measure(address) {
  const issuer = { region: 'eu', alias: 'idp' }
  const settings = { service: 'orders', agent: address, issuer, maxEvents: 1e6, maxBytes: 1 << 30 }
  const client = new Ledgerline(settings)
  const ports = [
    await listening(onExpress.application(express)),
    await listening(onExpress.application(express, client)),
  ]
  await compare('express', ...ports, client)
  const apps = [await onFastify.application(), await onFastify.application(client)]
  for (const app of apps) await app.listen({ port: 0, host: '127.0.0.1' })
  await compare('fastify', ...apps.map((app) => app.server.address().port), client)
  alone('record', () => client.record({ type: 'USED', token_id: 'eu:idp:jti:4f0c' }))
  alone('tokenId', () => tokenId(TOKEN))
  const isDone = await client.close(60_000)
  const { sent, recorded, dropped, refused } = client.stats
  console.log(`sent ${sent}, dropped ${dropped}, refused ${refused}`)
  if (!isDone || sent !== recorded) throw new Error('not all events arrived')
  process.exit(0)
}

if (process.argv[2] === 'agent') {
  const agent = await FakeAgent.started()
  process.send(agent.address)
  process.on('disconnect', () => agent.end().then(() => process.exit(0)))
} else {
  const agent = fork(fileURLToPath(import.meta.url), ['agent'])
  const address = await new Promise((resolve) => agent.once('message', resolve))
  await measure(address)
}
