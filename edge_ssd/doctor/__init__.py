"""``edge-ssd doctor``: looks at everything the service needs, and says what to do.

Each check runs in a process of its own, so that one that crashes or hangs is a verdict too.
For that reason, and because numpy or the runtime may be what is broken, nothing here imports
them before a check runs.
"""
