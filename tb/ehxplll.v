// A stand-in for the PLL of an ECP5 in a simulation of a board: the clock that goes in comes out,
// whatever the dividers, and LOCK rises after some cycles.
module EHXPLLL #(
    parameter CLKI_DIV = 1,
    parameter CLKFB_DIV = 1,
    parameter CLKOP_DIV = 1,
    parameter CLKOP_CPHASE = 0,
    parameter CLKOP_FPHASE = 0,
    parameter CLKOP_ENABLE = "ENABLED",
    parameter FEEDBK_PATH = "CLKOP"
) (
    input CLKI, CLKFB, RST, STDBY, PLLWAKESYNC, ENCLKOP,
    input PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    output CLKOP, LOCK
);
    reg [4:0] cycles = 0;
    always @(posedge CLKI) if (!LOCK) cycles <= cycles + 1;
    assign CLKOP = CLKI;
    assign LOCK = &cycles;
endmodule
