// openid-client, a browser's part and an administrator against a real Keycloak. What to do comes as
// JSON on standard input: {url, admin, password}. What the client saw goes to standard output:
// every token with its life, its parents and its state, every bearer value, and the events that the
// administrator fetched, oldest first.

import { readFileSync } from 'node:fs'
import * as client from 'openid-client'
import { REALM, passwordOf, realm, secretOf } from './keycloak_realm.mjs'

const { url, admin, password } = JSON.parse(readFileSync(0, 'utf8'))
const issuer = `${url}/realms/${REALM}`
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const USERS = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace']

const tokens = new Map()
const secrets = new Set([...USERS.map(passwordOf), password])
const told = []

async function fetched(method, path, { bearer, json, form } = {}) {
  const headers = {}
  if (bearer) headers.authorization = `Bearer ${bearer}`
  if (json) headers['content-type'] = 'application/json'
  const body = json ? JSON.stringify(json) : form && new URLSearchParams(form)
  const response = await fetch(new URL(path, `${url}/`), { method, headers, body })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text ? JSON.parse(text) : null
}

/** The administrator's token lives for a minute: a new one each time. */
async function asAdmin(method, path, json) {
  const form = { grant_type: 'password', client_id: 'admin-cli', username: admin, password }
  const answer = await fetched('POST', 'realms/master/protocol/openid-connect/token', { form })
  secrets.add(answer.access_token).add(answer.refresh_token)
  return fetched(method, path, { bearer: answer.access_token, json })
}

async function events(kind) {
  const all = []
  for (;;) {
    const page = await asAdmin('GET', `admin/realms/${REALM}/${kind}?first=${all.length}&max=100`)
    all.push(...page)
    if (page.length < 100) return all.reverse()
  }
}

function configured(client_id) {
  secrets.add(secretOf(client_id))
  const how = client.ClientSecretBasic(secretOf(client_id))
  return client.discovery(new URL(issuer), client_id, {}, how,
    { execute: [client.allowInsecureRequests] })
}

const claims = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())

function received(name, kind, value, parents) {
  secrets.add(value)
  const { jti, sub, azp, sid, exp } = claims(value)
  // Refresh tokens have an HMAC, of which Keycloak alone has the key.
  const { alg } = JSON.parse(Buffer.from(value.split('.')[0], 'base64url').toString())
  const token = { name, kind, value, jti, sub, client_id: azp, sid, exp, parents, alive: true,
    is_secretly_signed: alg.startsWith('HS') }
  tokens.set(name, token)
  return token
}

/** A pair: an access token and a refresh token, both of `parents`. */
function pair(name, answer, access, refresh = access) {
  received(`${name}.access`, 'ACCESS', answer.access_token, access)
  if (answer.refresh_token) received(`${name}.refresh`, 'REFRESH', answer.refresh_token, refresh)
  if (answer.id_token) secrets.add(answer.id_token)
}

function ended(...names) {
  for (const name of names) tokens.get(name).alive = false
}

async function refused(what, work) {
  try {
    await work()
  } catch (error) {
    told.push({ what, error: error.error ?? error.cause?.error ?? String(error) })
    return
  }
  throw new Error(`${what} was not refused`)
}

async function login(config, name) {
  const answer = await client.genericGrantRequest(config, 'password',
    { username: name, password: passwordOf(name), scope: 'openid' })
  pair(name, answer, [])
}

async function refresh(config, of, name) {
  const before = tokens.get(`${of}.refresh`)
  const answer = await client.refreshTokenGrant(config, before.value)
  const from = (relation) => [[`${of}.refresh`, relation]]
  pair(name, answer, from('REFRESHED_FROM'), from('ROTATED_FROM'))
  before.alive = false
}

/** A browser's part: the login form, then the redirect to the client with the code. */
async function code(config, user) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  secrets.add(pkceCodeVerifier)
  const begin = client.buildAuthorizationUrl(config, {
    redirect_uri: 'https://web.test/cb', scope: 'openid',
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  const page = await fetch(begin, { redirect: 'manual' })
  const cookie = page.headers.getSetCookie().map((line) => line.split(';')[0])
  for (const one of cookie) secrets.add(one.slice(one.indexOf('=') + 1))
  const [, action] = /action="([^"]+)"/.exec(await page.text())
  const form = new URLSearchParams({ username: user, password: passwordOf(user) })
  const back = await fetch(action.replaceAll('&amp;', '&'),
    { method: 'POST', body: form, redirect: 'manual', headers: { cookie: cookie.join('; ') } })
  for (const line of back.headers.getSetCookie()) {
    const value = line.split(';')[0].split('=').slice(1).join('=')
    if (value) secrets.add(value)
  }
  const arrived = new URL(back.headers.get('location'))
  secrets.add(arrived.searchParams.get('code'))
  const checks = { pkceCodeVerifier, idTokenExpected: true }
  return () => client.authorizationCodeGrant(config, arrived, checks)
}

async function exchange(config, of, name) {
  const answer = await client.genericGrantRequest(config, EXCHANGE, {
    subject_token: tokens.get(of).value,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  })
  received(name, 'ACCESS', answer.access_token, [[of, 'EXCHANGED_FROM']])
}

