"""A real HTTP camera: motion JPEG pictures that show their number, with a login if wanted."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from numpy.typing import NDArray

BITS, CELL = 16, 16


class MjpegCamera:
    """Serves http://127.0.0.1:port/video; stop and start it again at will.

    frozen: set to keep connections open and send nothing. ``sent`` is the last number sent.
    """

    def __init__(self, login: tuple[str, str] | None = None) -> None:
        self.login = login
        self.frozen = threading.Event()
        self.sent = -1
        self.connections = 0
        self.port = 0
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def start(self) -> None:
        """Listen: at any free port, later at the same one."""
        self._stopping.clear()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.daemon_threads = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """End every stream and refuse connections."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def end_streams(self) -> None:
        """End every stream, but listen on."""
        self._stopping.set()

    def wait_sent(self, number: int) -> None:
        """Wait until the picture of this number has gone out."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.sent >= number, 30)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.connections += 1
        if self.login and request.headers.get("Authorization") != basic(*self.login):
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="camera"')
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        try:
            while not self._stopping.wait(1 / 60):
                if not self.frozen.is_set():
                    self._send(request)
        except OSError:
            pass  # the client went away

    def _send(self, request: BaseHTTPRequestHandler) -> None:
        number = self.sent + 1
        jpeg = cv2.imencode(".jpg", painted(number))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        request.wfile.write(head.encode() + jpeg + b"\r\n")
        with self._changed:
            self.sent = number
            self._changed.notify_all()


def painted(number: int) -> NDArray[np.uint8]:
    """A picture of black and white columns: the number's bits, highest first."""
    bits = [number >> (BITS - 1 - bit) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 255, CELL)
    return np.broadcast_to(row[None, :, None], (64, BITS * CELL, 3)).copy()


def number_of(image: NDArray[np.uint8]) -> int:
    """Read the number that a picture shows."""
    middle = image[32, CELL // 2 :: CELL, 0] > 127
    return int(sum(1 << (BITS - 1 - bit) for bit in np.flatnonzero(middle)))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
