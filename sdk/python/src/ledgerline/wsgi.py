"""WSGI middleware: each request that bears a token becomes an event.

Promises: no input or output of its own. The event is queued when the application has begun its
answer, or raises. The answer of the application is handed on as it is, so that a server's own file
wrapper keeps working; only one that begins later than its call is wrapped. The endpoint's template
is Flask's (Werkzeug's); elsewhere `endpoint_from` gives it, or the application puts it into
``environ["ledgerline"].endpoint``.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Iterator, Optional

from .access import KEY, Access, Callbacks, Outcome, Settings, bearer, begin, record
from .client import Ledgerline

# `<int:id>`, `<regex("[a-z]{2}"):lang>`, `<name>` of Werkzeug.
_VARIABLE = re.compile(r"<(?:[A-Za-z_][A-Za-z0-9_]*(?:\(.*?\))?:)?([A-Za-z_][A-Za-z0-9_]*)>")


class LedgerlineMiddleware:
    """Wraps a WSGI application: ``app.wsgi_app = LedgerlineMiddleware(app.wsgi_app, ledger)``.

    Args:
        app: The application.
        client: The client that the events go to.
        settings: Keyword arguments of `ledgerline.Settings`; callbacks are given the environ.
    """

    def __init__(
        self, app: Callable[..., Iterable[bytes]], client: Ledgerline, **settings: Any
    ) -> None:
        self.app = app
        self.client = client
        self.settings: "Settings[dict[str, Any]]" = Settings(**settings)
        self._callbacks = Callbacks(client, self.settings)

    def __call__(
        self, environ: "dict[str, Any]", start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        access = self._begin(environ)
        if access is None:
            return self.app(environ, start_response)
        environ[KEY] = access
        answered: "list[Optional[int]]" = []

        def started(status: str, headers: Any, exc_info: Any = None) -> Any:
            # Called again where an error takes the place of an answer that has not gone out.
            answered[:] = [_status_of(status)]
            # Here and not at the end: Flask lets go of its request before.
            if access.endpoint is None:
                access.endpoint = self._endpoint_or_none(environ)
            if exc_info is None:
                return start_response(status, headers)
            return start_response(status, headers, exc_info)

        try:
            body = self.app(environ, started)
        except Exception:
            self._end(access, environ, 500, "exception")
            raise
        except BaseException:
            self._end(access, environ, None, "aborted")
            raise
        if answered:
            self._end(access, environ, answered[0], None)
            return body
        return _Later(body, lambda reason: self._end_later(access, environ, answered, reason))

    def _end_later(
        self,
        access: Access,
        environ: "dict[str, Any]",
        answered: "list[Optional[int]]",
        reason: Optional[str],
    ) -> None:
        if answered:
            self._end(access, environ, answered[0], None)
        elif reason is not None:
            self._end(access, environ, 500 if reason == "exception" else None, reason)

    def _begin(self, environ: "dict[str, Any]") -> Optional[Access]:
        try:
            if self.settings.token_from is not None:
                token = self._callbacks.token(environ)
            else:
                header = environ.get("HTTP_AUTHORIZATION")
                token = None if header is None else bearer(header.encode("latin-1"))
            return begin(self.client, token) if token else None
        except Exception:  # noqa: BLE001 - nothing of ours may break the application
            self.client.count_unusable()
            return None

    def _end(
        self,
        access: Access,
        environ: "dict[str, Any]",
        status: Optional[int],
        reason: Optional[str],
    ) -> None:
        if access._is_recorded:
            return
        try:
            end = Outcome(
                status=status,
                method=environ.get("REQUEST_METHOD", ""),
                endpoint=access.endpoint,
                reason=reason,
                path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            )
            if self.settings.personal:
                end.ip = environ.get("REMOTE_ADDR")
                end.user_agent = environ.get("HTTP_USER_AGENT")
            record(self.client, self.settings, access, end)
        except Exception:  # noqa: BLE001
            access._is_recorded = True
            self.client.count_unusable()

    def _endpoint_or_none(self, environ: "dict[str, Any]") -> Optional[str]:
        try:
            return self._endpoint(environ)
        except Exception:  # noqa: BLE001 - nothing of ours may break the application
            return None

    def _endpoint(self, environ: "dict[str, Any]") -> Optional[str]:
        given = self._callbacks.endpoint(environ)
        if given is not None:
            return given
        rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
        text = getattr(rule, "rule", None)
        return _VARIABLE.sub(r"{\1}", text) if isinstance(text, str) else None


class _Later:
    """An answer that has not begun: a generator begins with its first part."""

    def __init__(self, body: Iterable[bytes], end: Callable[[Optional[str]], None]) -> None:
        self._body = body
        self._parts: Optional[Iterator[bytes]] = None
        self._end = end

    def __iter__(self) -> "_Later":
        return self

    def __next__(self) -> bytes:
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            part = next(self._parts)
        except StopIteration:
            self._end("no_answer")
            raise
        except Exception:
            self._end("exception")
            raise
        self._end(None)
        return part

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._end("aborted")


def _status_of(status: str) -> Optional[int]:
    digits = status[:3]
    return int(digits) if digits.isdigit() else None
