"""Token ids: stable names of tokens that are never the tokens themselves.

Promises: the same id for the same token as the ledger, the agent and every other client compute,
held by the published vectors (``crates/proof/vectors/token_ids.json``). Of a compact JWS the form
``t1`` takes ``header.payload`` alone: the bytes of a signature can be changed without making it
invalid, and one token must have one id.

Refuses a token below 22 characters (128 bits): its digest could be guessed. No error repeats any
part of what was given.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Optional, Union

MIN_TOKEN_BYTES = 22
MAX_TOKEN_ID_BYTES = 256
# Deepest nesting of a JOSE header that the ledger reads.
_MAX_DEPTH = 127
_MAX_HEADERS = 64
_MAX_HEADER_BYTES = 512

_NAME = re.compile(r"[a-z0-9._-]{1,32}\Z")
_PLAIN = re.compile(r"[\x21-\x7e]+\Z")
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]+\Z")
_LEXEMES = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[\[\]{}]', re.DOTALL)

_TOKEN = b"ledgerline/token/v1\0"
_JTI = b"ledgerline/jti/v1\0"

# Tokens of one issuer and key share their header, so it is judged once. It is no secret.
_headers: "dict[bytes, bool]" = {}


class TokenIdError(ValueError):
    """A token or a name that no id can be made of; says which rule, never the value."""


def token_id(token: Union[str, bytes], *, region: str = "global", issuer: str = "idp") -> str:
    """The id of a token by its value: ``<region>:<issuer>:t1:<digest>``.

    Raises:
        TokenIdError: the token is shorter than 22 bytes, or region or issuer are no names.
    """
    _check_names(region, issuer)
    try:
        value = t1_value(token)
    finally:
        # What reports exceptions may show the variables of each frame.
        del token
    return f"{region}:{issuer}:t1:{value}"


def jti_token_id(jti: str, *, region: str = "global", issuer: str = "idp") -> str:
    """The id of a token by its ``jti``, for an issuer whose jti is no bearer value.

    A jti that is too long or odd to stand in an id is named by its digest (form ``jh``).
    """
    _check_names(region, issuer)
    plain = f"{region}:{issuer}:jti:{jti}"
    if len(plain) <= MAX_TOKEN_ID_BYTES and _PLAIN.match(jti):
        return plain
    return f"{region}:{issuer}:jh:{_digest(_JTI, _bytes_of(jti))}"


def t1_value(token: Union[str, bytes]) -> str:
    """The last part of a ``t1`` id: 43 characters of base64url."""
    try:
        presented = _bytes_of(token)
    finally:
        del token
    if len(presented) < MIN_TOKEN_BYTES:
        del presented
        raise TokenIdError("weak_token: tokens below 128 bits are refused")
    return _digest(_TOKEN, _signing_input(presented))


def claimed(token: Union[str, bytes]) -> "tuple[Optional[str], Optional[str]]":
    """The ``iss`` and ``jti`` that a JWT claims, unverified; ``None`` where there is none."""
    presented = _bytes_of(token)
    parts = presented.split(b".")
    if len(parts) != 3 or not _is_jose(parts[0]):
        return None, None
    try:
        claims = json.loads(_decoded(parts[1]))
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(claims, dict):
        return None, None
    iss, jti = claims.get("iss"), claims.get("jti")
    return (
        iss if isinstance(iss, str) else None,
        jti if isinstance(jti, str) and jti else None,
    )


def check_name(what: str, name: str) -> None:
    """Refuses what can be no region and no issuer alias."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise TokenIdError(f"{what} is 1 to 32 characters of a-z, 0-9, '.', '_' and '-'")


def _check_names(region: str, issuer: str) -> None:
    check_name("region", region)
    check_name("issuer", issuer)


def _bytes_of(token: Union[str, bytes]) -> bytes:
    if isinstance(token, bytes):
        return token
    try:
        return token.encode()
    except UnicodeEncodeError:
        # Not raised from here: that exception holds the text.
        pass
    del token
    raise TokenIdError("not a text that can be written as UTF-8")


def _digest(domain: bytes, value: bytes) -> str:
    digest = hashlib.sha256(domain + value).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _signing_input(presented: bytes) -> bytes:
    """``header.payload`` of a compact JWS, everything of any other token."""
    if presented.count(b".") != 2:
        return presented
    header = presented[: presented.index(b".")]
    return presented[: presented.rindex(b".")] if _is_jose(header) else presented


def _is_jose(header: bytes) -> bool:
    known = _headers.get(header)
    if known is None:
        known = _judge_header(header)
        if len(header) <= _MAX_HEADER_BYTES:
            if len(_headers) >= _MAX_HEADERS:
                _headers.clear()
            _headers[header] = known
    return known


def _judge_header(header: bytes) -> bool:
    """Whether the ledger reads this as a JSON object with ``alg``: no laxer and no stricter."""
    try:
        text = _decoded(header).decode("utf-8")
        value = json.loads(text, parse_constant=_refuse, parse_int=float)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "alg" in value and _is_strict(text)


def _decoded(text: bytes) -> bytes:
    """Unpadded base64url in its one spelling."""
    if not _BASE64URL.match(text):
        raise ValueError("not base64url")
    value = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(value).rstrip(b"=") != text:
        raise ValueError("not the one spelling of its bytes")
    return value


def _refuse(constant: str) -> None:
    raise ValueError("no JSON")


def _is_strict(text: str) -> bool:
    """What Python reads and the ledger does not: lone surrogates, huge numbers, depth."""
    depth = 0
    for lexeme in _LEXEMES.findall(text):
        first = lexeme[0]
        if first == '"':
            if "\\" in lexeme and _has_surrogate(json.loads(lexeme)):
                return False
        elif first in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                return False
        elif first in "]}":
            depth -= 1
        elif float(lexeme) in (float("inf"), float("-inf")):
            return False
    return True


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
