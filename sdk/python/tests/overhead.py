"""What the middleware costs a request: the same application with and without it, in turns.

``python tests/overhead.py`` prints microseconds of this thread for a request in memory (no
sockets, so nothing hides the cost), and of `record` and `token_id` alone. The agent is the tests'
own, in a process of its own, and answers at once. Figures of one run, to be compared with each
other only.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from typing import Any, Callable, List

from fake_agent import FakeAgent

import app_flask
import app_starlette
from ledgerline import Issuer, Ledgerline, token_id

TOKEN = "tok-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6Qw3E"
ROUNDS = int(os.environ.get("ROUNDS", "12"))
CALLS = int(os.environ.get("CALLS", "1000"))


def microseconds(call: Callable[[], Any]) -> List[float]:
    """Each call by itself, so that percentiles can be told."""
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter_ns()
        call()
        taken.append((time.perf_counter_ns() - began) / 1000)
    return taken


def asgi_call(app: Any, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    async def send(message: Any) -> None:
        return None

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    def call() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/orders/4711",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer " + TOKEN.encode())],
        }
        loop.run_until_complete(app(scope, receive, send))

    return call


def wsgi_call(app: Any) -> Callable[[], None]:
    def start(*of: Any) -> None:
        return None

    def call() -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/orders/4711",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "HTTP_AUTHORIZATION": "Bearer " + TOKEN,
        }
        b"".join(app.wsgi_app(environ, start))

    return call


def compare(name: str, off: Callable[[], Any], on: Callable[[], Any], client: Ledgerline) -> None:
    without: List[float] = []
    with_it: List[float] = []
    microseconds(off), microseconds(on)
    for _ in range(ROUNDS):
        without += microseconds(off)
        with_it += microseconds(on)
        client.flush(30)
    cells = []
    for part in (without, with_it):
        cuts = statistics.quantiles(part, n=100)
        cells.append(
            "p50 %6.1f  p99 %7.1f  mean %6.1f" % (cuts[49], cuts[98], statistics.fmean(part))
        )
    added = statistics.median(with_it) - statistics.median(without)
    print("%-10s off: %s us   on: %s us   added p50 %.1f us" % (name, *cells, added))


def alone(name: str, call: Callable[[], Any]) -> None:
    microseconds(call)
    cuts = statistics.quantiles(microseconds(call), n=100)
    print("%-10s p50 %6.1f  p99 %7.1f us" % (name, cuts[49], cuts[98]))


def measure(address: str) -> None:
    client = Ledgerline(
        "orders",
        agent=address,
        issuer=Issuer("eu", "idp"),
        max_events=1_000_000,
        max_bytes=1 << 30,
    )
    loop = asyncio.new_event_loop()
    on = app_starlette.application(client), app_flask.application(client)
    os.environ["LEDGERLINE_OFF"] = "1"
    off = app_starlette.application(client), app_flask.application(client)
    compare("starlette", asgi_call(off[0], loop), asgi_call(on[0], loop), client)
    compare("flask", wsgi_call(off[1]), wsgi_call(on[1]), client)
    alone("record", lambda: client.record({"type": "USED", "token_id": "eu:idp:jti:4f0c"}))
    alone("token_id", lambda: token_id(TOKEN))
    client.flush(60)
    stats = client.stats
    print("sent %d, dropped %d, refused %d" % (stats.sent, stats.dropped, stats.refused))
    assert stats.sent == stats.recorded and not stats.dropped


def main() -> None:
    if sys.argv[1:] == ["agent"]:
        with FakeAgent() as agent:
            print(agent.address, flush=True)
            sys.stdin.read()
        return
    command = [sys.executable, __file__, "agent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdin and it.stdout
        measure(it.stdout.readline().strip())
        it.stdin.close()


if __name__ == "__main__":
    main()
