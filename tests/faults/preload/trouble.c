/* Makes a process's disk fail: on the files whose path contains TROUBLE_PATH, and only when told to.
 *
 * Preloaded. The process calls `trouble_begin(operation, what, skip, times)` with one of the operations sync, write
 * (which is pwrite too), truncate or any; `what` is an errno, or one of the negative numbers below; the first `skip`
 * calls go well, then as many as `times` fail. `trouble_end` heals the disk and returns how many calls have failed,
 * without which a test shows nothing. A process that is to be in trouble from its start has the four in TROUBLE,
 * separated by spaces.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { SHORT = -1, HANG = -2, KILL = -3, LIE = -4 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t healed = PTHREAD_COND_INITIALIZER;
static char troubled[16]; /* The operation; empty while the disk is well. */
static int what, skip, times, count;

void trouble_begin(const char *operation, int begin_what, int begin_skip, int begin_times) {
    pthread_mutex_lock(&mutex);
    snprintf(troubled, sizeof troubled, "%s", operation);
    what = begin_what;
    skip = begin_skip;
    times = begin_times;
    count = 0;
    pthread_mutex_unlock(&mutex);
}

int trouble_end(void) {
    pthread_mutex_lock(&mutex);
    troubled[0] = 0;
    pthread_cond_broadcast(&healed);
    pthread_mutex_unlock(&mutex);
    return count;
}

int trouble_count(void) { return count; }

__attribute__((constructor)) static void begin_at_start(void) {
    const char *wanted = getenv("TROUBLE");
    char operation[16];
    int numbers[3];
    if (wanted && sscanf(wanted, "%15s %d %d %d", operation, &numbers[0], &numbers[1], &numbers[2]) == 4)
        trouble_begin(operation, numbers[0], numbers[1], numbers[2]);
}

static int is_troubled(int fd, const char *operation) {
    char link[64], path[PATH_MAX];
    const char *wanted = getenv("TROUBLE_PATH");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes <= 0 || wanted == NULL)
        return 0;
    path[bytes] = 0;
    return strstr(path, wanted) != NULL && (strcmp(troubled, operation) == 0 || strcmp(troubled, "any") == 0);
}

/* What is to become of this call: nothing unusual (0), an errno, SHORT or LIE. */
static int trouble(int fd, const char *operation) {
    if (troubled[0] == 0 || !is_troubled(fd, operation))
        return 0;
    pthread_mutex_lock(&mutex);
    int fate = 0;
    if (troubled[0] && skip-- <= 0 && times-- > 0) {
        fate = what;
        count++;
    }
    if (fate == KILL)
        kill(getpid(), SIGKILL);
    while (fate == HANG && troubled[0])
        pthread_cond_wait(&healed, &mutex);
    pthread_mutex_unlock(&mutex);
    return fate == HANG ? 0 : fate;
}

#define REAL(type, name, ...)                 \
    static type (*real)(__VA_ARGS__);         \
    if (real == NULL)                         \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* Does `call`, or fails as told; a lie returns `lied`, a short write does `half`. */
#define UNLESS_TROUBLED(fd, operation, call, lied, half) \
    int fate = trouble(fd, operation);                   \
    if (fate > 0) {                                      \
        errno = fate;                                    \
        return -1;                                       \
    }                                                    \
    return fate == LIE ? (lied) : fate == SHORT ? (half) : (call)

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    UNLESS_TROUBLED(fd, "write", real(fd, data, bytes, offset), (ssize_t)bytes, bytes > 1 ? real(fd, data, bytes / 2, offset) : 0);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }

ssize_t write(int fd, const void *data, size_t bytes) {
    REAL(ssize_t, "write", int, const void *, size_t);
    UNLESS_TROUBLED(fd, "write", real(fd, data, bytes), (ssize_t)bytes, bytes > 1 ? real(fd, data, bytes / 2) : 0);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    UNLESS_TROUBLED(fd, "truncate", real(fd, size), 0, real(fd, size));
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
    REAL(int, "fsync", int);
    UNLESS_TROUBLED(fd, "sync", real(fd), 0, real(fd));
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    UNLESS_TROUBLED(fd, "sync", real(fd), 0, real(fd));
}
