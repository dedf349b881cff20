"""Providers that the settings name and this installation cannot make: missing keys, missing libraries."""

from __future__ import annotations

from datingtoday.infra.config.settings import ConfigError, Settings
from datingtoday.infra.payments.make import channel_problems
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.storage.make import make_storage


def provider_problems(settings: Settings) -> list[ConfigError]:
    """One problem for each provider that cannot be made. Contacts nobody; imports the libraries of those named."""
    problems = channel_problems(settings)
    try:
        make_sms_provider(settings.sms)
    except ConfigError as problem:
        problems.append(problem)
    try:
        make_storage(settings.storage, settings.data_dir)
    except ConfigError as problem:
        problems.append(problem)
    except ValueError as error:
        # It names the key; in both languages it is told with the other keys, by `serving_problems`.
        problems.append(ConfigError(str(error), str(error)))
    return problems
