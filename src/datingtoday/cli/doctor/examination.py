"""The examination: every check in order; a check that fails itself becomes a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datingtoday.cli.doctor.clock_checks import check_clock
from datingtoday.cli.doctor.database_checks import check_database
from datingtoday.cli.doctor.findings import Check, Context, Finding, error
from datingtoday.cli.doctor.process_checks import check_processes
from datingtoday.cli.doctor.provider_checks import check_payments, check_sms
from datingtoday.cli.doctor.proxy_checks import check_proxy
from datingtoday.cli.doctor.redis_checks import check_redis
from datingtoday.cli.doctor.schema_checks import check_schema
from datingtoday.cli.doctor.settings_checks import check_secrets, check_settings
from datingtoday.cli.doctor.storage_checks import check_storage
from datingtoday.infra.logs import mask
from datingtoday.infra.text import Text

CHECKS: Mapping[str, Check] = {
    "settings": check_settings,
    "secrets": check_secrets,
    "clock": check_clock,
    "database": check_database,
    "schema": check_schema,
    "redis": check_redis,
    "storage": check_storage,
    "sms": check_sms,
    "payments": check_payments,
    "processes": check_processes,
    "proxy": check_proxy,
}
"""Area → its checks."""


def examine(
    context: Context, checks: Mapping[str, Check] = CHECKS, *, debug: bool = False
) -> Iterator[Finding]:
    """All findings, as they are made. :param debug: let a check that crashes end the examination."""
    for area, check in checks.items():
        try:
            yield from check(context)
        except Exception as failure:
            if debug:
                raise
            yield crashed(area, failure)


def crashed(area: str, failure: Exception) -> Finding:
    """The finding that a check could not be carried out. Its text carries no secret."""
    reason = mask(" ".join(f"{type(failure).__name__}: {failure}".split()))[:300]
    return error(
        f"{area}.check",
        Text(f"the check itself failed ({reason})", f"检查本身失败（{reason}）"),
        Text(
            f"datingtoday --debug doctor --only {area}  # shows the stack trace; please report it",
            f"datingtoday --debug doctor --only {area}  # 显示调用栈，请反馈给开发者",
        ),
    )
