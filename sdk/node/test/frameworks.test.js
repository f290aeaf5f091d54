// Real Express 4, Express 5 and Fastify over TCP: what is recorded, and what never is.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import http from 'node:http'
import { createInterface } from 'node:readline'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import express5 from 'express'
import express4 from 'express4'
import { Ledgerline, expressMiddleware, tokenId } from 'ledgerline'
import * as onExpress from './app-express.js'
import * as onFastify from './app-fastify.js'
import { FakeAgent } from './fake-agent.js'

const TOKEN = 'sEcReT-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6'
const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC50ZXN0IiwianRpIjoiNGYwYyJ9.c0VjUmVU'
const where = { region: 'eu', issuer: 'idp' }

// Method, path, status, outcome, template.
const REQUESTS = [
  ['GET', '/orders/4711', 200, 'ALLOW', '/orders/{id}'],
  ['GET', '/orders/4711?x=4711', 200, 'ALLOW', '/orders/{id}'],
  ['DELETE', '/orders/4711', 403, 'DENY', '/orders/{id}'],
  ['GET', '/unknown/4711', 401, 'DENY', '/unknown/{id}'],
  ['GET', '/broken/4711', 500, 'ERROR', '/broken/{id}'],
  ['GET', '/nowhere/4711', 404, 'ALLOW', undefined],
]
const OF_EXPRESS = [
  ['GET', '/v1/items/4711', 200, 'ALLOW', '/v1/items/{item}'],
  ['GET', '/v1', 200, 'ALLOW', '/v1'],
  ['GET', '/tenants/4711/shop/items/4711', 200, 'ALLOW', '/tenants/{tenant}/shop/items/{item}'],
  ['GET', '/sub/4711/deep/4711', 200, 'ALLOW', '/sub/{name}/deep/{id}'],
  ['GET', '/v1/fails/4711', 500, 'ERROR', '/v1/fails/{item}'],
  ['GET', '/tenants/4711/shop/fails/4711', 500, 'ERROR', '/tenants/{tenant}/shop/fails/{item}'],
  // What only a pattern matched has no template.
  ['GET', '/pattern/4711', 200, 'ALLOW', undefined],
  ['GET', '/t4711/items/4711', 200, 'ALLOW', undefined],
]
const OF_FASTIFY = [
  ['GET', '/tenants/4711/shop/items/4711', 200, 'ALLOW', '/tenants/{tenant}/shop/items/{item}'],
  ['GET', '/files/4711/b', 200, 'ALLOW', '/files/{wildcard}'],
]

function ask(url, method, path, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url + path, { method, headers, agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
    })
    request.on('error', reject)
    request.end()
  })
}

const bearer = (token) => ({ authorization: `Bearer ${token}`, 'user-agent': 'curl/8.5.0' })

/** How each framework makes an application and serves it. */
const FRAMEWORKS = {
  express5: {
    serve: (client, settings) => served(onExpress.application(express5, client, settings)),
  },
  express4: {
    serve: (client, settings) => served(onExpress.application(express4, client, settings)),
  },
  fastify: {
    serve: async (client, settings) => {
      const app = await onFastify.application(client, settings)
      const url = await app.listen({ port: 0, host: '127.0.0.1' })
      return { url, end: () => app.close() }
    },
  },
}

async function served(app) {
  const server = http.createServer(app)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, end: () => server.close() }
}

async function started(t, name, { settings, jtiRule } = {}) {
  const agent = await FakeAgent.started()
  t.after(() => agent.end())
  const issuer = { region: 'eu', alias: 'idp', jtiRule }
  const log = () => {}
  const client = new Ledgerline({ service: 'orders', agent: agent.address, issuer, log })
  t.after(() => client.close(0))
  const server = await FRAMEWORKS[name].serve(client, settings)
  t.after(() => server.end())
  const events = async () => {
    assert.ok(await client.flush())
    const said = agent.bodies.join() + agent.heads.join()
    assert.ok(!said.includes('sEcReT') && !said.includes('eyJ'))
    return agent.events.splice(0)
  }
  const one = async (method, path, headers, expected) => {
    assert.equal(await ask(server.url, method, path, headers), expected)
    const [event, ...more] = await events()
    assert.equal(more.length, 0)
    return event
  }
  return { agent, client, server, events, one }
}

