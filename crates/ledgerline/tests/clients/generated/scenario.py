"""A whole scenario through the Python client that openapi-python-client made of the document:
everything is sent and read by the generated types. What to do comes as JSON on standard input,
what the answers said goes as JSON to standard output; the test that runs this judges it."""

import json
import sys
from datetime import datetime, timezone

from ledgerline_client import AuthenticatedClient, Client
from ledgerline_client.api.events import record_events
from ledgerline_client.api.findings import list_findings
from ledgerline_client.api.incidents import get_blast_radius
from ledgerline_client.api.server import get_status
from ledgerline_client.api.tokens import (
    get_lineage,
    get_token,
    list_resources,
    list_token_events,
)
from ledgerline_client.models import (
    BlastRadiusAnswer,
    Event,
    EventType,
    FindingsAnswer,
    GetLineageDirection,
    LineageAnswer,
    Link,
    Outcome,
    Problem,
    Relation,
    ResourcesAnswer,
    ServerStatus,
    TokenKind,
    TokenEvents,
    TokenLife,
    Verdicts,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, 678000, tzinfo=timezone.utc)


def expect(kind, answer):
    """The answer of that type; anything else ends the scenario."""
    if not isinstance(answer.parsed, kind):
        raise SystemExit(f"{answer.status_code} {answer.content!r} is no {kind.__name__}")
    return answer.parsed


def refusal(answer):
    problem = expect(Problem, answer)
    if problem.status != answer.status_code or not problem.detail:
        raise SystemExit(f"{answer.status_code} is not what {problem} says")
    return [problem.status, problem.code]


def events(parent, child):
    """A token that is used four times, and one that was made from it."""
    yield Event(
        native_id="parent",
        type_=EventType.ISSUED,
        token_id=parent,
        issuer="idp",
        occurred_at=NOON,
        client_id="web",
        token_kind=TokenKind.ACCESS,
        scopes=["read", "write"],
        expires_at=datetime(2096, 6, 1, tzinfo=timezone.utc),
    )
    for number in range(4):
        yield Event(
            native_id=f"access-{number}",
            type_=EventType.RESOURCE_ACCESSED,
            token_id=parent,
            issuer="idp",
            occurred_at=NOON,
            service="orders",
            resource=f"/orders/{number}",
            outcome=Outcome.ALLOW,
        )
    yield Event(
        native_id="child",
        type_=EventType.ISSUED,
        token_id=child,
        issuer="idp",
        occurred_at=NOON,
        client_id="batch",
        token_kind=TokenKind.ACCESS,
        links=[Link(relation=Relation.EXCHANGED_FROM, token_id=parent)],
    )


def pages(list_page):
    """The pages of an answer, from the first to the one that names no next."""
    page = list_page({})
    yield page
    while page.next_:
        page = list_page({"page": page.next_})
        yield page


def drive(asked):
    parent, child, stranger = (asked[name] for name in ("parent", "child", "stranger"))
    nobody = Client(asked["url"])
    producer = AuthenticatedClient(asked["url"], asked["producer"])
    reader = AuthenticatedClient(asked["url"], asked["reader"])

    def record(body):
        return record_events.sync_detailed(client=producer, body=body)

    def ask(operation, **parameters):
        return operation.sync_detailed(client=reader, **parameters)

    several = expect(Verdicts, record(list(events(parent, child))))
    seen = Event(
        native_id="seen", type_=EventType.USED, token_id=stranger, issuer="idp", occurred_at=NOON
    )
    one = expect(Verdicts, record(seen))
    token = expect(TokenLife, ask(get_token, id=parent))

    def life(more):
        return expect(TokenEvents, ask(list_token_events, id=parent, limit=2, **more))

    def accesses(more):
        return expect(
            ResourcesAnswer, ask(list_resources, id=parent, from_="birth", limit=3, **more)
        )

    descendants = GetLineageDirection.DESCENDANTS
    lineage = expect(LineageAnswer, ask(get_lineage, id=parent, direction=descendants))
    blast = expect(BlastRadiusAnswer, ask(get_blast_radius, id=parent))
    status = expect(ServerStatus, ask(get_status))
    findings = expect(FindingsAnswer, ask(list_findings, wait=20))
    aimless = Event(native_id="aimless", type_=EventType.USED, issuer="idp", occurred_at=NOON)
    return {
        "recorded": [verdict.status for verdict in several.events + one.events],
        "repeated": [verdict.status for verdict in expect(Verdicts, record(seen)).events],
        "token": [token.event_count, token.known.state, token.known.client_id],
        "expires_in": token.known.expires_at.year,
        "life": [
            [[event.sequence, event.statement.type_] for event in page.events]
            for page in pages(life)
        ],
        "resources": [[one.resource for one in page.accesses] for page in pages(accesses)],
        "lineage": [[one.token_id, one.depth] for one in lineage.tokens],
        "edges": [[one.parent, one.child, one.relation] for one in lineage.edges],
        "blast_radius": [blast.descendants, blast.alive, blast.allowed, blast.cut_by],
        "status": [status.ready, status.credential.source, status.credential.roles],
        "findings": [[one.rule, one.severity, one.token_id] for one in findings.findings],
        "judged": findings.progress["findings"].state,
        "no_target": refusal(record(aimless)),
        "unknown": refusal(ask(get_token, id=asked["unknown"])),
        "no_key": refusal(get_token.sync_detailed(client=nobody, id=parent)),
    }


if __name__ == "__main__":
    json.dump(drive(json.load(sys.stdin)), sys.stdout)
