"""ASGI middleware: each request and WebSocket that bears a token becomes an event.

Promises: nothing is awaited that the application does not await itself. The event is queued when
the head of the answer goes out, or when the application raises or ends without one. The endpoint's
template is Starlette's or FastAPI's; elsewhere `endpoint_from` gives it. When the server shuts the
application down, what is queued is sent, for at most two seconds.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, MutableMapping, Optional

from .access import KEY, Access, Callbacks, Outcome, Settings, bearer, begin, record
from .client import Ledgerline

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Deeper mounts than anybody writes; a cycle of routes ends here.
_MAX_DEPTH = 16
_AT_SHUTDOWN_S = 2.0
_FULL = "FULL"
_NONE = "NONE"


class LedgerlineMiddleware:
    """Wraps an ASGI application: ``app.add_middleware(LedgerlineMiddleware, client=ledger)``.

    Args:
        app: The application.
        client: The client that the events go to.
        settings: Keyword arguments of `ledgerline.Settings`; callbacks are given the scope.
    """

    def __init__(self, app: App, client: Ledgerline, **settings: Any) -> None:
        self.app = app
        self.client = client
        self.settings: "Settings[Scope]" = Settings(**settings)
        self._callbacks = Callbacks(client, self.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        access = self._begin(scope)
        if access is None:
            await self.app(scope, receive, send)
            return
        scope[KEY] = access
        # Mounts change these two on their way down; templates are looked for from the top.
        seen = (scope.get("path", ""), scope.get("root_path", ""))

        async def watched(message: Message) -> None:
            status = _status_of(message)
            if status is not None:
                self._end(access, scope, seen, status, None)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            self._end(access, scope, seen, 500, "exception")
            raise
        except BaseException:
            self._end(access, scope, seen, None, "aborted")
            raise
        self._end(access, scope, seen, None, "no_answer")

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A server may end by a signal, after which nothing of the process runs: flush before."""

        async def watched(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                # Nobody is served any more, so it may wait here.
                self.client.flush(_AT_SHUTDOWN_S)
            await send(message)

        await self.app(scope, receive, watched)

    def _begin(self, scope: Scope) -> Optional[Access]:
        try:
            if self.settings.token_from is not None:
                token = self._callbacks.token(scope)
            else:
                token = _authorization(scope)
            return begin(self.client, token) if token else None
        except Exception:  # noqa: BLE001 - nothing of ours may break the application
            self.client.count_unusable()
            return None

    def _end(
        self,
        access: Access,
        scope: Scope,
        seen: "tuple[str, str]",
        status: Optional[int],
        reason: Optional[str],
    ) -> None:
        if access._is_recorded:
            return
        try:
            end = Outcome(
                status=status,
                method=scope.get("method", "WEBSOCKET"),
                endpoint=access.endpoint or self._endpoint(scope, seen),
                reason=reason,
                path=seen[0],
            )
            if self.settings.personal:
                address = scope.get("client")
                end.ip = address[0] if address else None
                end.user_agent = _text(_header(scope, b"user-agent"))
            record(self.client, self.settings, access, end)
        except Exception:  # noqa: BLE001
            access._is_recorded = True
            self.client.count_unusable()

    def _endpoint(self, scope: Scope, seen: "tuple[str, str]") -> Optional[str]:
        given = self._callbacks.endpoint(scope)
        if given is not None:
            return given
        route = scope.get("route")
        is_mounted = scope.get("root_path", "") != seen[1]
        if route is not None and not is_mounted and not getattr(route, "routes", None):
            return _format_of(route)
        # Below a mount, or where a middleware gave the application a copy of the scope.
        routes = getattr(scope.get("app") or self.app, "routes", None)
        if routes is None:
            return None
        asked = {**scope, "path": seen[0], "root_path": seen[1]}
        for name in ("endpoint", "route", "path_params", "app_root_path", KEY):
            asked.pop(name, None)
        return _template(routes, asked, 0)


def _template(routes: Any, scope: Scope, depth: int) -> Optional[str]:
    """The template by which Starlette finds its way: each route is asked as its router asks it."""
    if depth > _MAX_DEPTH:
        return None
    partial = None
    for route in routes:
        match, child = route.matches(scope)
        if match.name == _NONE:
            continue
        if match.name != _FULL:
            partial = partial or _format_of(route)
            continue
        below = getattr(route, "routes", None)
        if not below:
            return _format_of(route)
        # A mount's own format ends with the rest of the path; a host has no path.
        front = "" if hasattr(route, "host") else (_format_of(route) or "")
        inner = _template(below, {**scope, **child}, depth + 1)
        return None if inner is None else front.replace("/{path}", "") + inner
    return partial


def _format_of(route: Any) -> Optional[str]:
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) and path else None


def _status_of(message: Message) -> Optional[int]:
    """The status that a message answers with; a WebSocket that is refused is a 403 on the wire."""
    kind = message["type"]
    if kind in ("http.response.start", "websocket.http.response.start"):
        status = message.get("status")
        return status if isinstance(status, int) else None
    if kind == "websocket.accept":
        return 101
    return 403 if kind == "websocket.close" else None


def _authorization(scope: Scope) -> Optional[bytes]:
    header = _header(scope, b"authorization")
    return None if header is None else bearer(header)


def _header(scope: Scope, name: bytes) -> Optional[bytes]:
    for one, value in scope.get("headers") or ():
        if one == name:
            return bytes(value)
    return None


def _text(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else value.decode("latin-1")
