/*
 * The first process of a container with --init: starts the program, passes signals on to it,
 * reaps whatever is orphaned in the container, and ends as the program ends.
 *
 *   docker-init -- PROGRAM [ARGUMENT...]
 *
 * The program is the leader of a process group of its own, in the foreground if there is a
 * terminal, so that what a user types there reaches it and not its parent. Exit status: the
 * program's, 128 + n if signal n ended it, 127 if there is none, 126 if it cannot be executed.
 *
 * It uses no C library: a few kilobytes that are the same in every image. All signals are blocked
 * and fetched one by one, so there are no handlers and nothing can interrupt a step.
 * Built by setup.py: cc -Os -static -nostdlib init.c
 */

#if defined(__x86_64__)

enum {
    SYS_write = 1, SYS_rt_sigaction = 13, SYS_rt_sigprocmask = 14, SYS_ioctl = 16, SYS_getpid = 39,
    SYS_clone = 56, SYS_execve = 59, SYS_wait4 = 61, SYS_kill = 62, SYS_setpgid = 109,
    SYS_rt_sigtimedwait = 128, SYS_exit_group = 231
};

static long call5(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call run\n");

#elif defined(__aarch64__)

enum {
    SYS_write = 64, SYS_rt_sigaction = 134, SYS_rt_sigprocmask = 135, SYS_ioctl = 29,
    SYS_getpid = 172, SYS_clone = 220, SYS_execve = 221, SYS_wait4 = 260, SYS_kill = 129,
    SYS_setpgid = 154, SYS_rt_sigtimedwait = 137, SYS_exit_group = 94
};

static long call5(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory");
    return x0;
}

__asm__(".globl _start\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    bl run\n");

#else
#error "init.c knows the system calls of x86_64 and aarch64 only"
#endif

enum { ENOENT = 2, EACCES = 13, ENOTDIR = 20, EINTR = 4 };
enum { SIG_BLOCK = 0, SIG_SETMASK = 2, SIG_DFL = 0, SIG_IGN = 1 };
enum {
    SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGCHLD = 17,
    SIGTTIN = 21, SIGTTOU = 22, SIGSYS = 31
};
enum { STDIN = 0, STDERR = 2, WNOHANG = 1, TIOCSPGRP = 0x5410, SET_SIZE = 8, LONGEST = 4096 };

typedef unsigned long set_t;

static const set_t faults = 1ul << (SIGILL - 1) | 1ul << (SIGTRAP - 1) | 1ul << (SIGABRT - 1)
                            | 1ul << (SIGBUS - 1) | 1ul << (SIGFPE - 1) | 1ul << (SIGSEGV - 1)
                            | 1ul << (SIGSYS - 1);

static long length(const char *text)
{
    long count = 0;
    while (text[count])
        count++;
    return count;
}

static void say(const char *text)
{
    call5(SYS_write, STDERR, (long)text, length(text), 0, 0);
}

static void __attribute__((noreturn)) leave(long status)
{
    for (;;)
        call5(SYS_exit_group, status, 0, 0, 0, 0);
}

static void dispose(long number, long how)
{
    long action[4]; /* handler, flags, restorer, mask */
    action[0] = how;
    action[1] = action[2] = action[3] = 0;
    call5(SYS_rt_sigaction, number, (long)action, 0, SET_SIZE, 0);
}

static const char *search_path(char **environment)
{
    for (; *environment; environment++) {
        const char *name = "PATH=";
        const char *entry = *environment;
        while (*name && *entry == *name)
            name++, entry++;
        if (!*name)
            return entry;
    }
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Put a directory of the search path and the program together; 0 if it is too long. */
static int joined(char *target, const char *folder, long size, const char *program)
{
    long at = 0, left = length(program);
    if (size + left + 2 > LONGEST)
        return 0;
    for (; at < size; at++)
        target[at] = folder[at];
    if (size)
        target[at++] = '/';
    while (left-- >= 0)
        target[at++] = *program++;
    return 1;
}

/* As execvp(3): a candidate that may not be executed is remembered while others are tried. */
static long execute(char **argv, char **environment)
{
    static char candidate[LONGEST];
    const char *program = argv[0], *rest = program;
    long error = -ENOENT;

    for (; *rest; rest++)
        if (*rest == '/')
            return call5(SYS_execve, (long)program, (long)argv, (long)environment, 0, 0);
    if (rest == program)
        return error;
    for (rest = search_path(environment);; rest++) {
        const char *folder = rest;
        while (*rest && *rest != ':')
            rest++;
        if (joined(candidate, folder, rest - folder, program)) {
            long result =
                call5(SYS_execve, (long)candidate, (long)argv, (long)environment, 0, 0);
            if (result != -ENOENT && result != -ENOTDIR)
                error = result;
            if (error != -ENOENT && error != -EACCES)
                return error;
        }
        if (!*rest)
            return error;
    }
}

static void __attribute__((noreturn)) become(char **argv, char **environment, set_t *mask)
{
    long error;
    int group;

    call5(SYS_setpgid, 0, 0, 0, 0, 0);
    group = (int)call5(SYS_getpid, 0, 0, 0, 0, 0);
    call5(SYS_ioctl, STDIN, TIOCSPGRP, (long)&group, 0, 0); /* fails without a terminal */
    dispose(SIGTTIN, SIG_DFL);
    dispose(SIGTTOU, SIG_DFL);
    call5(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, SET_SIZE, 0);
    error = execute(argv, environment);
    say("docker-init: exec ");
    say(argv[0]);
    if (error == -ENOENT || error == -ENOTDIR) {
        say(": no such file or directory\n");
        leave(127);
    }
    say(error == -EACCES ? ": permission denied\n" : ": it cannot be executed\n");
    leave(126);
}

/* Take the status of everything that has ended; whether `child` is among it. */
static int reap(long child, int *result)
{
    int ended = 0, status = 0;

    for (;;) {
        long pid = call5(SYS_wait4, -1, (long)&status, WNOHANG, 0, 0);
        if (pid == -EINTR)
            continue;
        if (pid <= 0)
            return ended;
        if (pid == child) {
            int signal = status & 0x7f;
            *result = signal ? 128 + signal : status >> 8 & 0xff;
            ended = 1;
        }
    }
}

void __attribute__((used, noreturn)) run(long *stack)
{
    char **argv = (char **)(stack + 1);
    char **environment = argv + stack[0] + 1;
    set_t wanted = ~faults, before = 0;
    long child;
    int result = 0;

    if (stack[0] < 3 || argv[1][0] != '-' || argv[1][1] != '-' || argv[1][2]) {
        say("usage: docker-init -- PROGRAM [ARGUMENT...]\n");
        leave(1);
    }
    call5(SYS_rt_sigprocmask, SIG_BLOCK, (long)&wanted, (long)&before, SET_SIZE, 0);
    /* Of a background group, this process may neither read nor set the terminal otherwise. */
    dispose(SIGTTIN, SIG_IGN);
    dispose(SIGTTOU, SIG_IGN);
    child = call5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0) {
        say("docker-init: cannot start a process\n");
        leave(1);
    }
    if (child == 0)
        become(argv + 2, environment, &before);
    for (;;) {
        long number = call5(SYS_rt_sigtimedwait, (long)&wanted, 0, 0, SET_SIZE, 0);
        if (number == SIGCHLD) {
            if (reap(child, &result))
                leave(result);
        } else if (number > 0) {
            call5(SYS_kill, child, number, 0, 0, 0);
        }
    }
}
