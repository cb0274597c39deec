"""Whether something listens at a host and port."""

from __future__ import annotations

import socket
import threading


def unreachable(host: str, port: int, what: str, timeout_s: float = 5.0) -> str:
    """Return why nothing there accepts a TCP connection; empty where something does.

    Answers in ``timeout_s``, though a name server may block longer. what: its name in the answer.
    """
    problem = f"{what}: the name could not be resolved in time"

    def connect() -> None:
        nonlocal problem
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            problem = f"{what} does not answer in time"
            with socket.create_connection((host, port), timeout_s):
                problem = ""
        except OSError as error:
            problem = f"{what} does not answer: {error.strerror or error}"

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(timeout_s)
    return problem
