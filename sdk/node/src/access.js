// What a request that bears a token becomes in the ledger; the same for every framework.
//
// Promises: RESOURCE_ACCESSED where the endpoint's template is known, else USED; DENY for 401 and
// 403, ERROR for 429, 5xx and for a connection that ends without an answer, else ALLOW; latency,
// policies and the service's name. The event is queued when the head of the answer is written. The token is
// read, becomes an id, and is kept by nobody. No concrete path and nothing personal unless it is
// asked for by name.
//
// Refuses to guess a template: a path with ids in it would be personal, and every id another
// resource.

import { eventId } from './stamps.js'

const PERSONAL = ['ip', 'userAgent', 'resource']
// Methods that stand in `action`; a client may send another.
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE']
const MAX_REASON = 1024

/** One request with a token, as the application may add to it. Holds the token's ids only. */
export class Access {
  endpoint
  resource
  action
  reason
  outcome
  verified
  policies = []
  members = {}
  #ids
  #at = Date.now()
  #began = performance.now()
  #isRecorded = false

  constructor(ids) {
    this.#ids = ids
  }

  /** Adds a policy that decided, with its version. */
  policy(id, version, { digest, role = 'ACCESS', effect } = {}) {
    this.policies.push({ id, version, role, digest, effect })
  }

  /** Records the access, once. For the middlewares. */
  end(client, settings, end) {
    if (this.#isRecorded) return
    this.#isRecorded = true
    const endpoint = this.endpoint ?? end.endpoint
    const { excluded = [], policies = [] } = settings
    if (excluded.includes(endpoint) || excluded.includes(end.path)) return
    const resource = this.resource ?? endpoint
    const all = [...policies, ...this.policies]
    const latencyUs = Math.round((performance.now() - this.#began) * 1000)
    client.record({
      event_id: eventId(this.#at),
      type: resource === undefined ? 'USED' : 'RESOURCE_ACCESSED',
      ...this.#named(),
      occurred_at: new Date(this.#at).toISOString(),
      outcome: this.outcome ?? outcomeOf(end.status),
      vantage: 'RESOURCE',
      service: client.service,
      action: this.action ?? (METHODS.includes(end.method) ? end.method : 'other'),
      endpoint,
      resource,
      status: end.status,
      reason: (this.reason ?? end.reason)?.slice(0, MAX_REASON),
      policies: all.length > 0 ? all : undefined,
      personal: personalOf(settings, end),
      detail: [{ key: 'latency_us', value: String(latencyUs) }],
      ...this.members,
    })
  }

  /** A JWT that nobody verified says what it likes: its jti names another's token, perhaps. */
  #named() {
    const { digest, jti } = this.#ids
    if (jti === undefined || this.verified !== true) return { token_id: digest }
    return { token_id: jti, also_known_as: [digest] }
  }
}

export function checkedSettings(settings) {
  const unknown = (settings.personal ?? []).find((name) => !PERSONAL.includes(name))
  if (unknown !== undefined) throw new TypeError(`personal is of: ${PERSONAL.join(', ')}`)
  const told = { once: false }
  return { ...settings, told }
}

/**
 * Watches an answer of Node's own `http` for a request with a token. `nameOf` gives its template
 * when the head of the answer is written. Gives the `Access`, or nothing where there is no token.
 */
export function watch(client, settings, req, res, context, nameOf) {
  let access
  try {
    const token = tokenOf(client, settings, req, context)
    const ids = token ? client.idsOf(token) : undefined
    if (ids === undefined) return undefined
    access = new Access(ids)
  } catch {
    client.countUnusable()
    return undefined
  }
  const end = (status, reason) => {
    try {
      const given = guarded(client, settings, 'endpointFrom', context) ?? nameOf()
      const path = req.originalUrl ?? req.url
      access.end(client, settings, {
        status,
        reason,
        method: req.method,
        endpoint: given,
        path: path.split('?', 1)[0],
        ip: req.socket?.remoteAddress,
        userAgent: req.headers['user-agent'],
      })
    } catch {
      client.countUnusable()
    }
  }
  let isOver = false
  const writeHead = res.writeHead
  res.writeHead = function (status, ...rest) {
    if (!isOver) {
      isOver = true
      end(status)
    }
    return writeHead.call(this, status, ...rest)
  }
  res.once('close', () => {
    if (isOver) return
    isOver = true
    end(undefined, 'aborted')
  })
  return access
}

/** Calls the application's callback; a fault of it is logged once and breaks nothing. */
function guarded(client, settings, name, context) {
  const call = settings[name]
  if (call === undefined) return undefined
  try {
    return call(context) ?? undefined
  } catch (error) {
    if (!settings.told.once) {
      settings.told.once = true
      // Its message could hold anything.
      const kind = error instanceof Error ? error.constructor.name : typeof error
      client.warn(`${name} failed: ${kind}; further faults are not logged`)
    }
    if (name === 'tokenFrom') client.countUnusable()
    return undefined
  }
}

function tokenOf(client, settings, req, context) {
  if (settings.tokenFrom !== undefined) return guarded(client, settings, 'tokenFrom', context)
  const header = req.headers.authorization
  const parts = header === undefined ? null : /^(?:bearer|dpop) +(\S.*?) *$/i.exec(header)
  // Node reads the bytes of a header as Latin-1.
  return parts === null ? undefined : Buffer.from(parts[1], 'latin1')
}

function outcomeOf(status) {
  if (status === 401 || status === 403) return 'DENY'
  return status === undefined || status === 429 || status >= 500 ? 'ERROR' : 'ALLOW'
}

function personalOf(settings, end) {
  const record = { role: 'REQUEST' }
  for (const name of settings.personal ?? []) {
    if (name === 'ip') record.ip = end.ip
    if (name === 'userAgent') record.user_agent = end.userAgent
    if (name === 'resource') record.resource = end.path
  }
  return Object.values(record).filter((value) => value !== undefined).length > 1
    ? [record]
    : undefined
}
