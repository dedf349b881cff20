"""Records the examples of the API's documentation: tells the story of the Postman collection to a running server.

``python -m tests.web.record_examples`` writes them anew. Lists are cut to two items; nothing else is changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from datingtoday.web.openapi import EXAMPLES
from datingtoday.web.postman.collection import PHOTO, PHOTO_SHA256
from datingtoday.web.postman.steps import LOGINS, Step
from datingtoday.web.postman.story import STORY
from tests.blackbox.client import generated_secrets
from tests.cli.running_server import RunningServer
from tests.plugins.api import md5_sign, new_phone
from tests.plugins.polling import wait_until

_PHOTO = Path(__file__).parents[2] / "clients" / "postman" / PHOTO
_MAX_ITEMS = 2
_VARIABLE = re.compile(r"\{\{(\w+)\}\}")

Examples = dict[str, dict[str, Any]]
"""Operation → name → title in both languages, and answer."""


class StoryTeller:
    """Walks through the story as newman does, and keeps the answers."""

    def __init__(self, server: RunningServer) -> None:
        self._url = server.url
        self._appkey, self._secret = generated_secrets(server.data)
        phones = {name: new_phone() for name in ("phone", "peer_phone", "new_phone")}
        self._values: dict[str, str] = {"photo_sha256": PHOTO_SHA256, **phones}

    def record(self) -> Examples:
        """:raises AssertionError: an answer has another code than the story says."""
        found: Examples = {}
        for step in (step for chapter in STORY for step in chapter.steps):
            if step.url:
                method = step.call.partition(" ")[0]
                address = self._filled(step.url)
                assert requests.request(method, address, timeout=30).status_code == 200, step.call
                continue
            answer = self._tell(step)
            for name, path in step.keep.items():
                self._values[name] = self._absolute(name, str(_at(answer, path)))
            named = found.setdefault(_operation_of(step.call), {})
            title = step.title or (
                "Success" if step.code == 0 else "Refused",
                "成功" if step.code == 0 else "被拒绝",
            )
            named.setdefault(_key_of(title[0]), {"title": list(title), "answer": _shortened(answer)})
        return found

    def _tell(self, step: Step) -> Any:
        """The answer, as soon as what must have happened for it has happened."""
        expected: Any = None

        def answered() -> bool:
            nonlocal expected
            expected = self._call(step)
            if expected["code"] == 429:
                return False
            assert expected["code"] == step.code, (step.call, expected)
            return step.until is None or str(_at(expected, step.until[0])) == self._filled(step.until[1])

        wait_until(answered, step.call, deadline_s=30)
        return expected

    def _call(self, step: Step) -> Any:
        method, path = step.call.split(" ")
        params = {name: self._filled(value) for name, value in step.params.items()}
        params |= {
            "appkey": self._appkey,
            "timestamp": str(int(time.time() * 1000)),
            "nonce": secrets.token_hex(16),
            "lang": "zh",
        }
        if step.person in LOGINS:
            user_id, token = LOGINS[step.person]
            known = {"userId": self._filled(user_id), "token": self._filled(token)}
            params |= {name: value for name, value in known.items() if value}
        params["sign"] = md5_sign(params, self._secret)
        where: dict[str, Any] = {"params" if method == "GET" else "data": params}
        if path == "/api/media/upload":
            where["files"] = {"file": (PHOTO, _PHOTO.read_bytes())}
        return requests.request(method, self._url + path, timeout=30, **where).json()

    def _filled(self, text: str) -> str:
        self._values["uuid"] = secrets.token_hex(16)
        return _VARIABLE.sub(lambda found: self._values.get(found[1], ""), text)

    def _absolute(self, name: str, value: str) -> str:
        return self._url + value if name.endswith("_url") and value.startswith("/") else value


def _at(answer: Any, path: str) -> Any:
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        answer = answer.get(name) if name else next(iter(answer[int(index) :]), {})
    return answer


def _operation_of(call: str) -> str:
    method, path = call.split(" ")
    return method.lower() + path.removeprefix("/api").replace("/", "_").replace("-", "_")


def _key_of(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _shortened(node: Any) -> Any:
    if isinstance(node, list):
        return [_shortened(item) for item in node[:_MAX_ITEMS]]
    return {name: _shortened(item) for name, item in node.items()} if isinstance(node, dict) else node


def main() -> None:
    """Start a server with made-up people, and write the file."""
    assert hashlib.sha256(_PHOTO.read_bytes()).hexdigest() == PHOTO_SHA256
    with tempfile.TemporaryDirectory() as folder:
        server = RunningServer(Path(folder) / "data", "--seed", "50", LIMITS_SMS_GAP_S="0")
        try:
            examples = StoryTeller(server.wait_until_ready()).record()
        finally:
            server.end()
    Path(str(EXAMPLES)).write_text(
        json.dumps(examples, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
