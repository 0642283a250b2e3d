"""`ports.json`: the generated core as whoever connects it sees it: its ports, the fields of its
streams, its counters and error flags. Written and read here only; its Verilog is read here.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from golden.errors import UserError
from golden.hardware.part import EventKind
from golden.inputs import BROKEN, read_json
from golden.manifest import digest

PORTS = "ports.json"


def _check(name: object, width: object) -> None:
    """Raise `TypeError` where these are no name and no width in bits."""
    _check_name(name)
    if type(width) is not int or not 0 < width < 1 << 24:
        raise TypeError(f"{name!r} of {width!r} bits")


def _check_name(name: object) -> str:
    """Return a name, or raise `TypeError` where it is none: it comes to stand in sources."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
        raise TypeError(f"{name!r} is no name")
    return name


@dataclass(frozen=True)
class Port:
    """A port of the core; `direction` is `input` or `output`, as the core sees it."""

    name: str
    direction: str
    width: int

    def __post_init__(self) -> None:
        _check(self.name, self.width)
        if self.direction not in ("input", "output"):
            raise TypeError(f"port {self.name} of direction {self.direction!r}")


@dataclass(frozen=True)
class Field:
    """A field of a stream's payload: `width` bits from bit `offset`."""

    name: str
    offset: int
    width: int
    signed: bool

    def __post_init__(self) -> None:
        _check(self.name, self.width)
        if type(self.offset) is not int or not 0 <= self.offset < 1 << 24:
            raise TypeError(f"field {self.name} at bit {self.offset!r}")


@dataclass(frozen=True)
class Interface:
    """A generated core: its top module, ports by name, counters and error flags in order.

    `fields` has, by the name of a stream, the fields of its payload; `load_header` are those of the
    data of a `first` item of the load stream.
    """

    top: str
    ports: dict[str, Port]
    fields: dict[str, dict[str, Field]]
    counters: list[str]
    errors: list[str]

    @property
    def output(self) -> str:
        """The stream that leaves the core: `o_results`, or without a readout `o_spikes`."""
        return "o_results" if "o_results" in self.fields else "o_spikes"

    def pack(self, stream: str, **values: np.ndarray) -> np.ndarray:
        """Return payloads (n,) uint64 of a stream from one array (n,) of integers for every
        field.
        """
        fields = self.fields[stream]
        if set(values) != set(fields):
            raise UserError(
                f"stream {stream} has the fields {', '.join(fields)}, not {', '.join(values)}"
            )
        packed = np.zeros(
            np.broadcast_shapes(*(np.shape(value) for value in values.values())), np.uint64
        )
        for name, value in values.items():
            field = fields[name]
            bits = np.asarray(value).astype(np.uint64) & np.uint64((1 << field.width) - 1)
            packed |= bits << np.uint64(field.offset)
        return packed

    def unpack(self, stream: str, packed: np.ndarray) -> dict[str, np.ndarray]:
        """Return the fields, as int64, of payloads uint64 of a stream."""
        found = {}
        for name, field in self.fields[stream].items():
            bits = packed >> np.uint64(field.offset) & np.uint64((1 << field.width) - 1)
            value = bits.astype(np.int64)
            negative = value >> (field.width - 1) if field.signed else 0
            found[name] = value - (negative << field.width)
        return found


def interface_text(interface: Interface, manifest: Path) -> str:
    """Return the content of `ports.json` for the core of a manifest."""
    width = interface.fields["i_events"]["kind"].width  # one bit more where there are reports
    kinds = [kind for kind in EventKind if kind < 1 << width]
    content = {
        "top": interface.top,
        "manifest_sha256": digest(manifest),
        "ports": [asdict(port) for port in interface.ports.values()],
        "fields": {
            stream: [asdict(field) for field in fields.values()]
            for stream, fields in interface.fields.items()
        },
        "event_kinds": {kind.name: kind.value for kind in kinds},
        "counters": interface.counters,
        "errors": interface.errors,
    }
    return json.dumps(content, indent=1) + "\n"


def read_interface(manifest: Path) -> Interface:
    """Read the `ports.json` beside a manifest; raise `UserError` where it is missing or belongs to
    another manifest.
    """
    path = manifest.with_name(PORTS)
    interface, belongs_to = read_ports(path)
    if belongs_to != digest(manifest):
        raise UserError(f"{path} belongs to an earlier manifest: generate the core again (dmp rtl)")
    return interface


def read_ports(path: Path) -> tuple[Interface, str]:
    """Return what a `ports.json` describes, and the SHA-256 of its manifest; or raise
    `UserError`.
    """
    if not path.exists():
        raise UserError(f"no {path}: generate the core first (dmp rtl)")
    try:
        content = read_json(path)
        interface = Interface(
            _check_name(content["top"]),
            {port["name"]: Port(**port) for port in content["ports"]},
            {
                _check_name(stream): {field["name"]: Field(**field) for field in fields}
                for stream, fields in content["fields"].items()
            },
            [_check_name(name) for name in content["counters"]],
            [_check_name(name) for name in content["errors"]],
        )
        return interface, str(content["manifest_sha256"])
    except BROKEN as error:
        raise UserError(
            f"{path} does not describe a core ({error!r}): generate the core again (dmp rtl)"
        ) from None


def read_verilog(path: Path, command: str = "dmp rtl") -> str:
    """Read generated Verilog, which `command` writes, or raise `UserError` where it is missing or
    not whole.
    """
    if not path.exists():
        raise UserError(f"no {path}: generate the core first ({command})")
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no Verilog: generate the core again ({command})") from None
    if not text.rstrip().endswith("endmodule"):
        raise UserError(
            f"{path} does not end with a module's end: generate the core again ({command})"
        )
    return text


def without_head(verilog: str) -> str:
    """Return generated Verilog without the comments that it opens with: they name the network and
    the hash of its weights, on which a model of it does not depend.
    """
    return re.sub(r"\A(//[^\n]*\n)*", "", verilog)
