/*
 * A tap on what a program writes. Preloaded (LD_PRELOAD), it sees the calls of libc by which this program, HDF5 and
 * the MPI-IO layers change files, numbers them over all ranks, and does at one of them what the test asks for:
 * nothing, death, a signal, a long wait, an error, half a write, or half a write that says it was whole. It can also keep a log from which
 * the test rebuilds what a power loss could have left.
 *
 * Only one program is tapped, and only files whose path begins with FRAMEWISE_TAP_FILES, and the folder they are in:
 *
 *   FRAMEWISE_TAP_PROGRAM   path of the program; the launcher and other children are left alone
 *   FRAMEWISE_TAP_FILES     beginning of the paths that are watched, links resolved
 *   FRAMEWISE_TAP_STATE     file that all ranks share: struct state below; outside of the watched paths
 *   FRAMEWISE_TAP_LOG       log of all events with their bytes; none if not set
 *   FRAMEWISE_TAP_PLAN      "WHAT NUMBER SCOPE", or nothing: only count
 *       kill-before kill-torn kill-after   N   one|all      SIGKILL to the calling rank, or to all ranks
 *       ENOSPC EIO short lie               N   once|always  the N-th event fails, or all from the N-th on
 *       signal-S                           N   one|all      signal number S to the calling rank, or to all ranks
 *       delay-S                            N   one          the N-th event takes S seconds, whatever signals come
 *   FRAMEWISE_TAP_AGAIN     number of the event at which the same signal comes again, long enough after the first that
 *                           nobody takes them for one
 *   FRAMEWISE_TAP_KINDS     letters of the kinds that count (see enum kind); all if not set
 *   FRAMEWISE_TAP_RANK      count only what this rank does
 *
 * Calls that bypass libc, and stores through mmap, are not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    WRITE = 'w',
    SYNC = 's',
    CREATE = 'c',
    RENAME = 'r',
    LINK = 'l',
    UNLINK = 'u',
    TRUNCATE = 't',
    ALLOCATE = 'a',
};

enum what { NOTHING, SIGNAL, DELAY, KILL_BEFORE, KILL_TORN, KILL_AFTER, FAIL, SHORT, LIE };

#define MOST_PROCESSES 64

/* Shared by all ranks; the test reads the first three numbers. */
struct state {
    _Atomic uint64_t events; /* so many were counted */
    _Atomic uint64_t fired;  /* number of the first event at which the plan struck, 0 before */
    _Atomic uint64_t again;  /* the event at which the signal came again, 0 before */
    _Atomic uint32_t busy;   /* somebody is between an event and its line in the log */
    _Atomic uint32_t processes;
    _Atomic int32_t pids[MOST_PROCESSES];
};

/* Before each event of the log; path, second path and bytes follow. */
struct __attribute__((packed)) entry {
    uint8_t kind, truncated;
    uint16_t path, second;
    uint64_t inode, offset, bytes;
};

static struct state *state; /* NULL: not tapped */
static const char *files, *program, *kinds;
static char folder[PATH_MAX];
static int journal = -1;
static enum what plan;
static uint64_t plan_at, plan_again;
static int plan_number, plan_wide; /* errno, signal, or seconds; wide: all ranks, or always */

#define REAL(name, ...)                                                                                                \
    ({                                                                                                                 \
        static __typeof__(&name) real;                                                                                 \
        if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                                  \
        real(__VA_ARGS__);                                                                                             \
    })

static int runs_the_program(const char *link) {
    char path[PATH_MAX];
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strcmp(path, program) == 0;
}

