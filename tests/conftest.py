"""What every test runs under."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# One thread for each test's arithmetic, here and in the processes that tests start: the networks
# are too small for more, and threads that outnumber the cores wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test may fail because the machine is busy: properties have no deadline, and drawing their
# examples may take as long as it takes. What hangs is ended by pytest's timeout.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The examples of a property follow from its code alone, so that the same commit gives the same
# verdict everywhere and a failure is that of the change at hand. To look for new counterexamples:
# `pytest --hypothesis-profile=explore`; what it finds becomes an `@example`.
settings.register_profile("repeatable", _patient, derandomize=True)
settings.register_profile("explore", _patient, derandomize=False, max_examples=1000)
settings.load_profile("repeatable")
