// Token ids against the published vectors, and what they refuse.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { Ledgerline, TokenIdError, jtiTokenId, tokenId } from 'ledgerline'

const published = new URL('../../../crates/proof/vectors/token_ids.json', import.meta.url)
const file = process.env.LEDGERLINE_TOKEN_VECTORS ?? published
const vectors = JSON.parse(readFileSync(file, 'utf8'))
const where = { region: vectors.region, issuer: vectors.issuer }

test('a token has the published id', () => {
  assert.ok(vectors.presented.length > 30)
  for (const { name, token, id } of vectors.presented) {
    assert.equal(tokenId(token, where), id, name)
    assert.equal(tokenId(Buffer.from(token), where), id, name)
    assert.notEqual(tokenId(`x${token}`, where), id, name)
  }
})

test('a jti has the published id', () => {
  for (const { name, jti, id } of vectors.jti) assert.equal(jtiTokenId(jti, where), id, name)
})

test('a weak token and a bad name are refused, and no error tells the value', () => {
  const refused = [
    ...vectors.weak.map((weak) => () => tokenId(weak)),
    () => tokenId('sEcReT-value-of-a-tk'),
    () => tokenId('sEcReT-value-of-a-token-\ud800'),
    () => tokenId(undefined),
    ...['', 'EU', 'e:u', 'x'.repeat(33), 'eu\n'].map(
      (region) => () => tokenId('a-token-that-is-long-enough', { region }),
    ),
  ]
  for (const call of refused) {
    assert.throws(call, (error) => {
      assert.ok(error instanceof TokenIdError)
      assert.ok(!String(error.stack).includes('sEcReT'))
      return true
    })
  }
})

test('the rule of the issuer names a token', async () => {
  const jwt = vectors.presented.find((one) => one.name === 'JWS')
  const opaque = vectors.presented.find((one) => one.name === 'opaque')
  const identity = { region: 'eu', alias: 'idp', jtiRule: 'identity' }
  const bearer = { region: 'eu', alias: 'idp' }
  const jti = 'eu:idp:jti:4f0c'
  const table = [
    [identity, {}, jwt, jti],
    [identity, {}, opaque, undefined],
    [bearer, {}, jwt, undefined],
    [bearer, { 'https://idp.test': identity }, jwt, jti],
    [identity, { 'https://other.test': bearer }, jwt, jti],
  ]
  for (const [issuer, issuers, vector, expected] of table) {
    const client = new Ledgerline({ service: 's', issuer, issuers })
    assert.deepEqual(client.idsOf(vector.token), { digest: vector.id, jti: expected })
    await client.close()
  }
})
