from __future__ import annotations

from hypothesis import HealthCheck, settings

# By default an example that takes more than 200 ms fails its test, and on a busy machine any may; pytest's timeout is enough.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
