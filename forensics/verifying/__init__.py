"""Whether a finished case is still what it was: its files, the copies of its record, and the subjects' files."""
