"""Mutants: what is changed and what never is, which tests are asked, and what survival means."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner

from mutants import __main__ as command
from mutants.equivalents import EQUIVALENTS, reason
from mutants.files import LEFT_OUT, NOT_ASKED, ROOT, asked, mutable
from mutants.judge import EQUIVALENT, KILLED, SURVIVED, TIMEOUT, Kept, Verdict, ask, judge
from mutants.mutate import Mutant, candidates, differs, draw
from mutants.reached import WHOLE, AskedTest, Measured, order, reaching
from mutants.tree import Copy, State, state

SOURCE = '''"""Of 1 + 2."""

from typing import Any

LIMIT: dict[str, int | None] = {"a": 3}

@cached(4)
def f(x: int = 5, *, y: "int | str" = "6") -> int | None:
    """And 7 - 8."""
    assert x < 9, "or 10"
    if x not in LIMIT and y:
        raise UserError(f"{x + 11} is wrong")
    with m.If(y):
        m.d.comb += z.eq(~x)
    return max(x, y)  # 12
'''
CHANGED = [
    ("3", "4"), ("3", "2"), ("5", "6"), ("5", "4"), ("and", "or"), ("(", "(0 == "),
    ("comb", "sync"), ("~", ""), ("max", "min"),
]  # fmt: skip
# A cheap test of one line, and the line as it must not be.
PAYLOAD = "return (1 << (self.width - self.signed)) - 1"


def sources() -> dict[str, str]:
    return {path: (ROOT / path).read_text() for path in mutable()}


def test_what_computes_is_changed_and_nothing_else() -> None:
    found = candidates("x.py", SOURCE)
    assert sorted((mutant.old, mutant.new) for mutant in found) == sorted(CHANGED)
    statements = {mutant.old: mutant.statement for mutant in found}
    lines = SOURCE.splitlines()
    assert statements["3"] == statements["5"] == 0, "no function is run"
    assert lines[statements["comb"] - 1].strip().startswith("m.d.comb")


def test_a_seed_names_the_same_mutants_and_each_is_one_token() -> None:
    texts = sources()
    found = draw(texts, 60, 7)
    assert draw(texts, 25, 7) == found[:25] and draw(texts, 25, 8) != found[:25]
    assert len(set(found)) == 60 and len({mutant.path for mutant in found}) > 20
    for mutant in found:
        before, after = texts[mutant.path], mutant.apply(texts[mutant.path])
        place = sum(map(len, before.splitlines(keepends=True)[: mutant.line - 1])) + mutant.column
        assert after == before[:place] + mutant.new + before[place + len(mutant.old) :] != before
        assert differs(mutant, before)
    assert not differs(Mutant("x.py", 1, 4, "1", "(", 0), "x = 1\n"), "no Python"
    assert not differs(Mutant("x.py", 1, 4, "1", "0x1", 0), "x = 1\n"), "the same"


def test_every_file_has_tests_and_every_name_a_file() -> None:
    files = mutable()
    for path in files:
        assert order(path), path
    assert {"rtl/core.py", "golden/integer.py", "export/images.py", "driver/words.py"} <= {*files}
    assert all((ROOT / path).is_file() and path not in files for path in LEFT_OUT)
    tests = [path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")]
    assert all(any(fnmatch(test, pattern) for test in tests) for pattern in NOT_ASKED)
    assert {f"tests/test_{name}.py" for name in WHOLE} <= set(asked())
    own = [path for path in files if f"test_{Path(path).stem}" in order(path)[0]]
    assert len(own) > 50, "a component's own test is asked first"


@pytest.mark.parametrize("known", EQUIVALENTS, ids=lambda known: f"{known.path}: {known.becomes}")
def test_an_equivalent_is_a_mutant_of_its_file(known: object) -> None:
    assert known in EQUIVALENTS and len(known.why) > 20  # type: ignore[attr-defined]
    texts = (ROOT / known.path).read_text()  # type: ignore[attr-defined]
    found = [mutant for mutant in candidates(known.path, texts) if reason(mutant) == known.why]  # type: ignore[attr-defined]
    assert found and all(differs(mutant, texts) for mutant in found)


def mutant_of(path: str, line: str, becomes: str) -> Mutant:
    """Return the mutant of a file that makes this line of that one, without the space around."""
    lines = (ROOT / path).read_text().splitlines()
    (found,) = [
        mutant
        for mutant in candidates(path, (ROOT / path).read_text())
        if (lines[mutant.line - 1].strip() == line)
        and mutant.changed(lines[mutant.line - 1]).strip() == becomes
    ]
    return found


@pytest.mark.parametrize(
    ("path", "line", "becomes", "test", "result"),
    [
        (
            "golden/formats.py", PAYLOAD, PAYLOAD.replace("- self", "+ self"),
            "test_formats.py::test_limits[fmt0--128-127-128]", KILLED,
        ),
        (
            "rtl/host/buses.py", EQUIVALENTS[0].line, EQUIVALENTS[0].becomes,
            "test_register_file.py::test_status_without_flags", SURVIVED,
        ),
    ],
    ids=["a mistake", "an equivalent"],
)  # fmt: skip
def test_tests_run_with_the_mutant_and_the_tree_stays_as_it_is(
    path: str, line: str, becomes: str, test: str, result: str, tmp_path: Path
) -> None:
    """The copy as well, once a mutant is judged."""
    mutant = mutant_of(path, line, becomes)
    before = (ROOT / path).read_text()
    copy = Copy(tmp_path)
    asked_one = [AskedTest(f"tests/{test}", 1.0, {})]
    found = ask(copy, mutant, (), asked_one, tmp_path / "models")
    assert found == (result, f"tests/{test}" if result == KILLED else "")
    assert (ROOT / path).read_text() == (copy.root / path).read_text() == before


def test_a_constant_is_reached_by_its_own_tests_and_by_those_of_what_imports_it() -> None:
    path, of = "golden/width_search.py", frozenset({1})
    constant = next(m for m in draw({path: (ROOT / path).read_text()}, 50, 1) if not m.statement)
    tests = [
        AskedTest("tests/test_width_search.py::test_a_list", 1.0, {}),
        AskedTest("tests/test_core.py::test_a_search", 2.0, {path: of}),
        AskedTest("tests/test_core.py::test_something_else", 1.0, {"golden/integer.py": of}),
    ]
    assert reaching(constant, tests) == tests[:2]


def test_what_is_known_holds_until_a_test_changes(tmp_path: Path) -> None:
    mutant = draw(sources(), 1, 1)[0]
    now = State("code", {"tests/test_formats.py": "a", "tests/test_core.py": "b"})
    kept = Kept(tmp_path, now)
    killed = Verdict(mutant, KILLED, "tests/test_formats.py::test_limits[1]", 1.0, (3, 4))
    survived = Verdict(mutant, SURVIVED, "", 1.0, (3, 4))
    other = Kept(tmp_path, replace(now, tests=now.tests | {"tests/test_core.py": "c"}))
    for verdict, holds in ((survived, None), (killed, killed)):
        kept.keep(verdict)
        assert kept.find(mutant) == verdict and other.find(mutant) == holds
        assert Kept(tmp_path, replace(now, code="other code")).find(mutant) is None
    changed = replace(now, tests=now.tests | {"tests/test_formats.py": "c"})
    assert Kept(tmp_path, changed).find(mutant) is None


@pytest.mark.parametrize("result", [KILLED, TIMEOUT, EQUIVALENT, SURVIVED])
def test_a_survivor_is_printed_and_ends_with_status_1(
    result: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        command, "judged", lambda drawn, *_: [Verdict(m, result, "", 0.0, (9, 9)) for m in drawn]
    )
    done = CliRunner().invoke(command.main, ["--count", "2", "--out", str(tmp_path)])
    alive = result == SURVIVED
    assert done.exit_code == alive and done.stdout.endswith("FAIL\n" if alive else "PASS\n")
    mutant = draw(sources(), 1, 1)[0]
    line = (ROOT / mutant.path).read_text().splitlines()[mutant.line - 1]
    assert (f"-{line}\n+{mutant.changed(line)}" in done.output) == alive
    killed = {KILLED: "2 of 2 mutants are killed (100.0 %)", EQUIVALENT: "0 of 0", SURVIVED: "0 of"}
    assert killed.get(result, "2 of 2") in done.output
    assert (tmp_path / "result.json").exists()


@pytest.mark.long
def test_mutants_are_judged_by_the_tests_that_reach_them(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "copy")
    measured = Measured(tmp_path / "reached", state(), tmp_path / "models")
    mutant = mutant_of("golden/formats.py", PAYLOAD, PAYLOAD.replace("- self", "+ self"))
    tests = measured.tests(copy, "tests/test_formats.py")
    reached = [test for test in tests if mutant.statement in test.reached[mutant.path]]
    assert 0 < len(reached) < len(tests) and all(test.seconds < 5 for test in tests)
    verdict = judge(copy, mutant, measured)
    assert verdict.result == KILLED and verdict.by in {test.name for test in tests}
    assert measured.has("tests/test_formats.py") and verdict.asked[0] <= verdict.asked[1]
