"""What is read of a generated core: damaged files are one line that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golden.errors import UserError
from golden.interface import Field, Interface, Port, interface_text, read_ports, read_verilog

EVENTS = {"i_events": {"kind": Field("kind", 0, 2, False)}}
INTERFACE = Interface("top", {"clk": Port("clk", "input", 1)}, EVENTS, ["a"], [])


def test_whole_verilog_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.v"
    path.write_text("module a; endmodule\nmodule b; endmodule\n\n")
    assert read_verilog(path) == path.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no .*a.v: generate the core first .make x"),
        (b"module a; endmodule\nmodule b; ass", "a.v does not end with a module's end: generate"),
        (b"", "a.v does not end with a module's end"),
        (b"\xff\xfe endmodule", "a.v is no Verilog: generate the core again .make x"),
    ],
)
def test_verilog_that_is_not_whole_is_named(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.v").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_verilog(tmp_path / "a.v", "make x")


@pytest.mark.parametrize(
    "change",
    [
        {"ports": 3},
        {"ports": [3]},
        {"fields": []},
        {"fields": {"a": [{}]}},
        {"top": None},
        {"ports": [{"name": "a", "direction": "input", "width": 0}]},
        {"ports": [{"name": 3, "direction": "input", "width": 1}]},
        {"fields": {"a": [{"name": "b", "offset": -1, "width": 2, "signed": False}]}},
    ],
)
def test_damaged_ports_are_named(change: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    path = tmp_path / "ports.json"
    whole = interface_text(INTERFACE, tmp_path / "manifest.json")
    path.write_text(whole)
    assert read_ports(path)[0] == INTERFACE
    changed = json.loads(whole) | change
    if change == {"top": None}:
        del changed["top"]
    for text in (json.dumps(changed), whole[:-9], "[]"):
        path.write_text(text)
        with pytest.raises(UserError, match="ports.json does not describe a core"):
            read_ports(path)
