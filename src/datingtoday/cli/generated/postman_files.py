"""clients/postman: the collection and its environment, for Postman, newman and Apifox."""

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.web.openapi import build_document
from datingtoday.web.postman.collection import as_text, build_collection, build_environment


def collection() -> str:
    """The collection of the product with default settings."""
    return as_text(build_collection(build_document(product_routes())))


def environment() -> str:
    """The environment of a server on this machine, without its secrets."""
    return as_text(build_environment())
