"""The chat screen's entry for Chainlit; everything happens in orchestra.screen."""

import orchestra.screen.chat  # noqa: F401  # registers the callbacks
