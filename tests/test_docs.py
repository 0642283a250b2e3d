"""The pages: what is generated in them is that of the code, what they name exists, they build."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from docs import consoles, findings, generate, results, waveform
from docs.api import FOLDERS
from docs.blocks import with_block
from golden.errors import UserError
from golden.hardware.stages import CLOSE_LATENCY, MULTIPLY_STAGE, NEURON_STAGE, bank_stage
from golden.picture import description

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Modules that the pages run: those of commands, and others.
COMMANDS = ("dmp_core", "driver", "docs.consoles")
OTHERS = ("pip", "pytest")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[object]]:
    return waveform.record()


def test_what_is_generated_is_that_of_the_code() -> None:
    for path, page in generate.pages().items():
        assert path.read_text() == page, f"{path.name}: run make docs"


def test_the_pictures_of_the_findings_are_those_of_their_rows() -> None:
    stale = [path.name for path, shown, _ in findings.pictures() if description(path) != shown]
    assert not stale, "run make docs"


def test_every_finding_and_picture_is_on_its_page() -> None:
    page = (ROOT / "docs" / "findings.md").read_text()
    shown = {path.name for path, _, _ in findings.pictures()}
    assert shown == {*re.findall(r"\]\(pictures/(.*?)\)", page)} and len(shown) >= 3
    assert {*findings.blocks()} == {*re.findall("<!-- (.*): written", page)}


def test_the_waveform_is_that_of_the_core(recorded: dict[str, list[object]]) -> None:
    assert generate.plotted() == recorded, "run make docs"


def test_the_waveform_shows_the_stages(recorded: dict[str, list[object]]) -> None:
    """What the page says of it is so: the list's latency, and what happens in which stage."""
    steps = recorded["busy_cycles"]
    first = steps.index(0)
    assert recorded["w_f_reads"].index(0) == first + bank_stage(False, hold=False)
    assert recorded["spike_additions"].index(0) == first + MULTIPLY_STAGE
    assert recorded["u_reads"].index(0) == first + 3 + NEURON_STAGE  # a group has 4 steps
    assert recorded["u_writes"].index(0) == recorded["u_reads"].index(0) + 3
    assert first > recorded["i_events"].index("end") + CLOSE_LATENCY
    assert [steps.count(timestep) for timestep in range(3)] == [8, 6, 6]


def test_a_waveform_that_golden_does_not_expect_is_refused() -> None:
    with pytest.raises(AssertionError, match="golden says"):
        list(waveform._timesteps([True, True, False], [1]))


def test_the_command_writes_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: dict[str, list[object]]
) -> None:
    page, picture = tmp_path / "page.md", tmp_path / "waveform.svg"
    page.write_text("<!-- x: written by make docs -->\nold\n<!-- end of x -->\n")
    new = with_block(page.read_text(), "x", "new")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "WAVEFORM", picture)
    monkeypatch.setattr(generate, "pages", lambda: {page: new})
    monkeypatch.setattr(waveform, "record", lambda: recorded)
    monkeypatch.setattr(findings, "write_pictures", lambda: iter(()))
    done = CliRunner().invoke(generate.main)
    assert done.exit_code == 0 and done.output == "wrote page.md\nwrote waveform.svg\n"
    assert page.read_text() == new and generate.plotted() == recorded
    assert CliRunner().invoke(generate.main).output == ""


def test_a_block_needs_its_two_comments() -> None:
    page = "before\n<!-- x: written by make docs -->\nold\n<!-- end of x -->\nafter\n"
    found = with_block(page, "x", "new\n")
    assert found == page.replace("old", "\nnew\n") == with_block(found, "x", "new")
    for wrong in (page.replace("end of", ""), page.replace("written", ""), page + page):
        with pytest.raises(UserError, match="the page must have one"):
            with_block(wrong, "x", "new")


def test_the_folders_are_the_tree() -> None:
    folders = {path.parent.relative_to(ROOT) for path in ROOT.glob("*/**/__init__.py")}
    hidden = {path for path in folders if path.parts[0].startswith((".", "build"))}
    assert {str(path) for path in folders - hidden} == {*FOLDERS, "docs", "tests", "tests/coverage"}
    shown = {*FOLDERS, *generate.OTHER_FOLDERS}
    listed = {Path(path).parts[0] for path in git("ls-files", "*/*").splitlines()}
    tops = {path for path in listed if not path.startswith(".")}
    assert not tops or tops == {name.split("/")[0] for name in shown}
    api = (ROOT / "docs" / "api.md").read_text()
    assert re.findall(r"^api/(.*)", api, re.M) == [name.replace("/", ".") for name in FOLDERS]


def test_every_result_says_how_it_was_measured() -> None:
    rows = results.all_rows()
    ids = [row["id"] for row in rows]
    assert len(ids) > 20 and len(set(ids)) == len(ids)
    for row in rows:
        assert date.fromisoformat(row["date"]) <= date.today()
        text = " ".join([*row["cells"], *row["commands"]])
        assert "before" not in text and "the same" not in " ".join(row["commands"]), row["id"]