__attribute__((constructor)) static void begin(void) {
    files = getenv("FRAMEWISE_TAP_FILES");
    program = getenv("FRAMEWISE_TAP_PROGRAM");
    kinds = getenv("FRAMEWISE_TAP_KINDS");
    const char *shared = getenv("FRAMEWISE_TAP_STATE"), *text = getenv("FRAMEWISE_TAP_PLAN");
    const char *wanted = getenv("FRAMEWISE_TAP_RANK"), *log = getenv("FRAMEWISE_TAP_LOG");
    if (!files || !program || !shared || !runs_the_program("/proc/self/exe")) return;
    int fd = REAL(open, shared, O_RDWR | O_CLOEXEC);
    struct state *all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || all == MAP_FAILED) abort();
    close(fd);
    uint32_t place = atomic_fetch_add(&all->processes, 1);
    if (place < MOST_PROCESSES) atomic_store(&all->pids[place], getpid());

    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!rank) rank = getenv("PMI_RANK");
    if (wanted && strcmp(wanted, rank ? rank : "0") != 0) return;
    if (text) {
        char name[16], scope[16];
        unsigned long long number;
        if (sscanf(text, "%15s %llu %15s", name, &number, scope) != 3) abort();
        plan_at = number;
        plan_wide = !strcmp(scope, "all") || !strcmp(scope, "always");
        if (!strcmp(name, "kill-before")) plan = KILL_BEFORE;
        else if (!strcmp(name, "kill-torn")) plan = KILL_TORN;
        else if (!strcmp(name, "kill-after")) plan = KILL_AFTER;
        else if (sscanf(name, "signal-%d", &plan_number) == 1) plan = SIGNAL;
        else if (sscanf(name, "delay-%d", &plan_number) == 1) plan = DELAY;
        else if (!strcmp(name, "ENOSPC")) plan = FAIL, plan_number = ENOSPC;
        else if (!strcmp(name, "EIO")) plan = FAIL, plan_number = EIO;
        else if (!strcmp(name, "short")) plan = SHORT;
        else if (!strcmp(name, "lie")) plan = LIE;
        else abort();
        const char *again = getenv("FRAMEWISE_TAP_AGAIN");
        if (again) plan_again = strtoull(again, NULL, 10);
    }
    if (log && (journal = REAL(open, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0) abort();
    snprintf(folder, sizeof folder, "%s", files);
    *strrchr(folder, '/') = 0;
    state = all;
}

static int watched(const char *path) {
    return strncmp(path, files, strlen(files)) == 0 || strcmp(path, folder) == 0;
}

/* The path of an open file, if it is watched. */
static int watched_file(int fd, char path[PATH_MAX]) {
    if (!state) return 0;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = 0;
    return n > 0 && watched(path);
}

/* The whole path of a name, if it is watched. */
static int watched_name(int at, const char *name, char path[PATH_MAX]) {
    if (!state) return 0;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return watched(path);
    }
    char link[32] = "/proc/self/cwd";
    if (at != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    while (name[0] == '.' && name[1] == '/') name += 2;
    snprintf(path + n, PATH_MAX - n, "/%s", name);
    return watched(path);
}

static void send_signal(int number) {
    uint32_t n = plan_wide ? atomic_load(&state->processes) : 0;
    for (uint32_t i = 0; i < n && i < MOST_PROCESSES; i++) {
        char link[32];
        int pid = atomic_load(&state->pids[i]);
        snprintf(link, sizeof link, "/proc/%d/exe", pid);
        if (pid > 0 && pid != getpid() && runs_the_program(link)) kill(pid, number);
    }
    kill(getpid(), number);
}

static void die(void) {
    send_signal(SIGKILL);
    for (;;) pause();
}

static void wait_for(double seconds) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    long nanoseconds = end.tv_nsec + (long)(1e9 * seconds);
    end.tv_sec += nanoseconds / 1000000000;
    end.tv_nsec = nanoseconds % 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) {}
}

/* Counts an event; what the plan has for it. */
static enum what arrive(enum kind kind) {
    if (kinds && !strchr(kinds, kind)) return NOTHING;
    uint64_t number = atomic_fetch_add(&state->events, 1) + 1;
    enum what here = NOTHING;
    int again = plan >= FAIL && plan_wide && number > plan_at;
    if (plan != NOTHING && (number == plan_at || again)) {
        uint64_t none = 0;
        atomic_compare_exchange_strong(&state->fired, &none, number);
        here = plan;
    }
    if (plan == SIGNAL && number == plan_again) {
        wait_for(0.7);
        atomic_store(&state->again, number);
        here = SIGNAL;
    }
    if (here == SIGNAL) {
        send_signal(plan_number);
        /* Whoever listens hears it before the event. */
        wait_for(0.01);
    }
    if (here == DELAY) wait_for(plan_number);
    if (here == KILL_BEFORE) die();
    if (journal >= 0)
        while (atomic_exchange(&state->busy, 1)) sched_yield();
    return here;
}

