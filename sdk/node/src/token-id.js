// Token ids: stable names of tokens that are never the tokens themselves.
//
// Promises: the same id for the same token as the ledger, the agent and every other client compute,
// held by the published vectors (crates/proof/vectors/token_ids.json). Of a compact JWS the form
// `t1` takes `header.payload` alone: the bytes of a signature can be changed without making it
// invalid, and one token must have one id.
//
// Refuses a token below 22 bytes (128 bits): its digest could be guessed. No error repeats any part
// of what was given.

import { createHash } from 'node:crypto'

const MIN_TOKEN_BYTES = 22
const MAX_TOKEN_ID_BYTES = 256
// Deepest nesting of a JOSE header that the ledger reads.
const MAX_DEPTH = 127
const MAX_HEADERS = 64
const MAX_HEADER_BYTES = 512

const NAME = /^[a-z0-9._-]{1,32}$/
const PLAIN = /^[\x21-\x7e]+$/
const BASE64URL = /^[A-Za-z0-9_-]+$/
const LEXEMES = /"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[[\]{}]/gs
const SURROGATE = /\p{Surrogate}/u
const DOT = 0x2e

const TOKEN = Buffer.from('ledgerline/token/v1\0')
const JTI = Buffer.from('ledgerline/jti/v1\0')
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// Tokens of one issuer and key share their header, so it is judged once. It is no secret.
const headers = new Map()

/** A token or a name that no id can be made of; says which rule, never the value. */
export class TokenIdError extends Error {
  constructor(message) {
    super(message)
    this.name = 'TokenIdError'
  }
}

export function tokenId(token, { region = 'global', issuer = 'idp' } = {}) {
  checkName('region', region)
  checkName('issuer', issuer)
  return `${region}:${issuer}:t1:${t1Value(token)}`
}

export function jtiTokenId(jti, { region = 'global', issuer = 'idp' } = {}) {
  checkName('region', region)
  checkName('issuer', issuer)
  const plain = `${region}:${issuer}:jti:${jti}`
  if (plain.length <= MAX_TOKEN_ID_BYTES && PLAIN.test(jti)) return plain
  return `${region}:${issuer}:jh:${digest(JTI, bytesOf(jti))}`
}

function t1Value(token) {
  const presented = bytesOf(token)
  if (presented.length < MIN_TOKEN_BYTES) {
    throw new TokenIdError('weak_token: tokens below 128 bits are refused')
  }
  return digest(TOKEN, signingInput(presented))
}

/** The `iss` and `jti` that a JWT claims, unverified. */
export function claimed(token) {
  const presented = bytesOf(token)
  const [first, second] = dotsOf(presented)
  if (second === undefined || !isJose(presented.subarray(0, first))) return {}
  let claims
  try {
    claims = JSON.parse(strictUtf8.decode(decoded(presented.toString('latin1', first + 1, second))))
  } catch {
    return {}
  }
  if (typeof claims !== 'object' || claims === null) return {}
  const text = (value) => (typeof value === 'string' && value !== '' ? value : undefined)
  return { iss: text(claims.iss), jti: text(claims.jti) }
}

export function checkName(what, name) {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new TokenIdError(`${what} is 1 to 32 characters of a-z, 0-9, '.', '_' and '-'`)
  }
}

function bytesOf(text) {
  if (text instanceof Uint8Array) return Buffer.from(text.buffer, text.byteOffset, text.length)
  if (typeof text !== 'string' || SURROGATE.test(text)) {
    throw new TokenIdError('not a text that can be written as UTF-8')
  }
  return Buffer.from(text)
}

function digest(domain, value) {
  return createHash('sha256').update(domain).update(value).digest('base64url')
}

/** Where the two dots of three parts are; nothing for any other number of them. */
function dotsOf(presented) {
  const first = presented.indexOf(DOT)
  const second = first < 0 ? -1 : presented.indexOf(DOT, first + 1)
  if (second < 0 || presented.indexOf(DOT, second + 1) >= 0) return []
  return [first, second]
}

/** `header.payload` of a compact JWS, everything of any other token. */
function signingInput(presented) {
  const [first, second] = dotsOf(presented)
  if (second === undefined) return presented
  return isJose(presented.subarray(0, first)) ? presented.subarray(0, second) : presented
}

function isJose(header) {
  const text = header.toString('latin1')
  let known = headers.get(text)
  if (known === undefined) {
    known = judgeHeader(text)
    if (text.length <= MAX_HEADER_BYTES) {
      if (headers.size >= MAX_HEADERS) headers.clear()
      headers.set(text, known)
    }
  }
  return known
}

/** Whether the ledger reads this as a JSON object with `alg`: no laxer and no stricter. */
function judgeHeader(header) {
  try {
    const text = strictUtf8.decode(decoded(header))
    const value = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject && Object.prototype.hasOwnProperty.call(value, 'alg') && isStrict(text)
  } catch {
    return false
  }
}

/** Unpadded base64url in its one spelling. */
function decoded(text) {
  if (!BASE64URL.test(text)) throw new Error('not base64url')
  const value = Buffer.from(text, 'base64url')
  if (value.toString('base64url') !== text) throw new Error('not the one spelling of its bytes')
  return value
}

/** What JSON.parse takes and the ledger does not: lone surrogates, huge numbers, depth. */
function isStrict(text) {
  let depth = 0
  for (const [lexeme] of text.matchAll(LEXEMES)) {
    const first = lexeme[0]
    if (first === '"') {
      if (lexeme.includes('\\') && SURROGATE.test(JSON.parse(lexeme))) return false
    } else if (first === '[' || first === '{') {
      depth += 1
      if (depth > MAX_DEPTH) return false
    } else if (first === ']' || first === '}') {
      depth -= 1
    } else if (!Number.isFinite(Number(lexeme))) {
      return false
    }
  }
  return true
}
