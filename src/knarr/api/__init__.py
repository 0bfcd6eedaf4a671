"""Messages of the Docker Engine API: values, their JSON form, and the small languages around them.

One module a noun (``containers``, ``images``, ``exec``, ...), each importable alone so that the
command line loads only what it needs. Beside the messages stand the sans-I/O parts of the protocol:
``filters``, ``timestamps``, ``streams`` (stdcopy frames), ``detach`` (detach keys), ``requests``
(lenient JSON of requests). Nothing here opens a socket or knows an engine.
"""
