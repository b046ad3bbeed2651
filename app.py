"""The chat screen's entry for Chainlit; everything happens in orchestra.screen."""

import orchestra.screen.chat  # noqa: F401  # registers the callbacks
from orchestra.api.app import furnish_chainlit

furnish_chainlit()
