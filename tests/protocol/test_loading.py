"""Parameters are read the short way as marshmallow reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from datingtoday.protocol.endpoint import declared_endpoint
from datingtoday.protocol.errors import AppError
from datingtoday.protocol.fields import Parameter, ParamsSchema
from datingtoday.protocol.loading import load_params
from tests.plugins.api import Api

TEXTS = st.sampled_from(
    ["", "0", "1", "7", "text", "image", "a", "latest", "23.1,113.2", "1,2", "\x00", "你好"]
)


def params_schemas(api: Api) -> list[ParamsSchema]:
    declared = map(declared_endpoint, api.app.view_functions.values())
    return [it.params for it in declared if it is not None and isinstance(it.params, ParamsSchema)]


def by_marshmallow(schema: Schema, params: dict[str, str]) -> Any:
    try:
        return schema.load(params)
    except ValidationError:
        return None


@pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_schema_is_read_as_marshmallow_does(api: Api, data: st.DataObject) -> None:
    schemas = params_schemas(api)
    assert len(schemas) > 20
    for schema in schemas:
        assert all(isinstance(field, Parameter) for field in schema.load_fields.values())
        params = data.draw(st.dictionaries(st.sampled_from([*schema.names, "other"]), TEXTS))
        expected = by_marshmallow(schema, params)
        if expected is None:
            with pytest.raises(AppError):
                load_params(schema, params)
        else:
            assert load_params(schema, params) == expected
