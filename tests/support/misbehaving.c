/*
 * A daemon that misbehaves as it is told, for the tests of whatever starts, finds and stops daemons.
 *
 * By itself it does what a good one does: forks, starts a session, writes its pid, listens, and its launcher exits
 * with 0. The words are carried out in the order of this list, each wherever it applies:
 *
 * the launcher, before it forks
 *   --starts FILE        adds a line to FILE: how often was it started?
 *   --hold FIFO          opens FIFO for writing: whoever reads it sees the end when no process of it is left
 *   --mark FILE          makes FILE when it gets as far as this
 *   --say TEXT           writes TEXT and a newline to standard error
 *   --fork-delay MS      is slow to fork
 *   --exit N             exits with N instead of forking
 *   --crash N            dies by signal N instead of forking
 *   --foreground         does not fork: the launcher is the daemon (a program that stays, or never forks)
 *   --double-fork        forks twice, as the books say
 *   --same-session       starts no session: the daemon stays in its launcher's process group
 *   --keep-output        leaves the launcher's standard output and error open in the daemon
 *   --wait               the launcher exits only when the daemon listens
 *   --linger MS          the launcher stays so long after it has forked
 *
 * the daemon
 *   --ignore-term        takes no notice of SIGTERM
 *   --term-delay MS      is slow to end at SIGTERM
 *   --children N         starts N processes that wait for ever (and ignore SIGTERM if it does)
 *   --die-before-pid N   exits with N when it should write its pid
 *   --pid-delay MS       writes its pid late
 *   --pid-file FILE      where to; without it, it writes none
 *   --pid TEXT           writes TEXT instead of its pid: nothing at all (""), garbage, another's number
 *   --die-after-pid N    exits with N when it has written its pid
 *   --log FILE           writes "started" to FILE, which it makes if need be
 *   --log-delay MS       ... so late
 *   --log-text TEXT      ... this instead of "started"
 *   --log-every MS       ... and a line more each so often, for as long as it lives
 *   --listen-delay MS    is slow to listen
 *   --die-before-listen N  exits with N when it should listen
 *   --listen PATH|PORT   listens at a Unix socket, or at a TCP port of 127.0.0.1; each client gets an HTTP 200. Without
 *                        it, it never listens
 *   --die-after-listen N  exits with N so soon as it listens
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char *pid_file, *pid_text, *log_file, *log_text = "started", *listen_at;
static int fork_delay, linger, pid_delay, log_delay, log_every, listen_delay, term_delay;
static int die_before_pid = -1, die_after_pid = -1, die_before_listen = -1, die_after_listen = -1;
static int foreground, double_fork, same_session, keep_output, wait_for_it, ignore_term, children;
static int exit_with = -1, crash_by;
static int ready[2] = {-1, -1};
static int log_fd = -1;

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* All of this may be done in a handler. */
static void leave(int number) {
    (void)number;
    if (term_delay) poll(NULL, 0, term_delay);
    if (pid_file && !pid_text) unlink(pid_file);
    _exit(0);
}

static void log_line(const char *text) {
    if (log_fd < 0 && log_file) log_fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd >= 0) dprintf(log_fd, "%s\n", text);
}

/* Waits so long, and goes on logging meanwhile. */
static void wait_ms(int ms) {
    static int count;
    long long end = now_ms() + ms, line = now_ms() + log_every;
    for (;;) {
        long long now = now_ms();
        if (log_every && log_file && now >= line) {
            char text[32];
            snprintf(text, sizeof text, "line %d", ++count);
            log_line(text);
            line = now + log_every;
        }
        if (now >= end) return;
        long long next = log_every && log_file && line < end ? line : end;
        poll(NULL, 0, (int)(next - now));
    }
}

static void write_pid(void) {
    int fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) _exit(70);
    if (pid_text) dprintf(fd, "%s", pid_text);
    else dprintf(fd, "%d\n", (int)getpid());
    close(fd);
}

static int open_listener(void) {
    int port = atoi(listen_at), fd, one = 1;
    if (port > 0) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&in, sizeof in) < 0) _exit(71);
    } else {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        strncpy(un.sun_path, listen_at, sizeof un.sun_path - 1);
        unlink(listen_at);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0) _exit(71);
    }
    if (listen(fd, 128) < 0) _exit(71);
    return fd;
}

