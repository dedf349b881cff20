"""Parameters are read the short way as marshmallow reads them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields

from datingtoday.protocol.endpoint import declared_endpoint
from datingtoday.protocol.errors import AppError, ParameterError
from datingtoday.protocol.fields import Parameter, ParamsSchema
from datingtoday.protocol.loading import load_params
from datingtoday.protocol.paging import PageParams, PageRequest
from tests.plugins.api import Api

TEXTS = ["", "0", "1", "7", "text", "image", "a", "latest", "23.1,113.2", "1,2", "\x00", "你好"]


def params_schemas(api: Api) -> list[ParamsSchema]:
    declared = map(declared_endpoint, api.app.view_functions.values())
    return [it.params for it in declared if it is not None and isinstance(it.params, ParamsSchema)]


def by_marshmallow(schema: Schema, params: dict[str, str]) -> Any:
    try:
        return schema.load(params)
    except ValidationError:
        return None


class Plain(Schema):
    """Not made of parameters."""

    number = fields.Integer(required=True)


def test_what_a_plain_schema_refuses_names_the_field() -> None:
    assert load_params(Plain(), {"number": "7"}) == {"number": 7}
    for params in ({"number": "x"}, {}):
        with pytest.raises(ParameterError) as refused:
            load_params(Plain(), params)
        assert "number" in refused.value.message("en")


def test_pages_that_thousands_ask_for_are_read_once() -> None:
    params = PageParams()

    def read() -> tuple[int, int, int]:
        return *params.read_before.reads, len(params.read_before)

    first = load_params(params, {"page": "2", "other": "x"})
    assert read() == (0, 1, 1)
    assert load_params(params, {"page": "2"}) == first == {"page": PageRequest(2, 10, None)}
    assert read() == (1, 1, 1)
    assert load_params(params, {"page": "2", "cursor": "abc"}) == {"page": PageRequest(2, 10, "abc")}
    assert read() == (2, 1, 1), "the cursor is put in"
    with pytest.raises(ParameterError, match="cursor"):
        load_params(params, {"page": "2", "cursor": "?"})
    with pytest.raises(ParameterError, match="page "):
        load_params(params, {"page": "x", "cursor": "?"})
    assert len(params.read_before) == 1


@pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
def test_every_schema_is_read_as_marshmallow_does(api: Api) -> None:
    chance = random.Random(1)
    schemas = params_schemas(api)
    assert len(schemas) > 20
    for schema in schemas:
        assert all(isinstance(field, Parameter) for field in schema.load_fields.values())
        for _ in range(150):
            names = chance.sample([*schema.names, "other"], chance.randint(0, len(schema.names) + 1))
            params = {name: chance.choice(TEXTS) for name in names}
            expected = by_marshmallow(schema, params)
            if expected is None:
                with pytest.raises(AppError):
                    load_params(schema, params)
            else:
                assert load_params(schema, params) == expected
