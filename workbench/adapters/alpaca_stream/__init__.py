"""Trade updates of one account at Alpaca as hints: they say when to ask, never what happened."""

from workbench.adapters.alpaca_stream.inbox import FrameInbox, read_frames
from workbench.adapters.alpaca_stream.stream import AlpacaStream

__all__ = ["AlpacaStream", "FrameInbox", "read_frames"]
