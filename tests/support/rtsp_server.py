"""A real RTSP server, GStreamer's, whose pictures show the time. Runs under Debian's Python:

    /usr/bin/python3 rtsp_server.py PORT CODEC TRANSPORT [USER PASSWORD]

CODEC is h264 or jpeg; TRANSPORT is tcp, udp or both, what it offers. A picture, 30 a second,
shows the milliseconds of the monotonic clock, modulo 65536, in 16 black or white columns,
highest bit first. Prints READY once it listens.
Tests use ``RtspServer`` and ``latency_ms``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

WIDTH, HEIGHT, FPS, BITS = 320, 240, 30, 16
PYTHON = "/usr/bin/python3"
ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay",
    "jpeg": "jpegenc quality=90 ! rtpjpegpay",
}


class RtspServer:
    """The server as a process of its own, to be stopped, frozen and started again."""

    def __init__(self, codec: str, transport: str, *login: str) -> None:
        self.port = free_port()
        self._arguments = (PYTHON, __file__, str(self.port), codec, transport, *login)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "READY\n"

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def latency_ms(image) -> int:  # type: ignore[no-untyped-def]
    """Return how long ago a picture of this server was painted, in milliseconds."""
    cell = image.shape[1] // BITS
    middle = image[image.shape[0] // 2, cell // 2 :: cell, 0]
    painted = sum(1 << (BITS - 1 - bit) for bit, value in enumerate(middle) if value > 127)
    return (time.monotonic_ns() // 1_000_000 - painted) % (1 << BITS)


def missing() -> str | None:
    """Return what is not installed here, or None when the server can run."""
    if not Path(PYTHON).exists():
        return f"{PYTHON} is missing"
    probe = subprocess.run([PYTHON, __file__, "probe"], capture_output=True, text=True, check=False)
    return probe.stderr.strip().splitlines()[-1] if probe.returncode else None


def serve(port: int, codec: str, transport: str, *login: str) -> None:
    """Serve rtsp://127.0.0.1:port/camera until killed."""
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory.set_launch(
        f"appsrc name=pictures is-live=true format=time do-timestamp=true block=false "
        f"caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={FPS}/1 "
        f"! videoconvert ! video/x-raw,format=I420 ! {ENCODERS[codec]} name=pay0 pt=96"
    )
    factory.set_shared(True)
    if transport != "both":
        factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, transport.upper()))
    factory.connect("media-configure", lambda _, media: _paint(media))
    if login:
        _ask_for(server, factory, *login)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print("READY", flush=True)
    GLib.MainLoop().run()


def _check_elements() -> None:
    needed = ("appsrc", "videoconvert", "x264enc", "jpegenc", "rtph264pay", "rtpjpegpay")
    lacking = [name for name in needed if Gst.ElementFactory.find(name) is None]
    if lacking:
        sys.exit(f"GStreamer lacks {', '.join(lacking)}")


def _paint(media) -> None:  # type: ignore[no-untyped-def]
    """Push a picture every 1/30 s."""
    source = media.get_element().get_by_name("pictures")

    def push() -> bool:
        now_ms = time.monotonic_ns() // 1_000_000
        cells = (255 if now_ms >> (BITS - 1 - bit) & 1 else 0 for bit in range(BITS))
        row = b"".join(bytes([cell]) * (WIDTH // BITS) for cell in cells)
        flow = source.emit("push-buffer", Gst.Buffer.new_wrapped(row * HEIGHT))
        return bool(flow == Gst.FlowReturn.OK)

    GLib.timeout_add(1000 // FPS, push)


def _ask_for(server, factory, user: str, password: str) -> None:  # type: ignore[no-untyped-def]
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


if __name__ == "__main__":
    import gi

    for module in ("Gst", "GstRtsp", "GstRtspServer"):
        gi.require_version(module, "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    if sys.argv[1] == "probe":
        _check_elements()
    else:
        serve(int(sys.argv[1]), *sys.argv[2:])
