"""docs/asyncapi.json: the events of push, as `/asyncapi.json` answers them."""

import json
import tempfile
from pathlib import Path


def asyncapi_page() -> str:
    """The document, indented."""
    from datingtoday.app import make_parts
    from datingtoday.infra.config.settings import load_settings
    from datingtoday.web.asyncapi import build_events_document

    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings("/dev/null", Path(folder), {})
        document = build_events_document(make_parts(settings).base.realtime.kinds)
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
