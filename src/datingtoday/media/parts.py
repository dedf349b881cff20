"""Puts media together from the settings."""

from __future__ import annotations

from datingtoday.infra.config.settings import ConfigError, Settings
from datingtoday.infra.db import Database
from datingtoday.infra.events import Events
from datingtoday.infra.storage.make import make_storage
from datingtoday.infra.storage.storage import Storage
from datingtoday.media.delivery import MediaDelivery
from datingtoday.media.moderation import Moderator, load_moderator
from datingtoday.media.processing.ffmpeg import Ffmpeg, find_ffmpeg
from datingtoday.media.processing.prepare import MediaPreparer
from datingtoday.media.service import MediaService, Quota
from datingtoday.media.signed_urls import UrlSigner

WORK_FOLDER = "uploads"
"""Folder inside the data folder where uploads lie while they are worked on."""


def make_media(
    settings: Settings, database: Database, signer: UrlSigner, events: Events
) -> tuple[MediaService, MediaDelivery]:
    """What takes uploads and what delivers them. Touches neither store nor database.

    :raises ConfigError: ffmpeg is not where the settings say, the moderator cannot be made, the store is incomplete.
    """
    storage = _storage(settings)
    preparer = MediaPreparer(
        settings.data_dir / WORK_FOLDER, _ffmpeg(settings), parallel=settings.media.parallel
    )
    quota = Quota(settings.media.user_files, settings.media.user_bytes)
    service = MediaService(database, storage, preparer, signer, _moderator(settings), events, quota)
    return service, MediaDelivery(database, storage, signer, x_accel=settings.storage.x_accel)


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
