/*
 * _spawn: start a process that walks a table of system calls and then is another program.
 *
 * What posix_spawn is to fork, for containers. There is no policy in this file: which calls are
 * made, in which order and which errors matter is all in the table, that knarr.runtime.table
 * writes. The child runs no Python and allocates no memory.
 *
 * Two ways to clone, one table:
 *   - CLONE_VM|CLONE_VFORK: the child borrows the memory of this process and the calling thread
 *     sleeps until the child has executed its program or is gone. The outcome stands in memory.
 *     The child must be the first in a pid namespace of its own or nobody may trace it: whoever
 *     can write its memory writes ours.
 *   - without CLONE_VM: the child has a copy, the call returns at once, the two may talk. What
 *     goes wrong is sent over the descriptor `report`, which must be a SOCK_SEQPACKET socket and
 *     close-on-exec, so that its end without a message says that the program runs.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

enum { STACK_SIZE = 64 * 1024, RETRIES = 10000, CHILD_FAILED = 127, LAST_SIGNAL = 64, SLOTS = 256 };

/* Steps that are no system calls. */
enum {
    STEP_JUMP = -1,  /* skip args[0] steps */
    STEP_FORK = -2,  /* go on in a sibling (CLONE_PARENT), report its pid; only without CLONE_VM */
    STEP_CHECK = -3, /* fails with errno -args[1] when args[0] equals args[1] */
};

enum { ANY_ERROR = 1, NOT_ZERO = 2, RETRY = 4 };   /* flags of a step */
/* Kinds of an argument: a number; an address or a value in the segment's data; a shared slot. */
enum { IMMEDIATE = 0, ADDRESS = 1, VALUE = 2, SHARED = 3 };
enum { REPORT_FAILED = 'F', REPORT_FORKED = 'P' }; /* kinds of a report */

struct step {
    int32_t number;      /* of the system call, or one of the STEP_ above */
    int32_t result;      /* where the result goes (-errno if it failed): offset, slot, or -1 */
    uint16_t flags;
    uint16_t on_success; /* how many steps to skip */
    uint16_t on_error;   /* how many steps to skip after an error that is allowed */
    uint16_t result_kind; /* VALUE or SHARED */
    int16_t allowed[4];  /* errors that are no failures */
    uint8_t kinds[8];    /* of the six arguments */
    int64_t args[6];     /* a number, an offset into the data, or the number of a slot */
};

/* The steps of one operation with the memory that is theirs. Skips do not leave a segment. */
struct segment {
    const struct step *steps;
    int32_t count;
    char *data;
};

struct report {
    int32_t kind;
    int32_t segment;
    int32_t value;
};

struct walk {
    struct segment *segments;
    int32_t count;
    int report;
    int64_t shared[SLOTS];
    /* The outcome, that the parent reads when the memory is shared. */
    volatile int32_t segment;
    volatile int32_t error;
    volatile int32_t executing;
};

static long argument(const struct walk *walk, const char *data, const struct step *step, int i)
{
    switch (step->kinds[i]) {
    case ADDRESS:
        return (long)(data + step->args[i]);
    case VALUE:
        return *(const int64_t *)(data + step->args[i]);
    case SHARED:
        return walk->shared[step->args[i]];
    default:
        return step->args[i];
    }
}

static void tell(const struct walk *walk, int kind, int value)
{
    struct report report = {kind, walk->segment, value};
    if (walk->report >= 0)
        (void)!send(walk->report, &report, sizeof report, MSG_NOSIGNAL);
}

/* Continue in a sibling; does not return in the process that calls, unless it fails. */
static long step_fork(const struct walk *walk)
{
    struct clone_args args = {.flags = CLONE_PARENT};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid <= 0)
        return pid;
    tell(walk, REPORT_FORKED, pid);
    _exit(0);
}

