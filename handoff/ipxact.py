"""The IP-XACT component (IEEE 1685-2014) of a core: its ports, its files, its clock and reset."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from collections.abc import Iterable, Sequence

from golden.interface import Port
from golden.manifest import VERSION
from handoff.fusesoc import LIBRARY, VENDOR

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_FILE_TYPES = {".v": "verilogSource", ".sv": "systemVerilogSource", ".mem": "user"}
_FILES = "files_rtl"


def _add(parent: xml.Element, tag: str, text: str | None = None) -> xml.Element:
    found = xml.SubElement(parent, f"{{{NAMESPACE}}}{tag}")
    found.text = text
    return found


def _identify(parent: xml.Element, name: str) -> None:
    for tag, text in (
        ("vendor", VENDOR), ("library", LIBRARY), ("name", name), ("version", VERSION)
    ):  # fmt: skip
        _add(parent, tag, text)


def write_component(
    name: str, top: str, ports: Iterable[Port], sources: Sequence[str], description: str
) -> str:
    """Return the component as XML; `sources` are paths in the package."""
    xml.register_namespace("ipxact", NAMESPACE)
    root = xml.Element(f"{{{NAMESPACE}}}component")
    _identify(root, name)
    model = _add(root, "model")
    view = _add(_add(model, "views"), "view")
    _add(view, "name", "rtl")
    _add(view, "componentInstantiationRef", "rtl")
    instance = _add(_add(model, "instantiations"), "componentInstantiation")
    _add(instance, "name", "rtl")
    _add(instance, "language", "Verilog")
    _add(instance, "moduleName", top)
    _add(_add(instance, "fileSetRef"), "localName", _FILES)
    listed = _add(model, "ports")
    for port in ports:
        described = _add(listed, "port")
        _add(described, "name", port.name)
        wire = _add(described, "wire")
        _add(wire, "direction", {"input": "in", "output": "out"}[port.direction])
        if port.width > 1:
            vector = _add(_add(wire, "vectors"), "vector")
            _add(vector, "left", str(port.width - 1))
            _add(vector, "right", "0")
    files = _add(_add(root, "fileSets"), "fileSet")
    _add(files, "name", _FILES)
    for path in sources:
        file = _add(files, "file")
        _add(file, "name", path)
        _add(file, "fileType", _FILE_TYPES[path[path.rindex(".") :]])
    _add(root, "description", description)
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, "unicode") + "\n"
