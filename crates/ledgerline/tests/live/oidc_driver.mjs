// openid-client and a browser's part against a real provider. What to do comes as JSON on standard
// input: {issuer}. What the client saw goes to standard output: every token with its life, its
// parents and its state as the client knows it, and every bearer value.

import { readFileSync } from 'node:fs'
import * as client from 'openid-client'

const { issuer } = JSON.parse(readFileSync(0, 'utf8'))
const ORDERS = 'https://orders.test'
const DOCUMENTS = 'https://documents.test'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

const tokens = new Map()
const secrets = new Set()
const told = []

async function configured(client_id) {
  const secret = `secret-of-${client_id}-5VbT1qZr8Yw`
  const how = client_id === 'mobile' ? client.None() : client.ClientSecretBasic(secret)
  if (client_id !== 'mobile') secrets.add(secret)
  const metadata = { id_token_signed_response_alg: 'ES256' }
  return client.discovery(new URL(issuer), client_id, metadata, how,
    { execute: [client.allowInsecureRequests] })
}

const claims = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())

/** A token as it was received. `parents` are the names of what it came from, with the relation. */
function received(name, kind, value, more) {
  secrets.add(value)
  const is_jwt = value.split('.').length === 3
  const token = { name, kind, value, form: is_jwt ? 'jwt' : 'opaque', alive: true, ...more }
  if (is_jwt) {
    const { jti, sub, client_id, exp, scope, aud } = claims(value)
    Object.assign(token, { jti, sub, client_id, exp, scope, aud })
  }
  tokens.set(name, token)
  return token
}

function ended(...names) {
  for (const name of names) tokens.get(name).alive = false
}

/** What a request was refused with. */
async function refused(what, work) {
  try {
    await work()
  } catch (error) {
    told.push({ what, error: error.error ?? error.cause?.error ?? String(error) })
    return
  }
  throw new Error(`${what} was not refused`)
}

/** The part of a browser: cookies, forms, redirects. Follows until the client's own address. */
function browser() {
  const jar = new Map()
  async function go(url, form) {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(url, { method: form ? 'POST' : 'GET', redirect: 'manual',
      headers: { cookie, 'user-agent': 'Browser-of-the-test/1.0' },
      body: form && new URLSearchParams(form) })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      if (value) jar.set(name, value)
      else jar.delete(name)
      if (value && !name.endsWith('.sig')) secrets.add(value)
    }
    const target = response.headers.get('location')
    if (!target) return { page: await response.text(), url }
    const next = new URL(target, url)
    return next.origin === new URL(issuer).origin ? go(next) : { arrived: next }
  }
  return {
    async login(url, user) {
      let at = await go(url)
      while (at.page !== undefined) {
        const [, action] = /action="([^"]+)"/.exec(at.page) ?? [undefined, undefined]
        const [, prompt] = /name="prompt" value="([^"]+)"/.exec(at.page) ?? []
        if (!prompt) throw new Error(`no form to fill in: ${at.page.slice(0, 400)}`)
        const form = prompt === 'login' ? { prompt, login: user, password: 'any' } : { prompt }
        at = await go(new URL(action, at.url), form)
      }
      return at.arrived
    },
    async logout(url) {
      const { page } = await go(url)
      const [, xsrf] = /name="xsrf" value="([^"]+)"/.exec(page)
      return go(new URL('/session/end/confirm', issuer), { xsrf, logout: 'yes' })
    },
  }
}

function address(client_id) {
  return client_id === 'mobile' ? 'com.example.mobile:/cb' : `https://${client_id}.test/cb`
}

/** A login: a code, and what it is exchanged for. Gives what is needed to do it again. */
async function login(config, name, user, resource, scope, window = browser()) {
  const client_id = config.clientMetadata().client_id
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  secrets.add(pkceCodeVerifier)
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: address(client_id),
    scope, resource,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...(scope.includes('offline_access') && { prompt: 'consent' }),
  })
  const back = await window.login(url, user)
  const code = received(`${name}.code`, 'AUTH_CODE', back.searchParams.get('code'),
    { client_id, sub: user, expires_in: 60, parents: [] })
  const exchange = () => client.authorizationCodeGrant(config, back,
    { pkceCodeVerifier, idTokenExpected: true }, { resource })
  const answer = await exchange()
  code.alive = false
  const from = (relation) => ({ client_id, sub: user, parents: [[`${name}.code`, relation]] })
  received(`${name}.access`, 'ACCESS', answer.access_token,
    { ...from('FROM_CODE'), expires_in: answer.expires_in })
  received(`${name}.refresh`, 'REFRESH', answer.refresh_token,
    { ...from('FROM_CODE'), expires_in: 1200 })
  secrets.add(answer.id_token)
  return { exchange, window, id_token: answer.id_token }
}

