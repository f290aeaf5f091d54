// Fastify 4 and 5: `await app.register(fastifyPlugin, { client: ledger })`, before the routes.
//
// Promises: as for Express; the template is `request.routeOptions.url`. The request's `Access` is
// `request.ledgerline`.

import { checkedSettings, watch } from './access.js'
import { braced } from './express.js'

export function fastifyPlugin(app, { client, ...settings }, done) {
  const known = checkedSettings(settings)
  app.decorateRequest('ledgerline', undefined)
  app.addHook('onRequest', (request, reply, next) => {
    const name = () => templateOf(request)
    request.ledgerline = watch(client, known, request.raw, reply.raw, request, name)
    next()
  })
  app.addHook('onClose', (instance, next) => {
    // The application may have closed it already, and other parts may still use it.
    client.flush(2000).then(() => next(), next)
  })
  done()
}

// What `fastify-plugin` does: the hook is for all routes, not only for those of this plugin.
fastifyPlugin[Symbol.for('skip-override')] = true
fastifyPlugin[Symbol.for('fastify.display-name')] = 'ledgerline'

function templateOf(request) {
  const url = request.routeOptions?.url
  return typeof url === 'string' && !request.is404 ? braced(url) : undefined
}
