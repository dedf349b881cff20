"""Checks of the store of uploads: an object is written, read and deleted; and of the room on local disks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.make import make_storage
from datingtoday.infra.storage.storage import ObjectMissing, Storage, StorageError, new_key
from datingtoday.infra.text import Text

MIN_FREE_BYTES = 2**30
MIN_FREE_SHARE = 0.05


def check_storage(context: Context) -> Iterator[Finding]:
    """The store, and the disk of the data folder."""
    settings = context.settings
    try:
        storage = make_storage(settings.storage, settings.data_dir)
    except ConfigError as problem:
        yield error("storage.settings", problem.text, "pip install -r requirements.txt")
        return
    except ValueError as failure:
        yield error("storage.settings", Text(str(failure), str(failure)), "datingtoday config check")
        return
    folder = storage.root if isinstance(storage, LocalStorage) else None
    if folder is not None and not folder.exists() and context.is_embedded:
        yield ok(
            "storage.objects", f"{folder} is created at the first upload", f"{folder} 会在首次上传时创建"
        )
    else:
        yield _object(storage, folder)
    for path in {_existing(folder or settings.data_dir), _existing(settings.data_dir)}:
        yield _room(path)


def _object(storage: Storage, folder: Path | None) -> Finding:
    check, key, content = "storage.objects", new_key(), os.urandom(1024)
    step = Text("written", "写入")
    try:
        storage.put(key, content, "application/octet-stream")
        step = Text("read", "读取")
        is_same = b"".join(storage.open_range(key)) == content
        step = Text("deleted", "删除")
        storage.delete(key)
        is_gone = not storage.exists(key)
    except (StorageError, ObjectMissing) as failure:
        return error(
            check,
            Text(f"an object cannot be {step.en}: {failure}", f"无法{step.zh}对象：{failure}"),
            _repair(folder),
        )
    if not is_same or not is_gone:
        return error(
            check,
            Text(
                "an object is not what was written, or stays after its deletion",
                "读出的内容与写入不一致，或删除后仍存在",
            ),
            _repair(folder),
        )
    where = str(folder or "S3")
    return ok(
        check, f"written, read and deleted an object in {where}", f"已在 {where} 写入、读取并删除一个对象"
    )


def _repair(folder: Path | None) -> Text:
    if folder is not None:
        user = os.environ.get("USER") or str(os.getuid())
        command = f"install -d -o {user} -m 0750 {folder}"
        return Text(command, command)
    return Text(
        "let the access key do s3:PutObject, s3:GetObject and s3:DeleteObject on [STORAGE] s3_bucket",
        "为访问密钥授予 [STORAGE] s3_bucket 的 s3:PutObject、s3:GetObject、s3:DeleteObject 权限",
    )


def _room(path: Path) -> Finding:
    usage = shutil.disk_usage(path)
    shown = Text(f"{usage.free / 2**30:.1f} GiB free on {path}", f"{path} 剩余 {usage.free / 2**30:.1f} GiB")
    if usage.free < MIN_FREE_BYTES or usage.free < usage.total * MIN_FREE_SHARE:
        return warning("storage.room", shown, f"du -xh --max-depth=2 {path} | sort -h | tail")
    return ok("storage.room", *shown)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
