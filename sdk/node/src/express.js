// Express 4 and 5: `app.use(expressMiddleware(ledger))`, before the routes.
//
// Promises: the template of the route that answered, mounts included. Express keeps of a mount only
// what it matched (`req.baseUrl`, and not even that after an error), which may hold ids: the way to
// the route is found again by asking the layers, as the router asked them. Where it stays in doubt
// there is no template, and the event is USED.

import { checkedSettings, watch } from './access.js'

const MAX_DEPTH = 16

export function expressMiddleware(client, settings = {}) {
  const known = checkedSettings(settings)
  return function ledgerline(req, res, next) {
    req.ledgerline = watch(client, known, req, res, req, () => templateOf(req))
    next()
  }
}

// Routes of an application itself, of which the template is no matter of the request.
const direct = new WeakMap()

function templateOf(req) {
  const { route } = req
  if (typeof route?.path !== 'string') return undefined
  const known = direct.get(route)
  if (known !== undefined) return known
  const apps = [req.app]
  while (apps[0].parent) apps.unshift(apps[0].parent)
  const stack = stackOf(apps[0])
  const own = braced(route.path)
  if (stack.some((layer) => layer.route === route)) {
    direct.set(route, own)
    return own
  }
  const path = req.originalUrl.split('?', 1)[0]
  const base = below(stack, path, apps.slice(1), route, 0)
  if (base === undefined) return undefined
  return base + (route.path === '/' && base !== '' ? '' : own)
}

/** `/orders/:id`, `/files/*rest` and `/a{/:b}` as `/orders/{id}`, `/files/{rest}` and `/a/{b}`. */
export function braced(path) {
  return path
    .replace(/[{}]/g, '')
    .replace(/:([A-Za-z_$][\w$]*)(?:\((?:[^()\\]|\\.|\([^()]*\))*\))?[?+*]?/g, '{$1}')
    .replace(/\*([A-Za-z_$][\w$]*)/g, '{$1}')
    .replace(/\*/g, '{wildcard}')
}

function stackOf(app) {
  // Express 4 throws for `router`; Express 5 has no `_router`.
  return (app._router ?? app.router)?.stack ?? []
}

/** The template of the mounts that lead to a route. */
function below(stack, rest, apps, route, depth) {
  const isHere = (layer) => layer.route === route && layer.match(rest === '' ? '/' : rest)
  if (apps.length === 0 && stack.some(isHere)) return ''
  if (depth > MAX_DEPTH) return undefined
  for (const layer of stack) {
    if (layer.route !== undefined) continue
    const isApp = layer.handle.stack === undefined && layer.name === 'mounted_app'
    const inner = isApp ? apps[0] && stackOf(apps[0]) : layer.handle.stack
    const front = inner === undefined ? undefined : frontOf(layer, rest)
    if (front === undefined) continue
    const left = isApp ? apps.slice(1) : apps
    const after = below(inner, rest.slice(front.length), left, route, depth + 1)
    if (after === undefined) continue
    return front.template === undefined ? undefined : front.template + after
  }
  return undefined
}

/** How much of the path a mount takes, and its template where there is no doubt of it. */
function frontOf(layer, rest) {
  // Some versions answer with what matched, others keep it in the layer.
  const match = layer.match(rest === '' ? '/' : rest)
  if (!match) return undefined
  const { path = '', params = {} } = match === true ? layer : match
  const taken = path === '/' ? '' : path
  if (!rest.startsWith(taken)) return undefined
  const { length } = taken
  if (typeof layer.rawPath === 'string') {
    return { length, template: layer.rawPath === '/' ? '' : braced(layer.rawPath) }
  }
  const pairs = Object.entries(params)
  const template = filled(taken, pairs)
  const isSure =
    template !== undefined && layer.rawPath === undefined && isOnly(layer, taken, pairs, template)
  return { length, template: isSure ? template : undefined }
}

/** The matched text with each parameter's value, a whole segment, replaced by its name. */
function filled(taken, params) {
  const left = [...params]
  const segments = taken.split('/').map((segment) => {
    if (left.length === 0 || decoded(segment) !== left[0][1]) return segment
    return `{${left.shift()[0]}}`
  })
  return left.length === 0 ? segments.join('/') : undefined
}

// Templates of mounts of which there is no doubt, so that each is tried once.
const sure = new WeakMap()

/** Whether a mount is fixed text but for its parameters: a pattern takes other characters, too. */
function isOnly(layer, taken, params, template) {
  if (sure.get(layer) === template) return true
  const values = new Set(params.map(([, value]) => value))
  const segments = taken.split('/')
  const takesOther = segments.some((segment, at) => {
    if (values.has(decoded(segment))) return false
    return [...segment].some((one, place) => {
      const other = segment.slice(0, place) + turned(one) + segment.slice(place + 1)
      if (other === segment) return false
      return layer.match(segments.map((it, n) => (n === at ? other : it)).join('/'))
    })
  })
  if (!takesOther) sure.set(layer, template)
  return !takesOther
}

/** The next digit for a digit, the next letter for a letter. */
function turned(one) {
  const code = one.charCodeAt(0)
  const next = (first, count) => String.fromCharCode(first + ((code - first + 1) % count))
  if (/[0-9]/.test(one)) return next(48, 10)
  if (/[A-Z]/.test(one)) return next(65, 26)
  return /[a-z]/.test(one) ? next(97, 26) : one
}

function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
