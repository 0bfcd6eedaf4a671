/*
 * The one program of the image `hello`: prints a page and exits with 0.
 *
 * It uses no C library, so that the image is a few kilobytes and the program starts at once:
 * _start is the entry point, and the two system calls that are needed are made here.
 * Built by setup.py: cc -Os -static -nostdlib hello.c
 */

static const char page[] =
    "\n"
    "Hello from knarr!\n"
    "\n"
    "This page was printed by a program in a container. Here is what happened:\n"
    "\n"
    "  1. The command line sent a request to the knarr engine over a unix socket.\n"
    "  2. The engine took the image `hello`, whose one layer is one file on disk,\n"
    "     and put a writable directory on top of it.\n"
    "  3. The supervisor turned the container's specification into a list of system\n"
    "     calls: new namespaces, mounts, limits, capabilities, a system call filter.\n"
    "  4. The last of them ran this program. What it writes came back to you.\n"
    "\n"
    "To see that list, before anything is started:\n"
    "\n"
    "  knarr run --explain hello\n"
    "\n"
    "To run an image of your own:\n"
    "\n"
    "  docker save debian:12 | knarr load\n"
    "  knarr run -it debian:12 bash\n"
    "\n";

#if defined(__x86_64__)

enum { SYS_write = 1, SYS_exit_group = 231 };

static long call3(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

enum { SYS_write = 64, SYS_exit_group = 94 };

static long call3(long number, long a, long b, long c)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

#else
#error "hello.c knows the system calls of x86_64 and aarch64 only"
#endif

enum { EINTR = 4, STDOUT = 1 };

void _start(void)
{
    const char *rest = page;
    long left = sizeof(page) - 1;

    while (left > 0) {
        long done = call3(SYS_write, STDOUT, (long)rest, left);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            break;
        rest += done;
        left -= done;
    }
    for (;;)
        call3(SYS_exit_group, left > 0, 0, 0);
}
