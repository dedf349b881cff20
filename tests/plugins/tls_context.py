"""One TLS context for all connections to SQL servers of a test process.

PyMySQL makes a new one for each connection, in case the server offers TLS, and reads all certificates of the system for
it: 14 ms, with thousands of connections in short-lived pools a tenth of all tests' time. Connections for which anything
about TLS is configured have contexts of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from pymysql.connections import Connection

_Connection: Any = Connection
_create = _Connection._create_ssl_ctx


@cache
def _shared() -> Any:
    return _create(None, {})


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Share the context of connections that configure none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _Connection,
            "_create_ssl_ctx",
            lambda connection, options: _create(connection, options) if options else _shared(),
        )
        yield
