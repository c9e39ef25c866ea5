"""The HTTP server that fakes of the world outside are made of."""

from __future__ import annotations

from http.server import ThreadingHTTPServer


class LoopbackServer(ThreadingHTTPServer):
    """Many may connect at once.

    The standard library lets five wait; the kernel drops the others in silence, and a client that
    believes itself connected waits for its answer until its time is over.
    """

    request_queue_size = 1024
    daemon_threads = True
