"""`/metrics`: what is counted, and that processes count together."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from datingtoday.protocol.metrics import FOLDER_VARIABLE, count_across_processes
from tests.cli.running_server import RunningServer
from tests.plugins.api import Api, new_phone
from tests.plugins.polling import wait_until

HERE = "127.0.0.1"
REQUESTS = "datingtoday_requests_total"


def samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Label values → number."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def count(text: str, endpoint: str, status: str = "200", code: str = "0") -> float:
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == REQUESTS and sample.labels == {"endpoint": endpoint, "status": status, "code": code}
    ]
    return sum(found)


class TestWhatIsCounted:
    @pytest.fixture
    def own(self, app_of: Callable[..., Api]) -> Api:
        return app_of()

    def metrics(self, api: Api) -> str:
        return api.send("GET", "/metrics", address=HERE).body.decode()

    def test_outcomes_by_endpoint(self, own: Api) -> None:
        phone = new_phone()
        params = own.params("POST", "/api/auth/sendsms", {"phone": phone})
        for _ in range(2):
            own.send("POST", "/api/auth/sendsms", params)
        own.post("/api/auth/sendsms", phone=phone)
        own.send("GET", "/api/auth/sendsms")
        text = self.metrics(own)
        endpoint = "/api/auth/sendsms"
        assert count(text, endpoint) == 1
        assert count(text, endpoint, code="1002") == 1
        assert count(text, endpoint, status="429", code="429") == 1
        assert count(text, endpoint, status="405", code="405") == 1

    def test_made_up_paths_are_one_series(self, own: Api) -> None:
        for number in range(5):
            own.send("GET", f"/api/made/up/{number}")
        text = self.metrics(own)
        assert count(text, "other", status="404", code="404") == 5
        assert "made" not in text

    def test_variable_parts_are_one_series(self, own: Api) -> None:
        for name in ("docs.js", "page.css", "nothing.js"):
            own.send("GET", f"/docs/{name}")
        text = self.metrics(own)
        assert count(text, "/docs/<name>") == 2
        assert count(text, "/docs/<name>", status="404", code="404") == 1

    def test_time(self, own: Api) -> None:
        own.send("GET", "/healthz", address=HERE)
        text = self.metrics(own)
        counted = samples(text, "datingtoday_request_seconds_count")
        seconds = samples(text, "datingtoday_request_seconds_sum")
        assert counted["/healthz",] == 1
        assert 0 < seconds["/healthz",] < 5

    def test_what_processes_remember(self, own: Api) -> None:
        user = own.new_user()

        def reads(result: str) -> float:
            found = samples(self.metrics(own), "datingtoday_memory_reads_total")
            return found.get(("hot kinds", result), 0)

        before = reads("hit"), reads("miss")
        for _ in range(3):
            own.get("/api/user/hot/list", user).data  # noqa: B018 - asserts success
        after = reads("hit"), reads("miss")
        # The first one had nothing to guess by; each reading looks once or twice.
        assert after[0] - before[0] >= 2
        assert 1 <= after[1] - before[1] <= 2

    def test_nothing_is_lost_when_many_count(self, own: Api) -> None:
        def ask() -> None:
            for _ in range(50):
                own.send("GET", "/healthz", address=HERE)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(ask) for _ in range(8)]:
                done.result()
        assert count(self.metrics(own), "/healthz") == 400

    def test_can_be_switched_off(self, app_of: Callable[..., Api]) -> None:
        off = app_of(METRICS_ENABLED=0)
        assert off.send("GET", "/metrics", address=HERE).status == 404
        assert off.send("GET", "/healthz", address=HERE).status == 200


class TestSeveralProcesses:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[RunningServer]:
        server = RunningServer(tmp_path / "data")
        try:
            yield server.wait_until_ready()
        finally:
            server.end()

    def test_count_together(self, server: RunningServer) -> None:
        server.wait_for_workers()
        for _ in range(20):
            server.get("/healthz", headers={"Connection": "close"})
        self.wait_for_count(server, 20)
        assert {count(server.get("/metrics").text, "/healthz") for _ in range(6)} == {20}

    def test_the_numbers_of_a_dead_worker_stay(self, server: RunningServer) -> None:
        workers = server.wait_for_workers()
        for _ in range(10):
            server.get("/healthz", headers={"Connection": "close"})
        self.wait_for_count(server, 10)
        os.kill(workers[0], signal.SIGKILL)
        wait_until(
            lambda: len(left := server.workers()) == 2 and workers[0] not in left,
            "a new worker",
            deadline_s=30,
        )
        server.get("/healthz")
        self.wait_for_count(server, 11)

    @staticmethod
    def wait_for_count(server: RunningServer, number: int) -> None:
        """Each worker adds its own up a moment later."""
        wait_until(lambda: count(server.get("/metrics").text, "/healthz") >= number, f"{number} requests")
        assert count(server.get("/metrics").text, "/healthz") == number

    def test_a_new_server_begins_anew(self, server: RunningServer) -> None:
        for _ in range(5):
            server.get("/healthz")
        self.wait_for_count(server, 5)
        server.stop()
        again = RunningServer(server.data, port=server.wanted_port)
        try:
            again.wait_until_ready()
            assert count(again.get("/metrics").text, "/healthz") == 0
        finally:
            again.end()


def test_a_file_that_is_just_being_made_is_left_out(
    app_of: Callable[..., Api], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = app_of()
    folder = tmp_path / "counts"
    folder.mkdir()
    (folder / "counter_1.db").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    answer = api.send("GET", "/metrics", address=HERE)
    assert answer.status == 200 and b"datingtoday_part_up" in answer.body


class TestFolder:
    @pytest.fixture(autouse=True)
    def _unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(FOLDER_VARIABLE, raising=False)

    def test_what_the_dead_left_is_removed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
        dead = tmp_path / f"counter_{_dead_pid()}.db"
        dead.touch()
        count_across_processes(tmp_path)
        assert not dead.exists()

    def test_but_not_while_a_user_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
        dead, alive = tmp_path / f"counter_{_dead_pid()}.db", tmp_path / f"counter_{os.getpid()}.db"
        dead.touch()
        alive.touch()
        count_across_processes(tmp_path)
        assert dead.exists()
        assert alive.exists()

    def test_a_folder_of_your_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen = tmp_path / "chosen"
        monkeypatch.setenv(FOLDER_VARIABLE, str(chosen))
        count_across_processes(tmp_path / "default")
        assert chosen.is_dir()
        assert not (tmp_path / "default").exists()


def _dead_pid() -> int:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    return child
