"""gunicorn's own messages as JSON lines that quote no request.

Imports little on purpose: gunicorn's parent process loads this, and keeps it over reloads with a new release.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

from gunicorn.config import Config
from gunicorn.glogging import Logger

_QUOTE = re.compile(r"""['"?]""")


class JsonLog(Logger):
    """gunicorn's messages through the root logger, which writes JSON lines; none of them quotes a request."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True
        self.error_log.addFilter(_leave_requests_out)
        root = logging.getLogger()
        if not root.handlers:
            # The parent of `gunicorn datingtoday.wsgi:application`; its workers configure their logs themselves.
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(_JsonLine())
            root.addHandler(handler)


class _JsonLine(logging.Formatter):
    """The keys that all logs of the program have."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _leave_requests_out(record: logging.LogRecord) -> bool:
    """Cut a message where it begins to quote: request lines and headers carry tokens and phone numbers.

    gunicorn quotes what it cannot read, in which no parameter can be told from another.
    """
    if record.levelno < logging.ERROR and not record.exc_info:
        text = record.getMessage()
        quoted = _QUOTE.search(text)
        if quoted is not None:
            record.msg, record.args = text[: quoted.start()] + "…", ()
    elif isinstance(record.args, tuple):
        # "Error handling request %s %s": the path without what follows it.
        record.args = tuple(_QUOTE.split(arg)[0] if isinstance(arg, str) else arg for arg in record.args)
    return True
