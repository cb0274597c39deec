"""``edge-ssd``, and ``python -m edge_ssd``."""

import signal
import sys


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback at any moment, imports included."""
    try:
        from edge_ssd.cli import main as command  # noqa: PLC0415

        command(prog_name="edge-ssd")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # while Python ends


if __name__ == "__main__":
    main()
