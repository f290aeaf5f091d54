// The client: takes events at once and hands them to the local agent between requests.
//
// Promises:
//
// - `record` does no input or output and waits for nothing: it writes the event down as JSON and
//   puts it into a queue that is bounded in events and in bytes.
// - An event has its id and time before it is queued, so that what is sent again is a duplicate.
// - Events are numbered (`source_seq`) within a run of the process (`source_instance`), also those
//   that are lost afterwards: each is a gap that the ledger finds.
// - What is lost is counted, too. When the queue is full, an event is dropped by a stated policy; the
//   number goes to the ledger in a HEARTBEAT as soon as the agent takes events again.
// - Nothing here throws into the application, but for wrong settings of the constructor.
// - Nothing here keeps the process alive, but for a flush: at its end what is queued is sent, for
//   at most two seconds. `process.exit` and signals give no time for that: call `close` before.
//
// Assumes an agent on this machine that keeps what it has accepted. Until it has accepted, events
// are in this process's memory alone: a crash loses what was queued, in the ordinary case the last
// `lingerMs`.

import { eventId } from './stamps.js'
import { checkName, claimed, jtiTokenId, tokenId } from './token-id.js'
import { AgentConnection, DEFAULT_ADDRESS, Unreachable, keyFrom } from './transport.js'

export const VERSION = '0.1.0'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5000
const MAX_BATCH_EVENTS = 500
const MAX_BATCH_BYTES = 1 << 20
// Longer than any event that the ledger takes.
const MAX_EVENT_BYTES = 1 << 20
const AT_EXIT_MS = 2000
// Statuses of what is malformed, and stays so however often it is sent: when the agent says it, with
// a code. Without one something else answered, which knows nothing of these events.
const REFUSALS = new Set([400, 409, 413, 422])
const WHEN_FULL = ['drop_newest', 'drop_oldest']
const RULES = ['bearer', 'identity']

function isRefusal(answer, count) {
  if (answer.status === 413 && count > 1) return true
  return REFUSALS.has(answer.status) && answer.codes.length > 0
}

export class Ledgerline {
  #settings
  #issuer
  #issuers
  #connection
  #log
  #queue = []
  #head = 0
  #inFlight = []
  #bytes = 0
  #isBusy = false
  #timer
  #wake
  #holders = 0
  #waiters = new Set()
  #isClosing = false
  #closed
  #isDown = false
  #untoldDrops = 0
  #instance = eventId(Date.now())
  #nextSeq = 0
  #counts = { recorded: 0, sent: 0, dropped: 0, refused: 0, unusable: 0, failures: 0 }
  #atExit = () => this.#finish()

