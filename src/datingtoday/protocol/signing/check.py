"""Steps 1 to 4 of the checks: client program, freshness, signature, and that the request was not seen before."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from datingtoday.infra.redis import Command
from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.errors import (
    AppkeyUnknown,
    ParameterError,
    RequestExpired,
    RequestReplayed,
    SignatureWrong,
)
from datingtoday.protocol.peer import limit_key
from datingtoday.protocol.signing.attempts import SignedRequest
from datingtoday.protocol.signing.client_apps import ClientApps
from datingtoday.protocol.signing.explain import declared_params, explain, of_another_method
from datingtoday.protocol.signing.md5_readings import Readings, only_reading, readings
from datingtoday.protocol.signing.replay import ReplayGuard
from datingtoday.protocol.signing.strings_to_sign import (
    HMAC_SHA256,
    MD5,
    NO_FILE_SHA256,
    SIGN_LENGTHS,
    SIGN_METHODS,
    is_hmac_signed,
    signed_text,
)
from datingtoday.protocol.signing.timestamps import NONCE_ALLOWED, TIMESTAMP_ALLOWED, is_nonce, timestamp_ms

_HEX = re.compile(r"[0-9A-Fa-f]+\Z", re.ASCII)
_METHODS_ALLOWED = Text("md5 (if left out) or hmac-sha256", "md5（缺省）或 hmac-sha256")
_HMAC_ONLY = Text("hmac-sha256; this appkey takes no md5", "hmac-sha256；该 appkey 不接受 md5")
_FILE_SHA256 = Text(
    "the hex SHA-256 of the uploaded file; md5 signatures need it",
    "上传文件的 SHA-256（十六进制）；md5 签名必须带",
)


class SignatureCheck:
    """Checks signed requests in the order of docs/protocol.md.

    :param explains: whether wrong signatures of peers on this machine are explained to them.
    """

    def __init__(self, apps: ClientApps, replay: ReplayGuard, *, explains: bool) -> None:
        self._apps = apps
        self.replay = replay
        self._explains = explains

    def admit(self, call: Call, now_ms: int, also: Sequence[Command]) -> list[Any]:
        """Check the request and use it up.

        :param also: see `ReplayGuard.admit`, whose answers are returned.
        :raises AppError: nothing is used up, unless the request was right and is refused as seen before.
        """
        params = call.params
        appkey = params.get("appkey")
        if not appkey:
            raise ParameterError.plain("appkey is none.", "缺少 appkey。")
        app = self._apps.find(appkey)
        if app is None:
            raise AppkeyUnknown
        call.appkey = appkey
        sign_method = params.get("sign_method", MD5)
        if sign_method not in SIGN_METHODS:
            raise ParameterError.malformed("sign_method", _METHODS_ALLOWED)
        if app.hmac_only and sign_method != HMAC_SHA256:
            raise ParameterError.malformed("sign_method", _HMAC_ONLY)
        sent_ms, sign = self._check_freshness(params, sign_method, now_ms)
        sent = self._verify(call, app.live_secrets(call.now), sign_method, sent_ms)
        scope = f"{appkey}|{params.get('token') or limit_key(call.address)}|{params['nonce']}"
        verdict, answers = self.replay.admit(sign, scope, sent, now_ms=now_ms, also=also)
        if verdict.lost_at_ms is not None:
            wait_ms = self._wait_ms(params["timestamp"], verdict.lost_at_ms, now_ms)
            raise RequestExpired(data={"server_time": now_ms, "retry_after_ms": wait_ms})
        if not verdict.accepted:
            raise RequestReplayed
        return answers

    def _check_freshness(self, params: Mapping[str, str], sign_method: str, now_ms: int) -> tuple[int, str]:
        """The request's time and its signature in canonical form."""
        timestamp = params.get("timestamp")
        if not timestamp:
            raise ParameterError.missing("timestamp", TIMESTAMP_ALLOWED)
        sent_ms = timestamp_ms(timestamp)
        if sent_ms is None:
            raise ParameterError.malformed("timestamp", TIMESTAMP_ALLOWED)
        nonce = params.get("nonce")
        if not nonce:
            raise ParameterError.missing("nonce", NONCE_ALLOWED)
        if not is_nonce(nonce):
            raise ParameterError.malformed("nonce", NONCE_ALLOWED)
        sign = _sign_of(params, sign_method)
        if now_ms - sent_ms > self.replay.window_ms or sent_ms - now_ms > self.replay.ahead_ms:
            raise RequestExpired(data={"server_time": now_ms})
        return sent_ms, sign

    def _verify(self, call: Call, live: Sequence[str], sign_method: str, sent_ms: int) -> Readings:
        """Verify the signature; return the ways it can be read."""
        params, file = call.params, call.file
        covered = {
            "method": call.method,
            "path": call.path,
            "file_sha256": NO_FILE_SHA256 if file is None else file.sha256,
        }
        read: Readings | None = None
        if sign_method == HMAC_SHA256:
            if is_hmac_signed(params, live, **covered):
                read = only_reading(sent_ms)
        else:
            if file is not None and "fileSha256" not in params:
                raise ParameterError.missing("fileSha256", _FILE_SHA256)
            text = signed_text(params, live)
            if text is not None:
                # Also where a login is needed: md5 covers no path, and what is no login any more, cut differently, is
                # still a request to an endpoint that needs none.
                read = readings(text.head, params["timestamp"], params["nonce"], sent_ms=sent_ms)
        if read is None:
            data = None
            if self._explains and call.is_local:
                request = SignedRequest(
                    params, **covered, host=call.host, declared=declared_params(call.endpoint.params)
                )
                data = explain(request, live, sign_method=sign_method, lang=call.lang)
            raise SignatureWrong(data=data)
        if file is not None and "fileSha256" in params and params["fileSha256"].lower() != file.sha256:
            raise ParameterError.malformed("fileSha256", _FILE_SHA256)
        return read

    def _wait_ms(self, timestamp: str, lost_at_ms: int, now_ms: int) -> int:
        """Time until a timestamp of the same form is after the moment up to which memory was lost."""
        first_good_ms = lost_at_ms + self.replay.ahead_ms + 1
        if len(timestamp) == 10:
            # Whole seconds: the next one.
            first_good_ms = -(-first_good_ms // 1000) * 1000
        return max(1, first_good_ms - now_ms)


def _sign_of(params: Mapping[str, str], sign_method: str) -> str:
    """The signature in its canonical form."""
    length = SIGN_LENGTHS[sign_method]
    allowed = Text(
        f"the {sign_method} signature, {length} hex digits", f"{sign_method} 签名，{length} 位十六进制"
    )
    sign = params.get("sign")
    if not sign:
        raise ParameterError.missing("sign", allowed)
    if len(sign) != length or not _HEX.match(sign):
        raise ParameterError.malformed("sign", of_another_method(sign) or allowed)
    return sign.lower()
