"""JSON documents that describe the service: `/openapi.json` and `/asyncapi.json`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from datingtoday.protocol.envelope import to_json
from datingtoday.web.openapi_parts import Json


class Document:
    """A JSON document, ready to be sent; made at its first use, once per process, by any thread."""

    def __init__(self, make: Callable[[], Json]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._body: bytes | None = None
        self._etag = ""

    @property
    def body(self) -> bytes:
        if self._body is None:
            with self._making:
                if self._body is None:
                    body = to_json(self._make())
                    self._etag = hashlib.sha256(body).hexdigest()[:32]
                    self._body = body
        return self._body

    @property
    def etag(self) -> str:
        """The same for the same document, in every process."""
        _ = self.body
        return self._etag
