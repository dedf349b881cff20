"""A program that reads strangers' files cannot take more than it is given, and cannot stay."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from datingtoday.media.processing.confined import OUTPUT_BYTES, Limits, Outcome, run_confined
from tests.plugins.polling import wait_until

MEGABYTE = 1024 * 1024
LIMITS = Limits(memory_bytes=256 * MEGABYTE, cpu_s=5, wall_s=20.0, file_bytes=MEGABYTE)


def run(program: str, folder: Path, **changed: float) -> Outcome:
    values = {
        "memory_bytes": LIMITS.memory_bytes,
        "cpu_s": LIMITS.cpu_s,
        "wall_s": LIMITS.wall_s,
        "file_bytes": LIMITS.file_bytes,
    } | changed
    return run_confined([sys.executable, "-I", "-c", program], folder=folder, limits=Limits(**values))  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    """True if the process has ended (a zombie counts)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_an_ordinary_program(tmp_path: Path) -> None:
    outcome = run(
        "import os, sys; print(os.getcwd()); print('oops', file=sys.stderr); open('out', 'w').write('x')",
        tmp_path,
    )
    assert outcome == Outcome(0, f"{tmp_path}\n".encode(), b"oops\n", cut=False)
    assert outcome.ok
    assert (tmp_path / "out").read_text() == "x"


def test_its_own_failure(tmp_path: Path) -> None:
    outcome = run("raise SystemExit(3)", tmp_path)
    assert (outcome.returncode, outcome.ok, outcome.cut) == (3, False, False)
    crashed = run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path)
    assert (crashed.returncode, crashed.ok) == (-11, False)


def test_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATINGTODAY_SECURITY_SECRET_KEY", "hush")
    outcome = run("import os; print(sorted(os.environ)); print(os.read(0, 1))", tmp_path)
    printed = outcome.output.decode()
    assert "DATINGTODAY" not in printed and "HOME" not in printed
    assert printed.endswith("b''\n")  # Nothing on stdin.


def test_memory(tmp_path: Path) -> None:
    assert run("x = bytearray(100 * 2**20)", tmp_path).ok
    outcome = run("x = bytearray(300 * 2**20)", tmp_path)
    assert not outcome.ok and b"MemoryError" in outcome.errors


def test_cpu_time(tmp_path: Path) -> None:
    began = time.monotonic()
    outcome = run("while True: pass", tmp_path, cpu_s=1)
    assert outcome.returncode < 0 and not outcome.ok
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(600)",
        # Closing the streams or ignoring signals helps nobody.
        "import os, time; os.close(1); os.close(2); time.sleep(600)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    ],
)
def test_time(tmp_path: Path, program: str) -> None:
    began = time.monotonic()
    outcome = run(program, tmp_path, wall_s=1.0)
    assert outcome.cut and not outcome.ok
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output(tmp_path: Path, stream: str) -> None:
    outcome = run(f"import sys\nwhile True: sys.{stream}.write('x' * 1000)", tmp_path)
    assert outcome.cut and not outcome.ok
    assert OUTPUT_BYTES < len(outcome.output + outcome.errors) < 2 * OUTPUT_BYTES


def test_output_up_to_256_kib_is_whole(tmp_path: Path) -> None:
    for size, is_whole in ((262_144, True), (262_145, False)):
        outcome = run(f"print('x' * {size}, end='')", tmp_path)
        assert (outcome.ok, outcome.cut) == (is_whole, not is_whole)


def test_large_files(tmp_path: Path) -> None:
    assert run(f"open('out', 'wb').write(bytes({MEGABYTE}))", tmp_path).ok
    outcome = run(f"open('out', 'wb').write(bytes({3 * MEGABYTE}))", tmp_path)
    assert not outcome.ok
    assert (tmp_path / "out").stat().st_size <= MEGABYTE


def test_what_it_starts_ends_with_it(tmp_path: Path) -> None:
    program = (
        "import os, time\n"
        "pid = os.fork()\n"
        "if pid: open('pid', 'w').write(str(pid)); print('x', flush=True)\n"
        "time.sleep(600)\n"
    )
    assert run(program, tmp_path, wall_s=1.0).cut
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: gone(pid), "the end of what it started")


def test_no_open_files_are_inherited(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with secret.open() as opened:
        os.set_inheritable(opened.fileno(), True)
        outcome = run("import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 9) "
                      "if os.path.lexists(f'/proc/self/fd/{n}')])", tmp_path)  # fmt: skip
    assert b"secret" not in outcome.output


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    outcome = run_confined([str(tmp_path / "nothing")], folder=tmp_path, limits=LIMITS)
    assert not outcome.ok
