"""Times and ids of events, made where the event happens and once only.

Promises: `occurred_at` in UTC with nanoseconds (RFC 3339), and `event_id` as a UUID of version 7
(RFC 9562), so that sending an event again makes a duplicate and no second event. The random bits
come from the operating system, so processes that were forked never make the same id.
"""

from __future__ import annotations

import os
import time

# The whole second that was formatted last; many events share it.
_second: "tuple[int, str]" = (-1, "")


def rfc3339(nanoseconds: int) -> str:
    """A time since 1970 in nanoseconds, such as ``2026-01-02T10:12:30.000000001Z``."""
    global _second
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    known, text = _second
    if known != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (seconds, text)
    return f"{text}.{rest:09d}Z"


def event_id(nanoseconds: int) -> str:
    """A new UUIDv7 of that time."""
    millis = (nanoseconds // 1_000_000) & 0xFFFF_FFFF_FFFF
    random = int.from_bytes(os.urandom(10), "big")
    value = (millis << 80) | (0x7 << 76) | ((random >> 68) << 64) | (0b10 << 62)
    value |= random & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
