"""One connection to the local agent: HTTP/1.1 over a Unix socket or loopback TCP.

Promises: a request ends within its time-out, also when the agent answers nothing, drips or sends
something else than HTTP; at most 64 KiB of an answer are read. The key goes to loopback alone and
stands in no `repr`, message or log.

Refuses an address beyond this machine: what goes to the agent is not encrypted.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import threading
import time
import urllib.parse
from typing import Any, Callable, Optional

DEFAULT_ADDRESS = "unix:/run/ledgerline/agent.sock"
_MAX_ANSWER_BYTES = 64 * 1024
_LONGEST_RETRY_AFTER_S = 60.0
_CODE = re.compile(r"[a-z0-9_]{1,64}\Z")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Unreachable(Exception):
    """No answer of an agent. Its text is one of our own words."""


class Answer:
    """What the agent said, as far as the client goes by it."""

    __slots__ = ("status", "accepted", "refused", "refused_at", "codes", "retry_after_s")

    def __init__(self, status: int) -> None:
        self.status = status
        #: How many events it has taken; `None` when it does not say so.
        self.accepted: Optional[int] = None
        #: How many it refuses for good, and where in the body the first of them stand.
        self.refused = 0
        self.refused_at: "list[int]" = []
        #: The codes of a problem or of the refusals, each once.
        self.codes: "list[str]" = []
        self.retry_after_s: Optional[float] = None


class AgentConnection:
    """The connection, opened when it is needed. For one thread, but for `abort`."""

    def __init__(self, address: str, key: Callable[[], Optional[str]], timeout_s: float) -> None:
        self.address = address
        self._path, self._host, self._port = _parse(address)
        self._key = key
        self._timeout_s = timeout_s
        self._connection: Optional[_Connection] = None
        self._lock = threading.Lock()
        self._is_aborted = False

    def __repr__(self) -> str:
        return f"AgentConnection({self.address!r})"

    def post_events(self, body: bytes) -> Answer:
        """Posts lines of JSON.

        Raises:
            Unreachable: there is no agent, or no answer of one.
        """
        # The agent closes an idle connection when it likes: that is noticed only at the next
        # request, which then deserves a new one.
        if self._connection is not None:
            try:
                return self._exchange(body)
            except Unreachable as error:
                if str(error) != "broken" or self._is_aborted:
                    raise
        return self._exchange(body)

    def abort(self) -> None:
        """Ends what another thread waits for; there are no requests afterwards."""
        with self._lock:
            self._is_aborted = True
            connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forget(self) -> None:
        """Closes this process's copy of the socket, without a word to the agent."""
        connection, self._connection = self._connection, None
        self._lock = threading.Lock()
        if connection is not None:
            try:
                connection.close()
            except OSError:
                pass

    close = forget

    def _exchange(self, body: bytes) -> Answer:
        try:
            return self._request(body)
        except (socket.timeout, TimeoutError):
            self.close()
            raise Unreachable("no answer in time") from None
        except ConnectionRefusedError:
            self.close()
            raise Unreachable("refused") from None
        except FileNotFoundError:
            self.close()
            raise Unreachable("no such socket") from None
        except PermissionError:
            self.close()
            raise Unreachable("no permission for the socket") from None
        except (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead):
            self.close()
            raise Unreachable("broken") from None
        except (http.client.HTTPException, ValueError):
            self.close()
            raise Unreachable("not an answer of HTTP") from None

    def _request(self, body: bytes) -> Answer:
        connection = self._connection
        if connection is None:
            connection = _Connection(self._path, self._host, self._port, self._timeout_s)
            with self._lock:
                if self._is_aborted:
                    raise Unreachable("closed")
                self._connection = connection
        connection.until = time.monotonic() + self._timeout_s
        connection.request("POST", "/v1/events", body, self._headers())
        if connection.sock is not None:
            connection.sock.until = connection.until
        response = connection.getresponse()
        read = response.read(_MAX_ANSWER_BYTES + 1)
        if len(read) > _MAX_ANSWER_BYTES:
            raise ValueError("too long")
        if response.will_close or not response.isclosed():
            self.close()
        return _answer(response, read)

    def _headers(self) -> "dict[str, str]":
        headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
        # Whoever may open the Unix socket needs no key.
        if self._path is None:
            try:
                key = self._key()
            except (OSError, ValueError):
                raise Unreachable("the key file cannot be read") from None
            if key:
                headers["Authorization"] = "Bearer " + key
        return headers