@pytest.mark.skipif(
    git("rev-parse", "--is-shallow-repository") != "false", reason="needs the whole history"
)
def test_every_result_names_a_commit_of_that_day() -> None:
    for row in results.all_rows():
        assert git("show", "--no-patch", "--format=%cs", row["commit"]) == row["date"], row["id"]
    for name in findings.presets():
        for commit, day in {(row["commit"], row["date"]) for row in findings.load(name)["rows"]}:
            assert git("show", "--no-patch", "--format=%cs", commit) == day, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": ["one"]}, "has 1 cells"),
        ({"commit": ""}, "does not say how it was measured"),
        ({"extra": 1}, "a row needs"),
    ],
)
def test_a_result_without_its_source_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    row = {"id": "r", "cells": ["a", "b"], "commit": "c", "date": "d", "commands": ["e"]}
    path = tmp_path / "some.json"
    path.write_text(generate.json.dumps({"columns": ["A", "B"], "rows": [row]}))
    shown = results.markdown(path)
    assert '| <a id="r"></a>1 | a | b | d, `c` |' in shown and "```sh\n# 1\ne\n```" in shown
    path.write_text(generate.json.dumps({"columns": ["A", "B"], "rows": [row | change]}))
    with pytest.raises(UserError, match=message):
        results.markdown(path)


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    (snippet,) = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    assert sum(bool(line) for line in snippet.splitlines()) <= 15
    assert 1 <= len([row for row in results.all_rows() if "headline" in row]) <= 10
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 20
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        assert not anchor or f'id="{anchor}"' in (ROOT / path).read_text(), link


def called(page: str) -> list[list[str]]:
    """Return the commands that a page calls: in blocks of code, and alone in backquotes."""
    start = r"(?:sudo )?(?:make|\S*python3?|(?:\S*/)?dmp)"
    fences = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
    shown = re.findall(rf"^    ({start} .*)$", page, re.M)
    for language, text in fences.findall(page):
        prompt = {"sh": "", "console": r"\$ "}.get(language)
        if prompt is not None:
            shown += re.findall(rf"^{prompt}({start} .*)$", text, re.M)
    prose = fences.sub("", page).replace("\n", " ")
    shown += re.findall(rf"`({start} [^`]+)`", prose)
    return [shlex.split(line, comments=True) for line in shown]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_commands_of_a_page_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {*re.findall(r"^([a-z-]+):", makefile, re.M), "TARGET"}
    variables = set(re.findall(r"^([A-Z]+) \?=", makefile, re.M))
    for words in called(path.read_text()):
        if words[0] == "make":
            values = [word.split("=")[0] for word in words[1:] if re.match("[A-Z]+=", word)]
            assert set(values) <= variables, words
            assert {word for word in words[1:] if re.match("[a-z]", word)} <= targets, words
        elif Path(words[0]).name == "dmp":
            check_options("dmp_core", words[1:])
        elif "-m" in words:
            module, arguments = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
            # Results were measured with the modules of their commits.
            if path.stem != "results" and module not in OTHERS:
                check_options(module, arguments)


def check_options(module: str, arguments: list[str]) -> None:
    """Assert that a command has the subcommand and the options that a page gives it."""
    assert module in COMMANDS, f"no command is called by python -m {module}"
    entry = f"{module}.__main__" if (ROOT / module).is_dir() else module
    command = importlib.import_module(entry).main
    if isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments
        command = found
    known = {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    options = {word.split("=")[0] for word in arguments if word.startswith("--")}
    assert options <= known | {"--help"}, f"{module}: {options - known}"


def test_commands_that_do_not_exist_are_found() -> None:
    page = """run `make demo NET=rows` and\n\n    python -m dmp_core sim x --digits 3 # three\n
```sh\nmake docs\n```\n\n```console\n$ make lint\nmake no command\n```\n"""
    assert [" ".join(words) for words in called(page)] == [
        "python -m dmp_core sim x --digits 3", "make docs", "make lint", "make demo NET=rows",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="dmp_core: {'--digit'}"):
        check_options("dmp_core", ["sim", "x", "--digit", "3"])
    with pytest.raises(AssertionError):
        check_options("dmp_core", ["quantise"])
    with pytest.raises(AssertionError, match="no command is called by python -m tb"):
        check_options("tb", ["x"])


@pytest.mark.parametrize("api", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_pages_build_without_a_warning(api: bool, tmp_path: Path) -> None:
    """Those of the docstrings, which are most of the work, in the long tier."""
    without = ["-D", "exclude_patterns=api/*,results/*"]
    without += ["-D", "suppress_warnings=myst.header,toc.not_readable,toc.excluded"]
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet"]
    command += [*without * (not api), "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "equations.html").read_text()
    assert "<math" in page and "$" not in re.sub("<pre>.*?</pre>", "", page, flags=re.S)
    assert "cdn" not in page.lower(), "pages need no network"
    page = (tmp_path / "commands.html").read_text()
    assert "--events-per-cycle" in page and ".. program" not in page
    if api:
        assert "max_delay" in (tmp_path / "api" / "golden.html").read_text()


def test_a_console_shows_what_its_command_prints(tmp_path: Path) -> None:
    page = "a\n\n```console\n$ echo one; echo 'two  '\nold\n```\n\nb\n\n```sh\nmake test\n```\n"
    found = consoles.with_outputs(page, tmp_path)
    assert found == page.replace("old", "one\ntwo")
    assert consoles.timeless("simulated in 2.5 s") == consoles.timeless("simulated in 31.0 s")
    with pytest.raises(UserError, match="status 3"):
        consoles.run("exit 3", tmp_path)


@pytest.mark.long
def test_the_commands_of_the_pages_print_what_the_pages_show(tmp_path: Path) -> None:
    consoles.copy_tree(tmp_path)
    for path in consoles.PAGES:
        before = (ROOT / path).read_text()
        after = consoles.with_outputs(before, tmp_path)
        assert consoles.timeless(after) == consoles.timeless(before), "run python -m docs.consoles"
    for picture in consoles.PICTURES:
        assert (tmp_path / picture).stat().st_size > 10_000
