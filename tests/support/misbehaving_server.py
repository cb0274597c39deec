"""A real HTTP server on the loopback that answers each request as badly as a test wants.

An answer is a function of one Exchange; ``MisbehavingServer`` takes several, one a request,
and repeats the last. Nothing here sleeps: who stalls waits for the server's end.
"""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple


class Exchange(NamedTuple):
    """One request, the content it should get, and the socket to answer on, byte by byte."""

    path: str
    headers: Message
    content: bytes
    send: Callable[[bytes], object]
    stopped: threading.Event

    def head(self, status: str, **headers: object) -> None:
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
        self.send(f"HTTP/1.1 {status}\r\n{''.join(lines)}Connection: close\r\n\r\n".encode())

    def stall(self) -> None:
        self.stopped.wait(60)


Answer = Callable[[Exchange], None]


class MisbehavingServer:
    """Serves ``content`` at every path of ``url``. requests: what was asked so far.

    asked is set when a request has come; certificate is a PEM file with key, for https.
    """

    def __init__(self, content: bytes, *answers: Answer, certificate: str | None = None) -> None:
        self.content, self.answers = content, list(answers)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.asked = threading.Event()
        self._stopped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            do_CONNECT = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # the client hangs up on some of these answers, and rightly

        self._http = Quiet(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> MisbehavingServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, dict(request.headers)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.asked.set()
        request.close_connection = True
        send = request.wfile.write
        answer(Exchange(request.path, request.headers, self.content, send, self._stopped))


# --- As it should be ---


def good(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=len(exchange.content))
    exchange.send(exchange.content)


# --- Too little, too much, something else ---


def truncates(exchange: Exchange) -> None:
    """100 bytes of what is promised, then it hangs up."""
    exchange.head("200 OK", Content_Length=len(exchange.content))
    exchange.send(exchange.content[:100])


def truncates_chunked(exchange: Exchange) -> None:
    exchange.head("200 OK", Transfer_Encoding="chunked")
    exchange.send(b"64\r\n" + exchange.content[:100])


def truncates_unsaid(exchange: Exchange) -> None:
    """Half of it, and no length that would tell."""
    exchange.head("200 OK")
    exchange.send(exchange.content[: len(exchange.content) // 2])


def length_too_long(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=len(exchange.content) + 100)
    exchange.send(exchange.content)


def length_too_short(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=len(exchange.content) - 100)
    exchange.send(exchange.content)


def length_is_nonsense(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length="-1e9")
    exchange.send(b"nonsense")


def length_is_huge(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=1 << 40)
    exchange.stall()


def endless(exchange: Exchange) -> None:
    exchange.head("200 OK")
    while not exchange.stopped.is_set():
        exchange.send(bytes(1 << 16))


def wrong_bytes(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=len(exchange.content))
    exchange.send(exchange.content[:-1] + bytes([exchange.content[-1] ^ 1]))


def login_page(exchange: Exchange) -> None:
    """What the network of a hotel answers to everything."""
    exchange.head("200 OK", Content_Type="text/html")
    exchange.send(b"<html>Please accept our terms.</html>")


def gzipped(exchange: Exchange) -> None:
    packed = gzip.compress(exchange.content)
    exchange.head("200 OK", Content_Length=len(packed), Content_Encoding="gzip")
    exchange.send(packed)


def empty(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=0)


# --- Elsewhere ---


def redirects_to(location: str) -> Answer:
    return lambda exchange: exchange.head("302 Found", Location=location)


def redirects_in_a_circle(exchange: Exchange) -> None:
    exchange.head("301 Moved", Location=exchange.path)


def redirects_nowhere(exchange: Exchange) -> None:
    exchange.head("302 Found")


def redirects_endlessly(exchange: Exchange) -> None:
    """A redirect whose page never ends."""
    exchange.head("302 Found", Location="/elsewhere")
    while not exchange.stopped.is_set():
        exchange.send(bytes(1 << 16))


# --- Not now, or never ---


def hangs_up(_exchange: Exchange) -> None:
    pass


def silent(exchange: Exchange) -> None:
    exchange.stall()


def stalls_in_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-")
    exchange.stall()


def stalls_midway(exchange: Exchange) -> None:
    exchange.head("200 OK", Content_Length=len(exchange.content))
    exchange.send(exchange.content[:100])
    exchange.stall()


def status(code: int) -> Answer:
    return lambda exchange: exchange.head(f"{code} Trouble", Content_Length=0)


def no_http(exchange: Exchange) -> None:
    exchange.send(b"220 mail.example ESMTP\r\n")


def endless_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.stopped.is_set():
        exchange.send(b"X: y\r\n" * 1000)


# --- A part that was not asked for ---


def other_part(exchange: Exchange) -> None:
    total = len(exchange.content)
    span = f"bytes 50-{total - 1}/{total}"
    exchange.head("206 Partial", Content_Length=total - 50, Content_Range=span)
    exchange.send(exchange.content[50:])