class _Socket(socket.socket):
    """A socket whose reads share one time-out, so that dripping answers end, too."""

    until = 0.0

    def recv_into(self, *args: Any, **named: Any) -> int:
        left_s = self.until - time.monotonic()
        if left_s <= 0:
            raise socket.timeout
        self.settimeout(left_s)
        return super().recv_into(*args, **named)


class _Connection(http.client.HTTPConnection):
    until = 0.0
    sock: Optional[_Socket]

    def __init__(self, path: Optional[str], host: str, port: int, timeout_s: float) -> None:
        super().__init__(host or "localhost", port or 80, timeout=timeout_s)
        self._socket_path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        path = self._socket_path
        if path is not None:
            made = self._connected(socket.AF_UNIX, path)
        else:
            family, _, _, _, to = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[
                0
            ]
            made = self._connected(family, to)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = made

    def _connected(self, family: int, to: Any) -> _Socket:
        made = _Socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(self._timeout_s)
            made.until = self.until
            made.connect(to)
        except BaseException:
            made.close()
            raise
        return made

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self._timeout_s)
        super().send(data)


def key_from(key: Optional[str], key_file: Optional[str]) -> Callable[[], Optional[str]]:
    """How to have the key: as it was given, from a file, or from `LEDGERLINE_AGENT_KEY`.

    A file is read for each request, so that a renewed key is taken without a restart.
    """
    if key is None and key_file is None:
        key = os.environ.get("LEDGERLINE_AGENT_KEY")
    if key_file is None:
        given = key.strip() if key else None
        if given and not given.isprintable():
            raise ValueError("the agent's key has characters that no header can carry")
        return lambda: given

    def read() -> Optional[str]:
        with open(key_file, encoding="ascii") as file:
            return file.read(4096).strip()

    return read


def _parse(address: str) -> "tuple[Optional[str], str, int]":
    if address.startswith("unix:"):
        path = address[len("unix:") :]
        if path.startswith("//"):
            path = path[2:]
        if not path.startswith("/"):
            raise ValueError("the agent's address is unix: and an absolute path")
        return path, "", 0
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        raise ValueError("the agent's address is unix:/path, or http:// and a loopback address")
    if parts.path not in ("", "/") or parts.query or parts.username or parts.password:
        raise ValueError("the agent's address has neither path nor credentials")
    return None, parts.hostname, parts.port or 8791


def _answer(response: http.client.HTTPResponse, body: bytes) -> Answer:
    answer = Answer(response.status)
    answer.retry_after_s = _seconds(response.getheader("Retry-After"))
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return answer
    if not isinstance(said, dict):
        return answer
    answer.accepted = _count(said.get("accepted"))
    answer.refused = _count(said.get("refused_count")) or 0
    refusals = said.get("refused")
    for one in [said, *(refusals if isinstance(refusals, list) else ())]:
        if not isinstance(one, dict):
            continue
        code, position = one.get("code"), _count(one.get("position"))
        # Our own words at most: an answer of something else must not reach a log.
        if isinstance(code, str) and _CODE.match(code) and code not in answer.codes:
            answer.codes.append(code)
        if one is not said and position is not None:
            answer.refused_at.append(position)
    return answer


def _count(value: object) -> Optional[int]:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None  # type: ignore[return-value]


def _seconds(header: Optional[str]) -> Optional[float]:
    if header is None or not header.strip().isdecimal() or len(header) > 9:
        return None
    return min(float(header), _LONGEST_RETRY_AFTER_S)
