// Writes the events of a node-oidc-provider as the lines that the adapter `oidc-provider` reads:
// {time, event, request_id, payload}, one JSON object a line, in the order of the events.
//
//   const log = eventLog((line) => process.stdout.write(line))
//   const formats = { customizers: { jwt: log.jwt } }
//   const provider = new Provider(issuer, { ...config, formats })
//   log.attach(provider)
//
// What the provider does not say is put beside it here: the request an event belongs to, the times
// of a token, and the calls of introspection, revocation and userinfo that went well. The lines
// hold bearer values as the provider has them. They are for the adapter, which makes ids of them,
// and for nobody else: write them to a pipe, or to a file that it alone may read.

import { AsyncLocalStorage } from 'node:async_hooks'

const OF_MODELS = [
  'access_token', 'authorization_code', 'client_credentials', 'device_code', 'grant',
  'initial_access_token', 'refresh_token', 'registration_access_token', 'session',
].flatMap((model) => ['issued', 'saved', 'consumed', 'destroyed'].map((act) => `${model}.${act}`))

const OF_REQUESTS = [
  'authorization.accepted', 'authorization.error', 'authorization.success',
  'device_authorization.error', 'device_authorization.success', 'end_session.error',
  'end_session.success', 'grant.error', 'grant.revoked', 'grant.success', 'interaction.ended',
  'interaction.started', 'introspection.error', 'pushed_authorization_request.error',
  'pushed_authorization_request.success', 'registration_create.error',
  'registration_create.success', 'registration_delete.error', 'registration_delete.success',
  'registration_read.error', 'registration_update.error', 'registration_update.success',
  'revocation.error', 'userinfo.error',
]

const STORED = [
  'AccessToken', 'AuthorizationCode', 'ClientCredentials', 'DeviceCode', 'Grant',
  'InitialAccessToken', 'RefreshToken', 'RegistrationAccessToken', 'Session',
]

const ENTITIES = [
  'AccessToken', 'AuthorizationCode', 'ClientCredentials', 'DeviceCode', 'Grant',
  'InitialAccessToken', 'RefreshToken', 'RegistrationAccessToken', 'RotatedRefreshToken',
  'RotatedRegistrationAccessToken', 'Session',
]

export function eventLog(write) {
  const requests = new AsyncLocalStorage()
  const times = new WeakMap()
  const stored = new Map()
  const began = Date.now().toString(36)
  let count = 0

  function line(event, payload) {
    const request_id = requests.getStore() ?? null
    write(`${JSON.stringify({ time: new Date().toISOString(), event, request_id, payload })}\n`)
  }

  function of(ctx, error) {
    const { oidc } = ctx
    const entities = {}
    for (const [name, entity] of Object.entries(oidc.entities ?? {})) {
      if (name === 'Client') entities.Client = entity?.clientId
      else if (name === 'Account') entities.Account = entity?.accountId
      else if (ENTITIES.includes(name)) entities[name] = entity?.jti
    }
    return {
      route: oidc.route,
      method: ctx.method,
      path: ctx.path,
      ip: ctx.ip,
      user_agent: ctx.get('user-agent') || undefined,
      client_id: oidc.client?.clientId ?? null,
      account_id: oidc.account?.accountId ?? oidc.session?.accountId ?? null,
      params: oidc.params,
      entities,
      ...(error && {
        error: error.error ?? error.message,
        error_description: error.error_description,
        error_detail: error.error_detail,
      }),
    }
  }

  /** Keeps the times of what is stored: the provider does not put them on its objects. */
  function watch(provider, name) {
    const { adapter } = provider[name]
    const upsert = adapter.upsert
    adapter.upsert = function (id, payload, ...rest) {
      stored.set(id, { iat: payload.iat, exp: payload.exp })
      return upsert.call(this, id, payload, ...rest)
    }
  }

  return {
    /** For `formats.customizers.jwt`: the times of a JWT stand in the JWT alone. */
    jwt(_ctx, token, { payload }) {
      times.set(token, { iat: payload.iat, exp: payload.exp })
    },

    attach(provider) {
      STORED.forEach((name) => watch(provider, name))
      provider.use(async (ctx, next) => {
        count += 1
        const id = `op-${began}-${String(count).padStart(6, '0')}`
        await requests.run(id, async () => {
          await next()
          const { route, client } = ctx.oidc ?? {}
          if (ctx.status !== 200) return
          if (route === 'introspection' && client) {
            line('middleware.introspection', { ...of(ctx), active: ctx.body?.active === true })
          } else if (route === 'revocation' && client) {
            line('middleware.revocation', of(ctx))
          } else if (route === 'userinfo') {
            line('middleware.userinfo', { ...of(ctx), presented: ctx.oidc.getAccessToken() })
          }
        })
      })
      for (const event of OF_MODELS) {
        provider.on(event, (token) => {
          const { client, resourceServer, ...fields } = token
          const known = times.get(token) ?? stored.get(token.jti)
          if (event.endsWith('.saved')) stored.delete(token.jti)
          const format = event.endsWith('.issued') ? 'jwt' : undefined
          line(event, { ...fields, clientId: token.clientId, format, ...known })
        })
      }
      for (const event of OF_REQUESTS) {
        provider.on(event, (ctx, more) => {
          const error = event.endsWith('.error') ? more : undefined
          const grantId = event === 'grant.revoked' ? more : undefined
          line(event, { ...of(ctx, error), grantId })
        })
      }
    },
  }
}