await asAdmin('POST', 'admin/realms', realm(USERS))
// The scopes of SSF are made with the realm, so the client gets them afterwards.
const [{ id: receiver_id }] =
  await asAdmin('GET', `admin/realms/${REALM}/clients?clientId=receiver`)
for (const scope of await asAdmin('GET', `admin/realms/${REALM}/client-scopes`)) {
  if (!scope.name.startsWith('ssf.')) continue
  const its = `admin/realms/${REALM}/clients/${receiver_id}/optional-client-scopes`
  await asAdmin('PUT', `${its}/${scope.id}`)
}
const web = await configured('web')
const gateway = await configured('gateway')
const worker = await configured('worker')
const receiver = await configured('receiver')

/**
 * What the issuer says of a token now. Keycloak answers `false` also for one that lives, to a
 * client that is not in its audience; and `true` for a refresh token that was rotated, until it is
 * used.
 */
const clients = { web, gateway, worker, receiver }
async function isActive({ value, client_id, kind }) {
  const [asks, token_type_hint] =
    kind === 'REFRESH' ? [clients[client_id], 'refresh_token'] : [gateway, 'access_token']
  return (await client.tokenIntrospection(asks, value, { token_type_hint })).active
}

// SSF: a stream that is polled (RFC 8936).
const transmitter = await fetched('GET', `realms/${REALM}/.well-known/ssf-configuration`)
  .catch(() => fetched('GET', `.well-known/ssf-configuration/realms/${REALM}`))
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type'
async function asReceiver() {
  const answer = await client.clientCredentialsGrant(receiver, { scope: 'ssf.manage ssf.read' })
  received(`receiver.${tokens.size}`, 'ACCESS', answer.access_token, [])
  return answer.access_token
}
const stream = await fetched('POST', transmitter.configuration_endpoint, {
  bearer: await asReceiver(),
  json: { delivery: { method: 'urn:ietf:rfc:8936' },
    events_requested: [`${CAEP}/session-revoked`, `${CAEP}/credential-change`] },
})

// A family that lives, and one that an administrator ends later.
await login(web, 'grace')
await refresh(web, 'grace', 'grace.2')
await login(web, 'alice')
await refresh(web, 'alice', 'alice.2')
await refresh(web, 'alice.2', 'alice.3')
const newest = tokens.get('alice.3.access')
await client.fetchUserInfo(web, newest.value, newest.sub)
await exchange(gateway, 'alice.3.access', 'exchanged')

// A refresh token that was rotated is shown again: the newest one is dead too, without an event.
await login(web, 'bob')
await refresh(web, 'bob', 'bob.2')
await refused('replay', () => client.refreshTokenGrant(web, tokens.get('bob.refresh').value))
await refused('after replay',
  () => client.refreshTokenGrant(web, tokens.get('bob.2.refresh').value))
ended('bob.access', 'bob.2.access', 'bob.2.refresh')

// A code, and the same code again.
const again = await code(web, 'carol')
pair('carol', await again(), [])
await refused('code replay', again)
ended('carol.access', 'carol.refresh')

// The client revokes its refresh token, another its access token.
await login(web, 'dave')
await client.tokenRevocation(web, tokens.get('dave.refresh').value)
ended('dave.access', 'dave.refresh')
await login(web, 'erin')
await client.tokenRevocation(web, tokens.get('erin.access').value)
ended('erin.access')

// A logout by the client, and by an administrator.
await login(web, 'frank')
await fetched('POST', `realms/${REALM}/protocol/openid-connect/logout`,
  { form: { client_id: 'web', client_secret: secretOf('web'),
    refresh_token: tokens.get('frank.refresh').value } })
ended('frank.access', 'frank.refresh')

// A machine.
for (const [name, config] of [['machine', worker], ['machine.2', gateway]]) {
  const answer = await client.clientCredentialsGrant(config)
  received(name, 'ACCESS', answer.access_token, [])
}

for (const token of tokens.values()) token.introspected = await isActive(token)

const [user] = await asAdmin('GET', `admin/realms/${REALM}/users?username=alice&exact=true`)
await asAdmin('POST', `admin/realms/${REALM}/users/${user.id}/logout`)
for (const token of tokens.values()) {
  if (token.sub === user.id) token.alive = false
}

const polled = []
for (let tries = 0; tries < 40 && polled.length < 2; tries += 1) {
  const answer = await fetched('POST', stream.delivery.endpoint_url,
    { bearer: await asReceiver(), json: { maxEvents: 10, returnImmediately: true } })
  polled.push(...Object.values(answer.sets))
  if (Object.keys(answer.sets).length) {
    await fetched('POST', stream.delivery.endpoint_url, { bearer: await asReceiver(),
      json: { maxEvents: 0, returnImmediately: true, ack: Object.keys(answer.sets) } })
  } else await new Promise((done) => setTimeout(done, 500))
}

process.stdout.write(JSON.stringify({
  issuer,
  jwks: await fetched('GET', `realms/${REALM}/protocol/openid-connect/certs`),
  tokens: [...tokens.values()],
  secrets: [...secrets].filter(Boolean),
  told,
  user_events: await events('events'),
  admin_events: await events('admin-events'),
  sets: polled.map((set) => claims(set)),
}))
