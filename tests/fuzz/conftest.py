"""How many cases hypothesis draws: a few hundred in the suite, thousands in the soak (``NEARFAR_FUZZ=soak``)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LENIENT = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True, suppress_health_check=LENIENT)
settings.register_profile("soak", max_examples=1200, deadline=30_000, suppress_health_check=LENIENT)
settings.load_profile(os.environ.get("NEARFAR_FUZZ", "quick"))
