"""The Makefile: what it runs in a fresh clone, and what it says where something is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from dmp_core.fit_command import FOR_A_CHIP
from golden.hardware.params import HardwareParams
from tests.make_clone import MAKEFILE, commands, make, make_clone


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return make_clone(tmp_path)


def shape(*values: int | str) -> list[str]:
    """Return the options of these lanes, timesteps a block, events and products a cycle."""
    options = ("--lanes", "--block", "--events-per-cycle", "--products-per-cycle")
    return [
        part for name, value in zip(options, values, strict=True) for part in (name, str(value))
    ]


def dmp(command: str, *arguments: str) -> list[str]:
    return ["-m", "dmp_core", command, *arguments]


def core(network: str = "smnist", out: str = "build/smnist", *values: int | str) -> list[str]:
    """Return what names a core: its network, its shape and its folder."""
    return [network, *shape(*(values or (8, 1, 1, 1))), "--out", out]


def test_clean_keeps_what_took_hours_and_says_so(clone: Path) -> None:
    assert make(clone, "clean").returncode == 0, "there is nothing yet"
    build = clone / "build"
    kept = (
        "train/rows.pt", "tuned/a b/rows.pt", "quantized/rows/network.json", "a net/network.json",
        "study/trials/one.json", "bench.json", "bench.md", "testset/rows-8-8-1-1/testset.json",
    )  # fmt: skip
    others = ("smnist/manifest.json", "bench/rows-4-1-1-1/rows.v", ".writing-x/y", "bench.png")
    for path in (*kept, *others):
        (build / path).parent.mkdir(parents=True, exist_ok=True)
        (build / path).touch()
    cleaned = make(clone, "clean")
    found = {str(p.relative_to(build)) for p in build.rglob("*") if p.is_file()}
    assert cleaned.returncode == 0 and found == set(kept)
    told = {line.split(":")[0] for line in cleaned.stdout.splitlines()}
    assert told == {f"kept build/{path.split('/')[0]}" for path in kept}
    assert make(clone, "clean-all").returncode == 0
    assert not list(build.iterdir())


def test_paths_with_spaces_stay_one_argument(clone: Path) -> None:
    (clone / "the data").mkdir()
    targets = ("rtl", "train", "accuracy", "fit", "study", "bench")
    done = make(clone, *targets, "NET=my net", "OUT=an out", "DATA=the data", "TRACE=")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        dmp("rtl", *core("my net", "an out")),
        dmp("train", "my net", "--epochs", "20", "--data", "the data"),
        dmp("accuracy", "my net", "--data", "the data"),
        dmp("fit", "my net", "--multipliers", "156", "--block-rams", "208", "--out", "an out",
            "--data", "the data"),
        dmp("study", "--jobs", "2", "--data", "the data"),
        dmp("bench", "--jobs", "2", "--data", "the data"),
    ]  # fmt: skip


def test_where_verilator_builds_there_is_no_space(clone: Path) -> None:
    """That is said before anything is installed."""
    (clone / "the data").mkdir()
    shutil.rmtree(clone / ".venv")
    verilated = (
        "demo", "sim", "chain", "timeline", "waves", "host", "uart-sim", "bench-testset", "bench",
        "study", "test",
    )  # fmt: skip
    for target in verilated:
        done = make(clone, target, "NET=my net", "OUT=an out", "DATA=the data")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, target
        assert "OUT=an out: Verilator cannot build in a path with a space" in done.stderr
    spaced = clone / "a folder"
    spaced.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(clone / name, spaced)
    for target in verilated:
        done = make(spaced, target)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, target
        assert f"Verilator cannot build in '{spaced}', whose path has a space" in done.stderr
    assert not (clone / ".venv").exists() and not (spaced / ".venv").exists()


@pytest.mark.parametrize(
    "setting",
    [
        "LANES=abc", "LANES=4,", "LANES=4,0", "LANES=4 8", "BLOCK=1,2", "EVENTS=1,x",
        "LANES=", "LANES=0", "LANES=-1", "LANES=1.5", "LANES='", 'LANES="', "BLOCK=x",
        "EVENTS=two", "PRODUCTS=0", "DIGITS=0", "DIGITS=all", "EPOCHS=0", "SEEDS=-1", "STALLS=-1",
        "JOBS=0", "SEQUENCES=0", "TIMESTEPS=0", "CYCLES=0", "REPORTS=0", "COUNTERS=one", "CLOCK=0",
        "CLOCK=-5", "CLOCK=nan", "CLOCK=", "ABLATE=no;fusion", "DATA=/dev/null", "DATA=nowhere",
        "DATA='", "LISTS=4", "LINK=3", "INPUT=3", "GRADED=some", "N=0", "SEED=x",
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_installed(clone: Path, setting: str) -> None:
    shutil.rmtree(clone / ".venv")
    done = make(clone, "sim", setting)
    assert done.returncode == 2 and not (clone / ".venv").exists()
    assert re.fullmatch(rf"Makefile:\d+: \*\*\* {setting}: use .*\n", done.stderr)


def test_what_can_be_is_taken(clone: Path) -> None:
    settings = ("DIGITS=", "CYCLES=", "STALLS=0", "SEEDS=0", "CLOCK=12.5", "JOBS=auto")
    done = make(clone, "sim", *settings)
    assert done.returncode == 0, done.stderr
    assert "--digits" not in commands(clone)[-1], "then the command has its own default"
    for data in (".", "Makefile"):
        done = make(clone, "sim", f"DATA={data}")
        assert done.returncode == 0 and commands(clone)[-1][-2:] == ["--data", data]


def test_parts_have_numbers_of_their_own(clone: Path) -> None:
    """And no default folder has a comma in its name."""
    parts = ("LANES=4,8,10", "EVENTS=1,2,1", "PRODUCTS=2,3,1")
    done = make(clone, "sim", "bench-testset", *parts)
    assert done.returncode == 0, done.stderr
    simulated, tested = commands(clone)
    assert simulated[3:] == core("smnist", "build/smnist", "4,8,10", 1, "1,2,1", "2,3,1")
    out = "build/testset/smnist-4_8_10-8-1_2_1-2_3_1"
    assert tested[tested.index("--out") + 1] == out and "," not in out


@pytest.mark.parametrize(("target", "asks"), [("sim", True), ("package", True), ("host", False)])
def test_reports_are_built_and_asked_for(clone: Path, target: str, asks: bool) -> None:
    done = make(clone, target, "REPORTS=7")
    assert done.returncode == 0, done.stderr
    (found,) = commands(clone)
    assert "--reports" in found and (found.count("--report-every") == 1) == asks
    assert not asks or found[found.index("--report-every") + 1] == "7"


def test_a_core_is_ablated(clone: Path) -> None:
    done = make(clone, "energy", "NET=my net", "OUT=out", "ABLATE= no-fusion  shared-datapath ")
    assert done.returncode == 0, done.stderr
    named = core("my net", "out")
    ablated = [*named[:-2], "--ablate", "no-fusion", "--ablate", "shared-datapath", *named[-2:]]
    assert commands(clone) == [dmp("energy", *ablated, "--mhz", "100")]


@pytest.mark.parametrize("fit", [(), ("FIT=1",)])
def test_a_core_for_a_chip_counts_what_it_shall(clone: Path, fit: tuple[str, ...]) -> None:
    """Also one that `dmp fit` chose."""
    done = make(clone, "rtl", "CHIP=1", "COUNTERS=errors", "LISTS=6", "LINK=2", "INPUT=4", *fit)
    assert done.returncode == 0, done.stderr
    found = " ".join(commands(clone)[-1])
    assert FOR_A_CHIP == {"hold_operands": True, "segment_words": 256}, "as make's CHIP=1"
    assert (
        "--hold-operands --segment-words 256 --counters errors --list-buffers 6 --link-items 2"
        " --input-items 4" in found
    )
    assert ("--fit" in found) == bool(fit) == ("--lanes" not in found)


def test_a_package_has_a_clock(clone: Path) -> None:
    (clone / "the data").mkdir()
    done = make(clone, "package", "NET=my net", "OUT=an out", "CLOCK=80", "DATA=the data")
    assert done.returncode == 0, done.stderr
    more = ["--sequences", "1", "--clock", "80", "--data", "the data"]
    assert commands(clone) == [dmp("package", *core("my net", "an out"), *more)]


def test_a_host_streams_to_the_verilog_or_to_a_board(clone: Path) -> None:
    (clone / "the data").mkdir()
    for values in ((), ("PORT=a port", "DATA=the data", "DIGITS=3")):
        done = make(clone, "host", "NET=my net", "OUT=out", *values)
        assert done.returncode == 0, done.stderr
    run = dmp("host", *core("my net", "out"))
    assert commands(clone) == [
        run,
        [*run, "--digits", "3", "--back-end", "uart", "--port", "a port", "--data", "the data"],
    ]


def test_a_timeline_and_waves_are_of_a_few_digits(clone: Path) -> None:
    (clone / "the data").mkdir()
    options = ["NET=my net", "OUT=out", "DATA=the data"]
    for target, more in (("timeline", []), ("waves", ["TIMESTEPS=5"]), ("waves", ["DIGITS=3"])):
        done = make(clone, target, *options, *more)
        assert done.returncode == 0, done.stderr
    data = ["--data", "the data"]
    of = core("my net", "out")
    assert commands(clone) == [
        dmp("timeline", *of, *data),
        dmp("waves", *of, "--timesteps", "5", *data),
        dmp("waves", *of, "--digits", "3", "--timesteps", "16", *data),
    ]


def test_a_chain_is_of_several_networks(clone: Path) -> None:
    done = make(clone, "chain", "NETS=nets/a nets/b", "FIT=1", "DIGITS=2")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        dmp("chain", "nets/a", "nets/b", "--fit", "--digits", "2", "--out", "build")
    ]


def test_coverage_is_told(clone: Path) -> None:
    assert make(clone, "coverage").returncode == 0
    assert commands(clone) == [["-m", "tests.coverage"]]


def test_proofs_are_named(clone: Path) -> None:
    done = make(clone, "formal", "PROOF=masks loader")
    assert done.returncode == 0 and make(clone, "formal").returncode == 0, done.stderr
    named = ["-m", "formal", "--only", "masks", "--only", "loader"]
    assert commands(clone) == [named, ["-m", "formal"]]


def test_a_soak_has_cycles_and_a_seed(clone: Path) -> None:
    assert make(clone, "soak").returncode == 0
    done = make(clone, "soak", "CYCLES=500", "CORES=2", "SEED=7")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        ["-m", "soak", "--cycles", "10000000", "--cores", "24", "--seed", "0"],
        ["-m", "soak", "--cycles", "500", "--cores", "2", "--seed", "7"],
    ]


def test_fuzzing_has_a_count_and_a_seed(clone: Path) -> None:
    done = make(clone, "fuzz", "COUNT=500", "SEED=7")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [["-m", "soak.fuzz", "--count", "500", "--seed", "7"]]


def test_mutants_are_drawn_from_a_seed(clone: Path) -> None:
    done = make(clone, "mutants", "N=7", "SEED=3", "JOBS=1")
    assert done.returncode == 0 and make(clone, "mutants").returncode == 0, done.stderr
    given, default = ("7", "3", "1"), ("100", "0", "2")
    named = ("--count", "--seed", "--jobs")
    assert commands(clone) == [
        ["-m", "mutants", *(part for pair in zip(named, values, strict=True) for part in pair)]
        for values in (given, default)
    ]


def test_the_pages_are_generated_then_built(clone: Path) -> None:
    done = make(clone, "docs")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        ["-m", "docs.generate"],
        ["-m", "sphinx", "-W", "--keep-going", "--quiet", "docs", "build/docs"],
    ]


def test_networks_of_one_folder_name_have_folders_of_their_own(clone: Path) -> None:
    nets = ("smnist", "a/mine", "b/mine/", "build/quantized/smnist", "../mine", "/nets/mine")
    for net in nets:
        assert make(clone, "export", f"NET={net}").returncode == 0
    assert [command[-2] for command in commands(clone)] == [
        "build/smnist", "build/a-mine", "build/b-mine", "build/quantized-smnist", "build/..-mine",
        "build/-nets-mine",
    ]  # fmt: skip


def test_training_takes_a_recipe(clone: Path) -> None:
    done = make(clone, "train", "NET=spoken", "EPOCHS=7", "RECIPE=--architecture rsnn --seed 3")
    assert done.returncode == 0, done.stderr
    expected = ["spoken", "--epochs", "7", "--architecture", "rsnn", "--seed", "3"]
    assert commands(clone) == [dmp("train", *expected)]


def test_the_shape_of_the_core_is_handed_on(clone: Path) -> None:
    done = make(clone, "export", "LANES=3", "BLOCK=4", "EVENTS=2", "PRODUCTS=5")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        dmp("export", *core("smnist", "build/smnist", 3, 4, 2, 5), "--trace")
    ]


def test_a_choice_of_make_fit_is_taken(clone: Path) -> None:
    done = make(clone, "demo", "FIT=1", "DIGITS=2")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        dmp("sim", "smnist", "--fit", "--out", "build/smnist", "--digits", "2")
    ]


def test_test_sets_of_several_shapes_have_folders_of_their_own(clone: Path) -> None:
    for values in ((), ("LANES=9",), ("BLOCK=16",), ("EVENTS=2",), ("PRODUCTS=7",), ("NET=a/b/",)):
        done = make(clone, "bench-testset", *values)
        assert done.returncode == 0, done.stderr
    shapes = [(8, 8, 1, 1), (9, 8, 1, 1), (8, 16, 1, 1), (8, 8, 2, 1), (8, 8, 1, 7), (8, 8, 1, 1)]
    names = [("smnist", "smnist")] * 5 + [("a/b/", "a-b")]
    expected = []
    for (network, name), values in zip(names, shapes, strict=True):
        folder = "build/testset/" + "-".join(map(str, (name, *values)))
        expected.append(dmp("testset", *core(network, folder, *values), "--jobs", "2"))
    assert commands(clone) == expected


def test_help_names_every_variable_that_has_a_default(clone: Path) -> None:
    shown = make(clone, "help", "BLOCK=16").stdout
    assigned = [line.split(" ?= ") for line in MAKEFILE.read_text().splitlines() if " ?= " in line]
    assert {"BLOCK", "EVENTS", "PRODUCTS"} < {name for name, _ in assigned}
    for name, _ in assigned:
        assert f"{name}=" in shown
    assert "BLOCK=16 " in shown and "EVENTS=1 " in shown


def test_synthesis_is_of_the_manifests_core(clone: Path) -> None:
    done = make(clone, "synth-check", "NET=two", "OUT=an out")
    assert done.returncode == 0, done.stderr
    expected = dmp("synth", *core("two", "an out"), "--device", "ecp5-85k")
    assert commands(clone)[-1] == expected
    options = ["SEEDS=3", "JOBS=5", "CLOCK=80", "PLACER=static", "FLOORPLAN=1", "CYCLES=99"]
    done = make(clone, "synth", "NET=two", "OUT=an out", *options)
    assert done.returncode == 0, done.stderr
    expected += [
        "--mhz",
        "80",
        "--floorplan",
        "--cycles",
        "99",
        "--seeds",
        "3",
        "--jobs",
        "5",
        "--placer",
        "static",
    ]
    assert commands(clone)[-1] == expected


def test_a_board_gets_a_bitstream_and_a_simulation_of_its_pins(clone: Path) -> None:
    board = ["NET=two", "OUT=an out", "BOARD=ulx3s-85f", "SEEDS=3", "JOBS=5", "CLOCK=75"]
    done = make(clone, "synth", *board)
    assert done.returncode == 0, done.stderr
    more = ["--mhz", "75", "--seeds", "3", "--jobs", "5"]
    assert commands(clone) == [
        dmp("bitstream", *core("two", "an out"), "--board", "ulx3s-85f", *more)
    ]
    (clone / "arguments").unlink()
    (clone / "the data").mkdir()
    done = make(clone, "uart-sim", "NET=two", "OUT=out", "DATA=the data")
    assert done.returncode == 0, done.stderr
    more = ["--data", "the data"]
    assert commands(clone) == [dmp("uart-sim", *core("two", "out"), "--board", "ulx3s-85f", *more)]


def test_defaults_are_those_of_the_commands() -> None:
    hardware = HardwareParams()
    shown = dict(re.findall(r"^([A-Z]+) \?= (\S+)$", MAKEFILE.read_text(), re.M))
    assert (shown["LANES"], shown["BLOCK"]) == (str(hardware.lanes), str(hardware.block))
    assert shown["EVENTS"] == str(hardware.events_per_cycle)
    assert shown["PRODUCTS"] == str(hardware.products_per_cycle)
