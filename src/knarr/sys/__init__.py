"""System calls: the only package that knows ctypes.

Scope: one module per subject, one function per call, named as in the man page. A function takes
and returns plain values and raises ``OSError(errno, strerror, path)`` with a note that names the
call and its arguments. Descriptors are ints, always opened close-on-exec; the docstring says who
closes them. Policy and convenience are beyond the scope of this package.
"""
