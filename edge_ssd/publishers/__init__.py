"""Where results go: one file a sink, behind one small base."""