static uint64_t inode(int at, const char *path, int flags) {
    struct stat found;
    return fstatat(at, path, &found, flags) == 0 ? found.st_ino : 0;
}

/* After the call: death if planned, else a line in the log if the call succeeded. `bytes` may be part of `parts`. */
static void leave(enum what here, int succeeded, struct entry entry, const char *path, const char *second,
                  const struct iovec *parts) {
    if (here == KILL_AFTER || here == KILL_TORN) die();
    if (journal < 0) return;
    int saved = errno;
    if (succeeded) {
        entry.path = strlen(path);
        entry.second = second ? strlen(second) : 0;
        size_t size = sizeof entry + entry.path + entry.second + (parts ? entry.bytes : 0);
        char *line = malloc(size), *end = line;
        if (!line) abort();
        end = mempcpy(end, &entry, sizeof entry);
        end = mempcpy(end, path, entry.path);
        end = mempcpy(end, second ? second : "", entry.second);
        for (uint64_t left = entry.bytes; parts && left > 0; parts++) {
            size_t n = parts->iov_len < left ? parts->iov_len : left;
            end = mempcpy(end, parts->iov_base, n);
            left -= n;
        }
        if (REAL(write, journal, line, size) != (ssize_t)size) abort();
        free(line);
    }
    errno = saved;
    atomic_store(&state->busy, 0);
}

static ssize_t really_write(int fd, const struct iovec *parts, int n, off64_t at) {
    return at < 0 ? REAL(writev, fd, parts, n) : REAL(pwritev64, fd, parts, n, at);
}

/* The first half of what is to be written, at least one byte. */
static ssize_t write_half(int fd, const struct iovec *parts, int n, off64_t at, size_t total) {
    size_t half = total > 1 ? total / 2 : total;
    char *bytes = malloc(total ? total : 1), *end = bytes;
    if (!bytes) abort();
    for (int i = 0; i < n; i++) end = mempcpy(end, parts[i].iov_base, parts[i].iov_len);
    struct iovec first = {bytes, half};
    ssize_t written = really_write(fd, &first, 1, at);
    free(bytes);
    return written;
}

/* All writes come here; `at` is negative for the file's own position. */
static ssize_t tapped_write(int fd, const struct iovec *parts, int n, off64_t at) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return really_write(fd, parts, n, at);
    size_t total = 0;
    for (int i = 0; i < n; i++) total += parts[i].iov_len;
    enum what here = arrive(WRITE);
    ssize_t written = -1;
    if (here == FAIL) errno = plan_number;
    else if (here == KILL_TORN || here == SHORT || here == LIE) written = write_half(fd, parts, n, at, total);
    else written = really_write(fd, parts, n, at);
    off64_t end = at < 0 ? lseek64(fd, 0, SEEK_CUR) : at + written;
    struct entry entry = {.kind = WRITE, .inode = inode(fd, "", AT_EMPTY_PATH), .offset = end - written, .bytes = written};
    leave(here, written >= 0, entry, path, NULL, parts);
    return here == LIE && written >= 0 ? (ssize_t)total : written;
}

/* Calls that are made or fail as a whole: `call` is made unless it is to fail. */
#define WHOLE(kind_, call, path, second, inode_, offset_, bytes_)                                                      \
    ({                                                                                                                 \
        enum what here = arrive(kind_);                                                                                \
        struct entry entry = {.kind = kind_, .inode = inode_, .offset = offset_, .bytes = bytes_};                     \
        int result = here == FAIL ? (errno = plan_number, -1) : (call);                                                 \
        leave(here, result >= 0, entry, path, second, NULL);                                                           \
        result;                                                                                                        \
    })

ssize_t write(int fd, const void *bytes, size_t n) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return REAL(write, fd, bytes, n);
    struct iovec part = {(void *)bytes, n};
    return tapped_write(fd, &part, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int n) { return tapped_write(fd, parts, n, -1); }

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    struct iovec part = {(void *)bytes, n};
    return tapped_write(fd, &part, 1, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return pwrite64(fd, bytes, n, at); }

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at) { return tapped_write(fd, parts, n, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) { return tapped_write(fd, parts, n, at); }

/* The flags say how fast, not what. */
ssize_t pwritev64v2(int fd, const struct iovec *parts, int n, off64_t at, int flags) {
    (void)flags;
    return tapped_write(fd, parts, n, at);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int n, off_t at, int flags) {
    (void)flags;
    return tapped_write(fd, parts, n, at);
}

int fsync(int fd) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return REAL(fsync, fd);
    return WHOLE(SYNC, REAL(fsync, fd), path, NULL, inode(fd, "", AT_EMPTY_PATH), 0, 0);
}

