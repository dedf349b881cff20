"""Print the OpenAPI document without its texts: what the types of clients are made from."""

from __future__ import annotations

import json
import sys
from typing import Any

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.web.openapi import build_document

_TEXTS = frozenset({"description", "summary", "title", "example", "examples", "x-enum-descriptions"})


def without_texts(node: Any, *, are_names: bool = False) -> Any:
    """A copy of a document's node; keys that name something (properties, paths) always stay."""
    if isinstance(node, dict):
        return {
            key: without_texts(value, are_names=key in {"properties", "paths", "schemas", "responses"})
            for key, value in node.items()
            if are_names or key not in _TEXTS or (key == "title" and "version" in node)
        }
    if isinstance(node, list):
        return [without_texts(item) for item in node]
    return node


def main() -> None:
    """Write to standard output."""
    document = without_texts(build_document(product_routes()))
    json.dump(document, sys.stdout, ensure_ascii=False, sort_keys=True, default=str)


if __name__ == "__main__":
    main()