for (const name of Object.keys(FRAMEWORKS)) {
  test(`${name}: status is outcome, and the route's template the resource`, async (t) => {
    const { one } = await started(t, name)
    const own = name === 'fastify' ? OF_FASTIFY : OF_EXPRESS
    for (const [method, path, status, outcome, template] of [...REQUESTS, ...own]) {
      const event = await one(method, path, bearer(TOKEN), status)
      const { type, resource, endpoint } = event
      assert.deepEqual([event.status, event.outcome, resource], [status, outcome, template], path)
      assert.equal(endpoint, template)
      assert.equal(type, template === undefined ? 'USED' : 'RESOURCE_ACCESSED')
      assert.equal(event.token_id, tokenId(TOKEN, where))
      assert.deepEqual([event.service, event.action, event.vantage], ['orders', method, 'RESOURCE'])
      assert.equal(event.detail[0].key, 'latency_us')
      const { event_id, occurred_at, detail, source_instance, ...said } = event
      assert.ok(!JSON.stringify(said).includes('4711'), path)
    }
  })

  test(`${name}: the application's policy stands in the event`, async (t) => {
    const policies = [{ id: 'gateway', version: '3', role: 'BOUNDARY' }]
    const { one } = await started(t, name, { settings: { policies } })
    const event = await one('GET', '/orders/4711', bearer(TOKEN), 200)
    const access = { id: 'orders-access', version: '8', role: 'ACCESS', effect: 'ALLOW' }
    assert.deepEqual(event.policies, [...policies, access])
  })

  test(`${name}: only a request with a token is recorded`, async (t) => {
    const { client, server, events, one } = await started(t, name)
    for (const authorization of [
      undefined,
      'Basic dXNlcjpwYXNzd29yZC10aGF0LWlzLWxvbmc=',
      'Bearer',
    ]) {
      const headers = authorization === undefined ? {} : { authorization }
      assert.equal(await ask(server.url, 'GET', '/orders/1', headers), 200)
    }
    assert.deepEqual(await events(), [])
    assert.equal(client.stats.unusable, 0)
    assert.equal(await ask(server.url, 'GET', '/orders/1', bearer('short')), 200)
    assert.equal(client.stats.unusable, 1)
    for (const scheme of ['bearer', 'BEARER  ', 'DPoP']) {
      const event = await one('GET', '/orders/1', { authorization: `${scheme} ${TOKEN}` }, 200)
      assert.equal(event.token_id, tokenId(TOKEN, where))
    }
  })

  test(`${name}: a request without an answer is an error`, async (t) => {
    const { agent, server, events } = await started(t, name)
    await assert.rejects(ask(server.url, 'GET', '/destroyed/4711', bearer(TOKEN)))
    await agent.until((it) => it.events.length === 1)
    const [event] = await events()
    assert.deepEqual([event.outcome, event.reason, event.status], ['ERROR', 'aborted', undefined])
  })

  test(`${name}: what is personal is told only when it is asked for`, async (t) => {
    const personal = ['ip', 'userAgent', 'resource']
    const { one } = await started(t, name, { settings: { personal } })
    const event = await one('GET', '/orders/4711?secret=1', bearer(TOKEN), 200)
    const record = {
      role: 'REQUEST',
      ip: '127.0.0.1',
      user_agent: 'curl/8.5.0',
      resource: '/orders/4711',
    }
    assert.deepEqual(event.personal, [record])
  })

  test(`${name}: callbacks give token and template, or break nothing`, async (t) => {
    const tokenFrom = (request) => request.headers['x-token']
    const endpointFrom = () => '/given/{id}'
    const fails = () => {
      throw new TypeError('sEcReT')
    }
    const good = await started(t, name, {
      settings: { tokenFrom, endpointFrom, excluded: ['/orders/7'] },
    })
    const event = await good.one('GET', '/orders/4711', { 'x-token': TOKEN }, 200)
    assert.deepEqual([event.token_id, event.resource], [tokenId(TOKEN, where), '/given/{id}'])
    assert.equal(await ask(good.server.url, 'GET', '/orders/7', { 'x-token': TOKEN }), 200)
    assert.deepEqual(await good.events(), [])
    const bad = await started(t, name, { settings: { endpointFrom: fails } })
    assert.equal(
      (await bad.one('GET', '/orders/4711', bearer(TOKEN), 200)).resource,
      '/orders/{id}',
    )
    const worse = await started(t, name, { settings: { tokenFrom: fails } })
    assert.equal(await ask(worse.server.url, 'GET', '/orders/4711', bearer(TOKEN)), 200)
    assert.equal(worse.client.stats.unusable, 1)
  })

  test(`${name}: a jti that nobody verified names no token`, async (t) => {
    const { one } = await started(t, name, { jtiRule: 'identity' })
    const table = [
      ['GET', '/orders/1', 200, tokenId(JWT, where)],
      ['DELETE', '/orders/1', 403, tokenId(JWT, where)],
      ['GET', '/unknown/1', 401, tokenId(JWT, where)],
    ]
    for (const [method, path, status, named] of table) {
      const event = await one(method, path, bearer(JWT), status)
      assert.deepEqual([event.token_id, event.also_known_as], [named, undefined])
    }
  })

  test(`${name}: requests go on whatever the agent does`, async (t) => {
    const { agent, client, server } = await started(t, name)
    for (const mode of ['silent', 'away']) {
      if (mode === 'away') await agent.stop()
      else agent.mode = mode
      for (let n = 0; n < 5; n += 1) {
        assert.equal(await ask(server.url, 'GET', '/orders/4711', bearer(TOKEN)), 200)
      }
    }
    await client.close(0)
    assert.equal(await ask(server.url, 'GET', '/orders/4711', bearer(TOKEN)), 200)
    assert.equal(client.stats.dropped, 11)
  })
}

