import type { IncomingMessage, ServerResponse } from 'node:http'

/** Version of this package. */
export declare const VERSION: string

/** How tokens of an issuer are named. */
export interface Issuer {
  /** Home region of the issuer; `global` if absent. */
  region?: string
  /** Alias of the issuer in the ledger; `idp` if absent. */
  alias?: string
  /** `identity`: a JWT is named by its jti, where the ledger's register says so. */
  jtiRule?: 'bearer' | 'identity'
}

export interface LedgerlineSettings {
  /** Name of this service; stands in each event. */
  service: string
  /** `unix:/path` or `http://127.0.0.1:8791`; else `LEDGERLINE_AGENT`, else the usual socket. */
  agent?: string
  /** Whose tokens this service sees. */
  issuer?: Issuer
  /** Where there are several: by the `iss` of a JWT. */
  issuers?: Record<string, Issuer>
  /** The agent's key, for loopback TCP; else `LEDGERLINE_AGENT_KEY`. */
  key?: string
  /** A file with it, read for each request. */
  keyFile?: string
  /** Name of this source in the ledger, for its HEARTBEATs; else the service's. */
  source?: string
  /** Bound of the queue in events; 10,000 if absent. */
  maxEvents?: number
  /** Bound of the queue in bytes; 16 MiB if absent. */
  maxBytes?: number
  /** What is lost when the queue is full: what comes (the default), or what is oldest. */
  whenFull?: 'drop_newest' | 'drop_oldest'
  /** How long an event may wait for others, in milliseconds; 50 if absent. */
  lingerMs?: number
  /** How long one request to the agent may take, in milliseconds; 5,000 if absent. */
  timeoutMs?: number
  /** Where lines about the agent go; `console.warn` if absent. None holds a token. */
  log?: (line: string) => void
}

/** Counters since the client was made, and what is queued now. */
export interface Stats {
  /** Events that were put into the queue. */
  recorded: number
  /** Events that the agent has accepted. */
  sent: number
  /** Events lost to a full queue, or still queued when the client was closed. */
  dropped: number
  /** Events that the agent would not take, ever: malformed. */
  refused: number
  /** Events that could not be written as JSON, and tokens too short to be named. */
  unusable: number
  /** Requests that failed and were or will be repeated. */
  failures: number
  /** Events that wait, with those on their way. */
  queued: number
  queuedBytes: number
  /** How long the oldest of them waits, in milliseconds. */
  oldestMs: number
}

/** An event in the ledger's JSON form. `event_id` and `occurred_at` are given if absent. */
export interface LedgerEvent {
  type: string
  token_id?: string
  target?: { kind: string; id?: string }
  [member: string]: unknown
}

/** A client of the local `ledgerline agent`. */
export declare class Ledgerline {
  readonly service: string
  readonly source: string
  /** Throws a `TypeError` or `TokenIdError` for a setting that cannot be. */
  constructor(settings: LedgerlineSettings)
  /** Queues an event; whether it was queued. Never throws and never waits. */
  record(event: LedgerEvent): boolean
  /** Records that a token was presented: RESOURCE_ACCESSED with a resource, else USED. */
  tokenUsed(
    token: string | Uint8Array,
    members?: {
      outcome?: 'ALLOW' | 'DENY' | 'ERROR'
      resource?: string
      [member: string]: unknown
    },
  ): boolean
  readonly stats: Stats
  /** Whether the agent has, within so many milliseconds, what was recorded so far. */
  flush(timeoutMs?: number): Promise<boolean>
  /** Sends what is queued, and records nothing any more; whether the agent has everything. */
  close(timeoutMs?: number): Promise<boolean>
}

export interface Policy {
  id: string
  version: string
  role?: string
  digest?: string
  effect?: 'ALLOW' | 'DENY'
}

/** One request with a token, as the application may add to it: `request.ledgerline`. */
export declare class Access {
  private constructor()
  /** Template of the endpoint, such as `/orders/{id}`; else the framework's. */
  endpoint?: string
  /** Template of the resource; else the endpoint. */
  resource?: string
  /** What was done; else the request's method. */
  action?: string
  /** Why, in a word. */
  reason?: string
  /** Where the status does not say it. */
  outcome?: 'ALLOW' | 'DENY' | 'ERROR'
  /** Whether the token's signature was verified; unless `true`, a JWT is named by its digest. */
  verified?: boolean
  policies: Policy[]
  /** Further members of the event. */
  members: Record<string, unknown>
  /** Adds a policy that decided, with its version. */
  policy(id: string, version: string, more?: Omit<Policy, 'id' | 'version'>): void
}

export interface MiddlewareSettings<Request = any> {
  /** The token of a request, where it is not in `Authorization`. */
  tokenFrom?: (request: Request) => string | Uint8Array | undefined
  /** The template of a request, where the framework has none. */
  endpointFrom?: (request: Request) => string | undefined
  /** What goes into a REQUEST record: `resource` is the concrete path. */
  personal?: ('ip' | 'userAgent' | 'resource')[]
  /** Policies of every request. */
  policies?: Policy[]
  /** Templates and exact paths that are not recorded. */
  excluded?: string[]
}

/** For Express 4 and 5: `app.use(expressMiddleware(ledger))`, before the routes. */
export declare function expressMiddleware(
  client: Ledgerline,
  settings?: MiddlewareSettings,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

/** For Fastify 4 and 5: `await app.register(fastifyPlugin, { client: ledger })`. */
export declare function fastifyPlugin(
  app: any,
  settings: MiddlewareSettings & { client: Ledgerline },
  done: (error?: Error) => void,
): void

/** A token or a name that no id can be made of; never tells the value. */
export declare class TokenIdError extends Error {}

/** The id of a token by its value: `<region>:<issuer>:t1:<digest>`. */
export declare function tokenId(
  token: string | Uint8Array,
  where?: { region?: string; issuer?: string },
): string

/** The id of a token by its jti, for an issuer whose jti is no bearer value. */
export declare function jtiTokenId(
  jti: string,
  where?: { region?: string; issuer?: string },
): string