static long perform(const struct walk *walk, const char *data, const struct step *step)
{
    long a[6], result;
    for (int i = 0; i < 6; i++)
        a[i] = argument(walk, data, step, i);
    switch (step->number) {
    case STEP_CHECK:
        return a[0] == a[1] ? a[1] : 0;
    case STEP_FORK:
        result = step_fork(walk);
        break;
    default:
        result = syscall(step->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    return result == -1 ? -errno : result;
}

static int is_allowed(const struct step *step, long error)
{
    if (step->flags & ANY_ERROR)
        return 1;
    for (int i = 0; i < 4; i++)
        if (step->allowed[i] == error && error != 0)
            return 1;
    return 0;
}

/* The default for every signal, and none blocked: Python ignores some, and exec would keep that. */
static void reset_signals(void)
{
    static const char nothing[64]; /* a struct sigaction of the kernel: SIG_DFL, no flags, no mask */
    for (int number = 1; number <= LAST_SIGNAL; number++)
        syscall(SYS_rt_sigaction, number, nothing, NULL, LAST_SIGNAL / 8);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, nothing, NULL, LAST_SIGNAL / 8);
}

static void walk_segment(struct walk *walk, const struct segment *segment)
{
    for (int32_t i = 0; i < segment->count; i++) {
        const struct step *step = &segment->steps[i];
        walk->executing = step->number == SYS_execve;
        if (step->number == STEP_JUMP) {
            i += (int32_t)step->args[0];
            continue;
        }
        long result;
        int tries = 0;
        do
            result = perform(walk, segment->data, step);
        while (result == -EAGAIN && (step->flags & RETRY) && ++tries < RETRIES);
        if (result == 0 && (step->flags & NOT_ZERO))
            result = -EPIPE;
        if (step->result >= 0 && step->result_kind == SHARED)
            walk->shared[step->result] = result;
        else if (step->result >= 0)
            *(int64_t *)(segment->data + step->result) = result;
        if (result >= 0 || result < -4095) { /* an address is no error */
            i += step->on_success;
        } else if (is_allowed(step, -result)) {
            i += step->on_error;
        } else {
            walk->error = -result;
            tell(walk, REPORT_FAILED, -result);
            _exit(CHILD_FAILED);
        }
    }
}

static int child(void *argument_of_clone)
{
    struct walk *walk = argument_of_clone;
    reset_signals();
    for (walk->segment = 0; walk->segment < walk->count; walk->segment++)
        walk_segment(walk, &walk->segments[walk->segment]);
    _exit(0);
}

/*
 * clone3(2) with a stack: the child calls `function`, which must not return. The C library has no
 * wrapper, and a compiler may not see a call return twice on two stacks.
 */
#if defined(__x86_64__)
#define HAVE_CLONE3 1
static long clone_process(struct clone_args *args, int (*function)(void *), void *argument_of_child)
{
    long result;
    register long size __asm__("rsi") = sizeof *args;
    register void *keep_function __asm__("r12") = (void *)function;
    register void *keep_argument __asm__("r13") = argument_of_child;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "0"((long)SYS_clone3), "D"(args), "r"(size), "r"(keep_function),
                       "r"(keep_argument)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined(__aarch64__)
#define HAVE_CLONE3 1
static long clone_process(struct clone_args *args, int (*function)(void *), void *argument_of_child)
{
    register long number __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register void *keep_function __asm__("x19") = (void *)function;
    register void *keep_argument __asm__("x20") = argument_of_child;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x30, #0\n\t"
                     "mov x0, x20\n\t"
                     "blr x19\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(number), "r"(x1), "r"(keep_function), "r"(keep_argument)
                     : "memory", "cc");
    return x0;
}
#else
#define HAVE_CLONE3 0
/* Elsewhere the C library's clone(2), which cannot put the child into a cgroup. */
static long clone_process(struct clone_args *args, int (*function)(void *), void *argument_of_child)
{
    if (args->flags >> 32)
        return -ENOSYS;
    int flags = (int)(uint32_t)args->flags | SIGCHLD;
    long result = clone(function, (char *)args->stack + args->stack_size, flags, argument_of_child,
                        (int *)(uintptr_t)args->pidfd);
    return result < 0 ? -errno : result;
}
#endif

struct started {
    long pid; /* or -errno of the clone */
    int pidfd;
    int status; /* as of waitpid(2), of a child that did not become a program */
};

static struct started start(struct walk *walk, uint64_t flags, int cgroup, char *stack)
{
    struct started started = {.pidfd = -1};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours may run in the child */
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uintptr_t)&started.pidfd,
        .exit_signal = SIGCHLD,
        .stack = (uintptr_t)stack,
        .stack_size = STACK_SIZE,
        .cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
    };
    started.pid = clone_process(&args, child, walk);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started.pid > 0 && (flags & CLONE_VM) && (walk->error || !walk->executing)) {
        while (waitpid((pid_t)started.pid, &started.status, 0) < 0 && errno == EINTR)
            ;
        close(started.pidfd);
        started.pidfd = -1;
    }
    return started;
}

/* Every offset of the steps must lie in the data: a fault in the child would be hard to find. */
static int check_steps(const struct segment *segment, Py_ssize_t size, uint64_t flags)
{
    for (int32_t i = 0; i < segment->count; i++) {
        const struct step *step = &segment->steps[i];
        Py_ssize_t limit = step->result_kind == SHARED ? SLOTS - 1 : size - 8;
        if (step->result > limit || (step->number == STEP_FORK && (flags & CLONE_VM)))
            return -1;
        for (int j = 0; j < 6; j++) {
            limit = step->kinds[j] == SHARED ? SLOTS - 1 : size - 8;
            if (step->kinds[j] != IMMEDIATE && (step->args[j] < 0 || step->args[j] > limit))
                return -1;
        }
    }
    return 0;
}

