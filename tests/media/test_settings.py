"""Settings of media that only their use can judge: the start ends, and names them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datingtoday.infra.config.settings import ConfigError
from tests.plugins.api import Api


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"STORAGE_PROVIDER": "s3"}, "[STORAGE] s3_bucket: needed for provider = s3"),
        (
            {"STORAGE_PROVIDER": "s3", "STORAGE_S3_BUCKET": "b", "STORAGE_S3_ACCESS_KEY": "k"},
            "[STORAGE] s3_secret_key: needed beside its counterpart",
        ),
        ({"MEDIA_FFMPEG": "/nowhere"}, "[MEDIA] ffmpeg: there is no program ffmpeg in /nowhere"),
        ({"MEDIA_MODERATOR": "no_such:make"}, "[MEDIA] moderator: moderator 'no_such:make': No module named"),
    ],
)
def test_the_start_ends_and_names_the_setting(
    app_of: Callable[..., Api], settings: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        app_of(**settings)
    assert said in str(refused.value)
