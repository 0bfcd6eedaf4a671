"""The library for programs with threads: every call waits until it is answered.

Law: any number of threads may use one ``Engine``; one stream is read by one thread and may be
written to, or closed, by another.
"""
