"""Where frames come from: one file per origin, all behind ``base.Source``."""
