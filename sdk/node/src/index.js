// Ledgerline's client for Node.js: reports to the local agent, off the request path.

export { Access } from './access.js'
export { Ledgerline, VERSION } from './client.js'
export { expressMiddleware } from './express.js'
export { fastifyPlugin } from './fastify.js'
export { TokenIdError, jtiTokenId, tokenId } from './token-id.js'
