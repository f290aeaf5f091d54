// A whole scenario through openapi-fetch and the types that openapi-typescript made of the
// document: everything is sent and read by the generated types, which tsc holds to. What to do
// comes as JSON on standard input, what the answers said goes as JSON to standard output; the test
// that runs this judges it.

import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Event = components["schemas"]["Event"];
type Problem = components["schemas"]["Problem"];

interface Asked {
  url: string;
  producer: string;
  reader: string;
  parent: string;
  child: string;
  stranger: string;
  unknown: string;
}

const asked = JSON.parse(readFileSync(0, "utf8")) as Asked;
const { parent, child, stranger } = asked;
const noon = "2026-01-02T12:00:00.678Z";

function client(key?: string) {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  return createClient<paths>({ baseUrl: asked.url, headers });
}

const nobody = client();
const producer = client(asked.producer);
const reader = client(asked.reader);

type Answer<T> =
  | { data: T; error?: never; response: Response }
  | { data?: never; error: unknown; response: Response };

/** The answer; a refusal ends the scenario. */
function expect<T>(answer: Answer<T>): T {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

function refusal(answer: { error?: Problem; response: Response }): [number, string] {
  const problem = answer.error;
  if (problem === undefined || problem.status !== answer.response.status || !problem.detail) {
    throw new Error(`${answer.response.status} is not what ${JSON.stringify(problem)} says`);
  }
  return [problem.status, problem.code];
}

/** A token that is used four times, and one that was made from it. */
function events(): Event[] {
  const issued = { type: "ISSUED", issuer: "idp", occurred_at: noon, token_kind: "ACCESS" } as const;
  const accesses = [0, 1, 2, 3].map((number): Event => ({
    native_id: `access-${number}`,
    type: "RESOURCE_ACCESSED",
    token_id: parent,
    issuer: "idp",
    occurred_at: noon,
    service: "orders",
    resource: `/orders/${number}`,
    outcome: "ALLOW",
  }));
  return [
    {
      ...issued,
      native_id: "parent",
      token_id: parent,
      client_id: "web",
      scopes: ["read", "write"],
      expires_at: "2096-06-01T00:00:00Z",
    },
    ...accesses,
    {
      ...issued,
      native_id: "child",
      token_id: child,
      client_id: "batch",
      links: [{ relation: "EXCHANGED_FROM", token_id: parent }],
    },
  ];
}

const record = (body: Event | Event[]) => producer.POST("/v1/events", { body });
const seen: Event = {
  native_id: "seen",
  type: "USED",
  token_id: stranger,
  issuer: "idp",
  occurred_at: noon,
};
const several = expect(await record(events()));
const one = expect(await record(seen));
const path = { id: parent };
const token = expect(await reader.GET("/v1/tokens/{id}", { params: { path } }));

const life: [number, string][][] = [];
for (let next: string | null | undefined; next !== null; ) {
  const query = { limit: 2, ...(next === undefined ? {} : { page: next }) };
  const page = expect(await reader.GET("/v1/tokens/{id}/events", { params: { path, query } }));
  life.push((page.events ?? []).map((event) => [event.sequence, event.statement.type]));
  next = page.next ?? null;
}

const resources: (string | null | undefined)[][] = [];
for (let next: string | null | undefined; next !== null; ) {
  const query = { from: "birth", limit: 3, ...(next === undefined ? {} : { page: next }) };
  const page = expect(await reader.GET("/v1/tokens/{id}/resources", { params: { path, query } }));
  resources.push(page.accesses.map((access) => access.resource));
  next = page.next ?? null;
}

const direction = { path, query: { direction: "descendants" } } as const;
const lineage = expect(await reader.GET("/v1/tokens/{id}/lineage", { params: direction }));
const blast = expect(await reader.GET("/v1/tokens/{id}/blast-radius", { params: { path } }));
const status = expect(await reader.GET("/v1/status"));
const waiting = { query: { wait: 20 } };
const findings = expect(await reader.GET("/v1/findings", { params: waiting }));
const aimless: Event = { native_id: "aimless", type: "USED", issuer: "idp", occurred_at: noon };
const unknown = { path: { id: asked.unknown } };

const said = {
  recorded: [...several.events, ...one.events].map((verdict) => verdict.status),
  repeated: expect(await record(seen)).events.map((verdict) => verdict.status),
  token: [token.event_count, token.known.state, token.known.client_id],
  expires_in: new Date(token.known.expires_at ?? "").getUTCFullYear(),
  life,
  resources,
  lineage: (lineage.tokens ?? []).map((one) => [one.token_id, one.depth]),
  edges: (lineage.edges ?? []).map((one) => [one.parent, one.child, one.relation]),
  blast_radius: [blast.descendants, blast.alive, blast.allowed, blast.cut_by],
  status: [status.ready, status.credential.source, status.credential.roles],
  findings: findings.findings.map((one) => [one.rule, one.severity, one.token_id]),
  judged: findings.progress["findings"]?.state,
  no_target: refusal(await record(aimless)),
  unknown: refusal(await reader.GET("/v1/tokens/{id}", { params: unknown })),
  no_key: refusal(await nobody.GET("/v1/tokens/{id}", { params: { path } })),
};
process.stdout.write(JSON.stringify(said));
