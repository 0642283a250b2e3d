"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time, and no limit on how long one takes: a busy machine is not a failure.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
