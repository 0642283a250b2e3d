"""The page of the findings: what is kept of a study, and its tables and pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from docs import findings
from golden.picture import description
from study.plan import Trial

KEEP = ["--command", 'make study STUDY="--group GROUP"', "--commit", "12345678"]
KEEP += ["--date", "2026-11-30"]


def row(group: str, value: float, curve: list[float], speaker: int = 0) -> dict[str, Any]:
    recipe = {"without_speaker": speaker, "learning_rate": 0.01}
    return asdict(Trial(group, value, "spoken", "dmp", {"leak": 0.5}, recipe, not speaker)) | {
        "budget": 64,
        "seed": speaker, "tested": 500, "parameters": 9, "accuracy_float": curve[-1],
        "accuracy_integer": curve[-1], "curve": curve, "events_per_step": [1.0, 2.0],
        "delays": [[1, 2], []], "seconds": 1800.0, "differences": [], "name": "some",
        **({} if speaker else {
            "cycles_per_sequence": 1000.0, "cycles_measured": 10.0, "memory_bits": 8000,
            "bits_per_timestep": {"a": 2.0, "b": 3.5},
            "products_per_timestep": {"p": 3.0}, "microjoules": 0.123456789, "lanes": 4, "block": 1,
            "events_per_cycle": 1, "products_per_cycle": 1,
        }),
    }  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with what is kept of a small study."""
    rows = [
        row("theta", 10, [0.2, 0.30001, 0.4]),
        row("theta", 10, [0.2, 0.5, 0.6], speaker=1),
        row("theta", 20, [0.4, 0.5, 0.8]),
        row("delays", 20, [0.1, 0.2, 0.3]),
        row("fixed delays", 20, [0.1, 0.2, 0.3]),
    ]
    (tmp_path / "study.json").write_text(json.dumps(rows))
    monkeypatch.setattr(findings, "FOLDER", tmp_path / "findings")
    monkeypatch.setattr(findings, "PICTURES", tmp_path)
    done = CliRunner().invoke(findings.main, ["spoken", str(tmp_path / "study.json"), *KEEP])
    assert done.exit_code == 0 and done.output == "kept 5 rows: run make docs\n"
    return tmp_path


def test_what_is_kept_is_what_tables_and_pictures_need(kept: Path) -> None:
    content = findings.load("spoken")
    first, *_, last = content["rows"]
    assert first["commit"] == "12345678" and first["date"] == "2026-11-30"
    assert not {"name", "differences", "delays"} & set(first) and last["delays"] == [[1, 2], []]
    assert first["microjoules"] == 0.12346 and first["bits_per_timestep"] == {"all": 5.5}
    assert first["curve"] == [0.2, 0.3, 0.4]
    assert len((kept / "findings" / "spoken.json").read_text().splitlines()) == 7


def test_a_table_says_how_it_was_measured(kept: Path) -> None:
    found = findings.blocks()
    assert list(found) == ["spoken_theta", "spoken_delays", "spoken_fixed_delays"]
    theta = found["spoken_theta"]
    assert "| 10 | dmp | 2 | 9 | 50.00 (40.00 to 60.00) |" in theta
    assert "3 trainings, 1.5 processor hours; 2026-11-30, `12345678`:" in theta
    assert '```sh\nmake study STUDY="--group theta"\n```' in theta
    assert "make study STUDY=\"--group 'fixed delays'\"" in found["spoken_fixed_delays"]


def test_what_was_kept_before_stays_of_its_commit(kept: Path) -> None:
    """One row more, and another one measured again: only these are of the later commit."""
    rows = json.loads((kept / "study.json").read_text())
    rows[2]["accuracy_integer"] = 0.7
    (kept / "study.json").write_text(json.dumps([*rows, row("state", 2, [0.5])]))
    later = [*KEEP[:-3], "87654321", "--date", "2026-12-01"]
    done = CliRunner().invoke(findings.main, ["spoken", str(kept / "study.json"), *later])
    assert done.exit_code == 0, done.output
    commits = [of["commit"] for of in findings.load("spoken")["rows"]]
    assert commits == [*["12345678"] * 2, "87654321", *["12345678"] * 2, "87654321"]
    found = findings.blocks()
    assert "hours; 2026-11-30, `12345678`; 2026-12-01, `87654321`:" in found["spoken_theta"]
    assert "hours; 2026-12-01, `87654321`:" in found["spoken_state"]


def test_a_table_says_how_fast_it_is_learned(kept: Path) -> None:
    """A window of 10 reaches 50 % after the third epoch, in the mean of two, and 60 % never."""
    lines = findings.blocks()["spoken_theta"].splitlines()
    [head] = [line for line in lines if "epochs to" in line]
    assert "| epochs to 50 % | epochs to 60 % | epochs to 70 % | after the last, % |" in head
    assert "| 10 | 3 | never | never | 50.00 |" in lines
    assert "| 20 | 2 | 3 | 3 | 80.00 |" in lines


def test_pictures_are_plotted_where_they_are_stale(kept: Path) -> None:
    expected = {kept / f"spoken_{name}.png" for name in ("sweeps", "curves", "delays")}
    assert set(findings.write_pictures()) == expected
    assert not list(findings.write_pictures())
    [shown] = {description(path) for path in expected}
    path = kept / "findings" / "spoken.json"
    path.write_text(path.read_text().replace("0.8", "0.9"))
    assert set(findings.write_pictures()) == expected
    assert all(description(path) not in (None, shown) for path in expected)


def test_time_that_is_not_known_is_not_told(kept: Path) -> None:
    path = kept / "findings" / "spoken.json"
    path.write_text(path.read_text().replace('"seconds": 1800.0', '"seconds": null', 1))
    told = findings.blocks()["spoken_theta"]
    assert "3 trainings, 1.0 processor hours (without 1 interrupted ones); 2026-11-30" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preset": "rows"}, "is a study of rows, not of spoken"),
        ({"differences": ["u"]}, "a core of some differs from the golden model"),
        ({"recipe": {"limit": 9}}, "some is of a part of the data set (limit)"),
        ({"budget": 9}, "cores with different numbers of multipliers"),
        ({"curve": None}, "holds no rows of a study"),
        (None, "holds no rows of a study"),
    ],
)
def test_what_is_no_study_is_one_line(
    changes: dict[str, Any] | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.json"
    if changes is not None:
        one = row("theta", 10, [0.2])
        path.write_text(json.dumps([one, one | changes]))
    done = CliRunner().invoke(findings.main, ["spoken", str(path), *KEEP])
    assert done.exit_code == 2 and words in done.stderr
    assert done.stderr.count("\n") == 1
