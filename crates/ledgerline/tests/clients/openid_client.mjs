// openid-client against a ledger: introspects, with answers as JSON and as signed JWTs that it
// verifies by the published keys, and revokes. What to do comes as JSON on standard input, what
// happened goes as JSON to standard output; the test that runs this judges it.

import { readFileSync } from 'node:fs'
import * as client from 'openid-client'

const asked = JSON.parse(readFileSync(0, 'utf8'))
const server = {
  issuer: asked.issuer,
  introspection_endpoint: `${asked.url}/oauth2/introspect`,
  revocation_endpoint: `${asked.url}/oauth2/revoke`,
  jwks_uri: `${asked.url}/oauth2/jwks`,
}

function configured(secret, metadata) {
  const how = client.ClientSecretBasic(secret)
  const config = new client.Configuration(server, asked.client_id, metadata, how)
  client.allowInsecureRequests(config)
  return config
}

const plain = configured(asked.secret, {})
const signed = configured(asked.secret, { introspection_signed_response_alg: 'EdDSA' })
client.enableNonRepudiationChecks(signed)

async function said(work) {
  try {
    return { body: (await work()) ?? null }
  } catch (error) {
    return { error: error.error ?? error.cause?.error ?? String(error), status: error.status ?? null }
  }
}

const { tokens } = asked
const ask = (config, token) => said(() => client.tokenIntrospection(config, token))
const revoke = (token) => said(() => client.tokenRevocation(plain, token))
const answers = {
  access: await ask(plain, tokens.access),
  unknown: await ask(plain, tokens.unknown),
  stranger: await ask(configured('wrong', {}), tokens.access),
  signed: await ask(signed, tokens.access),
  signed_unknown: await ask(signed, tokens.unknown),
  other: await revoke(tokens.other),
  nothing: await revoke(tokens.unknown),
  revoke: await revoke(tokens.refresh),
  after: await ask(plain, tokens.access),
  after_signed: await ask(signed, tokens.access),
}
process.stdout.write(JSON.stringify(answers))
