from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import capture_logs

import syncd.__main__
from syncd import __version__
from syncd.cli import COMMANDS, cli
from syncd.errors import AnotherInstanceError, ConfigurationError, StorageError
from syncd.status.file import write_status
from syncd.status.healthcheck import quick_verdict
from syncd.status.next_steps import NEXT_STEPS
from syncd.status.report import Report
from syncd.status.snapshot import snapshot
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.support.storefiles import execute, opened

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.status.report import State

pytestmark = pytest.mark.usefixtures("clean_environment")


def syncd_command(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "syncd", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


def write_report(folder: Path, state: State = "online", age: timedelta = timedelta(0), database_error: str | None = None) -> Path:
    report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=datetime.now(UTC) - timedelta(hours=3))
    report.state = state
    report.outbox.pending[2] = 1234
    report.database.error = database_error
    write_status(folder / "status.json", snapshot(report, make_settings(folder), datetime.now(UTC) - age))
    return folder / "status.json"


def test_the_version_is_told() -> None:
    assert syncd_command("--version").stdout == f"syncd {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    help_text = cli.commands[command].help or ""
    assert "Example" in help_text
    assert f"syncd {command}" in help_text or f'"syncd", "{command}"' in help_text


def test_a_command_is_loaded_only_where_it_is_called_for() -> None:
    code = "import sys; from syncd.cli import cli; cli.main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    for arguments in ("--help", "healthcheck --help"):
        done = subprocess.run([sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True, check=True)
        loaded = {name for name in COMMANDS if f"syncd.commands.{name}" in done.stdout.splitlines()[-1].split()}
        assert loaded == {"healthcheck"} & set(arguments.split())


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("run", "--confg", "x"), "Did you mean '--config'?"),
        (("sattus",), "Did you mean 'status'?"),
        (("status", "now"), "unexpected extra argument"),
        (("devhub", "--port", "99999"), "--port"),
        ((), "Usage:"),
    ],
)
def test_wrong_usage_is_64_with_a_hint(arguments: tuple[str, ...], hint: str) -> None:
    done = syncd_command(*arguments)
    assert done.returncode == 64
    assert hint in done.stderr


