"""The OCI runtime configuration (``config.json``) as typed dictionaries.

They are dictionaries and not msgspec structs because the supervisor and ``knarr-runtime`` read
them with the standard library only: their start-up time and memory are part of the product.
Names and meanings: OCI runtime-spec 1.2, config.md and config-linux.md. Sizes are bytes, times are
microseconds unless a field says otherwise.
"""

from __future__ import annotations

from typing import TypedDict


class User(TypedDict, total=False):
    """Ids inside the container."""

    uid: int
    gid: int
    umask: int
    additionalGids: list[int]


class Box(TypedDict, total=False):
    """The size of a terminal in characters."""

    height: int
    width: int


class Rlimit(TypedDict):
    """One setrlimit(2); ``type`` is the name, as ``RLIMIT_NOFILE``."""

    type: str
    soft: int
    hard: int


class Capabilities(TypedDict, total=False):
    """The five capability sets, by name, as ``CAP_CHOWN``."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Process(TypedDict, total=False):
    """The process that is the container."""

    terminal: bool
    consoleSize: Box
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str
    selinuxLabel: str
    oomScoreAdj: int


class Root(TypedDict, total=False):
    """The root filesystem; ``path`` is relative to the bundle."""

    path: str
    readonly: bool


class IdMapping(TypedDict):
    """A range of user or group ids."""

    containerID: int
    hostID: int
    size: int


class SpecMount(TypedDict, total=False):
    """One mount below the root, in the order in which it is made."""

    destination: str
    type: str
    source: str
    options: list[str]
    uidMappings: list[IdMapping]
    gidMappings: list[IdMapping]


class Namespace(TypedDict, total=False):
    """A namespace to make, or, with ``path``, to join: pid network mount ipc uts user cgroup."""

    type: str
    path: str


class Device(TypedDict, total=False):
    """A device node to make in ``/dev``."""

    type: str
    path: str
    major: int
    minor: int
    fileMode: int
    uid: int
    gid: int


class DeviceRule(TypedDict, total=False):
    """One rule of the device cgroup; absent major or minor means all."""

    allow: bool
    type: str
    major: int
    minor: int
    access: str


class Memory(TypedDict, total=False):
    """Limits in bytes; -1 is unlimited. ``swap`` is memory plus swap."""

    limit: int
    reservation: int
    swap: int
    kernel: int
    swappiness: int
    disableOOMKiller: bool


class Cpu(TypedDict, total=False):
    """Shares are relative; quota and period are microseconds."""

    shares: int
    quota: int
    burst: int
    period: int
    realtimeRuntime: int
    realtimePeriod: int
    cpus: str
    mems: str
    idle: int


class Pids(TypedDict, total=False):
    """The largest number of tasks; 0 or less is unlimited."""

    limit: int


class WeightDevice(TypedDict, total=False):
    """A block device and its weight (10 to 1000)."""

    major: int
    minor: int
    weight: int


class ThrottleDevice(TypedDict):
    """A block device and its rate, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


class BlockIO(TypedDict, total=False):
    """Block I/O weights and rates."""

    weight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class Resources(TypedDict, total=False):
    """What the cgroup of the container limits."""

    devices: list[DeviceRule]
    memory: Memory
    cpu: Cpu
    pids: Pids
    blockIO: BlockIO
    unified: dict[str, str]


class SeccompArg(TypedDict, total=False):
    """A condition on one argument of a system call."""

    index: int
    value: int
    valueTwo: int
    op: str


class SeccompSyscall(TypedDict, total=False):
    """A rule: these names, under these conditions, do this."""

    names: list[str]
    action: str
    errnoRet: int
    args: list[SeccompArg]


class Seccomp(TypedDict, total=False):
    """A seccomp filter; architectures by their ``SCMP_ARCH_`` names."""

    defaultAction: str
    defaultErrnoRet: int
    architectures: list[str]
    flags: list[str]
    syscalls: list[SeccompSyscall]


class Linux(TypedDict, total=False):
    """The Linux part of the configuration."""

    namespaces: list[Namespace]
    uidMappings: list[IdMapping]
    gidMappings: list[IdMapping]
    devices: list[Device]
    cgroupsPath: str
    resources: Resources
    seccomp: Seccomp
    sysctl: dict[str, str]
    rootfsPropagation: str
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str


class Hook(TypedDict, total=False):
    """A program to run at a point of the lifecycle; ``timeout`` in seconds."""

    path: str
    args: list[str]
    env: list[str]
    timeout: int


class Hooks(TypedDict, total=False):
    """Programs by the point of the lifecycle at which they run."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class Spec(TypedDict, total=False):
    """A whole ``config.json``."""

    ociVersion: str
    process: Process
    root: Root
    hostname: str
    domainname: str
    mounts: list[SpecMount]
    hooks: Hooks
    annotations: dict[str, str]
    linux: Linux
