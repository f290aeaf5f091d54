"""Real Starlette and Flask, in real servers: uvicorn, and gunicorn with workers that it forked.

What `requirements.txt` lists must be installed: there is no test to skip here.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional

import app_flask
import app_starlette
from fake_agent import FakeAgent
from test_middleware import BEARER, ID, TOKEN, Case, asgi

HERE = Path(__file__).resolve().parent
SRC = HERE.parent / "src"

# Method, path, status, outcome, template.
REQUESTS = [
    ("GET", "/orders/4711", 200, "ALLOW", "/orders/{id}"),
    ("DELETE", "/orders/4711", 403, "DENY", "/orders/{id}"),
    ("GET", "/unknown/4711", 401, "DENY", "/unknown/{id}"),
    ("GET", "/broken/4711", 500, "ERROR", "/broken/{id}"),
    ("GET", "/nowhere/4711", 404, "ALLOW", None),
]


class Starlette(Case):
    def test_the_template_of_a_route_is_the_resource(self) -> None:
        app = app_starlette.application(self.client)
        table = [
            ("/orders/4711", "http", "/orders/{id}"),
            ("/tenants/4711/shop/items/4711", "http", "/tenants/{tenant}/shop/items/{item}"),
            ("/tenants/4711/shop/", "http", "/tenants/{tenant}/shop/"),
            ("/feed/4711", "websocket", "/feed/{id}"),
            ("/nowhere/4711", "http", None),
        ]
        for path, kind, template in table:
            asgi(app, BEARER, kind=kind, path=path)
            event = self.one()
            self.assertEqual(event.get("resource"), template)
            self.assertEqual(event.get("endpoint"), template)

    def test_a_middleware_that_copies_the_scope_hides_no_template(self) -> None:
        inner = app_starlette.application(self.client)

        class Copying:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                await self.app(dict(scope), receive, send)

        inner.add_middleware(Copying)
        inner.user_middleware.reverse()
        asgi(inner, BEARER, path="/tenants/4711/shop/items/4711")
        self.assertEqual(self.one()["resource"], "/tenants/{tenant}/shop/items/{item}")

    def test_a_policy_of_the_application_stands_in_the_event(self) -> None:
        asgi(app_starlette.application(self.client), BEARER, path="/orders/4711")
        policy = {"id": "orders-access", "version": "8", "role": "ACCESS", "effect": "ALLOW"}
        self.assertEqual(self.one()["policies"], [policy])


class Flask(Case):
    def test_the_rule_of_a_request_is_the_resource(self) -> None:
        app = app_flask.application(self.client)
        with app.test_client() as asked:
            for method, path, status, outcome, template in REQUESTS:
                answer = asked.open(path, method=method, headers=dict(BEARER))
                self.assertEqual(answer.status_code, status)
                event = self.one()
                self.assertEqual((event["status"], event["outcome"]), (status, outcome))
                self.assertEqual(event.get("resource"), template)
            asked.get("/streamed/a/b", headers=dict(BEARER))
            self.assertEqual(self.one()["resource"], "/streamed/{rest}")


class Served(unittest.TestCase):
    """A server in a process of its own, asked over TCP, with the agent going and coming."""

    def start(self, command: List[str], agent: FakeAgent, port: int) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "LEDGERLINE_AGENT": agent.address,
            "PYTHONPATH": os.pathsep.join((str(SRC), str(HERE))),
        }
        log = open(Path(agent.path).with_name("server.log"), "ab")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, cwd=HERE, stdout=log, stderr=log
        )
        self.addCleanup(self.stop, process)
        until = time.monotonic() + 30
        while time.monotonic() < until and process.poll() is None:
            if ask(port, "GET", "/nowhere", None) is not None:
                return process
            time.sleep(0.05)
        self.fail(Path(log.name).read_text())

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)

    def check(self, command: List[str], port: int, workers: int) -> None:
        with FakeAgent() as agent:
            process = self.start(command, agent, port)
            for turn in range(3):
                if turn == 1:
                    agent.stop()
                if turn == 2:
                    agent.start()
                for method, path, status, _, _ in REQUESTS * 10:
                    self.assertEqual(ask(port, method, path, TOKEN), status)
            self.stop(process)
            # uvicorn ends by the signal that it was sent.
            self.assertIn(process.returncode, (0, -signal.SIGTERM))
            self.assertEqual(len(set(agent.ids())), 150)
            for _, _, status, outcome, template in REQUESTS:
                matching = [
                    event
                    for event in agent.events
                    if event["status"] == status
                    and event["token_id"] == ID
                    and (event["outcome"], event.get("resource")) == (outcome, template)
                ]
                self.assertEqual(len({event["event_id"] for event in matching}), 30)
            self.assertGreaterEqual(agent.connections, workers)
            log = Path(agent.path).with_name("server.log").read_text()
            self.assertNotIn("sEcReT", log + str(agent.bodies))

    def test_starlette_in_uvicorn(self) -> None:
        port = free_port()
        self.check(
            [
                "uvicorn",
                "--factory",
                "app_starlette:served",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--log-level",
                "warning",
            ],
            port,
            1,
        )

    def test_flask_in_gunicorn_with_workers_that_it_forked(self) -> None:
        port = free_port()
        self.check(
            [
                "gunicorn",
                "app_flask:served()",
                "--bind",
                "127.0.0.1:%d" % port,
                "--workers",
                "3",
                "--preload",
                "--log-level",
                "warning",
            ],
            port,
            2,
        )


def ask(port: int, method: str, path: str, token: Optional[str]) -> Optional[int]:
    """The status of an answer; `None` when nobody listens."""
    headers: Dict[str, str] = {} if token is None else {"Authorization": "Bearer " + token}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    except ConnectionError:
        return None
    finally:
        connection.close()


def free_port() -> int:
    """A free port below those that the kernel gives out by itself."""
    for port in range(21_000 + os.getpid() % 5_000, 32_000):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


if __name__ == "__main__":
    unittest.main()