def test_a_bad_configuration_is_78_in_one_paragraph(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text("[hub]\nulr = 1\n")
    done = syncd_command("run", "--config", tmp_path / "syncd.toml")
    assert done.returncode == 78
    assert done.stderr.startswith("syncd: the configuration cannot be used")
    assert "did you mean hub.url?" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_shows_a_person_how_it_is(tmp_path: Path) -> None:
    done = syncd_command("status", "--file", write_report(tmp_path, "offline"))
    assert done.returncode == 0
    assert done.stdout.startswith("Store 17. It works, and somebody should look at this (warning):")
    assert "1,234 rows wait (1,234 high)" in done.stdout
    assert "no connection to HQ" in done.stdout
    assert "\x1b" not in done.stdout


def test_status_gives_a_program_the_verdict_and_the_file(tmp_path: Path) -> None:
    done = syncd_command("status", "--json", "--file", write_report(tmp_path, database_error="disk full"))
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "critical"
    assert answer["reasons"] == ["the database cannot be used: disk full"]
    assert answer["storeId"] == 17
    assert answer["nextSteps"] == [NEXT_STEPS["database_unusable"]]
    gone = json.loads(syncd_command("status", "--json", "--file", tmp_path / "gone.json").stdout)
    assert (gone["verdict"], gone["nextSteps"]) == ("missing", [NEXT_STEPS["status_missing"]])


def test_status_finds_the_file_by_the_configuration_even_where_that_is_not_complete(tmp_path: Path) -> None:
    write_report(tmp_path)
    (tmp_path / "syncd.toml").write_text(f'[status]\npath = "{tmp_path}/status.json"\n')
    assert syncd_command("status", SYNCD_CONFIG=str(tmp_path / "syncd.toml")).returncode == 0


def test_status_of_nobody_is_2(tmp_path: Path) -> None:
    assert syncd_command("status", "--file", tmp_path / "gone.json").returncode == 2
    assert syncd_command("status", "--file", write_report(tmp_path, age=timedelta(minutes=5))).returncode == 2


def test_a_file_of_a_later_version_is_judged_all_the_same(tmp_path: Path) -> None:
    file = write_report(tmp_path)
    document = json.loads(file.read_text())
    del document["outbox"]
    file.write_text(json.dumps(document))
    done = syncd_command("status", "--file", file)
    assert done.returncode == 0
    assert "this version does not know" in done.stdout


def test_healthcheck_fails_only_where_a_restart_may_help(tmp_path: Path) -> None:
    assert syncd_command("healthcheck", "--file", write_report(tmp_path)).returncode == 0
    assert syncd_command("healthcheck", SYNCD_STATUS__PATH=str(write_report(tmp_path, "offline"))).returncode == 0
    assert syncd_command("healthcheck", "--file", write_report(tmp_path, database_error="disk full")).returncode == 1
    assert syncd_command("healthcheck", "--file", write_report(tmp_path, age=timedelta(minutes=5))).returncode == 1
    assert syncd_command("healthcheck", "--file", tmp_path / "gone.json").returncode == 1


def loaded_by(*arguments: str | Path, **environ: str) -> set[str]:
    """The modules that a command has loaded by its end."""
    done = syncd_command(*arguments, **environ, PYTHONPROFILEIMPORTTIME="1")
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_the_daemon_loads_no_second_http_library_and_nothing_for_terminals(tmp_path: Path) -> None:
    no_database = tmp_path / "store.db"
    no_database.write_text("this is no database" * 1000)
    hub = "https://hq.example.com/hubs/sync"
    modules = loaded_by("run", SYNCD_STORE__ID="17", SYNCD_DATABASE__PATH=str(no_database), SYNCD_HUB__URL=hub)
    assert "syncd.wiring" in modules
    assert not modules & {"aiohttp", "rich.console"}


def test_healthcheck_loads_nothing_heavy(tmp_path: Path) -> None:
    file = write_report(tmp_path)
    modules = loaded_by("healthcheck", "--file", file)
    loaded = {name.partition(".")[0] for name in modules}
    assert not loaded & {"pydantic", "pydantic_settings", "structlog", "aiohttp", "asyncio", "rich", "orjson", "sqlite3", "uvloop"}
    ours = {name for name in modules if name.startswith("syncd.")}
    assert ours <= {"syncd.errors", "syncd.status", "syncd.status.healthcheck", "syncd.status.reader"}


@pytest.mark.parametrize("odd", [["--help"], ["--file"], ["--file", "a", "--file", "b"], ["--nonsense", "x"], ["-c", "gone.toml"]])
def test_what_is_no_plain_health_check_is_left_to_the_command_line_which_explains_it(odd: list[str], tmp_path: Path) -> None:
    file = str(write_report(tmp_path))
    assert quick_verdict(["healthcheck", *odd]) is None
    assert quick_verdict(["status"]) is None
    assert quick_verdict(["healthcheck", "--file", file]) == (0, "healthy")
    (tmp_path / "syncd.toml").write_text(f'[status]\npath = "{file}"\n')
    assert quick_verdict(["healthcheck", "-c", str(tmp_path / "syncd.toml")]) == (0, "healthy")


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize(("trouble", "code"), [({}, 0), ({"database_error": "disk full"}, 1)])
def test_a_reader_that_leaves_early_changes_no_verdict(tmp_path: Path, form: list[str], trouble: dict[str, Any], code: int) -> None:
    file = write_report(tmp_path, **trouble)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "syncd", "status", *form, "--file", str(file)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_narrow_terminal_loses_nothing_of_the_hubs_url(tmp_path: Path) -> None:
    done = syncd_command("status", "--file", write_report(tmp_path), COLUMNS="30")
    assert "https://hq.example.com/hubs/sync" in "".join(line.strip() for line in done.stdout.splitlines())
    assert "…" not in done.stdout


async def test_rows_are_listed_whatever_the_till_wrote_into_their_columns(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    columns = "entity_type, entity_id, operation, payload, correlation_id"
    write = f"INSERT INTO sync_outbox ({columns}) VALUES ('[/red]', 1, 'Create', '{{}}', ?)"
    execute(tmp_path / "store.db", write, b"\xfe\xff")
    file = tmp_path / "syncd.toml"
    file.write_text(f'[store]\nid = 17\n[database]\npath = "{tmp_path}/store.db"\n[hub]\nurl = "http://127.0.0.1:9/hub"\n')
    done = syncd_command("outbox", "list", "--json", "--config", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["correlation_id"] == "\\xfe\\xff"
    done = syncd_command("outbox", "list", "--config", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[/red]" in done.stdout


def test_check_has_colours_on_a_terminal_only_and_not_where_nobody_wants_them(tmp_path: Path) -> None:
    for no_color, coloured in (("", True), ("1", False)):
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "syncd", "check", "--config", str(tmp_path / "gone.toml")]
        subprocess.run(command, stdout=theirs, env=os.environ | {"NO_COLOR": no_color}, check=False, timeout=60)
        os.close(theirs)
        assert (b"\x1b[" in os.read(ours, 65_536)) == coloured
        os.close(ours)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigurationError("hub.url: required"), 78, "syncd: hub.url: required\n"),
        (AnotherInstanceError("process 5 holds it"), 75, "process 5"),
        (PermissionError(13, "Permission denied", "/x"), 77, "no permission"),
        (OSError(28, "No space left on device"), 74, "No space left"),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [StorageError("disk full")])]), 74, "syncd: disk full\n"),
        (ExceptionGroup("tasks", [StorageError("disk full"), ValueError("Bearer s3cr3t")]), 70, "this is a bug in syncd"),
        (ValueError("Bearer s3cr3t"), 70, "Traceback"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_every_way_to_end_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    def fail(**_: object) -> None:
        raise error

    structlog.reset_defaults()  # no log is set up yet
    monkeypatch.setattr(cli, "main", fail)
    assert syncd.__main__.exit_code_of_run() == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "s3cr3t" not in shown


def test_a_bug_goes_to_the_log_once_there_is_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**_: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(cli, "main", fail)
    with capture_logs() as lines:
        assert syncd.__main__.exit_code_of_run() == 70
    assert [(line["event"], line["log_level"]) for line in lines] == [("bug", "critical")]
    assert capsys.readouterr().err == ""


def test_check_tells_what_is_right_and_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "syncd.toml"
    file.write_text(
        f'[store]\nid = 17\n[database]\npath = "{tmp_path}/store.db"\n[hub]\nurl = "http://127.0.0.1:9/hub"\n'
        f'connect_timeout_seconds = 2\n[status]\npath = "{tmp_path}/run/status.json"\n'
    )
    done = syncd_command("check", "--config", file)
    assert f"ok  configuration: {file}; store 17, no token" in done.stdout
    assert f"ok  database: {tmp_path}/store.db; the store's database is not there yet" in done.stdout
    assert f"ok  status file: {tmp_path}/run/status.json can be written" in done.stdout
    assert "not asked" in done.stdout
    assert not (tmp_path / "store.db").exists()
    asked = syncd_command("check", "--config", file, "--hub")
    assert asked.returncode == 69
    assert "NOT OK  hub: 127.0.0.1:9 refuses connections" in asked.stdout


def test_check_says_whether_the_metrics_file_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "syncd.toml"
    file.write_text(
        f'[store]\nid = 17\n[database]\npath = "{tmp_path}/store.db"\n[hub]\nurl = "http://127.0.0.1:9/hub"\n'
        f'[status]\npath = "{tmp_path}/run/status.json"\n[metrics]\nfile = "{tmp_path}/collector/syncd.prom"\n'
    )
    done = syncd_command("check", "--config", file)
    assert done.returncode == 74
    assert f"NOT OK  metrics file: {tmp_path}/collector/syncd.prom cannot be written: there is no folder" in done.stdout
    (tmp_path / "collector").mkdir()
    done = syncd_command("check", "--config", file)
    assert done.returncode == 0
    assert f"ok  metrics file: {tmp_path}/collector/syncd.prom can be written" in done.stdout


def test_check_of_a_bad_configuration_is_78(tmp_path: Path) -> None:
    done = syncd_command("check", "--config", tmp_path / "gone.toml")
    assert done.returncode == 78
    assert "NOT OK" in done.stdout


def test_a_mistyped_fault_of_the_development_hub_is_a_usage_error_that_names_the_known_ones() -> None:
    done = syncd_command("devhub", "--port", "0", "--fault", "nonsense=1")
    assert done.returncode == 64
    assert "there is no fault nonsense. There are delay-ms" in done.stderr
    assert "refuse-every" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run", "check", "status", "healthcheck"])
def test_a_configuration_that_is_not_there_is_78_whoever_asks_for_it(command: str, tmp_path: Path) -> None:
    done = syncd_command(command, "--config", tmp_path / "gone.toml")
    assert done.returncode == 78
    assert str(tmp_path / "gone.toml") in done.stdout + done.stderr
