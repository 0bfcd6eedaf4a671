"""Tar, compression, whiteouts and the EROFS writer."""
