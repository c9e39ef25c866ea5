"""Events as applications send them: the protocol, clocks, what is stored, write keys.

HTTP itself is `web/track.py`. Contract: docs/events.md.
"""
