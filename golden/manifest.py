"""`manifest.json`: all that a core is made from but its weights, and a table of its memory images.
Written and read here only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.inputs import BROKEN, read_json
from golden.params import NetworkParams, from_dict

VERSION = "0.2.0"  # of the project; pyproject.toml reads it here
SCHEMA_VERSION = 7
MANIFEST = "manifest.json"


def manifest_text(core: CoreParams, images: dict[str, dict[str, Any]]) -> str:
    """Return the content of a core's manifest; `images` has by the memory's name the `file`,
    `depth`, `width` and `sha256` of its image.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "network": core.network.to_dict(),
        "hardware": asdict(core.hardware),
        "images": images,
    }
    return json.dumps(content, indent=1) + "\n"


def digest(path: Path) -> str:
    """Return the SHA-256 of a manifest, by which a core's other files say where they belong."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_core(path: Path) -> tuple[CoreParams, dict[str, dict[str, Any]]]:
    """Return a manifest's core and its table of images, or raise `UserError`."""
    if not path.exists():
        raise UserError(f"no manifest {path}: export a network first (dmp export)")
    try:
        manifest = read_json(path)
    except ValueError as error:
        raise UserError(f"{path} is not a manifest: {error}") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {version}; this generator reads {SCHEMA_VERSION}: export"
            " again"
        )
    try:
        network = NetworkParams.from_dict(manifest["network"])
        hardware = from_dict(HardwareParams, manifest["hardware"], default=unlisted)
        images = manifest["images"]
        if not isinstance(images, dict) or not all(isinstance(i, dict) for i in images.values()):
            raise UserError(f"{path} has no table of images: export again")
        return CoreParams(network, hardware), images
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path} is not a manifest of schema version {version}: {error}") from None


def unlisted(value: Any) -> Any:
    """Return what JSON held: its lists were tuples."""
    return tuple(value) if isinstance(value, list) else value
