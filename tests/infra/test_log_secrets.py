"""No log line of any producer carries a secret, wherever in a request, a record or an exception it stands."""

from __future__ import annotations

import logging
import re
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datingtoday.infra.logs import configure_logs
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn

TOKEN = "3f9a27c05e1bd8846a7702ce915fb3d0"
PHONE = "13812345678"
SECRETS = (TOKEN, TOKEN.upper(), PHONE, "138 1234 5678", "138-1234-5678")
MARKS = re.compile(rf"{TOKEN}|138[ -]?1234[ -]?5678", re.IGNORECASE)

NEARBY_TEXT = st.sampled_from(
    [
        "",
        " ",
        "?",
        "&",
        "=",
        "'",
        '"',
        "\\",
        "%2B86",
        "+86",
        "token=",
        "phone:",
        "{",
        "}",
        "(",
        "GET /x?",
        "\n",
        "中",
        "x",
    ]
)


@pytest.fixture
def written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], str]]:
    """Text written to stderr since the last call."""

    def take() -> str:
        return capsys.readouterr().err

    root = logging.getLogger()
    before = list(root.handlers), root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    structlog.reset_defaults()
    configure_logs("debug")
    yield take
    root.handlers[:], root.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Told(Exception):
    """Carries what it is given in its text, and in its repr."""


def _raise(text: str) -> None:
    raise Told(text)


def structlog_event(text: str) -> None:
    structlog.get_logger().warning(text)


def structlog_value(text: str) -> None:
    structlog.get_logger().warning(
        "told", reason=text, data=text.encode(), many=[{"a": (text,)}], error=Told(text)
    )


def structlog_exception(text: str) -> None:
    try:
        _raise(text)
    except Told:
        structlog.get_logger().exception("failed")


def stdlib_message(text: str) -> None:
    logging.getLogger("library").warning(text.replace("%", "%%") + "%s", "")


def stdlib_arguments(text: str) -> None:
    logging.getLogger("gunicorn.error").error("told %s %r", text, {"k": text})


def stdlib_exception(text: str) -> None:
    try:
        _raise(text)
    except Told as error:
        logging.getLogger("gunicorn.error").error("failed", exc_info=error)


def stdlib_record_that_cannot_be_formatted(text: str) -> None:
    root = logging.getLogger()
    # Without pytest's own handlers, which raise.
    root.handlers[:] = [
        handler for handler in root.handlers if type(handler).__module__.startswith("datingtoday")
    ]
    logging.getLogger("library").error("told %d", text)


def python_warning(text: str) -> None:
    warnings.warn(text, stacklevel=1)


def thread(text: str) -> None:
    failing = threading.Thread(target=_raise, args=(text,))
    failing.start()
    failing.join()


def uncaught(text: str) -> None:
    try:
        _raise(text)
    except Told as error:
        sys.excepthook(Told, error, error.__traceback__)


PRODUCERS: list[Callable[[str], None]] = [
    structlog_event, structlog_value, structlog_exception, stdlib_message, stdlib_arguments, stdlib_exception,
    stdlib_record_that_cannot_be_formatted, python_warning, thread, uncaught,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("produce", PRODUCERS, ids=lambda produce: produce.__name__)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=NEARBY_TEXT, secret=st.sampled_from(SECRETS), after=NEARBY_TEXT)
def test_no_producer_writes_a_secret(
    written: Callable[[], str], produce: Callable[[str], None], before: str, secret: str, after: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        produce(before + secret + after)
    lines = written()
    assert lines.strip(), "nothing was written at all"
    assert not MARKS.search(lines), lines


@pytest.mark.parametrize(
    "text",
    [
        "mysql://dt:hunter2secret@h/db",
        "code=918273",
        "'code': '918273'",
        '"password": "hunter2secret"',
        "sign=hunter2secret",
    ],
)
def test_what_has_no_form_is_known_by_its_name(written: Callable[[], str], text: str) -> None:
    structlog_value(text)
    stdlib_arguments(text)
    lines = written()
    assert "hunter2secret" not in lines and "918273" not in lines, lines


REQUESTS = [
    "GET /api/user/show?token={0} x&userId=100785 HTTP/1.1\r\n\r\n",
    "GET /api/user/show?phone=x{1} y HTTP/1.1\r\n\r\n",
    "{0}{1} / HTTP/1.1\r\n\r\n",
    "GET /?code=918273\u0000 {0} HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nAuthorization {2}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nX: {2}\u0001\r\n\r\n",
    "GET /{2} HTTP/{2}\r\n\r\n",
    "POST /?appsecret={2} HTTP/1.1\r\nContent-Length: {2}\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{2}\r\n",
    "GET /?x={2} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {2}\r\n\r\n",
    "GET /?x={2}" + "z" * 9000 + " HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_gunicorn_quotes_no_request(tmp_path: Path, level: str) -> None:
    """A real gunicorn with its log as ours, and an application that fails in every way."""
    (tmp_path / "failing.py").write_text(
        "from datingtoday.infra.logs import configure_logs\n"
        "from datingtoday.infra.server.gunicorn_server import answer_errors_in_json\n"
        f"configure_logs({level!r})\nanswer_errors_in_json()\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n"
        "    environ['wsgi.input'].read()\n"
        "    raise RuntimeError(environ['QUERY_STRING'])\n"
    )
    port, log = Port(), tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port.number}", "--log-level", level]
    command += ["--threads", "4", "--logger-class", "datingtoday.infra.server.gunicorn_log.JsonLog"]
    process = spawn([*command, "failing:application"], log=log, cwd=tmp_path)
    try:
        wait_until(lambda: _sent(port.number, "GET / HTTP/1.0\r\n\r\n"), "gunicorn", deadline_s=60)
        for request in REQUESTS:
            _sent(port.number, request.format(TOKEN, PHONE, "hunter2secret"))
        wait_until(lambda: log.read_text().count("Invalid request") >= 5, "the messages")
    finally:
        end(process, signal.SIGTERM)
        port.release()
    lines = log.read_text()
    assert not MARKS.search(lines), lines
    assert "hunter2secret" not in lines and "918273" not in lines, lines


def _sent(port: int, request: str) -> bool:
    """True if the server took it; its answer does not matter."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request.encode())
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
    except OSError:
        return False
    return True
