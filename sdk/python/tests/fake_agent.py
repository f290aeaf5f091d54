"""An agent for fault injection: it speaks the agent's protocol, and breaks it as it is told.

The real agent is driven by `crates/ledgerline/tests/agent_clients.rs`. This one exists for what the
real one never does on command: silence, garbage, an answer that is lost after the events are kept.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any, Callable, Dict, List, Optional

#: What an agent may do with a request; `FakeAgent.mode` is one of them.
MODES = (
    "ok",
    "slow",
    "busy",
    "full",
    "garbage",
    "not_json",
    "drip",
    "lost",
    "short",
    "forbidden",
    "flood",
    "blunt",
)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    agent: "FakeAgent"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no matter."""


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    agent: "FakeAgent"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """As above."""


class FakeAgent:
    """Listens on a Unix socket in a folder of its own, or on loopback TCP with a key."""

    def __init__(self, tcp_key: Optional[str] = None) -> None:
        self.mode = "ok"
        #: Of `slow`: how long an answer takes.
        self.delay_s = 0.3
        #: Lines for which this is true are malformed.
        self.is_bad: Callable[[Dict[str, Any]], bool] = lambda event: False
        self.events: List[Dict[str, Any]] = []
        self.requests = 0
        self.bodies: List[bytes] = []
        self.heads: List[str] = []
        self.connections = 0
        self._tcp_key = tcp_key
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self._folder.name, "agent.sock")
        self._open: List[socket.socket] = []
        self._server: Any = None
        self._port = 0
        self.start()

    def __enter__(self) -> "FakeAgent":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def address(self) -> str:
        if self._tcp_key is None:
            return "unix:" + self.path
        return "http://127.0.0.1:%d" % self._port

    def start(self) -> None:
        if self._tcp_key is None:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self._server = _Server(self.path, _Handler)
        else:
            _TcpServer.allow_reuse_address = True
            self._server = _TcpServer(("127.0.0.1", self._port), _Handler)
            self._port = self._server.server_address[1]
        self._server.agent = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Goes away as a killed process does: listener and connections."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        if self._tcp_key is None and os.path.exists(self.path):
            os.unlink(self.path)
        with self._lock:
            gone, self._open = self._open, []
        for one in gone:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def keep(self, lines: List[Dict[str, Any]]) -> None:
        with self._lock:
            self.events.extend(lines)

    def ids(self) -> List[str]:
        with self._lock:
            return [event["event_id"] for event in self.events]

    def of_type(self, kind: str) -> List[Dict[str, Any]]:
        with self._lock:
            return [event for event in self.events if event["type"] == kind]

    def wait_for(self, count: int, limit_s: float = 10.0) -> None:
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if len(set(self.ids())) >= count:
                return
            time.sleep(0.005)
        raise AssertionError("%d of %d events came" % (len(set(self.ids())), count))

    def wait_for_requests(self, count: int, limit_s: float = 10.0) -> None:
        until = time.monotonic() + limit_s
        while self.requests < count:
            if time.monotonic() > until:
                raise AssertionError("%d of %d requests came" % (self.requests, count))
            time.sleep(0.005)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else every answer over TCP waits for an acknowledgement of its head.
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        agent = self.agent
        with agent._lock:
            agent.connections += 1
            agent._open.append(self.connection)

    @property
    def agent(self) -> FakeAgent:
        return self.server.agent  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the tests quiet."""

    def address_string(self) -> str:
        return "local"

    def do_POST(self) -> None:
        agent = self.agent
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with agent._lock:
            agent.requests += 1
            agent.bodies.append(body)
            agent.heads.append(str(self.headers))
        if agent._tcp_key is not None:
            if self.headers.get("Authorization") != "Bearer " + agent._tcp_key:
                self._say(401, {"code": "unauthorized"})
                return
        lines = [json.loads(line) for line in body.split(b"\n")]
        getattr(self, "_" + agent.mode)(lines)
        self.wfile.flush()

    def _ok(self, lines: List[Dict[str, Any]]) -> None:
        good = [line for line in lines if not self.agent.is_bad(line)]
        refused = [
            {"position": at, "line": at + 1, "code": "unknown_member", "detail": "x"}
            for at, line in enumerate(lines)
            if self.agent.is_bad(line)
        ]
        more = {"refused_count": len(refused), "refused": refused[:100]} if refused else {}
        self.agent.keep(good)
        if good:
            self._say(202, {"accepted": len(good), **more})
        else:
            self._say(422, {"code": "unknown_member", "detail": "x", **more})

    def _blunt(self, lines: List[Dict[str, Any]]) -> None:
        """Refuses a whole body for one bad event, and does not say which."""
        if any(map(self.agent.is_bad, lines)):
            self._say(400, {"code": "bad_json"})
        else:
            self._ok(lines)

    def _no_agent(self, lines: List[Dict[str, Any]]) -> None:
        """Something else has the address."""
        self._raw(400, b"<html>Bad Request</html>", {})

    def _slow(self, lines: List[Dict[str, Any]]) -> None:
        time.sleep(self.agent.delay_s)
        self._ok(lines)

    def _busy(self, lines: List[Dict[str, Any]]) -> None:
        self._say(429, {"code": "too_many_requests"}, {"Retry-After": "1"})

    def _full(self, lines: List[Dict[str, Any]]) -> None:
        self._say(503, {"code": "spool_full"})

    def _forbidden(self, lines: List[Dict[str, Any]]) -> None:
        self._say(403, {"code": "forbidden"})

    def _garbage(self, lines: List[Dict[str, Any]]) -> None:
        self.wfile.write(b"\x00\xff SSH-2.0-what-is-this\r\n\r\n")
        self.close_connection = True

    def _not_json(self, lines: List[Dict[str, Any]]) -> None:
        self._raw(202, b"<html>accepted</html>", {})

    def _drip(self, lines: List[Dict[str, Any]]) -> None:
        self.close_connection = True
        for byte in b"HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n" + b" " * 14:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.1)

    def _flood(self, lines: List[Dict[str, Any]]) -> None:
        self._raw(202, b" " * (1 << 20), {})

    def _lost(self, lines: List[Dict[str, Any]]) -> None:
        """Keeps the events, and is gone before it has said so."""
        self.agent.keep(lines)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _short(self, lines: List[Dict[str, Any]]) -> None:
        self._say(202, {"accepted": len(lines) - 1})

    def _say(self, status: int, said: Dict[str, Any], more: Dict[str, str] = {}) -> None:
        self._raw(status, json.dumps(said).encode(), more)

    def _raw(self, status: int, body: bytes, more: Dict[str, str]) -> None:
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
