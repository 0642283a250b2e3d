"""The memory images of a core as a C header: the words that a program writes to LOAD_DATA."""

from __future__ import annotations

from export.images import Images
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH

_A_LINE = 8


def c_images(core: CoreParams, images: Images) -> str:
    """Return a C header with an array of 32-bit words for each memory, and the table `dmp_images`
    of them in the order of the memories' numbers.

    A word of memory is as many of them as its width needs, the low bits first.
    """
    guard = f"DMP_{core.network.name}_IMAGES_H".upper()
    lines = [
        f"/* Memory images of network {core.network.name}, for LOAD_DATA of its standard top. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
    ]
    mask, rows = (1 << LOAD_WIDTH) - 1, []
    for name, memory in core.memories.items():
        n_items = memory.items
        items = [word >> LOAD_WIDTH * i & mask for word in images[name] for i in range(n_items)]
        array = f"dmp_image_{name.replace('.', '_')}"
        lines += ["", f"static const uint32_t {array}[{len(items)}] = {{"]
        lines += [
            "    " + " ".join(f"0x{item:08x}u," for item in items[start : start + _A_LINE])
            for start in range(0, len(items), _A_LINE)
        ]
        lines.append("};")
        rows.append(f"    {{{array}, {len(items)}u}},")
    lines += [
        "",
        "/* dmp_images[n] is memory number n, and how many writes of LOAD_DATA it takes. */",
        "static const struct {",
        "    const uint32_t *words;",
        "    uint32_t count;",
        f"}} dmp_images[{len(rows)}] = {{",
        *rows,
        "};",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)