  constructor(settings) {
    this.#settings = checked(settings)
    const { issuer = {}, issuers = {}, agent, key, keyFile, log } = settings
    this.service = settings.service
    this.source = settings.source ?? settings.service
    this.#issuer = checkedIssuer(issuer)
    this.#issuers = new Map(Object.entries(issuers).map(([iss, one]) => [iss, checkedIssuer(one)]))
    this.#log = log ?? ((line) => console.warn(`ledgerline: ${line}`))
    const address = agent ?? process.env.LEDGERLINE_AGENT ?? DEFAULT_ADDRESS
    const secret = keyFrom(key, keyFile)
    this.#connection = new AgentConnection(address, secret, this.#settings.timeoutMs)
    process.on('beforeExit', this.#atExit)
  }

  // ---- what happened

  record(event) {
    try {
      const now = Date.now()
      const stamped = { ...event }
      if (stamped.event_id === undefined && stamped.native_id === undefined) {
        stamped.event_id = eventId(now)
      }
      stamped.occurred_at ??= new Date(now).toISOString()
      return this.#put(JSON.stringify(stamped), stamped.source_instance === undefined)
    } catch {
      this.#counts.unusable += 1
      return false
    }
  }

  tokenUsed(token, { outcome = 'ALLOW', resource, ...members } = {}) {
    const named = this.idsOf(token)
    if (named === undefined) return false
    return this.record({
      type: resource === undefined ? 'USED' : 'RESOURCE_ACCESSED',
      token_id: named.jti ?? named.digest,
      outcome,
      service: this.service,
      vantage: 'RESOURCE',
      resource,
      ...members,
    })
  }

  /** The ids of a token by the rules of its issuer; `undefined`, and counted, when it has none. */
  idsOf(token) {
    try {
      let issuer = this.#issuer
      let jti
      if (this.#issuers.size > 0 || issuer.jtiRule === 'identity') {
        const claims = claimed(token)
        issuer = this.#issuers.get(claims.iss) ?? issuer
        if (issuer.jtiRule === 'identity') jti = claims.jti
      }
      const where = { region: issuer.region, issuer: issuer.alias }
      const digest = tokenId(token, where)
      return { digest, jti: jti === undefined ? undefined : jtiTokenId(jti, where) }
    } catch {
      this.#counts.unusable += 1
      return undefined
    }
  }

  countUnusable() {
    this.#counts.unusable += 1
  }

  warn(line) {
    try {
      this.#log(line)
    } catch {
      // A log that fails is the application's own affair, and must not stop deliveries.
    }
  }

  // ---- what became of it

  get stats() {
    const first = this.#inFlight[0] ?? this.#queue[this.#head]
    return {
      ...this.#counts,
      queued: this.#waiting() + this.#inFlight.length,
      queuedBytes: this.#bytes,
      oldestMs: first === undefined ? 0 : performance.now() - first.since,
    }
  }

  /** Whether the agent has, within so many milliseconds, what was recorded so far. */
  flush(timeoutMs = 5000) {
    const last = this.#counts.recorded
    if (!this.#isOutstanding(last)) return Promise.resolve(true)
    return new Promise((resolve) => {
      const waiter = { last, end: undefined }
      // Not unref'd: whoever waits is to get an answer.
      const timer = setTimeout(() => waiter.end(false), timeoutMs)
      waiter.end = (isDone) => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
        this.#hold(-1)
        resolve(isDone)
      }
      this.#waiters.add(waiter)
      this.#hold(1)
      this.#pumpNow()
    })
  }

  /** Sends what is queued, for at most so many milliseconds, and records nothing any more. */
  close(timeoutMs = 5000) {
    this.#closed ??= this.#close(timeoutMs)
    return this.#closed
  }

  async #close(timeoutMs) {
    this.#isClosing = true
    process.off('beforeExit', this.#atExit)
    const isDone = await this.flush(timeoutMs)
    this.#connection.close()
    clearTimeout(this.#timer)
    this.#wake?.()
    const lost = this.#waiting() + this.#inFlight.filter((item) => item.drops === 0).length
    this.#counts.dropped += lost
    this.#queue = []
    this.#head = this.#bytes = 0
    this.#inFlight = []
    if (lost > 0)
      this.warn(`closed with ${lost} events that the agent has not taken: they are lost`)
    return isDone && lost === 0
  }

  #finish() {
    if (this.#isOutstanding(this.#counts.recorded)) void this.close(AT_EXIT_MS)
  }

  // ---- the queue

  #put(event, isNumbered) {
    if (this.#isClosing) {
      this.#counts.dropped += 1
      return false
    }
    const line = isNumbered ? this.#numbered(event) : event
    const size = Buffer.byteLength(line)
    const { maxEvents, maxBytes, whenFull } = this.#settings
    if (size > MAX_EVENT_BYTES || size > maxBytes) {
      this.#counts.unusable += 1
      return false
    }
    const hasRoom = () =>
      this.#waiting() + this.#inFlight.length < maxEvents && this.#bytes + size <= maxBytes
    while (!hasRoom()) {
      this.#counts.dropped += 1
      this.#untoldDrops += 1
      if (whenFull === 'drop_newest' || this.#waiting() === 0) return false
      this.#bytes -= this.#shift().size
    }
    this.#counts.recorded += 1
    this.#queue.push(itemOf(line, size, this.#counts.recorded))
    this.#bytes += size
    if (this.#waiting() === MAX_BATCH_EVENTS) this.#pumpNow()
    else this.#schedule()
    return true
  }

  /** The line with its number, which is used up, whatever becomes of it. */
  #numbered(line) {
    const seq = this.#nextSeq
    this.#nextSeq += 1
    return `{"source_instance":"${this.#instance}","source_seq":${seq},${line.slice(1)}`
  }

  #waiting() {
    return this.#queue.length - this.#head
  }

  #shift() {
    const item = this.#queue[this.#head]
    this.#queue[this.#head] = undefined
    this.#head += 1
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  #isOutstanding(last) {
    const first = this.#inFlight[0] ?? this.#queue[this.#head]
    return first !== undefined && first.number <= last
  }

  // ---- delivery

  #hold(change) {
    this.#holders += change
    this.#connection.hold(this.#holders > 0)
    if (this.#holders > 0) this.#timer?.ref()
    else this.#timer?.unref()
  }

  #sleep(millis) {
    return new Promise((resolve) => {
      this.#wake = resolve
      this.#timer = setTimeout(resolve, millis)
      if (this.#holders === 0) this.#timer.unref()
    })
  }

