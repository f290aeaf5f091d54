// What an access becomes, without a framework.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Access } from '../src/access.js'

/** The event of one access. */
function recorded({ status = 200, method = 'GET', ...said } = {}) {
  const events = []
  const client = { service: 'orders', record: (event) => events.push(event) }
  const access = Object.assign(new Access({ digest: 'eu:idp:t1:d', jti: 'eu:idp:jti:j' }), said)
  access.end(client, {}, { status, method, path: '/x' })
  assert.equal(events.length, 1)
  return events[0]
}

test('the status is the outcome', () => {
  const table = [
    [200, 'ALLOW'],
    [404, 'ALLOW'],
    [401, 'DENY'],
    [403, 'DENY'],
    [429, 'ERROR'],
    [500, 'ERROR'],
  ]
  for (const [status, outcome] of table) assert.equal(recorded({ status }).outcome, outcome)
})

test('a method that HTTP does not know is other', () => {
  const table = [
    ['GET', 'GET'],
    ['get', 'other'],
    ['MARK-OF-A-CALLER', 'other'],
  ]
  for (const [method, action] of table) assert.equal(recorded({ method }).action, action)
})

test('a jti names a token only where it was verified', () => {
  for (const verified of [undefined, false, 1, 'yes']) {
    const event = recorded({ verified })
    assert.deepEqual([event.token_id, event.also_known_as], ['eu:idp:t1:d', undefined])
  }
  const event = recorded({ verified: true })
  assert.deepEqual([event.token_id, event.also_known_as], ['eu:idp:jti:j', ['eu:idp:t1:d']])
})
