/* The physical limit of a supervisor: waits, and starts the same program again. No log, no state, no control. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    for (;;) {
        pid_t pid = vfork();
        if (pid == 0) {
            execve(argv[1], argv + 1, environ);
            _exit(127);
        }
        if (pid < 0) return 1;
        while (waitpid(pid, 0, 0) < 0)
            if (errno != EINTR) return 1;
    }
}
