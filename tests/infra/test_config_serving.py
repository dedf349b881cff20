"""Settings with which a server refuses to start."""

from __future__ import annotations

from pathlib import Path

import pytest

from datingtoday.infra.config.fields import notes_of
from datingtoday.infra.config.serving import serving_problems, validate_for_serving
from datingtoday.infra.config.settings import ConfigError, load_settings, sections

GOOD = {
    "DATABASE_URI": "mysql+pymysql://dating:xK3-own@db/dating",
    "APP_APPKEY": "OWN-KEY",
    "APP_APPSECRET": "f00dfeedf00dfeed",
    "SECURITY_SECRET_KEY": "5a" * 32,
    "SMS_ALLOW_CONSOLE": "1",
}


def problems(**environ: str | None) -> list[str]:
    wanted = {name: value for name, value in (GOOD | environ).items() if value is not None}
    settings = load_settings(
        None, Path("/nonexistent"), {f"DATINGTODAY_{name}": value for name, value in wanted.items()}
    )
    found = serving_problems(settings)
    for error in found:
        assert len(error.en.splitlines()) == len(error.zh.splitlines()) == 1
    return [error.en for error in found]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_good_settings_serve() -> None:
    assert problems() == []


def test_the_embedded_default_serves(tmp_path: Path) -> None:
    validate_for_serving(load_settings(None, tmp_path, {}, create_secrets=True))


@pytest.mark.parametrize(
    ("environ", "begins"),
    [
        ({"APP_APPKEY": None}, "[APP] appkey: default: is missing"),
        ({"APP_APPSECRET": None}, "[APP] appsecret: default: is missing"),
        ({"SECURITY_SECRET_KEY": None}, "[SECURITY] secret_key: default: is missing"),
        ({"APP_APPKEY": "432ABZ"}, "[APP] appkey: DATINGTODAY_APP_APPKEY: is a published example"),
        (
            {"APP_APPSECRET": "1AE32B09224"},
            "[APP] appsecret: DATINGTODAY_APP_APPSECRET: is a published example",
        ),
        ({"DATABASE_URI": "mysql+pymysql://user:password@127.0.0.1/datingtoday"}, "[DATABASE] uri: "),
        ({"SMS_ECHO": "1"}, "[SMS] echo: DATINGTODAY_SMS_ECHO: must be off"),
        ({"SMS_ALLOW_CONSOLE": None}, "[SMS] provider: default: console sends nothing"),
        (
            {"DISCOVERY_NEARBY_GRID_M": "1999"},
            "[DISCOVERY] nearby_grid_m: DATINGTODAY_DISCOVERY_NEARBY_GRID_M: must be 2000 or more",
        ),
    ],
)
def test_each_thing_that_stands_against_it(environ: dict[str, str | None], begins: str) -> None:
    found = problems(**environ)
    assert len(found) == 1
    assert found[0].startswith(begins)


@pytest.mark.parametrize(
    "environ",
    [
        {"DISCOVERY_NEARBY_GRID_M": "2000"},
        # Nobody but this machine.
        {"DISCOVERY_NEARBY_GRID_M": "100", "DATABASE_URI": None},
    ],
)
def test_squares_that_hide_people_serve(environ: dict[str, str | None]) -> None:
    assert problems(**environ) == []


def test_every_secret_of_the_example_file_is_refused() -> None:
    checked = 0
    for section, model in sections().items():
        for name, info in model.model_fields.items():
            notes = notes_of(info)
            if notes.secret or (section, name) in (("APP", "appkey"), ("DATABASE", "uri")):
                assert notes.example is not None
                found = problems(**{f"{section}_{name.upper()}": notes.example})
                assert [
                    line for line in found if line.startswith(f"[{section}] {name}: ") and "example" in line
                ]
                checked += 1
    assert checked >= 6


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        (
            {"SMS_PROVIDER": "aliyun", "SMS_ALIYUN_ACCESS_KEY_ID": "LTAIx"},
            {"aliyun_access_key_secret", "aliyun_sign_name", "aliyun_template_code"},
        ),
        (
            {"SMS_PROVIDER": "tencent", "SMS_TENCENT_APP_ID": "1400"},
            {"tencent_secret_id", "tencent_secret_key", "tencent_sign_name", "tencent_template_id"},
        ),
        ({"STORAGE_PROVIDER": "s3"}, {"s3_bucket", "s3_access_key", "s3_secret_key"}),
    ],
)
@pytest.mark.parametrize("embedded", [True, False])
def test_a_provider_needs_its_keys(environ: dict[str, str], missing: set[str], embedded: bool) -> None:
    found = problems(**environ, **({"DATABASE_URI": None} if embedded else {}))
    assert {line.split(":")[0].split("] ")[1] for line in found} == missing


def test_the_first_problem_is_raised() -> None:
    settings = load_settings(None, Path("/nonexistent"), {"DATINGTODAY_DATABASE_URI": "sqlite:////x"})
    with pytest.raises(ConfigError, match=r"^\[APP\] appkey"):
        validate_for_serving(settings)
