"""A Flask application under the middleware; as `app_starlette`."""

from __future__ import annotations

import os
from typing import Any, Iterator

import flask

from ledgerline import KEY, Issuer, Ledgerline
from ledgerline.wsgi import LedgerlineMiddleware


def application(client: Ledgerline, **settings: Any) -> flask.Flask:
    app = flask.Flask("orders")

    @app.get("/orders/<int:id>")
    def order(id: int) -> Any:
        access = flask.request.environ.get(KEY)
        if access is not None:
            access.policy("orders-access", "8", effect="ALLOW")
        return {"id": id}

    @app.delete("/orders/<int:id>")
    def denied(id: int) -> Any:
        return {}, 403

    @app.get("/unknown/<id>")
    def unknown(id: str) -> Any:
        flask.abort(401)

    @app.get("/broken/<id>")
    def broken(id: str) -> Any:
        raise RuntimeError("a fault of the application")

    @app.get("/streamed/<path:rest>")
    def streamed(rest: str) -> Any:
        def parts() -> Iterator[bytes]:
            yield b"one"
            yield b"two"

        return flask.Response(parts())

    if not os.environ.get("LEDGERLINE_OFF"):
        app.wsgi_app = LedgerlineMiddleware(  # type: ignore[method-assign]
            app.wsgi_app, client, **settings
        )
    return app


def served() -> flask.Flask:
    """What a server imports."""
    client = Ledgerline("orders", issuer=Issuer("eu", "idp"))
    return application(client)
