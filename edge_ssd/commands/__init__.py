"""One module or package for each command: its options, what it does, what it prints."""