int fdatasync(int fd) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return REAL(fdatasync, fd);
    return WHOLE(SYNC, REAL(fdatasync, fd), path, NULL, inode(fd, "", AT_EMPTY_PATH), 0, 0);
}

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return REAL(ftruncate64, fd, length);
    return WHOLE(TRUNCATE, REAL(ftruncate64, fd, length), path, NULL, inode(fd, "", AT_EMPTY_PATH), length, 0);
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return REAL(fallocate64, fd, mode, offset, length);
    return WHOLE(ALLOCATE, REAL(fallocate64, fd, mode, offset, length), path, NULL, inode(fd, "", AT_EMPTY_PATH),
                 offset, length);
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

/* Returns the error instead of setting it. */
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    char path[PATH_MAX];
    if (!watched_file(fd, path)) return REAL(posix_fallocate64, fd, offset, length);
    int saved = errno;
    int made = WHOLE(ALLOCATE, (errno = REAL(posix_fallocate64, fd, offset, length)) ? -1 : 0, path, NULL,
                     inode(fd, "", AT_EMPTY_PATH), offset, length);
    int error = made < 0 ? errno : 0;
    errno = saved;
    return error;
}
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char path[PATH_MAX], second[PATH_MAX];
    int tapped = watched_name(to_at, to, second);
    if (!watched_name(from_at, from, path) && !tapped) return REAL(renameat2, from_at, from, to_at, to, flags);
    return WHOLE(RENAME, REAL(renameat2, from_at, from, to_at, to, flags), path, second,
                 inode(from_at, from, AT_SYMLINK_NOFOLLOW), 0, 0);
}
int renameat(int from_at, const char *from, int to_at, const char *to) { return renameat2(from_at, from, to_at, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char path[PATH_MAX], second[PATH_MAX];
    if (!watched_name(to_at, to, second)) return REAL(linkat, from_at, from, to_at, to, flags);
    watched_name(from_at, from, path);
    return WHOLE(LINK, REAL(linkat, from_at, from, to_at, to, flags), path, second,
                 inode(from_at, from, AT_SYMLINK_NOFOLLOW), 0, 0);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX];
    if ((flags & AT_REMOVEDIR) || !watched_name(at, name, path)) return REAL(unlinkat, at, name, flags);
    return WHOLE(UNLINK, REAL(unlinkat, at, name, flags), path, NULL,
                 inode(at, name, AT_SYMLINK_NOFOLLOW), 0, 0);
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

/* Opening counts where it may create or empty a file. */
static int tapped_open(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !watched_name(at, name, path)) return REAL(openat64, at, name, flags, mode);
    enum what here = arrive(CREATE);
    int fd = -1;
    if (here == FAIL) errno = plan_number;
    else fd = REAL(openat64, at, name, flags, mode);
    struct entry entry = {.kind = CREATE, .truncated = !!(flags & O_TRUNC)};
    if (fd >= 0) entry.inode = inode(fd, "", AT_EMPTY_PATH);
    leave(here, fd >= 0, entry, path, NULL, NULL);
    return fd;
}

#define MODE(flags)                                                                                                    \
    ({                                                                                                                 \
        mode_t mode = 0;                                                                                               \
        if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                         \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        mode;                                                                                                          \
    })

int open64(const char *name, int flags, ...) { return tapped_open(AT_FDCWD, name, flags, MODE(flags)); }
int open(const char *name, int flags, ...) { return tapped_open(AT_FDCWD, name, flags, MODE(flags)); }
int openat64(int at, const char *name, int flags, ...) { return tapped_open(at, name, flags, MODE(flags)); }
int openat(int at, const char *name, int flags, ...) { return tapped_open(at, name, flags, MODE(flags)); }
int creat64(const char *name, mode_t mode) { return tapped_open(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat(const char *name, mode_t mode) { return creat64(name, mode); }