/** A refresh of `of`; what comes is called `name`. */
async function refresh(config, of, name, resource) {
  const before = tokens.get(of)
  const answer = await client.refreshTokenGrant(config, before.value, { resource })
  const { client_id, sub } = before
  received(`${name}.access`, 'ACCESS', answer.access_token,
    { client_id, sub, expires_in: answer.expires_in, parents: [[of, 'REFRESHED_FROM']] })
  if (answer.id_token) secrets.add(answer.id_token)
  if (answer.refresh_token === before.value) return
  received(`${name}.refresh`, 'REFRESH', answer.refresh_token,
    { client_id, sub, expires_in: 1200, parents: [[of, 'ROTATED_FROM']] })
  before.alive = false
}

const web = await configured('web')
const mobile = await configured('mobile')
const partner = await configured('partner')
const worker = await configured('worker')
const documents = await configured('documents')
const orders = 'openid offline_access orders:read orders:write'
const docs = 'openid offline_access docs:read'

// A family that lives: a login and two refreshes. The code and both old refresh tokens are used up.
await login(web, 'alice', 'alice', ORDERS, orders)
await refresh(web, 'alice.refresh', 'alice.2', ORDERS)
await refresh(web, 'alice.2.refresh', 'alice.3', ORDERS)

// A refresh token that was rotated is shown again: the provider ends the grant.
await login(web, 'bob', 'bob', ORDERS, orders)
await refresh(web, 'bob.refresh', 'bob.2', ORDERS)
await refused('replay', () => client.refreshTokenGrant(web, tokens.get('bob.refresh').value))
ended('bob.access', 'bob.2.access', 'bob.2.refresh')
await refused('after replay',
  () => client.refreshTokenGrant(web, tokens.get('bob.2.refresh').value))

// A code is shown again.
const erin = await login(web, 'erin', 'erin', ORDERS, orders)
await refused('code replay', erin.exchange)
ended('erin.access', 'erin.refresh')

// The client revokes its refresh token, another its opaque access token: both end the grant.
await login(mobile, 'carol', 'carol', DOCUMENTS, docs)
await refresh(mobile, 'carol.refresh', 'carol.2', DOCUMENTS)
await client.tokenRevocation(mobile, tokens.get('carol.2.refresh').value)
ended('carol.access', 'carol.2.access', 'carol.2.refresh')
await login(mobile, 'dave', 'dave', DOCUMENTS, docs)
await client.tokenRevocation(mobile, tokens.get('dave.access').value)
ended('dave.access', 'dave.refresh')
await refused('after revocation',
  () => client.refreshTokenGrant(mobile, tokens.get('dave.refresh').value))

// A refresh token that is not rotated, and is used twice.
await login(partner, 'grace', 'grace', DOCUMENTS, docs)
await refresh(partner, 'grace.refresh', 'grace.2', DOCUMENTS)
await refresh(partner, 'grace.refresh', 'grace.3', DOCUMENTS)

// A logout ends what was bound to the session. Another client's offline grant outlives it.
const heidi = await login(web, 'heidi', 'heidi', ORDERS, 'openid orders:read')
await login(mobile, 'heidi.mobile', 'heidi', DOCUMENTS, docs, heidi.window)
await heidi.window.logout(client.buildEndSessionUrl(web,
  { id_token_hint: heidi.id_token, post_logout_redirect_uri: 'https://web.test/bye' }))
ended('heidi.access', 'heidi.refresh')

// A machine, and an exchange that goes one further.
for (const [name, resource] of [['machine.jwt', ORDERS], ['machine.opaque', DOCUMENTS]]) {
  const scope = resource === ORDERS ? 'orders:read' : 'docs:read'
  const answer = await client.clientCredentialsGrant(worker, { resource, scope })
  received(name, 'ACCESS', answer.access_token,
    { client_id: 'worker', expires_in: answer.expires_in, parents: [] })
}
await client.tokenRevocation(worker, tokens.get('machine.opaque').value)
ended('machine.opaque')
for (const [name, of] of [['exchanged', 'alice.3.access'], ['exchanged.2', 'exchanged']]) {
  const answer = await client.genericGrantRequest(worker, EXCHANGE, {
    resource: ORDERS,
    subject_token: tokens.get(of).value,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  })
  received(name, 'ACCESS', answer.access_token, { client_id: 'worker', sub: 'alice',
    expires_in: answer.expires_in, parents: [[of, 'EXCHANGED_FROM']] })
}

// What the issuer says of each token that it will look at.
for (const token of tokens.values()) {
  if (token.form === 'jwt' || token.kind === 'AUTH_CODE') continue
  const answer = await client.tokenIntrospection(documents, token.value)
  token.introspected = answer.active
  if (answer.active) token.exp = answer.exp
}

process.stdout.write(JSON.stringify({ tokens: [...tokens.values()], secrets: [...secrets], told }))
