"""A small client of a running server, for commands: signs, logs in, and keeps logins in the data folder."""

import json
import os
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from datingtoday.cli.main import CommandFailed
from datingtoday.infra.config.settings import Settings
from datingtoday.protocol.signing.strings_to_sign import HMAC_SHA256, hmac_string, sign_hmac

LOGINS_FILE = "call-logins.json"
_TIMEOUT_S = 30.0
_ENDED = frozenset({504, 1101})
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A signed request."""

    method: str
    url: str
    params: dict[str, str]

    def curl(self) -> str:
        """A line for a shell that sends it; good for as long as its timestamp is."""
        pairs = urlencode(self.params)
        return (
            f"curl -sS '{self.url}?{pairs}'" if self.method == "GET" else f"curl -sS -d '{pairs}' {self.url}"
        )

    def send(self) -> Answer:
        """:raises CommandFailed: nobody answers, or not in JSON."""
        pairs = urlencode(self.params)
        is_get = self.method == "GET"
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked by ApiClient
            f"{self.url}?{pairs}" if is_get else self.url,
            data=None if is_get else pairs.encode(),
            method=self.method,
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - see above
                body = response.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise CommandFailed(
                f"no answer from {self.url}: {reason}; is the server running? (--url, or `make run`)",
                f"{self.url} 没有应答：{reason}；服务是否在运行？（用 --url 指定，或 `make run`）",
            ) from error
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise CommandFailed(
                f"{self.url} does not answer in JSON", f"{self.url} 的应答不是 JSON"
            ) from error
        return answer if isinstance(answer, dict) else {"data": answer}


class ApiClient:
    """Requests to one server, signed with the appkey of the settings."""

    def __init__(self, settings: Settings, url: str) -> None:
        """:raises CommandFailed: not an http address, or no appkey to sign with."""
        if not url.startswith(("http://", "https://")):
            raise CommandFailed(
                f"--url {url}: an http:// or https:// address", f"--url {url}：应为 http:// 或 https:// 地址"
            )
        if not settings.app.appkey:
            raise CommandFailed(
                "there is no appkey to sign with: set [APP], or name the data folder of a server with --data",
                "没有可用于签名的 appkey：请设置 [APP]，或用 --data 指定服务的数据目录",
            )
        self._url = url.rstrip("/")
        self._settings = settings
        self._file = settings.data_dir / LOGINS_FILE

    def request(self, method: str, path: str, params: dict[str, str]) -> Request:
        """Sign a request now."""
        signed = {
            **params,
            "appkey": self._settings.app.appkey,
            "timestamp": str(time.time_ns() // 1_000_000),
            "nonce": secrets.token_hex(8),
            "sign_method": HMAC_SHA256,
        }
        signed["sign"] = sign_hmac(hmac_string(method, path, signed), self._settings.app.appsecret)
        return Request(method, self._url + path, signed)

    def login(self, phone: str, code: str | None, *, anew: bool = False) -> dict[str, str]:
        """The parameters of a login; an earlier one is used again.

        :param code: None: the demo's, or the one that the answer to sendsms contains.
        :raises CommandFailed: the server refuses it, or a code is needed.
        """
        kept = {} if anew else self._kept()
        name = f"{self._url} {phone}"
        if name not in kept:
            code = code or self._demo_code(phone) or self._ask(phone)
            answer = self.request("POST", "/api/auth/login", {"phone": phone, "code": code}).send()
            if answer.get("code") != 0:
                raise CommandFailed(
                    f"login refused: {answer.get('code')} {answer.get('msg')}",
                    f"登录被拒绝：{answer.get('code')} {answer.get('msg')}",
                )
            data = answer["data"]
            kept = {**self._kept(), name: {"userId": str(data["user_id"]), "token": data["token"]}}
            self._keep(kept)
        return kept[name]

    @staticmethod
    def is_ended(answer: Answer) -> bool:
        """True if a stored login has ended."""
        return answer.get("code") in _ENDED

    def _demo_code(self, phone: str) -> str:
        from datingtoday.infra.config.demo import DEMO_PHONES

        is_demo = f"+86{phone.removeprefix('+86')}" in DEMO_PHONES
        return self._settings.demo.login_code if is_demo else ""

    def _ask(self, phone: str) -> str:
        answer = self.request("POST", "/api/auth/sendsms", {"phone": phone}).send()
        code = (answer.get("data") or {}).get("code")
        if answer.get("code") != 0 or code is None:
            raise CommandFailed(
                f"a code is needed: {answer.get('msg')}; when it is sent, give it with --code",
                f"需要验证码：{answer.get('msg')}；收到后用 --code 给出",
            )
        return str(code)

    def _kept(self) -> dict[str, dict[str, str]]:
        if not self._file.is_file():
            return {}
        kept: dict[str, dict[str, str]] = json.loads(self._file.read_text(encoding="utf-8"))
        return kept

    def _keep(self, logins: dict[str, dict[str, str]]) -> None:
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(logins), encoding="utf-8")
        Path(temporary).replace(self._file)
