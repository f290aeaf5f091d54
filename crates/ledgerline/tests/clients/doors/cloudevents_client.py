"""The CloudEvents SDK for Python against `POST /v1/cloudevents`: all three modes."""

import json
import sys
from datetime import datetime, timezone

import requests
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

asked = json.load(sys.stdin)


def event(number, kind):
    """An event about one token; the id needs escaping in a header."""
    return CloudEvent(
        attributes={
            "id": f"grüße {number} %41",
            "source": "https://idp.example.com/eu",
            "type": f"com.example.token.{kind}.v1",
            "time": datetime(2026, 1, 2, 3, 4, 5, number, tzinfo=timezone.utc),
            "datacontenttype": "application/json",
        },
        data={"token_id": "eu:idp:jti:sdk", "issuer": "idp"},
    )


def post(headers, body):
    headers = {**headers, "Authorization": f"Bearer {asked['key']}"}
    answer = requests.post(asked["url"], data=body, headers=headers, timeout=30)
    return {"status": answer.status_code, "body": answer.json()}


form = JSONFormat()
binary = to_binary(event(1, "issued"), form)
structured = to_structured(event(1, "issued"), form)
batch = b"[" + b",".join(form.write(event(*one)) for one in [(2, "used"), (3, "revoked")]) + b"]"
said = {
    "binary": post(binary.headers, binary.body),
    "structured": post(structured.headers, structured.body),
    "batch": post({"content-type": "application/cloudevents-batch+json"}, batch),
}
json.dump(said, sys.stdout)
