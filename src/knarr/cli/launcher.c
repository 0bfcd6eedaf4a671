/* The program `knarr`: becomes the Python interpreter that runs the command line, by the fast way.
 *
 * A script of pip's begins with `import site`, its .pth files and often `import re`: on one machine
 * 36 ms before the first line of knarr, where `python -I -S` takes 11. Options in a script's first
 * line do not survive an installation, so a small program passes them.
 *
 * It looks for the interpreter beside itself (the virtual environment it was installed into), then
 * where it was built; for the package beside that interpreter, then in the source tree of an editable
 * installation. If the package is elsewhere, the interpreter finds it by its own, slower way.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef INTERPRETER_NAME
#error "setup.py defines INTERPRETER_NAME, INTERPRETER_PATH, PACKAGE_PATH and SOURCE_PATH"
#endif

static const char *const ENTRY = "knarr/cli/__main__.py";

/* folder/middle/last, in a buffer that is never freed; the program ends soon. */
static char *join(const char *folder, const char *middle, const char *last)
{
    size_t size = strlen(folder) + strlen(middle) + strlen(last) + 3;
    char *path = malloc(size);
    if (!path) {
        fputs("knarr: no memory\n", stderr);
        exit(1);
    }
    snprintf(path, size, "%s/%s%s%s", folder, middle, *middle ? "/" : "", last);
    return path;
}

/* The folder this program is in, links followed; "." if the kernel does not tell. */
static const char *own_folder(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return ".";
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    *slash = '\0';
    return path;
}

static const char *find_entry(const char *folder)
{
    const char *path = join(folder, PACKAGE_PATH, ENTRY);
    if (access(path, R_OK) == 0)
        return path;
    if (*SOURCE_PATH) {
        path = join(SOURCE_PATH, "", ENTRY);
        if (access(path, R_OK) == 0)
            return path;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *folder = own_folder();
    const char *interpreter = join(folder, "", INTERPRETER_NAME);
    if (access(interpreter, X_OK) != 0)
        interpreter = INTERPRETER_PATH;
    const char *entry = find_entry(folder);
    const char *fast[] = {interpreter, "-I", "-S", entry};
    const char *slow[] = {interpreter, "-P", "-m", "knarr.cli"};
    enum { PREFIX = 4 };

    const char **arguments = calloc((size_t)argc + PREFIX + 1, sizeof *arguments);
    if (!arguments) {
        fputs("knarr: no memory\n", stderr);
        return 1;
    }
    memcpy(arguments, entry ? fast : slow, PREFIX * sizeof *arguments);
    for (int i = 1; i < argc; i++)
        arguments[PREFIX + i - 1] = argv[i];
    execv(interpreter, (char *const *)arguments);
    fprintf(stderr, "knarr: cannot run the Python interpreter \"%s\": %s\n", interpreter,
            strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
