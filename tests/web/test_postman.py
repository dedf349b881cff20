"""The Postman collection: complete, signed by its own script, and run by newman against a live server."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.web.openapi import EXAMPLES, build_document
from datingtoday.web.postman.collection import PHOTO, PHOTO_SHA256, build_collection
from tests.cli.running_server import RunningServer
from tests.plugins.api import Api
from tests.plugins.tools import program
from tests.web.record_examples import StoryTeller

FILES = Path(__file__).parents[2] / "clients" / "postman"
COLLECTION = FILES / "DatingToday.postman_collection.json"
NEWMAN = Path(__file__).with_name("newman") / "node_modules" / ".bin" / "newman"


@pytest.fixture(scope="module")
def server(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The embedded default with made-up people; the collection waits as long as this server asks between codes."""
    data = run_folder / tmp_path_factory.mktemp("postman").name / "data"
    running = RunningServer(data, "--seed", "50", LIMITS_SMS_GAP_S="1")
    try:
        yield running.wait_until_ready()
    finally:
        running.end()


def newman(server: RunningServer, folder: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """A run of the committed collection with the environment that the server hands out."""
    node = program("node")
    assert node
    environment, report = folder / "environment.json", folder / "report.json"
    folder.mkdir()
    environment.write_text(server.get("/docs/postman_environment.json").text)
    command: list[str | Path] = [
        node, NEWMAN, "run", COLLECTION, "--environment", environment, "--working-dir", FILES,
        "--reporters", "json", "--reporter-json-export", report, "--timeout", "120000", *options,
    ]  # fmt: skip
    for name, value in variables.items():
        command += ["--env-var", f"{name}={value}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def result_of(run: subprocess.Popen[str], folder: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the report's ``run``."""
    output, _ = run.communicate(timeout=150)
    report = folder / "report.json"
    assert report.exists(), output
    return run.returncode, json.loads(report.read_text())["run"]


@pytest.mark.needs("newman")
def test_newman_tells_the_story_with_both_ways_of_signing(server: RunningServer, tmp_path: Path) -> None:
    methods = ("md5", "hmac-sha256")
    runs = {method: newman(server, tmp_path / method, sign_method=method) for method in methods}
    for method, run in runs.items():
        status, report = result_of(run, tmp_path / method)
        failures = [
            (it.get("source", {}).get("name"), it["error"].get("test"), it["error"]["message"])
            for it in report["failures"]
        ]
        assert (status, failures) == (0, []), method
        assert report["stats"]["requests"]["total"] >= len(requests_of(json.loads(COLLECTION.read_text())))
        signed = {
            param["value"]
            for execution in report["executions"]
            for param in execution["request"]["url"].get("query", [])
            if param["key"] == "sign_method"
        }
        assert signed == {method}


@pytest.mark.needs("newman")
def test_a_wrong_secret_fails_the_run(server: RunningServer, tmp_path: Path) -> None:
    run = newman(server, tmp_path / "run", "--folder", "1 开始 · Start", appsecret="not-it")
    status, report = result_of(run, tmp_path / "run")
    assert status == 1
    assert any("code 0" in it["error"].get("test", "") for it in report["failures"])


def requests_of(collection: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for folder in collection["item"] for item in folder["item"]]


def test_every_endpoint_is_told_and_every_request_checked() -> None:
    document = build_document(product_routes())
    items = requests_of(build_collection(document))
    assert all("pm.test(" in "\n".join(item["event"][0]["script"]["exec"]) for item in items)
    document["paths"]["/api/user/wave"] = {"post": {}}
    with pytest.raises(ValueError, match="POST /api/user/wave"):
        build_collection(document)


def test_a_parameter_that_is_gone_is_noticed() -> None:
    document = build_document(product_routes())
    form = document["paths"]["/api/user/follow"]["post"]["requestBody"]["content"]
    del next(iter(form.values()))["schema"]["properties"]["peerId"]
    with pytest.raises(ValueError, match="peerId"):
        build_collection(document)


def test_the_picture_is_the_one_that_is_signed() -> None:
    assert hashlib.sha256((FILES / PHOTO).read_bytes()).hexdigest() == PHOTO_SHA256


def test_the_server_hands_out_the_same_collection(server: RunningServer) -> None:
    assert server.get("/docs/postman_collection.json").json() == json.loads(COLLECTION.read_text())


def test_the_key_is_for_this_machine_only(server: RunningServer) -> None:
    def secret(**headers: str) -> str:
        values = server.get("/docs/postman_environment.json", headers=headers).json()["values"]
        return str(next(it["value"] for it in values if it["key"] == "appsecret"))

    assert len(secret()) >= 16
    assert secret(**{"X-Forwarded-For": "203.0.113.9"}) == ""
    assert secret(**{"Sec-Fetch-Site": "cross-site"}) == ""
    assert secret(Host="evil.example:8000") == ""


def test_a_server_with_your_own_database_hands_out_no_key(api: Api) -> None:
    answer = api.send("GET", "/docs/postman_environment.json")
    assert next(it["value"] for it in answer.json["values"] if it["key"] == "appsecret") == ""


def shape(node: Any) -> Any:
    """Keys and types of an answer; of lists what their items have in common, of nothing ``null``."""
    if isinstance(node, dict):
        return {name: shape(value) for name, value in node.items()}
    if isinstance(node, list):
        return [shape(node[0])] if node else []
    return "number" if isinstance(node, int) and not isinstance(node, bool) else type(node).__name__


def is_like(recorded: Any, fresh: Any) -> bool:
    """True if both have the same keys and types; what is null or empty in one of them may be filled in the other."""
    if recorded in ("NoneType", []) or fresh in ("NoneType", []):
        return True
    if isinstance(recorded, dict) and isinstance(fresh, dict):
        return recorded.keys() == fresh.keys() and all(is_like(recorded[name], fresh[name]) for name in fresh)
    if isinstance(recorded, list) and isinstance(fresh, list):
        return is_like(recorded[0], fresh[0])
    return bool(recorded == fresh)


def test_the_examples_of_the_documentation_are_what_the_server_answers(server: RunningServer) -> None:
    fresh = StoryTeller(server).record()
    kept = json.loads(EXAMPLES.read_text())
    stale = "run `python -m tests.web.record_examples`"
    assert kept.keys() == fresh.keys(), stale
    for operation, named in fresh.items():
        assert kept[operation].keys() == named.keys(), (operation, stale)
        for name, told in named.items():
            before = kept[operation][name]
            assert before["title"] == told["title"], stale
            assert is_like(shape(before["answer"]), shape(told["answer"])), (operation, stale, before, told)


def test_an_example_that_no_longer_comes_is_noticed() -> None:
    before = shape({"code": 0, "data": {"list": [{"age": 20, "avatar": None}], "next": None}})
    assert is_like(before, shape({"code": 0, "data": {"list": [{"age": None, "avatar": "x"}], "next": "y"}}))
    assert not is_like(
        before, shape({"code": 0, "data": {"list": [{"age": "20", "avatar": None}], "next": None}})
    )
    assert not is_like(before, shape({"code": 0, "data": {"list": [{"age": 20}], "next": None}}))