/* Fill a segment from its (table, data, relocations); the data is copied, pointers get real. */
static int load_segment(struct segment *segment, PyObject *parts, uint64_t flags)
{
    const char *table, *data, *relocations;
    Py_ssize_t table_size, size, pairs_size;
    if (!PyArg_ParseTuple(parts, "y#y#y#:segment", &table, &table_size, &data, &size, &relocations,
                          &pairs_size))
        return -1;
    segment->steps = (const struct step *)table;
    segment->count = (int32_t)(table_size / (Py_ssize_t)sizeof(struct step));
    segment->data = PyMem_RawMalloc(size + 8);
    if (!segment->data) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(segment->data, data, size);
    int fits = table_size % (Py_ssize_t)sizeof(struct step) == 0;
    fits = fits && check_steps(segment, size, flags) == 0;
    const uint32_t *pairs = (const uint32_t *)relocations;
    for (Py_ssize_t i = 0; fits && i < pairs_size / 8; i++) {
        fits = pairs[2 * i] <= size - 8 && pairs[2 * i + 1] < size;
        if (fits)
            *(uint64_t *)(segment->data + pairs[2 * i]) =
                (uint64_t)(uintptr_t)(segment->data + pairs[2 * i + 1]);
    }
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "a table does not fit its data");
    return fits ? 0 : -1;
}

static int load(struct walk *walk, PyObject *segments, uint64_t flags)
{
    if (!(flags & CLONE_VM) != !(flags & CLONE_VFORK)) {
        PyErr_SetString(PyExc_ValueError, "CLONE_VM and CLONE_VFORK go together");
        return -1;
    }
    walk->segments = PyMem_RawCalloc(PyTuple_GET_SIZE(segments) + 1, sizeof(struct segment));
    if (!walk->segments) {
        PyErr_NoMemory();
        return -1;
    }
    for (; walk->count < PyTuple_GET_SIZE(segments); walk->count++)
        if (load_segment(&walk->segments[walk->count], PyTuple_GET_ITEM(segments, walk->count),
                         flags) < 0) {
            walk->count++; /* it may have its data already */
            return -1;
        }
    return 0;
}

PyDoc_STRVAR(spawn_doc,
"spawn(segments, flags, cgroup, report) -> (pid, pidfd, segment, errno, status)\n\n"
"Clone with `flags` (CLONE_VFORK|CLONE_VM or neither, and CLONE_NEW*) and walk the segments, a\n"
"tuple of (table, data, relocations), in the child. `cgroup` is a descriptor of a cgroup v2\n"
"directory or -1, `report` a socket or -1. With CLONE_VM a child that did not become a program\n"
"was reaped, pidfd is -1 and errno (0 if it was killed, see status) belongs to the segment.\n"
"OSError when there is no child at all.");

static PyObject *spawn(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *segments, *result = NULL;
    unsigned long long flags;
    int cgroup, report;
    if (!PyArg_ParseTuple(args, "O!Kii:spawn", &PyTuple_Type, &segments, &flags, &cgroup, &report))
        return NULL;
    struct walk walk = {.report = report};
    char *stack = MAP_FAILED;
    if (load(&walk, segments, flags) < 0)
        goto out;
    stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        goto out;
    }
    struct started started;
    Py_BEGIN_ALLOW_THREADS
    started = start(&walk, flags, cgroup, stack);
    Py_END_ALLOW_THREADS
    if (started.pid < 0) {
        errno = (int)-started.pid;
        PyErr_SetFromErrno(PyExc_OSError);
    } else {
        result = Py_BuildValue("(liiii)", started.pid, started.pidfd, walk.segment, walk.error,
                               started.status);
    }
out:
    if (stack != MAP_FAILED)
        munmap(stack, STACK_SIZE);
    for (int32_t i = 0; walk.segments && i < walk.count; i++)
        PyMem_RawFree(walk.segments[i].data);
    PyMem_RawFree(walk.segments);
    return result;
}

static PyMethodDef methods[] = {
    {"spawn", spawn, METH_VARARGS, spawn_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_spawn", "Start a process that walks a table of system calls.", -1,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__spawn(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddIntConstant(made, "CAN_CLONE_INTO_CGROUP", HAVE_CLONE3) < 0)
        Py_CLEAR(made);
    return made;
}
