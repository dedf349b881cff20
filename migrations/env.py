"""Runs the revisions. `datingtoday.infra.migrations` hands in the connection; there is no alembic.ini."""

import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import MetaData
from sqlalchemy.types import TypeEngine

import datingtoday.infra.db as db

attributes = context.config.attributes


def all_tables() -> MetaData:
    """The tables of every feature. Needed for comparing only, so only then are the features imported."""
    package = Path(db.__file__).parent.parent
    for file in sorted(package.glob("**/models*.py")):
        importlib.import_module(".".join(("datingtoday", *file.relative_to(package).with_suffix("").parts)))
    return db.Base.metadata


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our column types by their short names."""
    if kind == "type" and isinstance(item, TypeEngine) and type(item).__module__ == db.__name__:
        autogen.imports.add(f"from {db.__name__} import {type(item).__name__}")
        return f"{type(item).__name__}()"
    return False


def report(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """Tell the caller which revision has been applied."""
    progress = attributes.get("progress")
    if progress is not None and step.up_revision is not None:
        progress(f"{step.up_revision_id} {getattr(step.up_revision, 'doc', '')}")


if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect_name"],
        target_metadata=db.Base.metadata,
        literal_binds=True,
        render_as_batch=True,
    )
else:
    context.configure(
        connection=attributes["connection"],
        target_metadata=all_tables() if attributes.get("with_models") else db.Base.metadata,
        # SQLite cannot alter a table: Alembic makes it anew and copies.
        render_as_batch=True,
        render_item=render_item,
        on_version_apply=report,
    )

with context.begin_transaction():
    context.run_migrations()
