// An Express application under the middleware; the tests and the measurement run it. Started as a
// program it listens, and says where: `node test/app-express.js [express4]`.

import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ledgerline, expressMiddleware } from 'ledgerline'

export function application(express, client, settings) {
  const app = express()
  app.set('env', 'test')
  if (client !== undefined) app.use(expressMiddleware(client, settings))
  const answer = (status) => (req, res) => res.status(status).json({})
  app.get('/orders/:id', (req, res) => {
    req.ledgerline?.policy('orders-access', '8', { effect: 'ALLOW' })
    res.json({ id: req.params.id })
  })
  app.delete('/orders/:id', answer(403))
  app.get('/unknown/:id', answer(401))
  app.get('/broken/:id', () => {
    throw new Error('a fault of the application')
  })
  app.get('/destroyed/:id', (req) => req.socket.destroy())
  app.get(/^\/pattern\/\d+$/, answer(200))
  const shop = express.Router()
  shop.get('/items/:item', answer(200))
  shop.get('/', answer(200))
  shop.get('/fails/:item', () => {
    throw new Error('a fault of the application')
  })
  const tenant = express.Router({ mergeParams: true })
  tenant.use('/shop', shop)
  app.use('/v1', shop)
  app.use('/tenants/:tenant', tenant)
  app.use(/^\/t\d+/, shop)
  const sub = express()
  sub.get('/deep/:id', answer(200))
  app.use('/sub/:name', sub)
  return app
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  const { default: express } = await import(process.argv[2] ?? 'express')
  const issuer = { region: 'eu', alias: 'idp' }
  const ledger = new Ledgerline({ service: 'orders', issuer })
  const server = application(express, ledger).listen(0, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}`)
  })
  process.once('SIGTERM', () => {
    server.close(async () => process.exit((await ledger.close(20_000)) ? 0 : 1))
    server.closeIdleConnections()
  })
}
