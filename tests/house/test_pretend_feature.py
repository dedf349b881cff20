"""A pretend feature: its folder and its lines in `app.py` are all that adding one takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.house.source import PROJECT

FILES = {
    "__init__.py": "",
    "models.py": '''"""Greetings that people have left."""

from __future__ import annotations

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base


class Greeting(Base):
    """One greeting."""

    __tablename__ = "greeting"
    __table_args__ = (MYSQL_TABLE,)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(String(20))
''',
    "errors.py": '''"""Errors of greetings."""

from __future__ import annotations

from datingtoday.infra.text import Text
from datingtoday.protocol.errors import AppError


class TooQuiet(AppError):
    """Nobody would hear it."""

    code = 1999
    en = "too quiet"
    zh = "声音太小"
    cause = Text("The greeting is empty.", "问候为空。")
    cure = Text("Say something.", "说点什么。")
''',
    "schemas.py": '''"""Parameters and answers of greetings."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.protocol.fields import ParamsSchema, TextLine


class GreetingParams(ParamsSchema):
    word = TextLine(least=0, most=20, load_default="hello")


class GreetingSchema(Schema):
    greeting = fields.String()
''',
    "service.py": '''"""Greetings."""

from __future__ import annotations

from datingtoday.pretend.errors import TooQuiet


class Greetings:
    """The rules of greeting."""

    def greet(self, word: str) -> dict[str, str]:
        """:raises TooQuiet: no word."""
        if not word:
            raise TooQuiet
        return {"greeting": f"{word}!"}
''',
    "routes.py": '''"""Endpoints of greetings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.pretend import schemas
from datingtoday.pretend.errors import TooQuiet
from datingtoday.pretend.service import Greetings
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint


def greeting_routes(greetings: Greetings) -> Blueprint:
    """``/api/pretend``."""
    bp = Blueprint("pretend", __name__, url_prefix="/api/pretend")

    @bp.get("/greet")
    @endpoint(
        "Greet the server",
        "问候服务器",
        require_token=False,
        require_sign=False,
        params=schemas.GreetingParams,
        returns=schemas.GreetingSchema,
        raises=(TooQuiet,),
    )
    def greet(call: Call, word: str) -> Any:
        return greetings.greet(word)

    return bp
''',
    "personal_data.py": '''"""Personal data of greetings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from datingtoday.infra.personal_data import PersonColumn, remove_some
from datingtoday.pretend.models import Greeting


class GreetingData:
    """A person's greeting."""

    name = "greeting"
    holds = (PersonColumn("greeting", "user_id"),)

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        row = session.get(Greeting, user_id)
        return {} if row is None else {"text": row.text}

    def remove(self, session: Session, user_id: int, most: int) -> int:
        return remove_some(session, Greeting, Greeting.user_id == user_id, most)
''',
    "parts.py": '''"""Services of greetings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint

from datingtoday.infra.parts import Foundation
from datingtoday.pretend.personal_data import GreetingData
from datingtoday.pretend.routes import greeting_routes
from datingtoday.pretend.service import Greetings


@dataclass(frozen=True)
class PretendParts:
    """Services of greetings."""

    greetings: Greetings

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of greetings."""
        return [greeting_routes(self.greetings)]


def make_pretend(base: Foundation) -> PretendParts:
    """Make the services."""
    base.personal_data.register(GreetingData())
    return PretendParts(Greetings())
''',
}
APP = {
    # One import and field …
    "from datingtoday.profiles.parts import": "from datingtoday.pretend.parts import PretendParts, make_pretend\n",
    "    safety: SafetyParts\n": "    pretend: PretendParts\n",
    # … and one line that makes it.
    "        safety=safety,\n": "        pretend=make_pretend(base),\n",
}
PROGRAM = """
import sys
from datingtoday.app import PARTS, create_app
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.migrations import FOLDER

settings = load_settings(None, sys.argv[1], create_secrets=True).with_redis_uri("redis://127.0.0.1:1/0")
app = create_app(settings)
client = app.test_client()
assert client.get("/api/pretend/greet?word=hi").json["data"] == {"greeting": "hi!"}
assert client.get("/api/pretend/greet?word=").json["code"] == 1999
document = client.get("/openapi.json").json
assert "/api/pretend/greet" in document["paths"]
assert "问候服务器" in str(document["paths"]["/api/pretend/greet"])
base = app.extensions[PARTS].base
assert "greeting" in [store.name for store in base.personal_data]
print("greetings work")
"""


def test_a_feature_is_its_folder_and_its_lines_in_app(tmp_path: Path) -> None:
    package = tmp_path / "src/datingtoday"
    shutil.copytree(
        PROJECT / "src/datingtoday", package, ignore=shutil.ignore_patterns("__pycache__", "assets")
    )
    shutil.copytree(PROJECT / "migrations", tmp_path / "migrations")
    (package / "pretend").mkdir()
    for name, text in FILES.items():
        (package / "pretend" / name).write_text(text, encoding="utf-8")
    app = (package / "app.py").read_text()
    for before, line in APP.items():
        assert app.count(before) == 1, before
        app = app.replace(before, line + before)
    (package / "app.py").write_text(app)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "data")],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "greetings work\n", done.stderr
