"""For all tests: MuJoCo reads how it is to draw when it is first imported, so that is settled before any test is."""

import isthmus_sim  # noqa: F401
