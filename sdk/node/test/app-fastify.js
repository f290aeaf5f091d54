// A Fastify application under the plugin; as app-express.js.

import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import { Ledgerline, fastifyPlugin } from 'ledgerline'

export async function application(client, settings) {
  const app = fastify({ forceCloseConnections: true })
  if (client !== undefined) await app.register(fastifyPlugin, { client, ...settings })
  const answer = (status) => (request, reply) => reply.code(status).send({})
  app.get('/orders/:id', async (request) => {
    request.ledgerline?.policy('orders-access', '8', { effect: 'ALLOW' })
    return { id: request.params.id }
  })
  app.delete('/orders/:id', answer(403))
  app.get('/unknown/:id', answer(401))
  app.get('/broken/:id', async () => {
    throw new Error('a fault of the application')
  })
  app.get('/destroyed/:id', (request, reply) => {
    reply.hijack()
    request.raw.socket.destroy()
  })
  await app.register(async (inner) => inner.get('/shop/items/:item(^\\d+$)', answer(200)), {
    prefix: '/tenants/:tenant',
  })
  app.get('/files/*', answer(200))
  return app
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  const issuer = { region: 'eu', alias: 'idp' }
  const ledger = new Ledgerline({ service: 'orders', issuer })
  const app = await application(ledger)
  console.log(await app.listen({ port: 0, host: '127.0.0.1' }))
  process.once('SIGTERM', async () => {
    await app.close()
    process.exit((await ledger.close(20_000)) ? 0 : 1)
  })
}
