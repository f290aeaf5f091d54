"""What a request that bears a token becomes in the ledger; the same for ASGI and WSGI.

Promises: RESOURCE_ACCESSED where the endpoint's template is known, else USED; DENY for 401 and 403,
ERROR for 429, 5xx and for an application that raises, else ALLOW; latency, policies and the service's
name. The token is read, becomes an id, and is kept by nobody. No concrete path and nothing personal
unless it is asked for by name.

Refuses to guess a template: a path with ids in it would be personal, and every id another resource.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, Callable, Generic, Mapping, Optional, Sequence, TypeVar

from . import stamps
from .client import Ledgerline

#: Where an application finds the request's `Access`: in the ASGI scope, or the WSGI environ.
KEY = "ledgerline"

#: Methods that stand in `action`; a client may send any word as another.
_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "WEBSOCKET")
)
_PERSONAL = frozenset(("ip", "user_agent", "resource"))
_MAX_TEXT = 1024

Context = TypeVar("Context")
_log = logging.getLogger("ledgerline")


class Access:
    """One request with a token, as the application may add to it. Holds the token's ids only."""

    __slots__ = (
        "endpoint",
        "resource",
        "action",
        "reason",
        "outcome",
        "verified",
        "policies",
        "members",
        "_ids",
        "_at",
        "_began",
        "_is_recorded",
    )

    def __init__(self, ids: "_Ids") -> None:
        #: Template of the endpoint, such as ``/orders/{id}``; else the framework's.
        self.endpoint: Optional[str] = None
        #: Template of the resource; else the endpoint.
        self.resource: Optional[str] = None
        #: What was done; else the request's method.
        self.action: Optional[str] = None
        #: Why, in a word.
        self.reason: Optional[str] = None
        #: ALLOW, DENY or ERROR, where the status does not say it.
        self.outcome: Optional[str] = None
        #: Whether the token's signature was verified. `True` names a JWT by its jti and joins
        #: its two ids; anything else names it by its digest alone.
        self.verified: Optional[bool] = None
        #: The policies that decided.
        self.policies: "list[dict[str, str]]" = []
        #: Further members of the event.
        self.members: "dict[str, Any]" = {}
        self._ids = ids
        self._at = time.time_ns()
        self._began = time.perf_counter_ns()
        self._is_recorded = False

    def policy(
        self,
        id: str,
        version: str,
        *,
        digest: Optional[str] = None,
        role: str = "ACCESS",
        effect: Optional[str] = None,
    ) -> None:
        """Adds a policy that decided, with its version."""
        one = {"id": id, "version": version, "role": role}
        if digest is not None:
            one["digest"] = digest
        if effect is not None:
            one["effect"] = effect
        self.policies.append(one)


class _Ids:
    """The ids of a token: by its digest, and by its jti where the issuer's rule allows."""

    __slots__ = ("digest", "jti")

    def __init__(self, digest: str, jti: Optional[str]) -> None:
        self.digest = digest
        self.jti = jti


@dataclass(frozen=True)
class Settings(Generic[Context]):
    """Settings of a middleware.

    `token_from` gives the token of a request, where it is not in ``Authorization``;
    `endpoint_from` its template, where the framework has none; `personal` names what goes into a
    REQUEST record: of ``ip``, ``user_agent`` and ``resource`` (the concrete path); `policies` are
    those of every request; `excluded` are templates and exact paths that are not recorded.
    """

    token_from: Optional[Callable[[Context], "Optional[str | bytes]"]] = None
    endpoint_from: Optional[Callable[[Context], Optional[str]]] = None
    personal: Sequence[str] = ()
    policies: Sequence[Mapping[str, str]] = ()
    excluded: Sequence[str] = ()

    def __post_init__(self) -> None:
        unknown = set(self.personal) - _PERSONAL
        if unknown:
            raise ValueError("personal is of: ip, user_agent, resource")


@dataclass
class Outcome:
    """How a request ended, as the server's interface tells it."""

    status: Optional[int]
    method: str
    endpoint: Optional[str]
    reason: Optional[str] = None
    ip: Optional[str] = None
    user_agent: Optional[str] = None
    path: Optional[str] = None


