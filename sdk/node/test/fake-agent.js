// An agent for fault injection: it speaks the agent's protocol, and breaks it as it is told.
//
// The real agent is driven by crates/ledgerline/tests/agent_clients.rs. This one exists for what
// the real one never does on command: silence, garbage, an answer that is lost after the events are
// kept.

import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export class FakeAgent {
  mode = 'ok'
  delayMs = 1000
  isBad = () => false
  events = []
  bodies = []
  heads = []
  requests = 0
  connections = 0
  #key
  #folder = mkdtempSync(join(tmpdir(), 'll-'))
  #server
  #port = 0

  constructor(key) {
    this.#key = key
    this.path = join(this.#folder, 'agent.sock')
  }

  static async started(key) {
    const agent = new FakeAgent(key)
    await agent.start()
    return agent
  }

  get address() {
    return this.#key === undefined ? `unix:${this.path}` : `http://127.0.0.1:${this.#port}`
  }

  async start() {
    rmSync(this.path, { force: true })
    this.#server = http.createServer((req, res) => void this.#serve(req, res))
    this.#server.on('connection', () => (this.connections += 1))
    const where = this.#key === undefined ? [this.path] : [this.#port, '127.0.0.1']
    await new Promise((resolve) => this.#server.listen(...where, resolve))
    if (this.#key !== undefined) this.#port = this.#server.address().port
  }

  /** Goes away as a killed process does: listener and connections. */
  async stop() {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  async end() {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  ids() {
    return new Set(this.events.map((event) => event.event_id))
  }

  ofType(type) {
    return this.events.filter((event) => event.type === type)
  }

  async until(isSo, limitMs = 10_000) {
    const end = Date.now() + limitMs
    while (!isSo(this)) {
      if (Date.now() > end) throw new Error(`waited for ${isSo}: ${this.ids().size} events`)
      await sleep(5)
    }
  }

  async #serve(req, res) {
    const parts = []
    try {
      for await (const part of req) parts.push(part)
    } catch {
      return
    }
    const body = Buffer.concat(parts).toString()
    this.requests += 1
    this.bodies.push(body)
    this.heads.push(JSON.stringify(req.headers))
    if (this.#key !== undefined && req.headers.authorization !== `Bearer ${this.#key}`) {
      say(res, 401, { code: 'unauthorized' })
      return
    }
    await this[`_${this.mode}`](
      body.split('\n').map((line) => JSON.parse(line)),
      res,
    )
  }

  _ok(lines, res) {
    const good = lines.filter((line) => !this.isBad(line))
    const refused = lines
      .map((line, position) => ({ line, position }))
      .filter(({ line }) => this.isBad(line))
      .map(({ position }) => ({
        position,
        line: position + 1,
        code: 'unknown_member',
        detail: 'x',
      }))
    const more =
      refused.length > 0 ? { refused_count: refused.length, refused: refused.slice(0, 100) } : {}
    this.events.push(...good)
    if (good.length > 0) say(res, 202, { accepted: good.length, ...more })
    else say(res, 422, { code: 'unknown_member', detail: 'x', ...more })
  }

  /** Refuses a whole body for one bad event, and does not say which. */
  _blunt(lines, res) {
    if (lines.some((line) => this.isBad(line))) say(res, 400, { code: 'bad_json' })
    else this._ok(lines, res)
  }

  /** Something else has the address. */
  _noAgent(lines, res) {
    res.writeHead(400).end('<html>Bad Request</html>')
  }

  async _slow(lines, res) {
    await sleep(this.delayMs, undefined, { ref: false })
    this._ok(lines, res)
  }

  _silent() {}

  _busy(lines, res) {
    say(res, 429, { code: 'too_many_requests' }, { 'retry-after': '1' })
  }

  _full(lines, res) {
    say(res, 503, { code: 'spool_full' })
  }

  _forbidden(lines, res) {
    say(res, 403, { code: 'forbidden' })
  }

  _garbage(lines, res) {
    res.socket.end('\x00\xff SSH-2.0-what-is-this\r\n\r\n')
  }

  _notJson(lines, res) {
    res.writeHead(202).end('<html>accepted</html>')
  }

  async _drip(lines, res) {
    for (const byte of `HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n${' '.repeat(14)}`) {
      if (res.socket === null || res.socket.destroyed) return
      res.socket.write(byte)
      await sleep(100, undefined, { ref: false })
    }
  }

  _flood(lines, res) {
    res.writeHead(202).end(' '.repeat(1 << 20))
  }

  /** Keeps the events, and is gone before it has said so. */
  _lost(lines, res) {
    this.events.push(...lines)
    res.socket.destroy()
  }

  _short(lines, res) {
    say(res, 202, { accepted: lines.length - 1 })
  }
}

function say(res, status, said, headers = {}) {
  res.writeHead(status, { 'content-type': 'application/json', ...headers })
  res.end(JSON.stringify(said))
}
