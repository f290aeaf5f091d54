"""A Starlette application under the middleware; the tests run it in memory and in real servers.

`LEDGERLINE_OFF=1` leaves the middleware out, for the measurement.
"""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from ledgerline import KEY, Issuer, Ledgerline
from ledgerline.asgi import LedgerlineMiddleware


async def order(request: Request) -> JSONResponse:
    access = request.scope.get(KEY)
    if access is not None:
        access.policy("orders-access", "8", effect="ALLOW")
    return JSONResponse({"id": request.path_params["id"]})


async def denied(request: Request) -> JSONResponse:
    return JSONResponse({}, status_code=403)


async def unknown(request: Request) -> JSONResponse:
    raise HTTPException(401)


async def broken(request: Request) -> JSONResponse:
    raise RuntimeError("a fault of the application")


async def feed(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


async def closed(socket: WebSocket) -> None:
    await socket.close()


def application(client: Ledgerline, **settings: Any) -> Starlette:
    inner = [Route("/items/{item}", order_item), Route("/", order_item)]
    routes = [
        Route("/orders/{id:int}", order, methods=["GET"]),
        Route("/orders/{id:int}", denied, methods=["DELETE"]),
        Route("/unknown/{id}", unknown),
        Route("/broken/{id}", broken),
        Mount("/tenants/{tenant}", routes=[Mount("/shop", routes=inner)]),
        WebSocketRoute("/feed/{id}", feed),
        WebSocketRoute("/closed/{id}", closed),
    ]
    middleware = (
        []
        if os.environ.get("LEDGERLINE_OFF")
        else [Middleware(LedgerlineMiddleware, client=client, **settings)]
    )
    return Starlette(routes=routes, middleware=middleware)


async def order_item(request: Request) -> JSONResponse:
    return JSONResponse({})


def served() -> Starlette:
    """What a server imports."""
    client = Ledgerline("orders", issuer=Issuer("eu", "idp"))
    return application(client)
