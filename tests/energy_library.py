"""A small library of cells and a memory macro, in Liberty, with figures that are easy to add up."""

from __future__ import annotations

HEAD = """library (LIBRARY) {
  nom_voltage : 2.0;
  voltage_unit : "1V"; time_unit : "1ns"; leakage_power_unit : "1pW";
  capacitive_load_unit (1, pf);
"""
# pJ, over slews of 0.1 and 0.3 ns and loads of 5 and 25 fF: 15 fF lies in the middle.
FLAT = 'index_1 ("0.1, 0.3"); index_2 ("0.005, 0.025"); values ("{0}, {0}", "9, 9");'
# The same with what the load takes, C V^2 / 2 = 2 pJ a pF: 0.01 pJ at 5 fF, 0.05 pJ at 25 fF.
LOADED = 'index_1 ("0.1, 0.3"); index_2 ("0.005, 0.025"); values ("{0}, {1}", "9, 9");'


def _power(
    rise: float, fall: float, related: str = "", when: str = "", loaded: bool = False
) -> str:
    table = LOADED if loaded else FLAT
    values = [table.format(round(x + 0.01, 6), round(x + 0.05, 6)) for x in (rise, fall)]
    if not loaded:
        values = [table.format(x) for x in (rise, fall)]
    conditions = f"related_pin : {related};" * bool(related) + f' when : "{when}";' * bool(when)
    return (
        f"internal_power () {{ {conditions} rise_power (t) {{ {values[0]} }}"
        f" fall_power (t) {{ {values[1]} }} }}"
    )


def _cell(name: str, area: float, leakage: float, body: str, head: str = "") -> str:
    return f"""  cell ({name}) {{
    area : {area}; cell_leakage_power : {leakage};
    {head}
    {body}
  }}
"""


def _input(name: str, farads: float, power: str = "", more: str = "") -> str:
    return f"pin ({name}) {{ direction : input; capacitance : {farads}; {more} {power} }}"


def _output(name: str, function: str, *powers: str) -> str:
    return f'pin ({name}) {{ direction : output; function : "{function}"; {" ".join(powers)} }}'


INVERTER = _cell(
    "inv", 1.0, 1000.0, _input("A", 0.001) + _output("Y", "!A", _power(0.002, 0.004, "A"))
)
NAND = _cell(
    "nand", 2.0, 2000.0,
    _input("A", 0.002) + _input("B", 0.003, _power(0.001, 0.003))
    + _output("Y", "!(A*B)", _power(0.004, 0.004, "A"), _power(0.006, 0.006, "B")),
)  # fmt: skip
# The same function on more area: the small one is taken.
BIG_NAND = NAND.replace("cell (nand)", "cell (nand_big)").replace("area : 2.0", "area : 4.0")
REGISTER = _cell(
    "dff", 8.0, 8000.0,
    _input("D", 0.002, _power(0.002, 0.002, when="R") + _power(7, 7, when="!R"))
    + _input(
        "C", 0.003,
        _power(0.010, 0.020, when="R*D*Q") + _power(0.012, 0.022, when="R*!D*!Q")
        + _power(0.0, 0.040, when="R*D*!Q") + _power(0.0, 0.034, when="R*!D*Q")
        + _power(5, 5, when="!R"),
        "clock : true;",
    )
    + _input("R", 0.002)
    + _output("Q", "S", _power(0.04, 0.05, "C", loaded=True), _power(3, 3, "R"))
    + _output("N", "T", _power(0.05, 0.06, "C", loaded=True)),
    'ff (S, T) { clocked_on : C; next_state : D; clear : "!R"; }',
)  # fmt: skip
GATE = _cell(
    "icg", 4.0, 4000.0,
    _input("E", 0.002, _power(0.006, 0.010), "clock_gate_enable_pin : true;")
    + _input("C", 0.004, _power(0.003, 0.005), "clock_gate_clock_pin : true; clock : true;")
    + 'pin (state) { direction : internal; }'
    + "pin (G) { direction : output; clock_gate_out_pin : true; state_function : \"C*state\"; "
    + _power(0.007, 0.009, "C") + "}",
    'clock_gating_integrated_cell : "latch_posedge"; dont_use : true;',
)  # fmt: skip
CELLS = HEAD.replace("LIBRARY", "small") + INVERTER + BIG_NAND + NAND + REGISTER + GATE + "}\n"


def macro(address: int, width: int, ports: str = "A") -> str:
    """Return a memory macro of 2 ** address words. A read takes 1 + 0.5 width + 0.001 words width
    pJ, a write twice that, a bit leaks 0.01 nW on 2 um2.
    """
    bits = width << address
    read = round(1 + 0.5 * width + 0.001 * bits, 6)
    pins = "".join(
        f"""pin ({p}_CLK) {{ direction : input; clock : true; capacitance : 0.004;
      {_access(p, "!", "!", 0.0)} {_access(p, "", "!", 2 * read)} {_access(p, "!", "", read)}
      {_access(p, "", "", 99.0)} }}
    bus ({p}_DIN) {{ direction : input; capacitance : 0.002; }}
    bus ({p}_ADDR) {{ direction : input; capacitance : 0.006; }}
"""
        for p in ports
    )
    memory = f"memory () {{ address_width : {address}; word_width : {width}; }}"
    name = f"ram{1 << address}x{width}x{len(ports)}"
    head = HEAD.replace("LIBRARY", name).replace('"1pW"', '"1nW"')
    return head + _cell(name, 2.0 * bits, 0.01 * bits, pins, memory) + "}\n"


def _access(port: str, write: str, read: str, energy: float) -> str:
    return (
        f'internal_power () {{ when : "{port}_MEN & {write}{port}_WEN & {read}{port}_REN";'
        f" rise_power (scalar) {{ values ({energy}); }} fall_power (scalar) {{ values (0); }} }}"
    )
