// The client against an agent that fails in every way: what is recorded arrives once or is counted.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, dirname } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Ledgerline } from 'ledgerline'
import { FakeAgent } from './fake-agent.js'

const TOKEN = 'sEcReT-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6'
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const event = (n) => ({ type: 'USED', token_id: `eu:idp:jti:t-${n}` })

/** An agent, and clients of it, all ended with the test. */
async function started(t, key) {
  const agent = await FakeAgent.started(key)
  t.after(() => agent.end())
  const logged = []
  const client = (settings = {}) => {
    const log = (line) => logged.push(line)
    const made = new Ledgerline({
      service: 'orders',
      agent: agent.address,
      timeoutMs: 500,
      log,
      ...settings,
    })
    t.after(() => made.close(0))
    return made
  }
  return { agent, client, logged }
}

test('every event arrives once, in order, over one connection', async (t) => {
  const { agent, client } = await started(t)
  const ledger = client()
  for (let n = 0; n < 2000; n += 1) assert.ok(ledger.record(event(n)))
  assert.ok(await ledger.flush(10_000))
  const expected = Array.from({ length: 2000 }, (_, n) => `eu:idp:jti:t-${n}`)
  assert.deepEqual(
    agent.events.map((one) => one.token_id),
    expected,
  )
  assert.equal(agent.ids().size, 2000)
  const numbers = agent.events.map((one) => one.source_seq)
  assert.deepEqual(
    numbers,
    Array.from({ length: 2000 }, (_, n) => n),
  )
  assert.equal(new Set(agent.events.map((one) => one.source_instance)).size, 1)
  assert.match(agent.events[0].source_instance, UUID7)
  const { recorded, sent, dropped, queued, queuedBytes } = ledger.stats
  assert.deepEqual([recorded, sent, dropped, queued, queuedBytes], [2000, 2000, 0, 0, 0])
  assert.equal(agent.connections, 1)
  assert.ok(agent.requests < 20)
})

test('an event has id and time of when it was recorded', async (t) => {
  const { agent, client } = await started(t)
  const ledger = client()
  const before = Date.now()
  ledger.record(event(1))
  ledger.record({ ...event(2), event_id: 'given', occurred_at: 'then' })
  ledger.record({ ...event(3), native_id: 'n-3' })
  assert.ok(await ledger.flush())
  const [one, two, three] = agent.events
  assert.match(one.event_id, UUID7)
  const millis = parseInt(one.event_id.replaceAll('-', '').slice(0, 12), 16)
  assert.ok(before <= millis && millis <= Date.now())
  assert.ok(Math.abs(Date.parse(one.occurred_at) - millis) < 2)
  assert.deepEqual([two.event_id, two.occurred_at], ['given', 'then'])
  assert.equal(three.event_id, undefined)
  ledger.record({ ...event(4), source_instance: 'own', source_seq: 7 })
  ledger.record(event(5))
  assert.ok(await ledger.flush())
  assert.deepEqual(
    agent.events.map((it) => it.source_seq),
    [0, 1, 2, 7, 3],
  )
})

test('record does no input or output of its own', async (t) => {
  const { agent, client } = await started(t)
  const ledger = client({ lingerMs: 0 })
  for (let n = 0; n < 1500; n += 1) ledger.record(event(n))
  assert.deepEqual([agent.requests, ledger.stats.queued], [0, 1500])
  assert.ok(await ledger.flush())
})

for (const mode of [
  'busy',
  'full',
  'garbage',
  'notJson',
  'drip',
  'lost',
  'short',
  'forbidden',
  'flood',
  'slow',
  'silent',
]) {
  test(`an agent that is ${mode} loses nothing once it mends`, async (t) => {
    const { agent, client } = await started(t)
    agent.mode = mode
    const ledger = client({ timeoutMs: 400 })
    for (let n = 0; n < 20; n += 1) ledger.record(event(n))
    assert.equal(await ledger.flush(700), false)
    assert.ok(ledger.stats.failures > 0)
    assert.equal(ledger.stats.sent, 0)
    agent.mode = 'ok'
    assert.ok(await ledger.flush(15_000), inspect(ledger.stats))
    assert.equal(agent.ids().size, 20)
    const { sent, dropped, refused } = ledger.stats
    assert.deepEqual([sent, dropped, refused], [20, 0, 0])
  })
}

test('an agent that is killed and started again loses nothing', async (t) => {
  const { agent, client, logged } = await started(t)
  const ledger = client()
  let count = 0
  const timer = setInterval(() => (count += Number(ledger.record(event(count)))), 1)
  for (let turn = 0; turn < 3; turn += 1) {
    await sleep(200)
    await agent.stop()
    await sleep(200)
    await agent.start()
  }
  clearInterval(timer)
  assert.ok(await ledger.flush(20_000), inspect(ledger.stats))
  assert.equal(agent.ids().size, count)
  assert.equal(ledger.stats.sent, count)
  // One line when it goes, one when it comes, and not one for each attempt.
  assert.ok(logged.length <= 6, inspect(logged))
  assert.ok(logged.some((line) => line.includes('again')))
})

