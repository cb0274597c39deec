"""The service: start, supervision, reload, and what systemd is notified of."""
