"""Every latency of the core, in clock cycles, and the depths that follow from them: the one truth
that golden's timeline and the components of `rtl` both read.

A part (a layer or the readout) is a pipeline that its group schedule feeds. The schedule issues a
step in stage 0; what happens to that step in which stage:

===== ================ ===============================================================
stage constant         what happens
===== ================ ===============================================================
0                      the group schedule issues the step
2     `STATE_STAGE`    slow states are addressed
3     `READ_STAGE`     payloads are read; weights are addressed, or later (`bank_stage`)
4     `CHOOSE_STAGE`   slow states are read; what the dense path multiplies is chosen
6     `MULTIPLY_STAGE` operands are registered
8     `NEURON_STAGE`   sums are complete; membranes, biases, logits are addressed
===== ================ ===============================================================
"""

from __future__ import annotations

STATE_STAGE = 2
READ_STAGE = 3
CHOOSE_STAGE = 4
MULTIPLY_STAGE = 6
NEURON_STAGE = 8

MEMBRANE_READ = 1  # from a membrane's address to its operand register, at least
MEMBRANE_LOOP = 2  # from a membrane's operand register to that of its next timestep, at least
LOGIT_LATENCY = 2  # from a logit's address to its write
LEAKY_LOGIT_LATENCY = 4  # the same where logits decay
LEAKY_LOGIT_LOOP = 3  # from a decaying logit's operand register to that of its next timestep
# From a list's release to its buffer's next event: the list's last payloads are read until then.
RELEASE_LATENCY = READ_STAGE
CHECK_LATENCY = 1  # from an item to its list, where several events at once come from outside
CLOSE_LATENCY = 5  # from the end of a block's arrival to its list being open to the group schedule
LOOP_CLOSE_LATENCY = 1  # the same for a recurrent layer, which has no slow state to wait for
ENCODER_LATENCY = 4  # from a group's spikes to the first event being offered
SPIKE_OUTPUT_LATENCY = 3  # from the end of a block to its first item, where spikes leave a core
DRIVE_LATENCY = 6  # from a block's end entering the list to the drive of its first timestep
UPDATE_LATENCY = (5, 7)  # from a row group's last step to its first write: quick, relaxed
START_LATENCY = 3  # from a block's start to its last update, 2; from its announcement to a start, 1
DELAY_LATENCY = 4  # from an end of block's arrival at a delay line to the read of its first word
BANK_LATENCY = 1  # from an address to its word; one cycle more through a register
LOADER_LATENCY = 1  # from an item of the load stream to the load bus
COLLECT_LATENCY = 2  # from the last item of a word on the load bus to the write of the word
STATUS_LATENCY = 2  # from an increment to an error flag; one cycle more to a counter's value
BEAT_QUEUE_DEPTH = 2  # beats that wait to leave an AXI4-Stream top, or have come

RING_WIDTH = 32  # bits of a word of a delay ring
MASK_SEGMENT = 8  # lanes of a group among which the encoder finds spikes in a cycle
MASK_QUEUE_DEPTH = 16  # groups between a layer's neuron stage and its encoder
RESULT_SETS = 2  # reports that wait to be sent, where there are reports
MAX_STATE_LAG = 16  # blocks by which the walk may be ahead of the state update between refreshes


def bank_stage(multiplied: bool, hold: bool) -> int:
    """Return the stage in which a word of weights or coefficients is addressed, so that a register
    has it in `MULTIPLY_STAGE`.

    A word that is `multiplied` on an FPGA passes two registers, which lie apart: the block RAM's,
    then the multiplier's. A word that is added passes one, and so does every word on a chip
    (`hold`: `HardwareParams.hold_operands`): it is addressed a stage later.
    """
    return MULTIPLY_STAGE - BANK_LATENCY - 1 - (multiplied and not hold)
