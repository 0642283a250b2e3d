"""The manifest and its images: what is written can be read, and what is wrong is said in one
line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dmp_core.__main__ import main
from export import core as core_module
from export.core import read_images, write_core
from export.images import pack, unpack
from export.store import names
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams, listed
from tests.network_kinds import draw_whole
from tests.networks import Drawn, draw_network, draw_recurrent, with_delays
from tests.test_images import assert_same

PARTS = "the network has 2 layers and a readout, so use 3 numbers, or one for all"
NEITHER = "is neither a whole number, nor one for each part, as 4,8,10"
UNKNOWN = (
    f"error: unknown network 'nonesuch': use a folder, or a shipped one: {', '.join(names())}\n"
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return the manifest of a written core."""
    drawn = draw_network(5)
    return write_core(
        drawn.network,
        CoreParams(drawn.network.params, HardwareParams(3, trace=True)),
        tmp_path / "core",
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("delays", [False, True])
def test_what_is_written_is_read(seed: int, delays: bool, tmp_path: Path) -> None:
    drawn = (draw_recurrent if seed % 4 == 3 else draw_network)(seed)
    drawn = with_delays(drawn) if delays else drawn
    assert_written(drawn, tmp_path)


@pytest.mark.parametrize("seed", range(24))
def test_whole_neurons_that_are_written_are_read(seed: int, tmp_path: Path) -> None:
    assert_written(draw_whole(seed), tmp_path)


def assert_written(drawn: Drawn, folder: Path) -> None:
    """Write a core and read it."""
    core = CoreParams(drawn.network.params, drawn.hardware)
    path = write_core(drawn.network, core, folder / "deep" / "core")
    found, images = read_images(path)
    assert found == core and images == pack(drawn.network, core)
    assert_same(unpack(images, found), drawn.network)
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(
        ["manifest.json", *(f"{n}.hex" for n in images)]
    )


def test_an_image_has_a_word_a_line(written: Path) -> None:
    core, images = read_images(written)
    memory = core.memories["layer0.w_f"]
    lines = (written.parent / "layer0.w_f.hex").read_text().split("\n")
    assert lines[-1] == "" and len(lines) == memory.depth + 1
    assert {len(line) for line in lines[:-1]} == {-(-memory.width // 4)}
    assert [int(line, 16) for line in lines[:-1]] == images["layer0.w_f"]


def test_writing_again_replaces_all(written: Path) -> None:
    drawn = draw_network(0)
    core = CoreParams(drawn.network.params, HardwareParams(2))
    assert len(core.memories) != len(read_images(written)[0].memories)
    write_core(drawn.network, core, written.parent)
    assert read_images(written) == (core, pack(drawn.network, core))
    assert len(list(written.parent.glob("*.hex"))) == len(core.memories)


def test_writing_again_leaves_what_is_not_the_cores(written: Path) -> None:
    folder = written.parent
    others = {"mine.hex": "1\n", "core.v": "module x; endmodule\n", "report.json": "{}"}
    for name, text in others.items():
        (folder / name).write_text(text)
    (folder.parent / "outside.hex").write_text("2\n")
    for file in ("../outside.hex", str(folder.parent / "outside.hex"), "report.json"):
        edit(lambda m, file=file: m["images"].update({file: {"file": file}}))(written)
    drawn = draw_network(0)
    core = CoreParams(drawn.network.params, HardwareParams(2))
    write_core(drawn.network, core, folder)
    images = {f"{name}.hex" for name in core.memories}
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *images, *others}
    assert {name: (folder / name).read_text() for name in others} == others
    assert (folder.parent / "outside.hex").exists()


@pytest.mark.parametrize(
    "text", ['{"schema_version": 1}', '{"schema_version": 3, "images": {"a": 3}}']
)
def test_an_earlier_manifest_of_any_version_is_replaced(text: str, written: Path) -> None:
    written.write_text(text)
    drawn = draw_network(0)
    core = CoreParams(drawn.network.params, HardwareParams(2))
    write_core(drawn.network, core, written.parent)
    assert read_images(written) == (core, pack(drawn.network, core))


def test_an_interruption_leaves_whole_files_and_is_noticed(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_network(0)
    core = CoreParams(drawn.network.params, HardwareParams(2))
    names = {path.name for path in written.parent.iterdir()}
    original, moved = Path.replace, []

    def replace_once(self: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(target.name)
        return original(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace_once)
        with pytest.raises(KeyboardInterrupt):
            write_core(drawn.network, core, written.parent)
    assert {path.name for path in written.parent.iterdir()} == names | set(moved)
    with pytest.raises(UserError, match=f"{moved[0]} does not match its SHA-256"):
        read_images(written)
    write_core(drawn.network, core, written.parent)
    assert read_images(written) == (core, pack(drawn.network, core))


def test_a_failure_leaves_the_earlier_core(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in written.parent.iterdir()}

    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(core_module, "manifest_text", fail)
    drawn = draw_network(0)
    with pytest.raises(OSError, match="no space"):
        write_core(drawn.network, CoreParams(drawn.network.params), written.parent)
    assert {path.name: path.read_bytes() for path in written.parent.iterdir()} == before


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Return what changes a manifest's content."""

    def apply(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def alter_image(path: Path) -> None:
    image = path.parent / "layer0.w_f.hex"
    first, rest = image.read_text().split("\n", 1)
    image.write_text(f"{int(first, 16) ^ 1:0{len(first)}x}\n{rest}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no manifest .*manifest.json: export a network first"),
        (lambda path: path.write_text("module x;"), "is not a manifest"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is not a manifest"),
        (
            lambda path: path.write_text("[1, 2]"),
            "has schema version None; this generator reads 7: export again",
        ),
        (
            edit(lambda m: m.update(schema_version=99)),
            "has schema version 99; this generator reads 7: export again",
        ),
        (
            edit(lambda m: m.update(schema_version=3)),
            "has schema version 3; this generator reads 7: export again",
        ),
        (
            edit(lambda m: m.update(schema_version=1, hardware={"lanes": 3, "trace": True})),
            "has schema version 1; this generator reads 7: export again",
        ),
        (edit(lambda m: m.pop("network")), "is not a manifest of schema version 7: 'network'"),
        (edit(lambda m: m["hardware"].update(lanes=0)), "lanes 0: use a whole number, 1 to 1024"),
        (edit(lambda m: m["hardware"].update(block=3)), "block 3: use 1, 2, 4, 8 or 16 timesteps"),
        (edit(lambda m: m["hardware"].update(block=True)), "block is True: it must be of type int"),
        (
            edit(lambda m: m["hardware"].update(access_counters=1)),
            "access_counters is 1: it must be of type bool",
        ),
        (
            edit(lambda m: m["hardware"].update(events_per_cycle=3)),
            "events_per_cycle 3: use 1, 2 or 4",
        ),
        (
            edit(lambda m: m["hardware"].update(products_per_cycle=9)),
            "products_per_cycle 9: use a whole number, 1 to 8",
        ),
        (
            edit(lambda m: m["hardware"].pop("block")),
            "HardwareParams needs exactly ablations, access_counters, block, .*; it has ab.*, ev",
        ),
        (edit(lambda m: m["hardware"].update(speed=3)), "HardwareParams needs exactly .* speed"),
        (edit(lambda m: m["network"]["layers"][0].pop("n_state")), "LayerParams needs exactly"),
        (edit(lambda m: m["hardware"].update(lanes=5)), "words of .* bits, but memory"),
        (
            edit(lambda m: m["images"].pop("layer0.w_f")),
            "has no image for memory layer0.w_f: export the network again",
        ),
        (edit(lambda m: m["images"]["layer0.c"].pop("sha256")), "has no image for memory layer0.c"),
        (
            edit(lambda m: m["images"].update({"layer0.c": "c.hex"})),
            "has no table of images: export again",
        ),
        (edit(lambda m: m.update(images=3)), "has no table of images: export again"),
        (edit(lambda m: m.update(network=[])), "is not a manifest"),
        (
            lambda path: (path.parent / "layer0.w_f.hex").unlink(),
            "layer0.w_f.hex is missing: export the network again",
        ),
        (alter_image, "layer0.w_f.hex does not match its SHA-256"),
        (
            lambda path: (path.parent / "layer0.c.hex").write_text("0\n"),
            "layer0.c.hex does not match its SHA-256",
        ),
        (edit(lambda m: m["images"]["layer0.c"].update(depth=999)), "layer0.c.hex is 999 words of"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    written: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(written)
    with pytest.raises(UserError, match=message) as error:
        read_images(written)
    assert "\n" not in str(error.value)


def test_an_image_of_something_else_is_named(written: Path) -> None:
    image = written.parent / "layer0.c.hex"
    image.write_text("not hex\n")
    digest = core_module.hashlib.sha256(image.read_bytes()).hexdigest()
    edit(lambda m: m["images"]["layer0.c"].update(sha256=digest))(written)
    with pytest.raises(UserError, match="is not a list of hexadecimal words"):
        read_images(written)


@pytest.mark.parametrize(
    ("options", "hardware"),
    [
        ("", HardwareParams()),
        ("--lanes 8 --trace", HardwareParams(lanes=8, trace=True)),
        ("--access-counters", HardwareParams(access_counters=True)),
        (
            "--lanes 6 --block 4 --events-per-cycle 2 --products-per-cycle 5",
            HardwareParams(lanes=6, block=4, events_per_cycle=2, products_per_cycle=5),
        ),
        (
            "--lanes 4,8,10 --events-per-cycle 1,2,1 --products-per-cycle 3,3,3",
            HardwareParams((4, 8, 10), events_per_cycle=(1, 2, 1), products_per_cycle=3),
        ),
    ],
)
def test_the_command_writes_a_core(options: str, hardware: HardwareParams, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    result = CliRunner().invoke(main, ["export", "rows", *options.split(), "--out", str(out)])
    assert result.exit_code == 0, result.output
    core, images = read_images(out / "manifest.json")
    assert core.hardware == hardware and core.network.name == "rows"
    bits = sum(len(words) * core.memories[name].width for name, words in images.items())
    assert f"{len(images)} memories, {bits} bits, {listed(hardware.lanes)} lanes" in result.stdout


def test_a_manifest_holds_every_choice(tmp_path: Path) -> None:
    drawn = draw_network(5)
    hardware = HardwareParams(
        3,
        4,
        2,
        5,
        access_counters=True,
        segment_words=64,
        hold_operands=True,
        list_buffers=6,
        link_items=2,
    )
    path = write_core(drawn.network, CoreParams(drawn.network.params, hardware), tmp_path)
    manifest = json.loads(path.read_text())
    assert manifest["schema_version"] == 7 and manifest["hardware"] == {
        "lanes": 3,
        "block": 4,
        "events_per_cycle": 2,
        "products_per_cycle": 5,
        "graded": "own",
        "access_counters": True,
        "trace": False,
        "reports": False,
        "segment_words": 64,
        "counters": "all",
        "hold_operands": True,
        "ablations": [],
        "list_buffers": 6,
        "link_items": 2,
        "input_items": 1,
    }
    assert read_images(path)[0].hardware == hardware


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows", "--lanes", "0"], "error: lanes 0: use a whole number, 1 to 1024\n"),
        (["rows", "--block", "3"], "error: block 3: use 1, 2, 4, 8 or 16 timesteps\n"),
        (
            ["rows", "--events-per-cycle", "0"],
            "error: events_per_cycle 0: use 1, 2 or 4\n",
        ),
        (
            ["rows", "--products-per-cycle", "9"],
            "error: products_per_cycle 9: use a whole number, 1 to 8\n",
        ),
        (["nonesuch"], UNKNOWN),
        (
            ["rows", "--lanes", "4,8"],
            f"error: lanes 4, 8: {PARTS}\n",
        ),
        (
            ["rows", "--lanes", "4,8,"],
            f"error: Invalid value for '--lanes': '4,8,' {NEITHER}: see main export --help\n",
        ),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    out = tmp_path / "core"
    result = CliRunner().invoke(main, ["export", *arguments, "--out", str(out)])
    assert result.exit_code == 2 and result.stderr == message and result.stdout == ""
    assert not out.exists()


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    out = tmp_path / "file"
    out.write_text("in the way")
    result = CliRunner().invoke(main, ["export", "rows", "--out", str(out)])
    assert (
        result.exit_code == 2 and result.stderr == f"error: {out}: File exists: use another path\n"
    )
    assert out.read_text() == "in the way"
