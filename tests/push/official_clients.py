"""The clients of docs/push.md, run as they are printed there."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.plugins.api import APPKEY, APPSECRET, User
from tests.plugins.polling import wait_until
from tests.plugins.processes import end
from tests.plugins.tools import program

ROOT = Path(__file__).parents[2]
JS = Path(__file__).with_name("js")


def example(language: str) -> str:
    """The only block of this language in docs/push.md."""
    [block] = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/push.md").read_text(), re.DOTALL)
    return str(block)


class JavaScriptClient:
    """A process of Node with the client for JavaScript; records what it tells."""

    def __init__(self, user: User, url: str, *, appkey: str = APPKEY, **options: Any) -> None:
        # Beside the packages, where imports look for them.
        self._example = JS / "node_modules" / f"example-{user.user_id}-{id(self)}.mjs"
        self._example.write_text(example("js"))
        settings = {
            "url": url,
            "appkey": appkey,
            "appsecret": APPSECRET,
            "userId": user.user_id,
            "token": user.token,
        } | options
        node = program("node")
        assert node is not None
        self.told: list[tuple[str, Any]] = []
        self._process = subprocess.Popen(
            [node, str(JS / "client.mjs"), self._example.as_uri(), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, payload = json.loads(line)
            self.told.append((name, payload))

    def of(self, name: str) -> list[Any]:
        return [payload for told, payload in self.told if told == name]

    def wait_for(self, name: str, count: int = 1, deadline_s: float = 15) -> list[Any]:
        """The payloads of what was told under this name, once there are so many."""
        return wait_until(
            lambda: found if len(found := self.of(name)) >= count else [],
            f"{count} {name}; told: {self.told}",
            deadline_s=deadline_s,
        )

    def type_to(self, user: User) -> None:
        self._command(typing=user.user_id)

    def _command(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        end(self._process)  # type: ignore[arg-type]
        self._reader.join(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._example.unlink(missing_ok=True)


def python_example() -> dict[str, Any]:
    """The names that the client for Python defines."""
    names: dict[str, Any] = {}
    exec(compile(example("python"), "docs/push.md", "exec"), names)
    return names
