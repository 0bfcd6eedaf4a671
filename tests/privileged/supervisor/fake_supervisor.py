"""The supervisor process with a runtime that starts plain processes instead of containers.

``python fake_supervisor.py --exec-root DIR ...``. Everything but namespaces and cgroups is real.
A spec without a pid namespace stands for a container that shares its pids.
"""

import contextlib
import os
import signal
import socket
import sys

from knarr.errors import NotFoundError
from knarr.runtime.process import Running
from knarr.supervisor import ending
from knarr.supervisor.main import parse
from knarr.supervisor.process import serve

IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)


class PlainRuntime:
    def __init__(self):
        self.groups = {}

    def run(self, request, spec, stdio):
        running = spawn(spec["process"], stdio)
        self.groups[request.id] = running.pid
        return running

    def exec(self, request, stdio):
        return spawn(request.process, stdio)

    def oom_killed(self, container_id):
        return False

    def kill_all(self, container_id):
        """Each process leads a session, so its group stands for the cgroup."""
        group = self.groups.get(container_id)
        if group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def delete(self, container_id):
        self.kill_all(container_id)

    def pause(self, container_id, *, frozen):
        os.killpg(self.groups[container_id], signal.SIGSTOP if frozen else signal.SIGCONT)


def spawn(process, stdio):
    args = process["args"]
    if not os.access(args[0], os.X_OK):
        raise NotFoundError(f'exec: "{args[0]}": no such file or directory')
    if stdio.console >= 0:
        master, slave = os.openpty()
        name = os.ttyname(slave)
        actions = [(os.POSIX_SPAWN_OPEN, 0, name, os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    else:
        master = slave = -1
        actions = [(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(stdio[:3])]
    env = dict(each.split("=", 1) for each in process.get("env", ["PATH=/usr/bin:/bin"]))
    pid = os.posix_spawn(
        args[0], args, env, file_actions=actions, setsid=True, setsigdef=IGNORED, setsigmask=[]
    )
    if slave >= 0:
        os.close(slave)
        console = socket.socket(fileno=os.dup(stdio.console))
        socket.send_fds(console, [name.encode()], [master])
        console.close()
        os.close(master)
    return Running(pid, os.pidfd_open(pid), ending.start_time(pid))


if __name__ == "__main__":
    runtime = PlainRuntime()
    serve(parse(sys.argv[1:]), lambda path: runtime)
