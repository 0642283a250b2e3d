"""Which builds are kept, for how long, and that none is used that is not whole."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from golden.errors import UserError
from tb.model_cache import ABANDONED, CHECKED, UNTOUCHED, build_once, kept_in, prune

PRODUCT = "product"


class Builds:
    """A build that makes a product of some bytes, and counts how often."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.count = cache, 0

    def build(self, folder: Path, log: Path) -> None:
        self.count += 1
        (folder / PRODUCT).write_text((folder / "source").read_text() * 100)
        (folder / "scratch").mkdir()
        log.touch()

    def once(self, text: str = "a", *flags: object) -> Path:
        return build_once({"source": text}, flags, PRODUCT, self.cache, self.build)


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path / "cache")


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_build_is_known_by_sources_and_flags(builds: Builds) -> None:
    entries = [builds.once(), builds.once("b"), builds.once("a", "-O2")]
    assert len(set(entries)) == builds.count == 3
    assert [builds.once(), builds.once("b"), builds.once("a", "-O2")] == entries
    assert builds.count == 3
    assert {path.name for path in entries[0].iterdir()} == {PRODUCT, CHECKED}


@pytest.mark.parametrize("damage", ["short", "changed", "no product", "no hash", "empty"])
def test_what_is_not_whole_is_built_again(damage: str, builds: Builds) -> None:
    entry = builds.once()
    whole = (entry / PRODUCT).read_bytes()
    if damage == "short":
        (entry / PRODUCT).write_bytes(whole[:-1])
    elif damage == "changed":
        (entry / PRODUCT).write_bytes(b"x" + whole[1:])
    if damage in ("no product", "empty"):
        (entry / PRODUCT).unlink()
    if damage in ("no hash", "empty"):
        (entry / CHECKED).unlink()
    assert builds.once() == entry and builds.count == 2
    assert (entry / PRODUCT).read_bytes() == whole
    assert builds.once() == entry and builds.count == 2
    assert not list(builds.cache.glob("partial-*"))


def test_two_builds_at_once_both_have_a_whole_one(builds: Builds) -> None:
    together = threading.Barrier(2, timeout=60)
    entries: list[Path] = []

    def build(folder: Path, log: Path) -> None:
        together.wait()  # neither is there when the other one begins
        builds.build(folder, log)
        together.wait()

    def work() -> None:
        entries.append(build_once({"source": "a"}, (), PRODUCT, builds.cache, build))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds.count == 2 and len(entries) == 2 and entries[0] == entries[1] == builds.once()
    assert builds.count == 2
    assert not list(builds.cache.glob("partial-*"))


def test_a_failed_build_leaves_its_log(builds: Builds) -> None:
    def fail(folder: Path, log: Path) -> None:
        log.write_text("fine\n%Error: no such thing\n")
        raise RuntimeError("exit status 1")

    with pytest.raises(UserError, match=r"\(%Error: no such thing\): see ") as error:
        build_once({"source": "a"}, (), PRODUCT, builds.cache, fail)
    log = Path(str(error.value).rpartition("see ")[2])
    assert list(builds.cache.iterdir()) == [log]
    prune(builds.cache, 0)
    assert log.exists()
    age(log, 2 * ABANDONED)
    prune(builds.cache, 0)
    assert not log.exists()


def test_what_was_used_longest_ago_goes_first(builds: Builds) -> None:
    entries = [builds.once(text) for text in "abcd"]
    size = sum(path.stat().st_size for path in entries[0].iterdir())
    for entry, hours in zip(entries, (5, 4, 3, 0), strict=True):
        age(entry, hours * UNTOUCHED)
    builds.once("a")  # used again
    prune(builds.cache, 4 * size)
    assert all(entry.exists() for entry in entries)
    prune(builds.cache, 3 * size)
    assert [entry.exists() for entry in entries] == [True, False, True, True]
    assert not entries[1].with_suffix(".log").exists() and entries[2].with_suffix(".log").exists()
    prune(builds.cache, 0)  # but not what another process may be using
    assert [entry.exists() for entry in entries] == [True, False, False, True]


def test_a_build_bounds_what_is_kept(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    old = builds.once()
    age(old, 2 * UNTOUCHED)
    builds.once("b")
    assert old.exists()
    monkeypatch.setattr("tb.model_cache.KEPT_BYTES", 0)
    builds.once("c")
    assert not old.exists()


def test_interrupted_builds_are_removed_in_the_end(builds: Builds) -> None:
    builds.once()
    running, dead = builds.cache / "partial-running", builds.cache / "partial-dead"
    for folder in (running, dead):
        folder.mkdir()
    age(dead, 2 * ABANDONED)
    prune(builds.cache, 1 << 20)
    assert running.exists() and not dead.exists()


def test_models_are_kept_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept_in(tmp_path / "beside") == tmp_path / "dmp-core" / "verilator"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a space"))
    assert kept_in(tmp_path / "beside") == tmp_path / "beside"