test('what the application says of its request is what is recorded', async (t) => {
  const agent = await FakeAgent.started()
  t.after(() => agent.end())
  const issuer = { region: 'eu', alias: 'idp', jtiRule: 'identity' }
  const client = new Ledgerline({ service: 'orders', agent: agent.address, issuer })
  t.after(() => client.close(0))
  const app = express5()
  app.use(expressMiddleware(client))
  app.get('/x', (req, res) => {
    Object.assign(req.ledgerline, {
      endpoint: '/e',
      resource: 'orders',
      action: 'read',
      reason: 'step_up',
      outcome: 'DENY',
      verified: true,
      members: { scopes: ['read'] },
    })
    res.end()
  })
  const server = await served(app)
  t.after(() => server.end())
  assert.equal(await ask(server.url, 'GET', '/x', bearer(JWT)), 200)
  assert.ok(await client.flush())
  const [event] = agent.events
  const { token_id, also_known_as, endpoint, resource, action, reason, outcome, scopes } = event
  assert.deepEqual(
    [token_id, also_known_as, endpoint, resource, action, reason, outcome, scopes],
    ['eu:idp:jti:4f0c', [tokenId(JWT, where)], '/e', 'orders', 'read', 'step_up', 'DENY', ['read']],
  )
})

for (const command of [
  ['app-express.js', 'express'],
  ['app-express.js', 'express4'],
  ['app-fastify.js'],
]) {
  test(`a process of its own, with the agent going and coming: ${command.join(' ')}`, async (t) => {
    const agent = await FakeAgent.started()
    t.after(() => agent.end())
    const [file, ...args] = command
    const path = fileURLToPath(new URL(file, import.meta.url))
    const child = spawn(process.execPath, [path, ...args], {
      env: { ...process.env, LEDGERLINE_AGENT: agent.address },
    })
    t.after(() => child.kill('SIGKILL'))
    let said = ''
    child.stderr.on('data', (part) => (said += part))
    const lines = createInterface(child.stdout)
    const url = await new Promise((resolve) => lines.once('line', resolve))
    for (let turn = 0; turn < 3; turn += 1) {
      if (turn === 1) await agent.stop()
      if (turn === 2) await agent.start()
      for (const [method, path, status] of REQUESTS) {
        assert.equal(await ask(url, method, path, bearer(TOKEN)), status)
      }
    }
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGTERM')
    assert.equal(await ended, 0)
    assert.equal(agent.ids().size, REQUESTS.length * 3)
    for (const [, path, status, outcome, template] of REQUESTS) {
      const matching = agent.events.filter(
        (one) => one.status === status && one.outcome === outcome && one.resource === template,
      )
      assert.ok(new Set(matching.map((one) => one.event_id)).size >= 3, path)
    }
    assert.ok(!(said + agent.bodies.join()).includes('sEcReT'))
  })
}
