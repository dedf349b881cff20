"""Chromium without a window, driven over its DevTools protocol; remembers every request that a page made.

It is told to resolve no name but this machine's, and to ask nobody for anything by itself.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import websocket

from tests.plugins.polling import wait_until
from tests.plugins.processes import end, spawn, tail_of
from tests.plugins.tools import program

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-port=0",
    "--window-size=1400,1000",
    "--lang=en-US",
)


class Browser:
    """One browser with a fresh profile; `new_page` for each test, `end` at last."""

    def __init__(self, folder: Path) -> None:
        binary = program("chromium", "chromium-browser", "google-chrome")
        assert binary is not None
        self._log = folder / "chromium.log"
        profile = folder / "profile"
        self._process = spawn(
            [binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"], log=self._log, cwd=folder
        )
        self._url = f"http://127.0.0.1:{self._debugging_port(profile / 'DevToolsActivePort')}"

    def _debugging_port(self, file: Path) -> int:
        def read() -> int:
            assert self._process.poll() is None, f"chromium ended:\n{tail_of(self._log)}"
            # Written in two steps: the first line is there when the second is.
            lines = file.read_text().splitlines() if file.exists() else []
            return int(lines[0]) if len(lines) > 1 else 0

        return wait_until(read, f"chromium\n{tail_of(self._log)}", deadline_s=60)

    def new_page(self) -> Page:
        target = requests.put(f"{self._url}/json/new?about:blank", timeout=30).json()
        return Page(target["webSocketDebuggerUrl"])

    def end(self) -> None:
        end(self._process)


class Page:
    """One tab."""

    def __init__(self, debugger_url: str) -> None:
        self._socket = websocket.create_connection(debugger_url, timeout=30, suppress_origin=True)
        self._last_id = 0
        self.requests: list[str] = []
        """URLs of everything that the page asked for, ``data:`` and ``blob:`` left out."""
        self.problems: list[str] = []
        """Errors of the page: exceptions, console errors, violations of the security policy."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **params: Any) -> Any:
        """One command of the DevTools protocol and its result."""
        self._last_id += 1
        number = self._last_id
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if urlsplit(url).scheme not in ("data", "blob", "about"):
                    self.requests.append(url)
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.problems.append(details.get("exception", {}).get("description") or details["text"])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" if params["type"] == "error":
                self.problems.append(" ".join(str(part.get("value")) for part in params["args"]))

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        result = self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str, what: str, *, deadline_s: float = 40.0) -> None:
        """Until the expression is true."""
        wait_until(lambda: self.run(f"Boolean({script})"), what, deadline_s=deadline_s, every_s=0.05)

    def click(self, selector: str) -> None:
        """With the mouse: what had the focus loses it first, as a page may rely on."""
        place = self.run(
            f"(() => {{ const element = {_find(selector)}; element.scrollIntoView({{block: 'center'}}); "
            "const box = element.getBoundingClientRect(); "
            "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for what in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=what, button="left", clickCount=1, **place)

    def type(self, selector: str, text: str) -> None:
        """Replace what stands in an input, as a person at the keyboard does."""
        self.run(f"(() => {{ const input = {_find(selector)}; input.focus(); input.select(); }})()")
        self.command("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """One of a ``<select>``."""
        self.run(
            f"(() => {{ const box = {_find(selector)}; box.value = {json.dumps(value)}; "
            "box.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def text(self, selector: str) -> str:
        """Text there; empty where nothing is."""
        return str(self.run(f"{_find(selector)}?.innerText ?? ''"))

    def wait_for_element(self, selector: str) -> None:
        self.wait_for(_find(selector), selector)

    def choose_file(self, selector: str, path: Path) -> None:
        """As a person does in the dialog of an ``<input type=file>``."""
        root = self.command("DOM.getDocument")["root"]["nodeId"]
        node = self.command("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.command("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: Path) -> None:
        data = self.command("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._socket.close()


def _find(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"
