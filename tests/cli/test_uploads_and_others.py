"""Uploads that keep decoders busy do not keep others waiting: measured on a server as `make run` starts it."""

from __future__ import annotations

import hashlib
import io
import statistics
import threading
import time
from collections import Counter

import pytest
from PIL import Image

from tests.blackbox.client import Client, generated_secrets
from tests.chat.connections import FILE, Request, requester
from tests.cli.running_server import Start
from tests.plugins.api import User

UPLOADS = 12
"""At the same time, each followed by the next one."""
MEASURED_S = 8.0
MAX_RATIO = 40
"""Ratio of the median times of answers to others, with uploads and without. On two busy cores: 4 for one account,
9 for six; 1,500 before uploads had limits. Decoders still take processors, of which a small machine has two."""


def _big_png() -> bytes:
    """25 megapixels in some hundred kB: cheap to send, dear to decode."""
    image = Image.effect_noise((50, 50), 40).convert("RGB").resize((5000, 5000), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.quantize(3).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _log_in(url: str, secrets: tuple[str, str], phone: str) -> Request:
    client = Client(url, *secrets)
    code = client.call("POST", "/api/auth/sendsms", phone=phone)["data"]["code"]
    login = client.log_in(phone, code)
    return requester(url, User(login.user_id, login.token, phone), *secrets)


def _median_s(request: Request, *, for_s: float) -> float:
    took: list[float] = []
    end = time.perf_counter() + for_s
    while time.perf_counter() < end:
        start = time.perf_counter()
        answer = request("GET", "/api/user/show", {})
        took.append(time.perf_counter() - start)
        assert answer["code"] == 0, answer
    return statistics.median(took)


@pytest.mark.long
@pytest.mark.parametrize("accounts", [1, 6])
def test_uploads_of_any_number_of_accounts_leave_room_for_others(start: Start, accounts: int) -> None:
    server = start(LIMITS_ENABLED="1", LIMITS_PER_USER_PER_MINUTE="1000000")
    secrets = generated_secrets(server.data)
    uploaders = [_log_in(server.url, secrets, f"1392222{number:04d}") for number in range(accounts)]
    other = _log_in(server.url, secrets, "13933330000")
    content = _big_png()
    assert len(content) < 1_000_000
    params = {"kind": "photo", "fileSha256": hashlib.sha256(content).hexdigest(), FILE: content}
    ended, answers = threading.Event(), Counter[int]()

    def keep_uploading(request: Request) -> None:
        while not ended.is_set():
            answer = request("POST", "/api/media/upload", params)
            answers[answer["code"]] += 1
            if answer["code"] != 0:
                ended.wait(0.2)

    quiet_s = _median_s(other, for_s=2.0)
    threads = [
        threading.Thread(target=keep_uploading, args=(uploaders[number % accounts],))
        for number in range(UPLOADS)
    ]
    for thread in threads:
        thread.start()
    busy_s = _median_s(other, for_s=MEASURED_S)
    ended.set()
    for thread in threads:
        thread.join(60)
    told = f"median {quiet_s * 1000:.1f} ms, with uploads {busy_s * 1000:.1f} ms; uploads: {dict(answers)}"
    print(told)
    assert answers.keys() <= {0, 429, 503}, told
    assert answers[0] >= 3, f"uploads are accepted all the while: {told}"
    assert busy_s < MAX_RATIO * quiet_s, told
