"""`import dmp_core as dmp`: from arrays to integers, to a folder that commands take, to a core in
Verilator.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
from torch import nn

import dmp_core as dmp
from dmp_core.frontends.layers import Lif, Readout
from export.store import find_dataset, load_stored
from golden.errors import UserError
from golden.integer import run
from golden.manifest import read_core
from tests.face_inputs import LABELS, W1, W2, X, graph, network


def test_a_network_becomes_integers_and_a_folder(tmp_path: Path) -> None:
    net = network()
    assert "8 neurons of 6 inputs" in net.report() and "3 classes" in net.report()
    integers = net.quantize(X, name="three", weight_bits=12, membrane_bits=20, leak_bits=16)
    f = integers.network.params.layers[0].formats
    assert (f.w_f.width, f.u.width, f.leak.width) == (12, 20, 16)
    golden = run(integers.network, X, trace=True)
    assert np.array_equal(integers.predict(X), golden.classes)
    assert golden.layers[-1].spikes is not None
    assert np.array_equal(integers.spikes(X), golden.layers[-1].spikes)
    comparison = integers.compare(net, X, LABELS)
    assert comparison.layers[0].steps == 20 * 15 * 8 and "accuracy" in comparison.report()

    folder = integers.save(tmp_path / "three", X, LABELS)
    stored, card = load_stored(folder)
    assert stored.params == integers.network.params and card.n_test == 20
    assert card.accuracy_integer == float((golden.classes == LABELS).mean())
    assert card.events_per_step[0] == pytest.approx(X.sum(2).mean(), abs=0.01)
    found = find_dataset(folder)
    assert np.array_equal(found.sequences(), X) and np.array_equal(found.labels, LABELS)
    with pytest.raises(UserError, match="exists: use another folder, or --force"):
        integers.save(folder, X)
    integers.save(folder, X[:5], force=True)
    assert not find_dataset(folder).labelled and load_stored(folder)[1].n_test == 0
    with pytest.raises(UserError, match="no sequences to store: use at least one"):
        integers.save(tmp_path / "none", X[:0])
    assert not (tmp_path / "none").exists()
    loaded = dmp.load(str(folder))
    assert np.array_equal(loaded.predict(X), golden.classes)


def test_the_search_for_widths_is_within_its_loss() -> None:
    net = network()
    found = net.search(X, X, max_loss=10.0)
    chosen = dmp.Integers(found.chosen.network) if found.chosen.network else None
    assert chosen is not None
    same = (chosen.predict(X) == net.run(X).logits.argmax(1)).mean()
    assert 100 * (1 - same) <= 10 and found.chosen.memory_bits < found.trials[0].memory_bits


def test_a_core_runs_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    integers = network().quantize(X, name="three")
    core = integers.compile(tmp_path / "core", lanes=3, block=2)
    before = core.manifest.read_bytes()
    with pytest.raises(UserError, match="is of network three, not of other: use another folder"):
        network().quantize(X, name="other").compile(tmp_path / "core")
    assert core.manifest.read_bytes() == before and not (tmp_path / "core/other.v").exists()
    with pytest.raises(UserError, match="no run of the core yet"):
        _ = core.cycles
    for given, options, words in (
        (X[:2].tolist(), {}, "payloads in a list"),
        (X[:2, :, :5], {}, r"payloads of shape \(2, 15, 5\): use \(sequences, timesteps, 6\)"),
        (X[:2] * 2, {}, "payload 2 at sequence .*: use 0 to 1"),
        (X[:2], {"reports": 5}, "reports 5: use a list of timesteps"),
        (X[:2], {"stalls_seed": "1"}, "stalls_seed '1': use a whole number, 0 or more"),
    ):
        with pytest.raises(UserError, match=words):
            core.check(given, **options)
    assert core.check(X[:2]) > 2 * 15 * 8
    cycles = core.cycles
    assert cycles > 15 and core.verilog.name == "three.v"
    assert np.array_equal(core.predict(X[:2]), integers.predict(X[:2])) and core.cycles == cycles
    simulated = core.simulate(X[2:4])
    monkeypatch.setattr(core, "simulate", lambda payloads: simulated)
    with pytest.raises(UserError, match=r"\d+ values differ from the golden model: logits"):
        core.check(X[:2])


def test_a_core_has_the_options_of_its_shape(tmp_path: Path) -> None:
    options: Any = {"events_per_cycle": (1, 2), "list_buffers": 6, "link_items": 2}
    three = network().quantize(X, name="three").compile(tmp_path / "three", **options)
    shared = dmp.load("smnist").compile(tmp_path / "smnist", lanes=(4, 2, 2), graded="shared")
    found, sharing = (read_core(core.manifest)[0].hardware for core in (three, shared))
    assert {name: getattr(found, name) for name in options} == options
    assert (sharing.graded, sharing.lanes) == ("shared", (4, 2, 2))
    assert (found.graded, sharing.list_buffers, sharing.link_items) == ("own", 3, 1)


def test_what_has_no_classes_says_so() -> None:
    net = dmp.from_layers([Lif(W1, leak=0.9, threshold=1.0)])
    integers = net.quantize(X)
    assert integers.spikes(X).shape == (20, 15, 8)
    with pytest.raises(UserError, match="has no readout"):
        integers.predict(X)


NET = network()
INTEGERS = NET.quantize(X)
PLAIN = nn.Sequential(nn.Linear(6, 3), snn.Leaky(beta=0.9, init_hidden=True, output=True))
GIVEN: Any = {"dt": 1e-4, "discretization": "euler", "reset": "zero"}
LAYER = Lif(W1)


def any_(value: Any) -> Any:
    """Return a value of a type that a type checker would refuse."""
    return value


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: INTEGERS.compile("core", lanes=any_("8")),
            "lanes '8': use a whole number, 1 to 1024",
        ),
        (lambda: INTEGERS.compile("core", lanes=any_(8.0)), "lanes 8.0: use a whole number, 1 to"),
        (lambda: INTEGERS.compile("core", lanes=True), "lanes True: use a whole number, 1 to 1024"),
        (lambda: INTEGERS.compile("core", lanes=0), "lanes 0: use a whole number, 1 to 1024"),
        (
            lambda: INTEGERS.compile("core", block=any_(None)),
            "block None: use 1, 2, 4, 8 or 16",
        ),
        (lambda: INTEGERS.compile("core", block=3), "block 3: use 1, 2, 4, 8 or 16 timesteps"),
        (
            lambda: INTEGERS.compile("core", events_per_cycle=3),
            "events_per_cycle 3: use 1, 2 or 4",
        ),
        (lambda: INTEGERS.compile("core", products_per_cycle=9), "products_per_cycle 9: use a who"),
        (lambda: INTEGERS.compile("core", reports=any_(1)), "reports 1: use True or False"),
        (
            lambda: INTEGERS.compile("core", graded="shared"),
            "graded shared of layer0, which has spikes for inputs: its events take no multipliers",
        ),
        (lambda: INTEGERS.compile("core", list_buffers=4), "list_buffers 4: use 3 or 6"),
        (lambda: INTEGERS.compile("core", link_items=3), "link_items 3: use 1, 2 or 4"),
        (
            lambda: INTEGERS.compile("core", link_items=2),
            "link_items 2 to readout, which adds 1 event a cycle: use at most as many items as",
        ),
        (lambda: INTEGERS.compile(any_(3)), "folder 3: use a path"),
        (lambda: INTEGERS.compile(__file__), f"{__file__} is a file: name a folder"),
        (lambda: INTEGERS.save(any_(None), X), "folder None: use a path"),
        (lambda: INTEGERS.save(__file__, X), f"{__file__} is a file: name a folder"),
        (
            lambda: INTEGERS.save("net", any_(X.tolist())),
            "payloads in a list: use an array of NumPy",
        ),
        (lambda: INTEGERS.save("net", any_("x.npz")), "payloads in a str: use an array of NumPy"),
        (
            lambda: INTEGERS.save("net", X[:, :, :5]),
            "payloads of shape (20, 15, 5): use (sequences",
        ),
        (
            lambda: INTEGERS.save("net", X, any_("abc")),
            "labels of shape (): use (20,), one a seque",
        ),
        (lambda: INTEGERS.save("net", X, any_([0.5] * 20)), "labels of type float64: use integers"),
        (
            lambda: INTEGERS.save("net", None, LABELS),
            "labels without sequences: give both, or none",
        ),
        (
            lambda: INTEGERS.compare(any_(INTEGERS), X),
            "network Integers(network=NetworkIntegers(pa",
        ),
        (
            lambda: INTEGERS.compare(any_(X), X),
            "network is a ndarray of shape (20, 15, 6): use the",
        ),
        (lambda: INTEGERS.compare(NET, X, [1, 2]), "(2,) labels of 20 sequences: use one for each"),
        (lambda: INTEGERS.predict(X * 0.5), "payload 0.5 at sequence 0, timestep "),
        (lambda: NET.quantize(X, weight_bits=40), "weight_bits 40: use a whole number, 2 to 16"),
        (lambda: NET.quantize(X, weight_bits=1), "weight_bits 1: use a whole number, 2 to 16"),
        (
            lambda: NET.quantize(X, weight_bits=any_("8")),
            "weight_bits '8': use a whole number, 2 to",
        ),
        (
            lambda: NET.quantize(X, membrane_bits=60),
            "membrane_bits 60: use a whole number, 6 to 32",
        ),
        (lambda: NET.quantize(X, leak_bits=any_(None)), "leak_bits None: use a whole number, 4 to"),
        (lambda: NET.quantize(X, name=any_(3)), "a network called '3': use letters"),
        (lambda: NET.quantize(any_("x.npz")), "the calibration: payloads in a str: use an array"),
        (lambda: NET.search(X, X, max_loss=any_("x")), "max_loss 'x': use a number"),
        (lambda: NET.search(X, X, max_loss=np.nan), "max_loss nan: use a number"),
        (
            lambda: dmp.from_layers(any_(W1)),
            "layers is a ndarray of shape (8, 6): use a list of Lif",
        ),
        (lambda: dmp.from_layers(any_(LAYER)), "use a list of Lif"),
        (lambda: dmp.from_layers([any_(W1)]), "layers[0] is a ndarray of shape (8, 6): use a Lif"),
        (
            lambda: dmp.from_layers([LAYER], any_(W2)),
            "readout is a ndarray of shape (3, 8): use a R",
        ),
        (lambda: dmp.from_layers([LAYER], payload=any_(8)), "payload 8: use a format, as Fixed(8,"),
        (
            lambda: dmp.from_layers([Lif(W1, reset=any_("zero"))]),
            "layer0.reset 'zero': use subtract",
        ),
        (
            lambda: dmp.from_layers([Lif(W1, reset=any_(W1))]),
            "layer0.reset is a ndarray of shape (8",
        ),
        (
            lambda: dmp.from_layers([Lif(W1, strict=any_("no"))]),
            "layer0.strict 'no': use True or Fa",
        ),
        (
            lambda: dmp.from_layers([Lif(W1, name=any_(3))]),
            "layers[0].name 3: use a string, or None",
        ),
        (lambda: dmp.from_layers([Lif(W1, leak="x")]), "layer0.leak is no array of numbers"),
        (
            lambda: dmp.from_layers([LAYER], Readout(W2, report=any_(0))),
            "readout.report 0: use last",
        ),
        (
            lambda: dmp.from_nir(graph(), **GIVEN | {"dt": "x"}),
            "dt 'x': use a number above 0, in the",
        ),
        (
            lambda: dmp.from_nir(graph(), **GIVEN | {"dt": W1}),
            "dt is a ndarray of shape (8, 6): use",
        ),
        (lambda: dmp.from_nir(graph(), **GIVEN | {"dt": 0}), "dt 0: use a number above 0, in the"),
        (
            lambda: dmp.from_nir(graph(), **GIVEN | {"reset": W1}),
            "reset is a ndarray of shape (8, 6)",
        ),
        (lambda: dmp.from_nir(graph(), **GIVEN, payload=8), "payload 8: use a format, as Fixed(8"),
        (
            lambda: dmp.from_nir(any_(3), **GIVEN),
            "a source of type int: use the path of a NIR file",
        ),
        (lambda: dmp.from_nir("no.nir", **GIVEN), "no file no.nir: use the path of a NIR file"),
        (lambda: dmp.from_lava("no.net"), "no file no.net: use the path of one that netx reads"),
        (lambda: dmp.from_lava(any_(None)), "path None: use a path"),
        (lambda: dmp.from_lava("no.net", name=3), "a network called '3': use letters"),
        (lambda: dmp.from_lava("no.net", readout=3), "readout 3: use spikes or spike_count"),
        (
            lambda: dmp.load("nonesuch"),
            "unknown network 'nonesuch': use a folder, or a shipped one",
        ),
        (lambda: dmp.load(any_(3)), "network 3: use a path"),
        (
            lambda: dmp.from_snntorch(any_("m.pt")),
            "module 'm.pt': use an instance of torch.nn.Module",
        ),
        (
            lambda: dmp.from_snntorch(any_(nn.Linear)),
            "module <class 'torch.nn.modules.linear.Linear",
        ),
        (
            lambda: dmp.from_snntorch(PLAIN, readout=1),
            "readout 1: use spikes, spike_count, membrane,",
        ),
        (lambda: dmp.from_snntorch(PLAIN, inputs=6), "inputs 6: use a shape as (28,), or tensors"),
        (lambda: dmp.from_snntorch(PLAIN, input_scale="x"), "input_scale 'x': use a number"),
        (
            lambda: dmp.from_snntorch(PLAIN, max_weights="x"),
            "max_weights 'x': use a whole number, 1",
        ),
        (
            lambda: dmp.from_snntorch(PLAIN, readout="spikes", payload=8),
            "payload 8: use a format, as",
        ),
    ],
)
def test_what_python_cannot_take_is_one_line(
    call: Callable[[], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the argument, its value, and what would be right; and nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        call()
    assert words in str(refused.value) and "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_frontend_without_its_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snntorch", None)
    monkeypatch.delitem(sys.modules, "dmp_core.frontends.snntorch", raising=False)
    monkeypatch.delitem(sys.modules, "dmp_core.frontends.torch_neurons", raising=False)
    with pytest.raises(
        UserError, match=r"snntorch is not installed: pip install --editable '.\[sn"
    ):
        dmp.from_snntorch(object())  # type: ignore[arg-type]


def test_the_face_is_light() -> None:
    """Neither Torch nor Amaranth is loaded before it is needed."""
    script = (
        "import sys, dmp_core, dmp_core.__main__\n"
        "print([name for name in ('torch', 'amaranth', 'h5py', 'nir') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# dmp import