  #schedule() {
    if (this.#isBusy || this.#timer !== undefined) return
    this.#timer = setTimeout(() => this.#pump(), this.#settings.lingerMs)
    if (this.#holders === 0) this.#timer.unref()
  }

  #pumpNow() {
    if (this.#isBusy) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#pump(), 0)
    if (this.#holders === 0) this.#timer.unref()
  }

  async #pump() {
    this.#timer = undefined
    if (this.#isBusy) return
    this.#isBusy = true
    let pauseMs = 0
    while (this.#inFlight.length > 0 || this.#waiting() > 0) {
      if (this.#inFlight.length === 0) this.#inFlight = this.#taken()
      let afterMs
      try {
        afterMs = await this.#deliver(this.#inFlight)
      } catch {
        this.warn('a fault of the client; the events are sent again')
        afterMs = 0
      }
      if (afterMs === undefined) {
        pauseMs = 0
        continue
      }
      if (this.#isClosing && this.#waiters.size === 0) break
      const grownMs = Math.min(Math.max(pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
      // Spread, so that many processes do not come back at the same moment.
      pauseMs = Math.max(afterMs, grownMs * (0.5 + Math.random() / 2))
      await this.#sleep(pauseMs)
      this.#timer = this.#wake = undefined
    }
    this.#isBusy = false
  }

  #taken() {
    const taken = []
    let size = 0
    if (this.#untoldDrops > 0) {
      const notice = this.#dropNotice(this.#untoldDrops)
      this.#untoldDrops = 0
      this.#bytes += notice.size
      size = notice.size
      taken.push(notice)
    }
    while (this.#waiting() > 0 && taken.length < MAX_BATCH_EVENTS) {
      size += this.#queue[this.#head].size + 1
      if (taken.length > 0 && size > MAX_BATCH_BYTES) break
      taken.push(this.#shift())
    }
    return taken
  }

  #dropNotice(count) {
    const now = Date.now()
    const event = JSON.stringify({
      event_id: eventId(now),
      type: 'HEARTBEAT',
      target: { kind: 'SOURCE', id: this.source },
      occurred_at: new Date(now).toISOString(),
      service: this.service,
      detail: [
        { key: 'client', value: `node/${VERSION}` },
        { key: 'client_dropped', value: String(count) },
      ],
    })
    const line = this.#numbered(event)
    return itemOf(line, Buffer.byteLength(line), 0, count)
  }

  /** Sends a batch. `undefined` when it is done; else for how long to wait at least. */
  async #deliver(batch) {
    const work = [batch.slice()]
    while (work.length > 0) {
      const part = work.pop()
      let answer
      try {
        answer = await this.#connection.postEvents(
          Buffer.from(part.map((item) => item.line).join('\n')),
        )
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error
        return this.#failed(error.message, 0)
      }
      const isWholly = answer.refused === part.length && answer.status >= 400 && answer.status < 500
      if (answer.status === 202 && answer.accepted !== undefined) {
        const count = answer.accepted + answer.refused
        if (count !== part.length) {
          return this.#failed(`it answered for ${count} of ${part.length}`, 0)
        }
        this.#done(part, answer)
      } else if (isRefusal(answer, part.length) || isWholly) {
        // Without a word about each, halves find the malformed one, and the others lose nothing.
        // What was taken in between is a duplicate.
        if (part.length > 1 && !isWholly) {
          const middle = part.length >> 1
          work.push(part.slice(middle), part.slice(0, middle))
        } else {
          this.#done(part, { ...answer, refused: part.length })
        }
      } else {
        return this.#failed(
          [answer.status, ...answer.codes.slice(0, 1)].join(' '),
          answer.retryAfterMs,
        )
      }
    }
    return undefined
  }

  /** The agent has judged these: it has them, or will never take them. */
  #done(part, answer) {
    if (this.#inFlight.length === 0) return
    const gone = new Set(part)
    const notices = part.filter((item) => item.drops > 0).length
    const isNotice = (at) => part[at]?.drops > 0
    const all = answer.refused === part.length
    const refused = answer.refused - (all ? notices : answer.refusedAt.filter(isNotice).length)
    this.#inFlight = this.#inFlight.filter((item) => !gone.has(item))
    for (const item of part) this.#bytes -= item.size
    this.#counts.refused += refused
    this.#counts.sent += part.length - notices - refused
    if (answer.refused > 0) {
      const codes = answer.codes.join(', ') || answer.status
      this.warn(`the agent refused ${answer.refused} events for good: ${codes}`)
    }
    if (this.#isDown) {
      this.#isDown = false
      this.warn(`the agent at ${this.#connection.address} takes events again`)
    }
    for (const waiter of [...this.#waiters]) {
      if (!this.#isOutstanding(waiter.last)) waiter.end(true)
    }
  }

  #failed(why, afterMs) {
    this.#counts.failures += 1
    if (!this.#isDown) {
      this.#isDown = true
      this.warn(`the agent at ${this.#connection.address} takes no events: ${why}`)
    }
    return afterMs
  }
}

function itemOf(line, size, number, drops = 0) {
  return { line, size, number, drops, since: performance.now() }
}

function checked(settings) {
  const { service, maxEvents = 10_000, maxBytes = 16 << 20, whenFull = 'drop_newest' } = settings
  const { lingerMs = 50, timeoutMs = 5000 } = settings
  if (typeof service !== 'string' || service === '') {
    throw new TypeError('service is needed: the name of this service')
  }
  if (!WHEN_FULL.includes(whenFull)) {
    throw new TypeError('whenFull is drop_newest or drop_oldest')
  }
  if (!(maxEvents >= 1 && maxBytes >= 1 && lingerMs >= 0 && timeoutMs > 0)) {
    throw new TypeError('bounds and time-outs are above zero')
  }
  return { maxEvents, maxBytes, whenFull, lingerMs, timeoutMs }
}

function checkedIssuer({ region = 'global', alias = 'idp', jtiRule = 'bearer' }) {
  checkName('region', region)
  checkName('issuer alias', alias)
  if (!RULES.includes(jtiRule)) throw new TypeError('jtiRule is bearer or identity')
  return { region, alias, jtiRule }
}
