"""Media: its services, what it stores of people, and its endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint

from datingtoday.infra.config.settings import ConfigError, Settings
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.infra.storage.make import make_storage
from datingtoday.infra.storage.storage import Storage
from datingtoday.media import jobs
from datingtoday.media.delivery import MediaDelivery
from datingtoday.media.media_metrics import MediaNumbers
from datingtoday.media.moderation import Moderator, load_moderator
from datingtoday.media.personal_data import MediaData
from datingtoday.media.processing.ffmpeg import Ffmpeg, find_ffmpeg
from datingtoday.media.processing.prepare import MediaPreparer
from datingtoday.media.routes import media_routes
from datingtoday.media.service import MediaService, Quota
from datingtoday.media.signed_urls import UrlSigner
from datingtoday.media.uploads_at_once import UploadsAtOnce
from datingtoday.protocol.metrics import Reader

WORK_FOLDER = "uploads"
"""Folder inside the data folder where uploads lie while they are worked on."""


@dataclass(frozen=True, slots=True)
class MediaParts:
    """Uploads: taking them, judging them, delivering them."""

    service: MediaService
    delivery: MediaDelivery
    signer: UrlSigner
    max_file_bytes: int
    numbers: MediaNumbers

    def metric_readers(self) -> Sequence[Reader]:
        """Numbers for `/metrics` that are read from SQL."""
        return [self.numbers.read]

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints under ``/api/media``."""
        return [media_routes(self.service, self.delivery, max_file_bytes=self.max_file_bytes)]


def make_media(base: Foundation) -> MediaParts:
    """Make what takes uploads and what delivers them. Touches neither storage nor database.

    :raises ConfigError: ffmpeg is not where the settings say, the moderator cannot be made, the storage is incomplete.
    """
    settings = base.settings
    signer = UrlSigner(settings.security.secret_key)
    storage = _storage(settings)
    parallel, waiting = shares_of(settings.server.threads, settings.media.parallel)
    preparer = MediaPreparer(
        settings.data_dir / WORK_FOLDER, _ffmpeg(settings), parallel=parallel, waiting=waiting
    )
    at_once = UploadsAtOnce(base.limits, settings.limits.uploads_at_once if settings.limits.enabled else None)
    quota = Quota(settings.media.user_files, settings.media.user_bytes)
    service = MediaService(
        base.database, storage, preparer, signer, _moderator(settings), base.events, quota, at_once
    )
    base.personal_data.register(MediaData(service))
    _register_jobs(base, service)
    return MediaParts(
        service=service,
        delivery=MediaDelivery(base.database, storage, signer, x_accel=settings.storage.x_accel),
        signer=signer,
        max_file_bytes=settings.media.max_file_bytes,
        numbers=MediaNumbers(base.database),
    )


def _register_jobs(base: Foundation, service: MediaService) -> None:
    unused_for = timedelta(hours=base.settings.media.unused_hours)
    checkpoint = base.jobs.checkpoint

    def purge(now: datetime) -> None:
        jobs.purge_rows(service, now, unused_for=unused_for, report_progress=checkpoint)

    base.jobs.register(Job("media_purge", 3600, purge))
    base.jobs.register(
        Job("media_leftovers", 3600, lambda now: jobs.remove_leftovers(service, now), per_host=True)
    )
    base.jobs.register(
        Job("media_moderation", 300, lambda now: jobs.ask_again(service, now, report_progress=checkpoint))
    )


def shares_of(threads: int, parallel: int) -> tuple[int, int]:
    """Number of uploads of a worker that may be decoded, and that may wait: at most half of its threads decode, and
    at most half of the others wait, so that some are always left for everything else.
    """
    decoding = max(1, min(parallel, threads // 2))
    return decoding, (threads - decoding) // 2


def _storage(settings: Settings) -> Storage:
    try:
        return make_storage(settings.storage, settings.data_dir)
    except ValueError as error:
        raise ConfigError(str(error), str(error)) from error


def _ffmpeg(settings: Settings) -> Ffmpeg | None:
    try:
        return find_ffmpeg(settings.media.ffmpeg)
    except ValueError as error:
        raise ConfigError(f"[MEDIA] ffmpeg: {error}", f"[MEDIA] ffmpeg：{error}") from error


def _moderator(settings: Settings) -> Moderator:
    try:
        return load_moderator(settings.media.moderator)
    except ValueError as error:
        raise ConfigError(f"[MEDIA] moderator: {error}", f"[MEDIA] moderator：{error}") from error