static void serve(int listener) {
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (;;) {
        struct pollfd poller = {.fd = listener, .events = POLLIN};
        long long before = now_ms();
        int count = poll(&poller, 1, log_every && log_file ? log_every : -1);
        if (count > 0) {
            int client = accept(listener, NULL, NULL);
            if (client >= 0) {
                (void)!write(client, answer, sizeof answer - 1);
                close(client);
            }
        }
        if (log_every && log_file && now_ms() - before >= log_every) log_line("still here");
    }
}

static void start_children(void) {
    for (int i = 0; i < children; i++) {
        if (fork() == 0) {
            signal(SIGTERM, ignore_term ? SIG_IGN : SIG_DFL);
            for (;;) pause();
        }
    }
}

static void die(int code) {
    if (code >= 0) _exit(code);
}

static void be_the_daemon(void) {
    struct sigaction action = {0};
    action.sa_handler = ignore_term ? SIG_IGN : leave;
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    start_children();
    die(die_before_pid);
    wait_ms(pid_delay);
    if (pid_file) write_pid();
    die(die_after_pid);
    if (log_file) {
        wait_ms(log_delay);
        log_line(log_text);
    }
    wait_ms(listen_delay);
    die(die_before_listen);
    int listener = listen_at ? open_listener() : -1;
    if (ready[1] >= 0) {
        (void)!write(ready[1], ".", 1);
        close(ready[1]);
    }
    die(die_after_listen);
    serve(listener);
}

static void fork_off(void) {
    char byte;
    if (wait_for_it && pipe2(ready, O_CLOEXEC) < 0) exit(72);
    pid_t child = fork();
    if (child < 0) exit(72);
    if (child > 0) {
        if (wait_for_it) {
            close(ready[1]);
            if (read(ready[0], &byte, 1) != 1) exit(73);
        }
        if (linger) poll(NULL, 0, linger);
        exit(0);
    }
    if (ready[0] >= 0) close(ready[0]);
    if (!same_session) setsid();
    if (double_fork && fork() != 0) _exit(0);
    if (!keep_output) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        close(null);
    }
}

int main(int count, char **words) {
    const char *say = NULL;
    struct { const char *word; int *number; } numbers[] = {
        {"--fork-delay", &fork_delay}, {"--exit", &exit_with}, {"--crash", &crash_by}, {"--linger", &linger},
        {"--term-delay", &term_delay}, {"--children", &children}, {"--die-before-pid", &die_before_pid},
        {"--pid-delay", &pid_delay}, {"--die-after-pid", &die_after_pid}, {"--log-delay", &log_delay},
        {"--log-every", &log_every}, {"--listen-delay", &listen_delay},
        {"--die-before-listen", &die_before_listen}, {"--die-after-listen", &die_after_listen},
    };
    struct { const char *word; int *flag; } flags[] = {
        {"--foreground", &foreground}, {"--double-fork", &double_fork}, {"--same-session", &same_session},
        {"--keep-output", &keep_output}, {"--wait", &wait_for_it}, {"--ignore-term", &ignore_term},
    };
    const char *starts = NULL, *hold = NULL, *mark = NULL;
    struct { const char *word; const char **text; } texts[] = {
        {"--starts", &starts}, {"--hold", &hold}, {"--mark", &mark}, {"--say", &say}, {"--pid-file", &pid_file},
        {"--pid", &pid_text}, {"--log", &log_file}, {"--log-text", &log_text}, {"--listen", &listen_at},
    };
    for (int i = 1; i < count; i++) {
        int known = 0;
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
            if (!strcmp(words[i], flags[k].word)) known = *flags[k].flag = 1;
        if (!known && i + 1 < count) {
            for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
                if (!strcmp(words[i], numbers[k].word)) known = 2, *numbers[k].number = atoi(words[i + 1]);
            for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
                if (!strcmp(words[i], texts[k].word)) known = 2, *texts[k].text = words[i + 1];
        }
        if (!known) {
            fprintf(stderr, "misbehaving: %s?\n", words[i]);
            return 64;
        }
        i += known == 2;
    }
    if (starts) {
        int fd = open(starts, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        dprintf(fd, "start\n");
        close(fd);
    }
    if (hold && open(hold, O_WRONLY | O_NONBLOCK) < 0 && errno != ENXIO) return 65;
    if (mark) close(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (say) fprintf(stderr, "%s\n", say);
    if (fork_delay) poll(NULL, 0, fork_delay);
    if (exit_with >= 0) return exit_with;
    if (crash_by) {
        signal(crash_by, SIG_DFL);
        raise(crash_by);
    }
    if (!foreground) fork_off();
    be_the_daemon();
}
