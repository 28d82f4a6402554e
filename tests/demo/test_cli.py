"""The command ``socketio-recovery demo``, run as a person runs it."""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapter import cli
from adapter.demo import run
from adapter.demo.play import Options
from adapter.demo.processes import ServerDiedError

COMMAND = [sys.executable, "-c", "from adapter.cli import main; main()"]
ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command as its own process, outside a terminal, with its output in pipes."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


def test_the_demo_loses_nothing_and_says_so_in_json() -> None:
    with start("demo", "--seconds", "3", "--clients", "12", "--json") as demo:
        output, errors = demo.communicate()
    result = json.loads(output)
    assert result["ok"] is True, result
    assert demo.returncode == 0
    assert errors == ""
    assert result["lost"] == result["doubled"] == result["disordered"] == result["strangers"] == 0
    assert result["refusals"] == {}
    assert result["recoveries"] == result["breaks"] > 10
    assert 0 < result["missed"] == result["got_back"]
    assert 0 < result["moves"] < result["recoveries"]


def test_without_recovery_packets_are_lost_and_the_status_is_1() -> None:
    with start("demo", "--seconds", "2", "--clients", "6", "--without-recovery", "--json") as demo:
        output, _errors = demo.communicate()
    result = json.loads(output)
    assert demo.returncode == 1
    assert result["ok"] is False
    assert result["lost"] > 0
    assert result["recoveries"] == 0
    assert set(result["refusals"]) == {"recovery is off"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_everything_quietly(number: signal.Signals, tmp_path: Path) -> None:
    seed = secrets.token_hex(8)
    arguments = ("--seconds", "60", "--clients", "3", "--without-recovery", "--seed", seed)
    with start("demo", *arguments, TMPDIR=str(tmp_path)) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "was back" in line)
        assert seed in running_commands()
        demo.send_signal(number)
        _output, errors = demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert errors == "Stopped.\n"
    left = running_commands()
    assert seed not in left  # a server
    assert str(tmp_path) not in left  # the store
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_a_script_runs_in_the_background_ends_on_sigterm(tmp_path: Path) -> None:
    """A shell has such a command ignore Ctrl-C."""
    arguments = ("demo", "--seconds", "60", "--clients", "3", "--without-recovery")
    ignoring = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        demo = start(*arguments, TMPDIR=str(tmp_path))
    finally:
        signal.signal(signal.SIGINT, ignoring)
    with demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "was back" in line)
        demo.terminate()
        _output, errors = demo.communicate(timeout=20)
    assert (demo.returncode, errors) == (130, "Stopped.\n")
    assert list(tmp_path.iterdir()) == []


def running_commands() -> str:
    if shutil.which("ps") is None:
        pytest.skip("needs the program ps")
    return subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def options_given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Options, bool]]:
    """Keep the command from running anything, and collect what it would have run."""
    given: list[tuple[Options, bool]] = []

    def run_command(options: Options, *, json: bool) -> int:
        given.append((options, json))
        return 0

    monkeypatch.setattr(run, "run_command", run_command)
    return given


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.build_app(), ["demo", *arguments])


def test_defaults(options_given: list[tuple[Options, bool]]) -> None:
    assert invoke().exit_code == 0
    options, as_json = options_given[0]
    assert (options.seconds, options.clients, options.url, options.recovery) == (15.0, 30, None, True)
    assert not as_json


def test_every_option_arrives(options_given: list[tuple[Options, bool]]) -> None:
    result = invoke(
        *("--seconds", "2.5", "--clients", "4", "--url", "redis://localhost", "--seed", "x"),
        *("--without-recovery", "--json"),
    )
    assert result.exit_code == 0
    expected = Options(seconds=2.5, clients=4, url="redis://localhost", seed="x", recovery=False)
    assert options_given == [(expected, True)]


def test_runs_without_a_seed_differ(options_given: list[tuple[Options, bool]]) -> None:
    invoke()
    invoke()
    assert options_given[0][0].seed != options_given[1][0].seed


@pytest.mark.parametrize(
    "arguments", [["--seconds", "0"], ["--clients", "0"], ["--seconds", "x"], ["--nonsense"]]
)
def test_impossible_options_are_refused(
    arguments: list[str], options_given: list[tuple[Options, bool]]
) -> None:
    assert invoke(*arguments).exit_code == 2
    assert options_given == []


def test_a_store_that_two_processes_cannot_share_is_refused() -> None:
    result = invoke("--url", "memory://")
    assert result.exit_code == 1
    assert "memory://" in result.output


def test_a_store_that_does_not_answer_is_one_message(tmp_path: Path) -> None:
    result = invoke("--json", "--url", f"unix://{tmp_path}/nobody")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_a_failure_is_one_message_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: Options, screen: object) -> None:
        raise ServerDiedError("server A ended with status 3")

    monkeypatch.setattr(run, "run_demo", fail)
    assert run.run_command(Options(), json=True) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "The demo failed: server A ended with status 3\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    hide(missing, monkeypatch)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert "pip install 'socketio-recovery[inspect,demo]'" in str(exit_.value)
    assert missing in str(exit_.value)


def test_with_half_of_the_extra_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide("uvicorn", monkeypatch)
    result = invoke()
    assert result.exit_code == 1
    assert "pip install 'socketio-recovery[demo]'" in result.output


def hide(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an installed package look as if it were not."""
    find_spec = importlib.util.find_spec

    def find_others(name: str) -> Any:
        return None if name == package else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
