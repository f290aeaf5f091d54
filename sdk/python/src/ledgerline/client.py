"""The client: takes events at once and hands them to the local agent from a thread of its own.

Promises:

- `record` does no input or output and waits for nobody: it writes the event down as JSON and puts
  it into a queue that is bounded in events and in bytes.
- An event has its id and time before it is queued, so that whatever is sent again is a duplicate.
- Events are numbered (`source_seq`) within a run of the process (`source_instance`), also those
  that are lost afterwards: each is a gap that the ledger finds.
- What is lost is counted, too. When the queue is full, an event is dropped by a stated policy; the
  number goes to the ledger in a HEARTBEAT as soon as the agent takes events again.
- No exception of the client reaches the application, but for wrong settings of the constructor.
- After a fork the child has a queue, thread and connection of its own; what the parent had queued
  stays with the parent.

Assumes an agent on this machine that keeps what it has accepted. Until it has accepted, events are
in this process's memory alone: a crash of the process loses what was queued, in the ordinary case
the last `linger_s`.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Deque, Mapping, Optional, Sequence, Union

from . import stamps
from .token_id import check_name, claimed, jti_token_id, token_id
from .transport import DEFAULT_ADDRESS, AgentConnection, Answer, Unreachable, key_from

VERSION = "0.1.0"
_log = logging.getLogger("ledgerline")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_MAX_BATCH_EVENTS = 500
_MAX_BATCH_BYTES = 1 << 20
# Longer than any event that the ledger takes.
_MAX_EVENT_BYTES = 1 << 20
_AT_EXIT_S = 2.0
# Statuses of what is malformed, and stays so however often it is sent: when the agent says it, with
# a code. Without one something else answered, which knows nothing of these events.
_REFUSALS = (400, 409, 413, 422)
_WHEN_FULL = ("drop_newest", "drop_oldest")

# One writer for all: making one anew for each event costs more than the writing.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True)
class Issuer:
    """How tokens of an issuer are named.

    With ``jti_rule="identity"`` a JWT is named by its ``jti`` (the ledger's register of issuers has
    the same word); with ``"bearer"`` every token is named by the digest of its value.
    """

    region: str = "global"
    alias: str = "idp"
    jti_rule: str = "bearer"

    def __post_init__(self) -> None:
        check_name("region", self.region)
        check_name("issuer alias", self.alias)
        if self.jti_rule not in ("bearer", "identity"):
            raise ValueError("jti_rule is bearer or identity")


@dataclass(frozen=True)
class Stats:
    """Counters since this process began, and what is queued now."""

    #: Events that were put into the queue.
    recorded: int
    #: Events that the agent has accepted.
    sent: int
    #: Events lost to a full queue, or still queued when the client was closed.
    dropped: int
    #: Events that the agent would not take, ever: malformed.
    refused: int
    #: Events that could not be written as JSON, and tokens too short to be named.
    unusable: int
    #: Requests that failed and were or will be repeated.
    failures: int
    #: Events that wait, with those on their way.
    queued: int
    queued_bytes: int
    #: How long the oldest of them waits, in seconds.
    oldest_s: float


class _Item:
    __slots__ = ("line", "number", "since", "drops")

    def __init__(self, line: bytes, number: int, drops: int = 0) -> None:
        self.line = line
        #: Its place among all that were queued, by which `flush` knows what it waits for.
        self.number = number
        self.since = time.monotonic()
        #: Of a HEARTBEAT about lost events: how many it tells of.
        self.drops = drops


class Ledgerline:
    """A client of the local ``ledgerline agent``.

    Args:
        service: Name of this service; stands in each event.
        agent: ``unix:/path`` or ``http://127.0.0.1:8791``; else ``LEDGERLINE_AGENT``, else
            ``unix:/run/ledgerline/agent.sock``.
        issuer: Whose tokens this service sees.
        issuers: Where there are several: by the ``iss`` of a JWT.
        key, key_file: The agent's key, for loopback TCP; else ``LEDGERLINE_AGENT_KEY``.
        source: Name of this source in the ledger, for its HEARTBEATs; else `service`.
        max_events, max_bytes: Bounds of the queue.
        when_full: ``drop_newest`` keeps what is queued, ``drop_oldest`` what comes.
        linger_s: How long an event may wait for others before they are sent together.
        timeout_s: How long one request to the agent may take.

    Raises:
        ValueError: a setting that cannot be.
    """

    def __init__(
        self,
        service: str,
        *,
        agent: Optional[str] = None,
        issuer: Issuer = Issuer(),
        issuers: Optional[Mapping[str, Issuer]] = None,
        key: Optional[str] = None,
        key_file: Optional[str] = None,
        source: Optional[str] = None,
        max_events: int = 10_000,
        max_bytes: int = 16 << 20,
        when_full: str = "drop_newest",
        linger_s: float = 0.05,
        timeout_s: float = 5.0,
    ) -> None:
        if not service:
            raise ValueError("service is needed: the name of this service")
        if when_full not in _WHEN_FULL:
            raise ValueError("when_full is drop_newest or drop_oldest")
        if max_events < 1 or max_bytes < 1 or linger_s < 0 or timeout_s <= 0:
            raise ValueError("bounds and time-outs are above zero")
        self.service = service
        self.source = source or service
        self.issuer = issuer
        self._issuers = dict(issuers or {})
        rules = [one.jti_rule for one in (issuer, *self._issuers.values())]
        #: Whether any issuer's tokens are named by their jti.
        self.may_name_by_jti = "identity" in rules
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._drop_oldest = when_full == "drop_oldest"
        self._linger_s = linger_s
        address = agent or os.environ.get("LEDGERLINE_AGENT") or DEFAULT_ADDRESS
        self._connection = AgentConnection(address, key_from(key, key_file), timeout_s)
        self._start_anew()
        _clients.add(self)

    def _start_anew(self) -> None:
        # Re-entrant: a signal handler or a destructor may record while its own thread does.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: Deque[_Item] = deque()
        self._in_flight: "list[_Item]" = []
        self._bytes = 0
        self._thread: Optional[threading.Thread] = None
        self._instance = stamps.event_id(time.time_ns())
        self._next_seq = 0
        self._closing = self._closed = False
        self._flushing = 0
        self._recorded = self._sent = self._dropped = 0
        self._refused = self._unusable = self._failures = 0
        self._untold_drops = 0
        self._is_down = False

    def __repr__(self) -> str:
        return f"Ledgerline(service={self.service!r}, agent={self._connection.address!r})"

    def __enter__(self) -> "Ledgerline":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- what happened

    def record(self, event: Mapping[str, Any]) -> bool:
        """Queues an event in the ledger's JSON form; gives it id and time where it has none.

        Returns whether it was queued. Never raises and never waits.
        """
        try:
            return self._record(event)
        except Exception:  # noqa: BLE001 - nothing of ours may break the application
            with self._lock:
                self._unusable += 1
            return False

    def token_used(
        self,
        token: Union[str, bytes],
        *,
        outcome: str = "ALLOW",
        resource: Optional[str] = None,
        **members: Any,
    ) -> bool:
        """Records that a token was presented: RESOURCE_ACCESSED with a resource, else USED.

        The token becomes an id here and goes no further. `members` are further members of the
        event, such as ``status=403``. Returns whether the event was queued.
        """
        named = self.token_id(token)
        del token
        if named is None:
            return False
        event = {
            "type": "USED" if resource is None else "RESOURCE_ACCESSED",
            "token_id": named,
            "outcome": outcome,
            "service": self.service,
            "vantage": "RESOURCE",
        }
        if resource is not None:
            event["resource"] = resource
        event.update(members)
        return self.record(event)

    def token_id(self, token: Union[str, bytes], *, verified: bool = True) -> Optional[str]:
        """The id of a token by the rule of its issuer; `None`, and counted, when it has none.

        Not `verified`: a JWT is named by its digest in any case, since whoever forges one can put
        any ``jti`` into it.
        """
        try:
            issuer, jti = self.issuer, None
            if self._issuers or issuer.jti_rule == "identity":
                iss, jti = claimed(token)
                if iss is not None:
                    issuer = self._issuers.get(iss, issuer)
            if verified and jti is not None and issuer.jti_rule == "identity":
                return jti_token_id(jti, region=issuer.region, issuer=issuer.alias)
            return token_id(token, region=issuer.region, issuer=issuer.alias)
        except Exception:  # noqa: BLE001
            with self._lock:
                self._unusable += 1
            return None

    # ---- what became of it

    @property
    def stats(self) -> Stats:
        """The counters now."""
        with self._lock:
            waiting = self._in_flight[:1] or list(self._queue)[:1]
            oldest_s = time.monotonic() - waiting[0].since if waiting else 0.0
            return Stats(
                recorded=self._recorded,
                sent=self._sent,
                dropped=self._dropped,
                refused=self._refused,
                unusable=self._unusable,
                failures=self._failures,
                queued=len(self._queue) + len(self._in_flight),
                queued_bytes=self._bytes,
                oldest_s=oldest_s,
            )

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until the agent has what was recorded so far, at most so many seconds."""
        until = time.monotonic() + timeout
        with self._lock:
            last = self._recorded
            self._flushing += 1
            self._changed.notify_all()
            try:
                while self._is_outstanding(last):
                    left_s = until - time.monotonic()
                    if left_s <= 0 or (self._closed and not self._thread):
                        return False
                    self._changed.wait(left_s)
                return True
            finally:
                self._flushing -= 1

    def close(self, timeout: float = 5.0) -> bool:
        """Sends what is queued, at most so many seconds, and ends the thread.

        Returns whether the agent has everything; what it has not is counted as dropped and logged.
        Records nothing any more.
        """
        with self._lock:
            if self._closed:
                return not self._dropped
            self._closing = True
            thread = self._thread
        complete = self.flush(timeout) if thread is not None else not self._queue
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        if thread is not None:
            self._connection.abort()
            thread.join(1.0)
        if thread is None or not thread.is_alive():
            self._connection.close()
        with self._lock:
            lost = len(self._queue) + len(self._in_flight)
            self._dropped += lost
            self._queue.clear()
            self._in_flight = []
            self._bytes = 0
        if lost:
            _log.warning("closed with %d events that the agent has not taken: they are lost", lost)
        return complete and not lost

    def _is_outstanding(self, number: int) -> bool:
        if self._in_flight:
            return self._in_flight[0].number <= number
        return bool(self._queue) and self._queue[0].number <= number

    # ---- the queue

    def _record(self, event: Mapping[str, Any]) -> bool:
        now = time.time_ns()
        stamped = dict(event)
        if "native_id" not in stamped and "event_id" not in stamped:
            stamped["event_id"] = stamps.event_id(now)
        stamped.setdefault("occurred_at", stamps.rfc3339(now))
        return self._put(_to_json(stamped).encode(), "source_instance" not in stamped)

    def _put(self, line: bytes, is_numbered: bool) -> bool:
        with self._lock:
            if self._closing:
                self._dropped += 1
                return False
            if is_numbered:
                line = self._numbered(line)
            size = len(line)
            if size > _MAX_EVENT_BYTES or size > self._max_bytes:
                self._unusable += 1
                return False
            while not self._has_room(size):
                self._dropped += 1
                self._untold_drops += 1
                if not self._drop_oldest or not self._queue:
                    return False
                self._bytes -= len(self._queue.popleft().line)
            was_empty = not self._queue
            self._recorded += 1
            self._queue.append(_Item(line, self._recorded))
            self._bytes += size
            if self._thread is None:
                self._start_thread()
            elif was_empty or len(self._queue) == _MAX_BATCH_EVENTS:
                self._changed.notify_all()
        return True

    def _numbered(self, line: bytes) -> bytes:
        """The line with its number, which is used up, whatever becomes of it."""
        seq = self._next_seq
        self._next_seq += 1
        return b'{"source_instance":"%s","source_seq":%d,%s' % (
            self._instance.encode(),
            seq,
            line[1:],
        )

    def _has_room(self, size: int) -> bool:
        count = len(self._queue) + len(self._in_flight)
        return count < self._max_events and self._bytes + size <= self._max_bytes

    def count_unusable(self) -> None:
        """Counts what could not be made an event."""
        with self._lock:
            self._unusable += 1

    # ---- the thread

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="ledgerline", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no further threads, or the interpreter ends: it stays queued
            return
        self._thread = thread

    def _work(self) -> None:
        pause_s = 0.0
        while True:
            batch = self._next_batch(pause_s)
            if batch is None:
                return
            try:
                after_s = self._deliver(batch)
            except Exception:  # noqa: BLE001 - the thread must live as long as the process
                _log.exception("a fault of the client; the events are sent again")
                after_s = 0.0
            if after_s is None:
                pause_s = 0.0
            else:
                grown_s = min(max(pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                # Spread, so that many processes do not come back at the same moment.
                pause_s = max(after_s, grown_s * random.uniform(0.5, 1.0))

    def _next_batch(self, pause_s: float) -> "Optional[list[_Item]]":
        """What is to be sent next, after a pause; `None` at the end."""
        with self._lock:
            if pause_s > 0:
                self._wait_until(lambda: self._closed, pause_s)
            if self._closed:
                return None
            if self._in_flight:
                return self._in_flight
            self._wait_until(lambda: bool(self._queue) or self._closed, None)
            if self._closed:
                return None
            self._wait_until(
                lambda: (
                    self._closing or self._flushing > 0 or len(self._queue) >= _MAX_BATCH_EVENTS
                ),
                self._linger_s,
            )
            self._in_flight = self._taken()
            return self._in_flight

    def _wait_until(self, is_so: Callable[[], bool], limit_s: Optional[float]) -> None:
        until = None if limit_s is None else time.monotonic() + limit_s
        while not is_so():
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            self._changed.wait(left_s)

    def _taken(self) -> "list[_Item]":
        taken: "list[_Item]" = []
        size = 0
        if self._untold_drops:
            notice = self._drop_notice(self._untold_drops)
            self._untold_drops = 0
            self._bytes += len(notice.line)
            taken.append(notice)
            size = len(notice.line)
        while self._queue and len(taken) < _MAX_BATCH_EVENTS:
            size += len(self._queue[0].line) + 1
            if taken and size > _MAX_BATCH_BYTES:
                break
            taken.append(self._queue.popleft())
        return taken

    def _drop_notice(self, count: int) -> _Item:
        now = time.time_ns()
        event = {
            "event_id": stamps.event_id(now),
            "type": "HEARTBEAT",
            "target": {"kind": "SOURCE", "id": self.source},
            "occurred_at": stamps.rfc3339(now),
            "service": self.service,
            "detail": [
                {"key": "client", "value": "python/" + VERSION},
                {"key": "client_dropped", "value": str(count)},
            ],
        }
        return _Item(self._numbered(_to_json(event).encode()), 0, drops=count)

    def _deliver(self, batch: "list[_Item]") -> Optional[float]:
        """Sends a batch. `None` when it is done; else for how long to wait at least."""
        work = [list(batch)]
        while work:
            part = work.pop()
            try:
                answer = self._connection.post_events(b"\n".join(item.line for item in part))
            except Unreachable as error:
                return self._failed(str(error), 0.0)
            if answer.status == 202 and answer.accepted is not None:
                if answer.accepted + answer.refused != len(part):
                    return self._failed(_what(answer, len(part)), 0.0)
                self._done(part, answer)
            elif _is_refusal(answer, len(part)):
                # Without a word about each, halves find the malformed one, and the others lose
                # nothing. What was taken in between is a duplicate.
                if len(part) > 1 and answer.refused != len(part):
                    middle = len(part) // 2
                    work += [part[middle:], part[:middle]]
                    continue
                answer.refused = len(part)
                self._done(part, answer)
            else:
                return self._failed(_what(answer, len(part)), answer.retry_after_s or 0.0)
        return None

    def _done(self, part: Sequence[_Item], answer: Answer) -> None:
        """The agent has judged these: it has them, or will never take them."""
        gone = set(map(id, part))
        notices = {at for at, item in enumerate(part) if item.drops}
        refused = answer.refused
        if refused == len(part):
            refused -= len(notices)
        else:
            refused -= len(notices.intersection(answer.refused_at))
        with self._lock:
            if self._closed:
                return
            self._in_flight = [item for item in self._in_flight if id(item) not in gone]
            self._bytes -= sum(len(item.line) for item in part)
            self._refused += refused
            self._sent += len(part) - len(notices) - refused
            if not self._in_flight or self._flushing:
                self._changed.notify_all()
        if answer.refused:
            codes = ", ".join(answer.codes) or str(answer.status)
            _log.error("the agent refused %d events for good: %s", answer.refused, codes)
        self._is_up()

    def _failed(self, why: str, after_s: float) -> float:
        with self._lock:
            self._failures += 1
            was_down, self._is_down = self._is_down, True
        if not was_down:
            _log.warning("the agent at %s takes no events: %s", self._connection.address, why)
        return after_s

    def _is_up(self) -> None:
        with self._lock:
            was_down, self._is_down = self._is_down, False
        if was_down:
            _log.warning("the agent at %s takes events again", self._connection.address)

    # ---- fork

    def _after_fork(self) -> None:
        """In the child: nothing of what the parent's thread had in its hands."""
        self._connection.forget()
        was_closed = self._closed
        self._start_anew()
        self._closing = self._closed = was_closed


def _are_all_refused(answer: Answer, count: int) -> bool:
    return 400 <= answer.status < 500 and answer.refused == count


def _is_refusal(answer: Answer, count: int) -> bool:
    if answer.status == 413 and count > 1:
        return True
    is_said = answer.status in _REFUSALS and bool(answer.codes)
    return is_said or _are_all_refused(answer, count)


def _what(answer: Answer, count: int) -> str:
    if answer.status == 202:
        return f"it answered for {(answer.accepted or 0) + answer.refused} of {count}"
    return " ".join([str(answer.status), *answer.codes[:1]])


_clients: "weakref.WeakSet[Ledgerline]" = weakref.WeakSet()
# Those whose queues stand still while the process forks.
_held: "list[Ledgerline]" = []


def _before_fork() -> None:
    _held.extend(_clients)
    for client in _held:
        client._lock.acquire()


def _after_fork_in_parent() -> None:
    for client in _held:
        client._lock.release()
    _held.clear()


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._after_fork()
    _held.clear()


def _at_exit() -> None:
    until = time.monotonic() + _AT_EXIT_S
    for client in list(_clients):
        client.close(max(0.0, until - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
atexit.register(_at_exit)
