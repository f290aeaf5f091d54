"""The OpenTelemetry SDK for Python with its OTLP/HTTP exporters (protobuf, gzip)."""

import json
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

asked = json.load(sys.stdin)
options = {
    "headers": {"authorization": f"Bearer {asked['key']}"},
    "compression": Compression.Gzip,
    "timeout": 30,
}
said = {}


class Heard:
    """An exporter that keeps what the real one said."""

    def __init__(self, name, exporter):
        self.name, self.exporter = name, exporter

    def export(self, batch):
        result = self.exporter.export(batch)
        said[self.name] = result.name
        return result

    def shutdown(self):
        self.exporter.shutdown()

    def force_flush(self, timeout_millis=30000):
        return True


resource = Resource.create({"service.name": "python-idp"})
token = {"token.id": "eu:idp:jti:otlp", "token.issuer": "idp"}

tracers = TracerProvider(resource=resource)
spans = OTLPSpanExporter(endpoint=asked["traces"], **options)
tracers.add_span_processor(SimpleSpanProcessor(Heard("traces", spans)))
with tracers.get_tracer("idp").start_as_current_span("POST /token") as span:
    issued = {"token.scopes": ["read", "write"], "user.id": "a-person-of-the-sdk"}
    span.add_event("token.issued", {**token, **issued})
    span.add_event("cache.missed", {"key": "k"})
    span.add_event("token.used", token)
tracers.shutdown()

loggers = LoggerProvider(resource=resource)
records = OTLPLogExporter(endpoint=asked["logs"], **options)
loggers.add_log_record_processor(SimpleLogRecordProcessor(Heard("logs", records)))
loggers.get_logger("idp").emit(
    LogRecord(
        timestamp=1767323046000000000,
        severity_number=SeverityNumber.INFO,
        body="revoked",
        attributes={**token, "token.reason": "admin"},
        event_name="token.revoked",
    )
)
loggers.shutdown()
json.dump(said, sys.stdout)
