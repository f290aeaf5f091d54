"""Both middlewares under applications without a framework: what is recorded, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import unittest
from typing import Any, Dict, List, Optional

from fake_agent import FakeAgent

from ledgerline import KEY, Issuer, Ledgerline, token_id
from ledgerline.access import Outcome, Settings, begin, record
from ledgerline.asgi import LedgerlineMiddleware as Asgi
from ledgerline.wsgi import LedgerlineMiddleware as Wsgi

TOKEN = "sEcReT-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC50ZXN0IiwianRpIjoiNGYwYyJ9.c0VjUmVU"
ID = token_id(TOKEN, region="eu", issuer="idp")
JWT_ID = token_id(JWT, region="eu", issuer="idp")


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.agent = FakeAgent()
        self.addCleanup(self.agent.__exit__)
        self.client = self.new_client()

    def new_client(self, rule: str = "bearer") -> Ledgerline:
        client = Ledgerline("orders", agent=self.agent.address, issuer=Issuer("eu", "idp", rule))
        self.addCleanup(client.close)
        return client

    def events(self, client: Optional[Ledgerline] = None) -> List[Dict[str, Any]]:
        self.assertTrue((client or self.client).flush())
        self.assertNotIn(b"sEcReT", b"".join(self.agent.bodies))
        self.assertNotIn(b"eyJ", b"".join(self.agent.bodies))
        events, self.agent.events = self.agent.events, []
        return events

    def one(self, client: Optional[Ledgerline] = None) -> Dict[str, Any]:
        events = self.events(client)
        self.assertEqual(len(events), 1, events)
        return events[0]


def asgi(app: Any, headers: Any = (), kind: str = "http", path: str = "/orders/4711") -> List[Any]:
    """Asks an ASGI application; what it sent."""
    sent: List[Any] = []
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "client": ("203.0.113.7", 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    if kind == "websocket":
        del scope["method"]

    async def receive() -> Any:
        if kind == "websocket":
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def answering(status: int, then: Any = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if then is not None:
            then(scope)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


# Members whose digits are chance.
VARIES = ("event_id", "occurred_at", "detail", "source_instance")
BEARER = [("authorization", "Bearer " + TOKEN)]


class AsgiRequests(Case):
    def test_the_status_is_the_outcome(self) -> None:
        table = [
            (200, "ALLOW"),
            (302, "ALLOW"),
            (404, "ALLOW"),
            (401, "DENY"),
            (403, "DENY"),
            (429, "ERROR"),
            (500, "ERROR"),
            (503, "ERROR"),
        ]
        for status, outcome in table:
            asgi(Asgi(answering(status), self.client), BEARER)
            event = self.one()
            self.assertEqual((event["status"], event["outcome"]), (status, outcome))
            self.assertEqual(event["token_id"], ID)
            self.assertEqual(event["type"], "USED")
            self.assertEqual((event["service"], event["action"]), ("orders", "GET"))
            self.assertNotIn("4711", json.dumps({**event, **dict.fromkeys(VARIES, "")}))
            self.assertEqual(event["detail"][0]["key"], "latency_us")
            self.assertGreaterEqual(int(event["detail"][0]["value"]), 0)

    def test_only_a_request_with_a_token_is_recorded(self) -> None:
        for headers in (
            [],
            [("authorization", "Basic dXNlcjpwYXNzd29yZC10aGF0LWlzLWxvbmc=")],
            [("authorization", "Bearer ")],
            [("authorization", "Bearer")],
        ):
            self.assertEqual(len(asgi(Asgi(answering(200), self.client), headers)), 2)
        self.assertEqual(self.events(), [])
        self.assertEqual(self.client.stats.unusable, 0)
        asgi(Asgi(answering(200), self.client), [("authorization", "Bearer short")])
        self.assertEqual(self.client.stats.unusable, 1)
        for header in ("bearer ", "BEARER   ", "DPoP "):
            asgi(Asgi(answering(200), self.client), [("authorization", header + TOKEN)])
            self.assertEqual(self.one()["token_id"], ID)

    def test_an_application_that_fails_is_an_error_and_fails_as_before(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise KeyError("its own")

        with self.assertRaises(KeyError):
            asgi(Asgi(app, self.client), BEARER)
        event = self.one()
        self.assertEqual((event["outcome"], event["reason"]), ("ERROR", "exception"))

        async def cancelled(scope: Any, receive: Any, send: Any) -> None:
            raise asyncio.CancelledError

        with self.assertRaises(asyncio.CancelledError):
            asgi(Asgi(cancelled, self.client), BEARER)
        event = self.one()
        self.assertEqual((event["outcome"], event["reason"]), ("ERROR", "aborted"))
        self.assertNotIn("status", event)

    def test_a_web_socket_is_recorded_when_it_is_answered(self) -> None:
        for first, status, outcome in (
            ("websocket.accept", 101, "ALLOW"),
            ("websocket.close", 403, "DENY"),
        ):

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await send({"type": first})
                await send({"type": "websocket.close"})

            asgi(Asgi(app, self.client), BEARER, kind="websocket")
            event = self.one()
            self.assertEqual((event["status"], event["outcome"]), (status, outcome))

    def test_the_application_adds_what_it_knows(self) -> None:
        def then(scope: Any) -> None:
            access = scope[KEY]
            access.endpoint = "/orders/{id}"
            access.resource = "orders"
            access.action = "read"
            access.reason = "step_up"
            access.outcome = "DENY"
            access.members["scopes"] = ["read"]
            access.policy("p", "8", digest="sha256:" + "0" * 64, effect="DENY")

        policies = [{"id": "gateway", "version": "3", "role": "BOUNDARY"}]
        asgi(Asgi(answering(200, then), self.client, policies=policies), BEARER)
        event = self.one()
        expected = {
            "type": "RESOURCE_ACCESSED",
            "endpoint": "/orders/{id}",
            "resource": "orders",
            "action": "read",
            "reason": "step_up",
            "outcome": "DENY",
            "scopes": ["read"],
        }
        self.assertEqual({name: event[name] for name in expected}, expected)
        self.assertEqual([one["id"] for one in event["policies"]], ["gateway", "p"])
        self.assertEqual(event["policies"][1]["role"], "ACCESS")

    def test_what_is_personal_is_told_only_when_it_is_asked_for(self) -> None:
        headers = [*BEARER, ("user-agent", "curl/8.5.0")]
        asgi(Asgi(answering(200), self.client), headers)
        self.assertNotIn("personal", self.one())
        personal = ["ip", "user_agent", "resource"]
        asgi(Asgi(answering(200), self.client, personal=personal), headers)
        self.assertEqual(
            self.one()["personal"],
            [
                {
                    "role": "REQUEST",
                    "ip": "203.0.113.7",
                    "user_agent": "curl/8.5.0",
                    "resource": "/orders/4711",
                }
            ],
        )
        with self.assertRaises(ValueError):
            Asgi(answering(200), self.client, personal=["email"])

    def test_callbacks_give_token_and_template(self) -> None:
        app = Asgi(
            answering(200),
            self.client,
            token_from=lambda scope: dict(scope["headers"])[b"cookie"],
            endpoint_from=lambda scope: "/given/{id}",
            excluded=["/health"],
        )
        asgi(app, [("cookie", TOKEN)])
        event = self.one()
        self.assertEqual((event["token_id"], event["resource"]), (ID, "/given/{id}"))
        asgi(app, [("cookie", TOKEN)], path="/health")
        self.assertEqual(self.events(), [])

    def test_a_callback_that_fails_breaks_nothing(self) -> None:
        def broken(scope: Any) -> Any:
            raise RuntimeError("sEcReT")

        for name in ("token_from", "endpoint_from"):
            app = Asgi(answering(200), self.client, **{name: broken})
            with self.assertLogs("ledgerline") as logs:
                self.assertEqual(len(asgi(app, BEARER)), 2)
                self.assertEqual(len(asgi(app, BEARER)), 2)
            self.assertEqual(len(logs.output), 1)
            self.assertNotIn("sEcReT", logs.output[0])
        self.assertEqual([event["type"] for event in self.events()], ["USED", "USED"])
        self.assertEqual(self.client.stats.unusable, 2)

    def test_a_method_that_http_does_not_know_is_other(self) -> None:
        settings = Settings[Any]()
        for method, action in (("GET", "GET"), ("get", "other"), ("MARK-OF-A-CALLER", "other")):
            access = begin(self.client, TOKEN)
            assert access is not None
            record(self.client, settings, access, Outcome(200, method, None))
            self.assertEqual(self.one()["action"], action)

    def test_a_jti_that_nobody_verified_names_no_token(self) -> None:
        client = self.new_client("identity")

        def verified(value: Any) -> Any:
            return lambda scope: setattr(scope[KEY], "verified", value)

        jti = "eu:idp:jti:4f0c"
        table = [
            (200, None, JWT_ID, None),
            (403, None, JWT_ID, None),
            (200, 1, JWT_ID, None),
            (401, None, JWT_ID, None),
            (200, True, jti, [JWT_ID]),
            (401, True, jti, [JWT_ID]),
            (200, False, JWT_ID, None),
        ]
        for status, is_verified, named, other in table:
            app = Asgi(answering(status, verified(is_verified)), client)
            asgi(app, [("authorization", "Bearer " + JWT)])
            event = self.one(client)
            self.assertEqual((event["token_id"], event.get("also_known_as")), (named, other))

    def test_requests_go_on_whatever_the_agent_does(self) -> None:
        self.agent.stop()
        client = Ledgerline("orders", agent=self.agent.address, max_events=3)
        self.addCleanup(client.close, 0.0)
        for _ in range(10):
            self.assertEqual(len(asgi(Asgi(answering(200), client), BEARER)), 2)
        self.assertEqual(client.stats.dropped, 7)
        client.close(0.0)
        self.assertEqual(len(asgi(Asgi(answering(200), client), BEARER)), 2)


def wsgi(app: Any, **environ: Any) -> "tuple[Optional[str], bytes]":
    """Asks a WSGI application as a server does."""
    said: List[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/orders/4711",
        "REMOTE_ADDR": "203.0.113.7",
        "wsgi.input": io.BytesIO(),
        **environ,
    }

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        said[:] = [status]
        return lambda data: None

    body = app(environ, start)
    try:
        return (None, b"".join(body)) if not said else (said[0], b"".join(body))
    finally:
        if hasattr(body, "close"):
            body.close()


AUTHORIZATION = {"HTTP_AUTHORIZATION": "Bearer " + TOKEN}


class WsgiRequests(Case):
    def test_the_status_is_the_outcome(self) -> None:
        for status, outcome in (("200 OK", "ALLOW"), ("401 No", "DENY"), ("502 Bad", "ERROR")):

            def app(environ: Any, start: Any) -> Any:
                start(status, [])
                return [b"x"]

            wsgi(Wsgi(app, self.client), **AUTHORIZATION)
            event = self.one()
            self.assertEqual((event["outcome"], event["token_id"]), (outcome, ID))
            self.assertEqual((event["type"], event["status"]), ("USED", int(status[:3])))
        wsgi(Wsgi(app, self.client))
        self.assertEqual(self.events(), [])

    def test_an_answer_that_has_begun_is_handed_on_as_it_is(self) -> None:
        body = [b"x"]

        def app(environ: Any, start: Any) -> Any:
            start("200 OK", [])
            return body

        answer = Wsgi(app, self.client)(dict(AUTHORIZATION), lambda *of: None)
        self.assertIs(answer, body)

    def test_a_generator_is_recorded_with_its_first_part(self) -> None:
        closed: List[bool] = []

        def app(environ: Any, start: Any) -> Any:
            try:
                start("403 No", [])
                yield b"one"
                yield b"two"
            finally:
                closed.append(True)

        self.assertEqual(wsgi(Wsgi(app, self.client), **AUTHORIZATION)[1], b"onetwo")
        self.assertEqual(self.one()["outcome"], "DENY")
        self.assertEqual(closed, [True])

    def test_an_application_that_fails_is_an_error_and_fails_as_before(self) -> None:
        def at_once(environ: Any, start: Any) -> Any:
            raise KeyError("its own")

        def later(environ: Any, start: Any) -> Any:
            raise KeyError("its own")
            yield b""

        def unsaid(environ: Any, start: Any) -> Any:
            return []

        for app in (at_once, later):
            with self.assertRaises(KeyError):
                wsgi(Wsgi(app, self.client), **AUTHORIZATION)
            event = self.one()
            self.assertEqual((event["outcome"], event["reason"]), ("ERROR", "exception"))
        wsgi(
            Wsgi(lambda environ, start: iter(unsaid(environ, start)), self.client), **AUTHORIZATION
        )
        self.assertEqual(self.one()["reason"], "no_answer")

    def test_the_application_adds_what_it_knows(self) -> None:
        def app(environ: Any, start: Any) -> Any:
            environ[KEY].endpoint = "/orders/{id}"
            environ[KEY].policy("p", "8")
            start("200 OK", [])
            return []

        personal = {"personal": ["ip", "resource"]}
        wsgi(Wsgi(app, self.client, **personal), **AUTHORIZATION, SCRIPT_NAME="/v1")
        event = self.one()
        self.assertEqual((event["type"], event["resource"]), ("RESOURCE_ACCESSED", "/orders/{id}"))
        self.assertEqual(event["policies"], [{"id": "p", "version": "8", "role": "ACCESS"}])
        self.assertEqual(event["personal"][0]["resource"], "/v1/orders/4711")


if __name__ == "__main__":
    unittest.main()