test('a busy agent is left alone for as long as it asks', async (t) => {
  const { agent, client } = await started(t)
  agent.mode = 'busy'
  client().record(event(1))
  await agent.until((it) => it.requests === 1)
  await sleep(700)
  assert.equal(agent.requests, 1)
  await agent.until((it) => it.requests === 2)
})

for (const [mode, code] of [
  ['ok', 'unknown_member'],
  ['blunt', 'bad_json'],
]) {
  test(`one malformed event does not lose the others (${mode})`, async (t) => {
    const { agent, client, logged } = await started(t)
    agent.mode = mode
    agent.isBad = (one) => /-(7|13)$/.test(one.token_id)
    const ledger = client()
    for (let n = 0; n < 20; n += 1) ledger.record(event(n))
    assert.ok(await ledger.flush())
    const { sent, refused, dropped, queued, queuedBytes } = ledger.stats
    assert.deepEqual([sent, refused, dropped, queued, queuedBytes], [18, 2, 0, 0, 0])
    assert.equal(agent.ids().size, 18)
    assert.ok(logged.at(-1).includes(code))
  })
}

test('what is no agent refuses nothing for good', async (t) => {
  const { agent, client } = await started(t)
  agent.mode = 'noAgent'
  const ledger = client()
  for (let n = 0; n < 20; n += 1) ledger.record(event(n))
  assert.equal(await ledger.flush(1000), false)
  assert.deepEqual([ledger.stats.refused, ledger.stats.queued], [0, 20])
  agent.mode = 'ok'
  assert.ok(await ledger.flush(15_000))
  assert.deepEqual([ledger.stats.sent, ledger.stats.refused], [20, 0])
})

test('nothing but malformed events is refused in few requests', async (t) => {
  const { agent, client } = await started(t)
  agent.isBad = () => true
  const ledger = client()
  for (let n = 0; n < 300; n += 1) ledger.record(event(n))
  assert.ok(await ledger.flush())
  assert.deepEqual([ledger.stats.sent, ledger.stats.refused], [0, 300])
  assert.ok(agent.requests <= 5)
})

for (const [whenFull, lingerMs, kept] of [
  ['drop_newest', 50, 0],
  ['drop_oldest', 60_000, 90],
]) {
  test(`a full queue keeps what ${whenFull} says and tells how many it lost`, async (t) => {
    const { agent, client } = await started(t)
    agent.mode = 'full'
    const ledger = client({ maxEvents: 10, whenFull, lingerMs })
    for (let n = 0; n < 100; n += 1) ledger.record(event(n))
    assert.equal(ledger.stats.dropped, 90)
    agent.mode = 'ok'
    assert.ok(await ledger.flush(15_000))
    const used = agent.ofType('USED').map((one) => Number(one.token_id.split('-').at(-1)))
    assert.deepEqual(
      used,
      Array.from({ length: 10 }, (_, n) => n + kept),
    )
    ledger.record(event(1000))
    assert.ok(await ledger.flush(15_000))
    const beats = agent.ofType('HEARTBEAT')
    const told = beats.map((one) =>
      Number(one.detail.find(({ key }) => key === 'client_dropped').value),
    )
    assert.equal(
      told.reduce((sum, one) => sum + one, 0),
      90,
    )
    assert.deepEqual(beats[0].target, { kind: 'SOURCE', id: 'orders' })
    // Each lost event is a gap in the numbers, too.
    const numbers = new Set(agent.events.map((one) => one.source_seq))
    assert.equal(numbers.size, agent.events.length)
    assert.equal(Math.max(...numbers) + 1 - numbers.size, 90)
  })
}

test('the queue is bounded in bytes', async (t) => {
  const { agent, client } = await started(t)
  agent.mode = 'full'
  const ledger = client({ maxBytes: 10_000 })
  for (let n = 0; n < 1000; n += 1) ledger.record({ ...event(n), reason: 'x'.repeat(400) })
  const { queued, queuedBytes, dropped } = ledger.stats
  assert.ok(queuedBytes <= 10_000)
  assert.equal(queued + dropped, 1000)
  assert.equal(ledger.record({ ...event(1), reason: 'x'.repeat(20_000) }), false)
  assert.equal(ledger.stats.unusable, 1)
})

test('what is no JSON is counted and breaks nothing', async (t) => {
  const { client } = await started(t)
  const ledger = client()
  const endless = {}
  endless.self = endless
  const fails = { toJSON: () => assert.fail('its own') }
  for (const reason of [1n, endless, fails])
    assert.equal(ledger.record({ ...event(1), reason }), false)
  assert.equal(ledger.stats.unusable, 3)
  assert.ok(ledger.record(event(2)))
  assert.ok(await ledger.flush())
})

