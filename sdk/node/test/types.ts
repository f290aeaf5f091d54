// What an application writes, as the compiler sees it. It is compiled and not run.

import fastify from 'fastify'
import { Ledgerline, expressMiddleware, fastifyPlugin, tokenId, type Stats } from 'ledgerline'

const ledger = new Ledgerline({ service: 'orders', issuer: { region: 'eu', alias: 'idp' } })
const queued: boolean = ledger.record({ type: 'USED', token_id: tokenId('a-token-that-is-long') })
ledger.tokenUsed('a-token-that-is-long-enough', { outcome: 'DENY', status: 403 })
const stats: Stats = ledger.stats
const sent: Promise<boolean> = ledger.close(1000)
const middleware = expressMiddleware(ledger, { personal: ['ip'], excluded: ['/health'] })
const app = fastify()
app.register(fastifyPlugin, { client: ledger, endpointFrom: () => '/orders/{id}' })
export { middleware, queued, sent, stats }

// @ts-expect-error a service is needed
new Ledgerline({})
// @ts-expect-error no such policy of a full queue
new Ledgerline({ service: 'orders', whenFull: 'block' })
// @ts-expect-error no such personal value
expressMiddleware(ledger, { personal: ['email'] })
// @ts-expect-error a type is needed
ledger.record({ token_id: 'eu:idp:jti:4f0c' })
