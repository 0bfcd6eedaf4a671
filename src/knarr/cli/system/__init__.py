"""Commands about the engine itself, one file each."""