test('over loopback the key is sent and never shown', async (t) => {
  const { agent, client, logged } = await started(t, 'sEcReT-key')
  const ledger = client({ key: 'sEcReT-key' })
  ledger.record(event(1))
  assert.ok(await ledger.flush())
  assert.equal(agent.events.length, 1)
  const wrong = client({ key: 'sEcReT-other' })
  wrong.record(event(2))
  assert.equal(await wrong.flush(300), false)
  assert.ok(logged.at(-1).includes('401 unauthorized'))
  const file = join(dirname(agent.path), 'key')
  const renewed = client({ keyFile: file })
  renewed.record(event(3))
  assert.equal(await renewed.flush(200), false)
  writeFileSync(file, 'sEcReT-key\n')
  assert.ok(await renewed.flush(10_000))
  assert.ok(!(inspect(ledger, { depth: 9, showHidden: true }) + logged.join()).includes('sEcReT'))
})

test('no token is logged or sent whatever fails', async (t) => {
  const { agent, client, logged } = await started(t)
  for (const mode of ['ok', 'garbage', 'full', 'forbidden', 'notJson']) {
    agent.mode = mode
    const ledger = client({ issuer: { region: 'eu', alias: 'idp' } })
    assert.ok(ledger.tokenUsed(TOKEN, { outcome: 'DENY', status: 403 }))
    assert.equal(ledger.tokenUsed('short'), false)
    await ledger.flush(200)
    await ledger.close(0)
    assert.ok(!inspect(ledger, { depth: 9, showHidden: true }).includes('sEcReT'))
  }
  assert.match(agent.events[0].token_id, /^eu:idp:t1:[A-Za-z0-9_-]{43}$/)
  assert.deepEqual([agent.events[0].type, agent.events[0].outcome], ['USED', 'DENY'])
  assert.ok(!(logged.join() + agent.bodies.join() + agent.heads.join()).includes('sEcReT'))
})

test('a log that throws stops no delivery', async (t) => {
  const { agent, client } = await started(t)
  agent.mode = 'full'
  const ledger = client({ log: () => assert.fail('its own') })
  ledger.record(event(1))
  await agent.until((it) => it.requests > 0)
  agent.mode = 'ok'
  assert.ok(await ledger.flush(10_000))
})

test('close sends what is queued, takes no more and does not wait for ever', async (t) => {
  const { agent, client } = await started(t)
  const ledger = client({ lingerMs: 60_000 })
  ledger.record(event(1))
  assert.ok(await ledger.close())
  assert.equal(agent.events.length, 1)
  assert.equal(ledger.record(event(2)), false)
  agent.mode = 'silent'
  const other = client({ timeoutMs: 30_000 })
  other.record(event(3))
  const began = Date.now()
  assert.equal(await other.close(200), false)
  assert.ok(Date.now() - began < 3000)
  assert.equal(other.stats.dropped, 1)
})

test('wrong settings are refused', () => {
  const agents = [
    'http://192.0.2.1:8791',
    'https://127.0.0.1:8791',
    'unix:relative',
    'agent.sock',
    'http://user:pass@127.0.0.1:8791',
    'http://127.0.0.1:8791/path',
  ]
  const bad = [
    ...agents.map((agent) => ({ agent })),
    { whenFull: 'block' },
    { maxEvents: 0 },
    { maxBytes: 0 },
    { lingerMs: -1 },
    { timeoutMs: 0 },
    { service: '' },
    { issuer: { alias: 'IDP' } },
    { issuer: { jtiRule: 'guess' } },
  ]
  for (const settings of bad) {
    assert.throws(() => new Ledgerline({ service: 'orders', ...settings }), inspect(settings))
  }
})

/** Runs a program with the client; its exit code and what it wrote. */
async function run(t, address, text) {
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  const program = `import { Ledgerline } from 'ledgerline'\n${text}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd,
    env: { ...process.env, LEDGERLINE_AGENT: address },
    timeout: 30_000,
  })
  let said = ''
  child.stderr.on('data', (part) => (said += part))
  const code = await new Promise((resolve) => child.on('close', resolve))
  return { code, said }
}

test('what is queued at the end of a program is sent', async (t) => {
  const { agent } = await started(t)
  const done = await run(
    t,
    agent.address,
    `
    const ledger = new Ledgerline({ service: 'orders', lingerMs: 60_000 })
    for (let n = 0; n < 700; n += 1) ledger.record({ type: 'USED', token_id: 'eu:idp:jti:1' })`,
  )
  assert.deepEqual(done, { code: 0, said: '' })
  assert.equal(agent.ids().size, 700)
})

test('a program ends although the agent is away or silent', async (t) => {
  const { agent } = await started(t)
  for (const mode of ['silent', 'away']) {
    if (mode === 'away') await agent.stop()
    else agent.mode = mode
    const began = Date.now()
    const done = await run(
      t,
      agent.address,
      `
      const ledger = new Ledgerline({ service: 'orders' })
      ledger.record({ type: 'USED', token_id: 'eu:idp:jti:1' })
      setTimeout(() => {}, 300)`,
    )
    assert.equal(done.code, 0)
    assert.match(done.said, /1 events that the agent has not taken/)
    assert.ok(Date.now() - began < 8000)
  }
})
