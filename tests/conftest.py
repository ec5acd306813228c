"""For all tests: MuJoCo reads how it is to draw when it is first imported, so that is settled before any test is.

No test is timed, hypothesis's examples neither: the machine is shared.
"""

from hypothesis import settings

import isthmus_sim  # noqa: F401

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
