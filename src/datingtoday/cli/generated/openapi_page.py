"""docs/openapi.json: every endpoint under /api, as `/openapi.json` answers it."""

import json

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.web.openapi import build_document


def openapi_page() -> str:
    """The document of the product with default settings, indented."""
    return json.dumps(build_document(product_routes()), ensure_ascii=False, indent=1) + "\n"
