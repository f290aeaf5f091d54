// A node-oidc-provider on loopback. Its event log goes to standard output, in the form of
// oidc_provider_log.mjs. Takes the issuer's URL and the port. Ends when it is told to.

import { generateKeyPairSync } from 'node:crypto'
import { Provider, errors } from 'oidc-provider'
import { eventLog } from './oidc_provider_log.mjs'

const [issuer, port] = process.argv.slice(2)
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
// Standard output is the log's alone; the provider says some things there.
console.info = console.error
const log = eventLog((line) => process.stdout.write(line))

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const marks = { use: 'sig', alg: 'ES256', kid: 'live' }
const jwks = { keys: [{ ...privateKey.export({ format: 'jwk' }), ...marks }] }
const published = { keys: [{ ...publicKey.export({ format: 'jwk' }), ...marks }] }

const app = (client_id, more) => ({
  client_id,
  client_secret: `secret-of-${client_id}-5VbT1qZr8Yw`,
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: [`https://${client_id}.test/cb`],
  post_logout_redirect_uris: [`https://${client_id}.test/bye`],
  id_token_signed_response_alg: 'ES256',
  ...more,
})
const machine = (client_id, more) =>
  app(client_id, { grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
    post_logout_redirect_uris: [], ...more })

/** JWT access tokens at orders, opaque ones at documents. */
const SERVERS = {
  'https://orders.test': { scope: 'orders:read orders:write', accessTokenFormat: 'jwt' },
  'https://documents.test': { scope: 'docs:read', accessTokenFormat: 'opaque' },
}

const provider = new Provider(issuer, {
  clients: [
    app('web'),
    app('mobile', { client_secret: undefined, token_endpoint_auth_method: 'none',
      application_type: 'native', redirect_uris: ['com.example.mobile:/cb'] }),
    app('partner'),
    machine('worker', { grant_types: ['client_credentials', EXCHANGE] }),
    machine('documents', {}),
  ],
  jwks,
  scopes: ['openid', 'offline_access'],
  cookies: { keys: ['of-the-test-and-no-other'] },
  ttl: { AccessToken: 600, ClientCredentials: 600, RefreshToken: 1200, AuthorizationCode: 60,
    Grant: 3600, Session: 3600, Interaction: 600, IdToken: 600 },
  pkce: { required: () => true },
  // A partner's refresh tokens stay as they are, and are used again and again.
  rotateRefreshToken: (ctx) => ctx.oidc.client.clientId !== 'partner',
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => {
        const server = SERVERS[resource]
        if (!server) throw new errors.InvalidTarget()
        return { ...server, audience: resource, jwt: { sign: { alg: 'ES256' } } }
      },
      useGrantedResource: () => true,
    },
  },
  formats: { customizers: { jwt: log.jwt } },
  extraTokenClaims: (_ctx, token) => token.extra,
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
})

provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { params, client } = ctx.oidc
  const { jwtVerify, createLocalJWKSet } = await import('jose')
  let claims
  try {
    const verified = await jwtVerify(params.subject_token, createLocalJWKSet(published), { issuer })
    claims = verified.payload
  } catch (error) {
    throw new errors.InvalidGrant(`subject_token ${error.code}`)
  }
  const info = SERVERS[params.resource]
  if (!info) throw new errors.InvalidTarget()
  const scopes = info.scope.split(' ').filter((scope) => claims.scope.split(' ').includes(scope))
  const token = new provider.AccessToken({
    client, accountId: claims.sub, gty: 'token-exchange', scope: scopes.join(' '),
    extra: { act: { sub: client.clientId, ...(claims.act && { act: claims.act }) } },
  })
  token.resourceServer = new provider.ResourceServer(params.resource,
    { ...info, audience: params.resource, jwt: { sign: { alg: 'ES256' } } })
  ctx.oidc.entity('AccessToken', token)
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: token.scope,
  }
}, ['resource', 'subject_token', 'subject_token_type'])

log.attach(provider)
provider.on('server_error', (_ctx, error) => console.error(error))
const server = provider.listen(Number(port), '127.0.0.1')
process.on('SIGTERM', () => {
  server.closeAllConnections()
  server.close(() => process.exit(0))
})
