"""Run the tests that matter against mutants, and say which of them survive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import unified_diff
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from golden.errors import UserError
from mutants.equivalents import reason
from mutants.files import ROOT
from mutants.mutate import Mutant
from mutants.reach import CHOSEN, FAILED, MOST_SECONDS
from mutants.reached import AskedTest, Measured, chunks, is_own, order, reaching
from mutants.tree import Copy, State, copies, state

T = TypeVar("T")
# Processor seconds of the tests that are asked in one run of pytest: most mutants die in the first.
# First the cheap tests of all files are asked, then others; what some files would take beyond these
# together is not, and no more files after MOST.
PASSES = ((4, 20), (100,))
MOST = 200
START_SECONDS = 20  # that pytest may take beside them
SLOWER = 4  # times as long as without a mutant a test may take

KILLED, TIMEOUT, SURVIVED, EQUIVALENT = "killed", "timeout", "survived", "equivalent"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes
    ----------
    by
        The test that killed it; why it is equivalent.
    seconds
        On the clock.
    asked
        How many tests were asked about it, of how many that reach it.
    """

    mutant: Mutant
    result: str
    by: str
    seconds: float
    asked: tuple[int, int]

    def diff(self) -> str:
        """Return the mutant as a difference of lines."""
        path = self.mutant.path
        source = (ROOT / path).read_text()
        changed = self.mutant.apply(source)
        lines = (source.splitlines(), changed.splitlines())
        return "\n".join(unified_diff(*lines, path, path, lineterm="", n=1))


def rounds(tests: Sequence[AskedTest], limits: Sequence[float]) -> Iterator[list[AskedTest]]:
    """Yield tests by runs of pytest."""
    rest = list(tests)
    for limit in limits:
        taken, spent = [], 0.0
        while rest and (not taken or spent + rest[0].seconds <= limit):
            spent += rest[0].seconds
            taken.append(rest.pop(0))
        if taken:
            yield taken


def judge(copy: Copy, mutant: Mutant, measured: Measured) -> Verdict:
    """Ask tests about a mutant until one fails. Its file's own tests need not be measured."""
    started, spent = time.monotonic(), 0.0
    result, by = SURVIVED, ""
    asked, reached = set[str](), set[str]()
    for limits, files in product(PASSES, chunks(mutant.path)):
        if len(files) == 1 and is_own(mutant.path, files[0]) and not measured.has(files[0]):
            spent += MOST_SECONDS
            result, by = ask(copy, mutant, files, None, measured.cache)
            if result != SURVIVED:
                break
        tests = reaching(mutant, [test for file in files for test in measured.tests(copy, file)])
        reached |= {test.name for test in tests}
        for some in rounds([test for test in tests if test.name not in asked], limits):
            asked |= {test.name for test in some}
            spent += sum(test.seconds for test in some)
            result, by = ask(copy, mutant, (), some, measured.cache)
            if result != SURVIVED:
                break
        if result != SURVIVED or spent > MOST:
            break
    seconds = round(time.monotonic() - started, 1)
    return Verdict(mutant, result, by, seconds, (len(asked), len(reached)))


def ask(
    copy: Copy, mutant: Mutant, files: Sequence[str], tests: Sequence[AskedTest] | None, cache: Path
) -> tuple[str, str]:
    """Run tests, in their order, with a mutant, or, of None, some of all that are in test files;
    return the result, and the test that failed.
    """
    folder = copy.root.parent
    chosen, failed = folder / "chosen.json", folder / "failed"
    failed.unlink(missing_ok=True)
    variables, options = {FAILED: str(failed)}, ["-m", "not long"]
    seconds = START_SECONDS + SLOWER * MOST_SECONDS
    if tests is not None:
        chosen.write_text(json.dumps([test.name for test in tests]))
        variables |= {CHOSEN: str(chosen)}
        files = list(dict.fromkeys(test.file for test in tests))
        seconds = START_SECONDS + SLOWER * sum(test.seconds for test in tests)
    with copy.mutated(mutant):
        done = copy.run(["-x", *options, *files], seconds, cache, **variables)
    if done.status == 5:
        raise UserError(f"pytest finds no test in {', '.join(files)}")
    if done.status == 0:
        return SURVIVED, ""
    result = TIMEOUT if done.status is None else KILLED
    return result, failed.read_text() if failed.exists() else ""


class Kept:
    """Verdicts in a folder. A kill holds as long as the code and the test file that killed are as
    they were; a mutant that survived is asked about again when any test changes.
    """

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state

    def _path(self, mutant: Mutant) -> Path:
        place = f"{mutant.path.replace('/', '-')}-{mutant.line}-{mutant.column}"
        return self.folder / self.state.code / f"{place}-{mutant.new.encode().hex()}.json"

    def _state(self, verdict: Verdict) -> str:
        return self.state.tests.get(verdict.by.split("::")[0], self.state.all_tests)

    def find(self, mutant: Mutant) -> Verdict | None:
        """Return a verdict that still holds."""
        path = self._path(mutant)
        if not path.exists():
            return None
        told = json.loads(path.read_text())
        state = told.pop("state")
        verdict = Verdict(**told | {"mutant": mutant, "asked": tuple(told["asked"])})
        return verdict if self._state(verdict) == state else None

    def keep(self, verdict: Verdict) -> None:
        path = self._path(verdict.mutant)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(verdict) | {"state": self._state(verdict)}))
        partial.replace(path)


@contextmanager
def pool(jobs: int) -> Iterator[Callable[[Callable[[Copy], T]], Future[T]]]:
    """Yield what calls a function with a free copy of the tree, of `jobs`, in a thread."""
    free: SimpleQueue[Copy] = SimpleQueue()
    with copies(jobs) as made, ThreadPoolExecutor(jobs) as threads:
        for copy in made:
            free.put(copy)

        def call(function: Callable[[Copy], T]) -> T:
            copy = free.get()
            try:
                return function(copy)
            finally:
                free.put(copy)

        try:
            yield lambda function: threads.submit(call, function)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def judged(
    mutants: Sequence[Mutant],
    folder: Path,
    jobs: int,
    progress: Callable[[Verdict], object],
) -> list[Verdict]:
    """Return what becomes of each mutant.

    `folder` keeps what is known already. `progress` is called with each verdict that was not.
    """
    now = state()
    kept = Kept(folder / "verdicts", now)
    measured = Measured(folder / "reached", now, folder / "models")
    found = {mutant: known(mutant, kept) for mutant in mutants}
    open_ones = [mutant for mutant, verdict in found.items() if verdict is None]
    open_ones.sort(key=lambda mutant: not is_own(mutant.path, order(mutant.path)[0]))  # soon dead
    if open_ones:
        with pool(jobs) as submit:
            judging = [
                submit(lambda copy, mutant=mutant: judge(copy, mutant, measured))
                for mutant in open_ones
            ]
            for future in as_completed(judging):
                verdict = future.result()
                kept.keep(verdict)
                found[verdict.mutant] = verdict
                progress(verdict)
    return [verdict for verdict in found.values() if verdict is not None]


def known(mutant: Mutant, kept: Kept) -> Verdict | None:
    """Return what is known of a mutant without a test."""
    why = reason(mutant)
    return Verdict(mutant, EQUIVALENT, why, 0.0, (0, 0)) if why else kept.find(mutant)
