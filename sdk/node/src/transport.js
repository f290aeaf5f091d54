// One connection to the local agent: HTTP/1.1 over a Unix socket or loopback TCP, kept alive.
//
// Promises: a request ends within its time-out, also when the agent answers nothing, drips or sends
// something else than HTTP; at most 64 KiB of an answer are read. The key goes to loopback alone
// and stands in no message. A connection keeps the process alive only while somebody waits for it.
//
// Refuses an address beyond this machine: what goes to the agent is not encrypted.

import { readFile } from 'node:fs/promises'
import http from 'node:http'

export const DEFAULT_ADDRESS = 'unix:/run/ledgerline/agent.sock'
const MAX_ANSWER_BYTES = 64 * 1024
const LONGEST_RETRY_AFTER_MS = 60_000
const CODE = /^[a-z0-9_]{1,64}$/
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])

/** No answer of an agent. Its message is one of our own words. */
export class Unreachable extends Error {}

export class AgentConnection {
  #where
  #key
  #timeoutMs
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  #request
  #socket
  #isHeld = false

  constructor(address, key, timeoutMs) {
    this.address = address
    this.#where = parse(address)
    this.#key = key
    this.#timeoutMs = timeoutMs
  }

  /** Posts lines of JSON; throws `Unreachable` when there is no answer of an agent. */
  async postEvents(body) {
    const headers = { 'content-type': 'application/x-ndjson', 'content-length': body.length }
    // Whoever may open the Unix socket needs no key.
    if (this.#where.socketPath === undefined) {
      const key = await this.#key()
      if (key) headers.authorization = `Bearer ${key}`
    }
    try {
      return await this.#post(body, headers)
    } catch (error) {
      // The agent closes an idle connection when it likes, which is noticed only now.
      if (error.message !== 'broken' || !error.wasReused) throw error
      return this.#post(body, headers)
    }
  }

  /** Whether what is under way keeps the process alive. */
  hold(isHeld) {
    this.#isHeld = isHeld
    if (isHeld) this.#socket?.ref()
    else this.#socket?.unref()
  }

  close() {
    this.#request?.destroy()
    this.#agent.destroy()
  }

  #post(body, headers) {
    return new Promise((resolve, reject) => {
      const options = { ...this.#where, agent: this.#agent, method: 'POST', path: '/v1/events' }
      let request
      try {
        request = http.request({ ...options, headers })
      } catch {
        // A key that no header can carry.
        reject(new Unreachable('the request cannot be made'))
        return
      }
      this.#request = request
      const timer = setTimeout(() => fail('no answer in time'), this.#timeoutMs)
      timer.unref()
      const done = () => {
        clearTimeout(timer)
        this.#request = this.#socket = undefined
      }
      const fail = (why, wasReused = false) => {
        done()
        request.destroy()
        const error = new Unreachable(why)
        error.wasReused = wasReused
        reject(error)
      }
      request.on('socket', (socket) => {
        this.#socket = socket
        this.hold(this.#isHeld)
      })
      request.on('error', (error) => fail(wordOf(error), request.reusedSocket))
      request.on('response', (response) => {
        const parts = []
        let length = 0
        response.on('data', (part) => {
          length += part.length
          if (length > MAX_ANSWER_BYTES) fail('not an answer of HTTP')
          else parts.push(part)
        })
        response.on('error', () => fail('broken', false))
        response.on('end', () => {
          done()
          resolve(answerOf(response, Buffer.concat(parts).toString()))
        })
      })
      request.end(body)
    })
  }
}

/** How to have the key: as given, from a file read for each request, or from the environment. */
export function keyFrom(key, keyFile) {
  if (keyFile === undefined) {
    const given = (key ?? process.env.LEDGERLINE_AGENT_KEY)?.trim()
    return async () => given
  }
  return async () => {
    try {
      return (await readFile(keyFile, 'latin1')).trim()
    } catch {
      throw new Unreachable('the key file cannot be read')
    }
  }
}

function parse(address) {
  if (address.startsWith('unix:')) {
    const path = address.slice('unix:'.length).replace(/^\/\/(?=\/)/, '')
    if (!path.startsWith('/')) throw new TypeError("the agent's address is unix:/path")
    return { socketPath: path }
  }
  let url
  try {
    url = new URL(address)
  } catch {
    throw new TypeError("the agent's address is unix:/path, or http:// and a loopback address")
  }
  const isPlain = url.pathname === '/' && !url.search && !url.username && !url.password
  if (url.protocol !== 'http:' || !LOOPBACK.has(url.hostname) || !isPlain) {
    throw new TypeError("the agent's address is unix:/path, or http:// and a loopback address")
  }
  const hostname = url.hostname === '[::1]' ? '::1' : url.hostname
  return { hostname, port: Number(url.port || 8791) }
}

function wordOf(error) {
  switch (error.code) {
    case 'ENOENT':
      return 'no such socket'
    case 'ECONNREFUSED':
      return 'refused'
    case 'EACCES':
      return 'no permission for the socket'
    default:
      return String(error.code).startsWith('HPE_') ? 'not an answer of HTTP' : 'broken'
  }
}

function answerOf(response, text) {
  const answer = {
    status: response.statusCode,
    accepted: undefined,
    refused: 0,
    refusedAt: [],
    codes: [],
    retryAfterMs: millisOf(response.headers['retry-after']),
  }
  let said
  try {
    said = JSON.parse(text)
  } catch {
    return answer
  }
  if (typeof said !== 'object' || said === null) return answer
  answer.accepted = countOf(said.accepted)
  answer.refused = countOf(said.refused_count) ?? 0
  const refusals = Array.isArray(said.refused) ? said.refused : []
  for (const one of [said, ...refusals]) {
    // Our own words at most: an answer of something else must not reach a log.
    if (CODE.test(one?.code) && !answer.codes.includes(one.code)) answer.codes.push(one.code)
    const position = countOf(one?.position)
    if (one !== said && position !== undefined) answer.refusedAt.push(position)
  }
  return answer
}

function countOf(value) {
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function millisOf(header) {
  if (header === undefined || !/^\s*[0-9]{1,9}\s*$/.test(header)) return 0
  return Math.min(Number(header) * 1000, LONGEST_RETRY_AFTER_MS)
}
