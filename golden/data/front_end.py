"""A front end that turns recordings of speech into events: a filter bank, levels, spiking neurons.

Of each of 140 channels, from low to high:

1. a gammatone filter of the fourth order (`scipy.signal.gammatone`), its centre one of 140 that are
   equally far apart on the ERB scale from `LOWEST` to `HIGHEST` Hz (Glasberg and Moore 1990);
2. its output is rectified, and its mean is taken over each timestep of 10 ms;
3. that becomes a level in dB below the largest one of the recording; the level is 1 at the largest,
   and 0 from `RANGE` dB below it;
4. the mean level of the channels around it is taken off, times `INHIBITION`: peaks of the spectrum
   stay;
5. a leaky integrate-and-fire neuron keeps `LEAK` of its membrane, not below 0, and adds what is
   left, times `GAIN`; it sends an event in a timestep in which it reaches 1, which is then
   subtracted.

Nothing is drawn: the same recording gives the same events.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from golden.data.speech import CHANNELS, STEPS
from golden.errors import UserError

STEP = 0.01  # seconds
LOWEST, HIGHEST = 100.0, 3700.0  # Hz: of speech at 8 kHz
LEAST_RATE, MOST_RATE = 8000, 1_000_000
RANGE = 50.0  # dB
AROUND = 31  # channels, the one in the middle among them
INHIBITION = 0.9
GAIN = 4.7
LEAK = 0.8


def centres() -> np.ndarray:
    """Return the centres (140,) of the channels in Hz."""
    low, high = (21.4 * np.log10(1 + 0.00437 * hertz) for hertz in (LOWEST, HIGHEST))
    return (10 ** (np.linspace(low, high, CHANNELS) / 21.4) - 1) / 0.00437


@lru_cache
def _filters(rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from scipy import signal

    return [signal.gammatone(centre, "iir", fs=rate) for centre in centres()]


def levels(sound: np.ndarray, rate: int) -> np.ndarray:
    """Return the levels (timesteps, 140), 0 to 1, of a recording (n,) of `rate` samples a second:
    of its first second, or of all where it is shorter.
    """
    from scipy import signal

    if not LEAST_RATE <= rate <= MOST_RATE:
        raise UserError(f"{rate} samples a second: use {LEAST_RATE} to {MOST_RATE}")
    length = round(rate * STEP)
    sound = sound[: STEPS * length].astype(np.float64)
    n_steps = -(-len(sound) // length)
    sound = np.pad(sound, (0, n_steps * length - len(sound)))
    means = np.stack(
        [
            np.maximum(signal.lfilter(b, a, sound), 0).reshape(n_steps, length).mean(1)
            for b, a in _filters(rate)
        ],
        1,
    )
    largest = means.max(initial=0)
    if not largest:
        return np.zeros_like(means)
    floor = largest * 10 ** (-RANGE / 20)
    return 1 + 20 * np.log10(np.maximum(means, floor) / largest) / RANGE


def encode(found: np.ndarray) -> np.ndarray:
    """Return the events (100, 140) uint8 of levels (timesteps, 140)."""
    from scipy.ndimage import uniform_filter1d

    drive = GAIN * (found - INHIBITION * uniform_filter1d(found, AROUND, axis=1, mode="nearest"))
    events = np.zeros((STEPS, CHANNELS), np.uint8)
    membrane = np.zeros(CHANNELS)
    for timestep, value in enumerate(drive):
        membrane = np.maximum(LEAK * membrane + value, 0)
        events[timestep] = membrane >= 1
        membrane -= events[timestep]
    return events
