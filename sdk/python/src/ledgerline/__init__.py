"""Ledgerline's client for Python: reports to the local agent, off the request path.

::

    from ledgerline import Issuer, Ledgerline
    from ledgerline.wsgi import LedgerlineMiddleware

    ledger = Ledgerline("orders", issuer=Issuer(region="eu", alias="idp"))
    app.wsgi_app = LedgerlineMiddleware(app.wsgi_app, ledger)
"""

from .access import KEY, Access, Settings
from .client import VERSION, Issuer, Ledgerline, Stats
from .token_id import TokenIdError, jti_token_id, token_id

__version__ = VERSION
__all__ = [
    "KEY",
    "Access",
    "Issuer",
    "Ledgerline",
    "Settings",
    "Stats",
    "TokenIdError",
    "jti_token_id",
    "token_id",
]