def bearer(header: bytes) -> Optional[bytes]:
    """The token of an ``Authorization`` header with the scheme Bearer or DPoP."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() not in (b"bearer", b"dpop"):
        return None
    return value.strip() or None


class Callbacks(Generic[Context]):
    """The application's callbacks, whose faults are counted, logged once and break nothing."""

    def __init__(self, client: Ledgerline, settings: "Settings[Context]") -> None:
        self._client = client
        self._settings = settings
        self._told = False

    def token(self, context: Context) -> "Optional[str | bytes]":
        given = self._settings.token_from
        try:
            return None if given is None else given(context)
        except Exception as error:  # noqa: BLE001
            self._client.count_unusable()
            self._tell("token_from", error)
            return None

    def endpoint(self, context: Context) -> Optional[str]:
        given = self._settings.endpoint_from
        try:
            return None if given is None else given(context)
        except Exception as error:  # noqa: BLE001
            self._tell("endpoint_from", error)
            return None

    def _tell(self, name: str, error: Exception) -> None:
        if not self._told:
            self._told = True
            # Its text could hold anything.
            _log.error("%s failed: %s; further faults are not logged", name, type(error).__name__)


def begin(client: Ledgerline, token: "str | bytes") -> Optional[Access]:
    """The access of a token; `None`, and counted, where the token can have no id."""
    digest = client.token_id(token, verified=False)
    if digest is None:
        return None
    other = client.token_id(token) if client.may_name_by_jti else digest
    return Access(_Ids(digest, other if other != digest else None))


def record(client: Ledgerline, settings: "Settings[Any]", access: Access, end: Outcome) -> None:
    """Records the access, once."""
    if access._is_recorded:
        return
    access._is_recorded = True
    endpoint = access.endpoint or end.endpoint
    if endpoint in settings.excluded or end.path in settings.excluded:
        return
    outcome = access.outcome or _outcome(end.status)
    resource = access.resource or endpoint
    event: "dict[str, Any]" = {
        "event_id": stamps.event_id(access._at),
        "type": "USED" if resource is None else "RESOURCE_ACCESSED",
        "occurred_at": stamps.rfc3339(access._at),
        "outcome": outcome,
        "vantage": "RESOURCE",
        "service": client.service,
        "action": access.action or (end.method if end.method in _METHODS else "other"),
    }
    _name(event, access)
    if endpoint is not None:
        event["endpoint"] = endpoint
    if resource is not None:
        event["resource"] = resource
    if end.status is not None:
        event["status"] = end.status
    reason = access.reason or end.reason
    if reason is not None:
        event["reason"] = reason[:_MAX_TEXT]
    policies = [*settings.policies, *access.policies]
    if policies:
        event["policies"] = policies
    _add_personal(event, settings, end)
    latency_us = (time.perf_counter_ns() - access._began) // 1000
    event["detail"] = [{"key": "latency_us", "value": str(latency_us)}]
    if access.members:
        event.update(access.members)
    client.record(event)


def _outcome(status: Optional[int]) -> str:
    if status in (401, 403):
        return "DENY"
    return "ERROR" if status is None or status == 429 or status >= 500 else "ALLOW"


def _name(event: "dict[str, Any]", access: Access) -> None:
    """A JWT that nobody verified says what it likes: its jti names another's token, perhaps."""
    ids = access._ids
    if ids.jti is None or access.verified is not True:
        event["token_id"] = ids.digest
        return
    event["token_id"] = ids.jti
    event["also_known_as"] = [ids.digest]


def _add_personal(event: "dict[str, Any]", settings: "Settings[Any]", end: Outcome) -> None:
    if not settings.personal:
        return
    values = {"ip": end.ip, "user_agent": end.user_agent, "resource": end.path}
    kept = {name: values[name] for name in settings.personal if values[name]}
    if kept:
        event["personal"] = [{"role": "REQUEST", **kept}]
