"""A client program that knows nothing of the server's code: it signs by the description, and speaks HTTP."""

from __future__ import annotations

import configparser
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from tests.plugins.polling import wait_until


@dataclass(frozen=True)
class Login:
    """Login data that a client keeps."""

    user_id: int
    token: str


class Client:
    """Signs with md5, or with HMAC-SHA256.

    :param method: ``md5`` or ``hmac-sha256``.
    :param certificate: the only one to believe, where the address is an https one.
    """

    def __init__(
        self, url: str, appkey: str, appsecret: str, method: str = "md5", *, certificate: Path | None = None
    ) -> None:
        self.url = url
        self._appkey = appkey
        self._appsecret = appsecret
        self._method = method
        self._http = requests.Session()
        self._http.trust_env = False
        if certificate is not None:
            self._http.verify = str(certificate)

    def close(self) -> None:
        self._http.close()

    def call(self, verb: str, path: str, login: Login | None = None, **own: object) -> Any:
        """The answer's JSON; `status` is added to it."""
        params = {name: str(value) for name, value in own.items()}
        params |= {
            "appkey": self._appkey,
            "timestamp": str(int(time.time() * 1000)),
            "nonce": secrets.token_hex(8),
        }
        if login is not None:
            params |= {"userId": str(login.user_id), "token": login.token}
        if self._method != "md5":
            params["sign_method"] = self._method
        params["sign"] = self._sign(verb, path, params)
        where = {"params": params} if verb == "GET" else {"data": params}
        response = self._http.request(verb, self.url + path, timeout=30, **where)  # type: ignore[arg-type]
        return {**response.json(), "status": response.status_code}

    def _sign(self, verb: str, path: str, params: dict[str, str]) -> str:
        if self._method == "md5":
            outside = {"appkey", "timestamp", "nonce", "token"}
            pairs = sorted(f"{name}={value}" for name, value in params.items() if name not in outside)
            text = "&".join(pairs) + params.get("token", "") + params["timestamp"] + params["nonce"]
            return hashlib.md5((text + self._appsecret).encode()).hexdigest()
        pairs = [
            f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}"
            for name, value in sorted(params.items())
        ]
        text = "\n".join([verb, path, "&".join(pairs), hashlib.sha256(b"").hexdigest()])
        return hmac.new(self._appsecret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def log_in(self, phone: str, code: str, **own: Any) -> Login:
        answer = self.call("POST", "/api/auth/login", phone=phone, code=code, **own)
        assert (answer["status"], answer["code"]) == (200, 0), answer
        return Login(answer["data"]["user_id"], answer["data"]["token"])

    def code_of_show(self, login: Login) -> int:
        return int(self.call("GET", "/api/user/show", login)["code"])


def generated_secrets(data: Path) -> tuple[str, str]:
    """Appkey and appsecret of the embedded default, as its banner shows them."""
    parser = configparser.ConfigParser(interpolation=None)
    assert parser.read(data / "secrets.ini", encoding="utf-8"), "no secrets were generated"
    return parser["APP"]["appkey"], parser["APP"]["appsecret"]


def code_on_terminal(log: Path, phone: str) -> str:
    """The newest code that a server printed for a number."""

    def found() -> str:
        lines = [line for line in log.read_text().splitlines() if line.startswith(f"SMS to +86{phone}: ")]
        return lines[-1].split(" code ")[1].split(" ")[0] if lines else ""

    return wait_until(found, "the code on the terminal")
