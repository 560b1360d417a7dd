/* Records what a process does to the files whose names begin with RECORD_PATH, in the order in which it is done.
 *
 * Preloaded. Each operation is one record in the file RECORD_TO, in the machine's byte order:
 *     char kind; uint16 path_bytes; uint64 offset; uint64 data_bytes; path; data
 * with the kinds C create, W write, T truncate (to `offset`), S sync (a file or a directory), U unlink, R rename
 * (to the path in `data`). `recording_position` tells the process how many there are, so that it can note what it
 * had been promised by then. Not seen is what is written through a memory map: of SQLite's files that is the -shm,
 * which counts for nothing after a crash.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER; /* An operation and its record are one. */
static int64_t position;
static int recording = -1;

#define REAL(type, name, ...)                              \
    static type (*real)(__VA_ARGS__);                      \
    if (real == NULL)                                      \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int64_t recording_position(void) {
    pthread_mutex_lock(&order);
    int64_t now = position;
    pthread_mutex_unlock(&order);
    return now;
}

static int is_recorded(const char *path) {
    const char *prefix = getenv("RECORD_PATH");
    size_t end = strlen(path);
    if (prefix == NULL || (end > 4 && strcmp(path + end - 4, "-shm") == 0))
        return 0;
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, PATH_MAX - 1);
    if (bytes <= 0)
        return 0;
    path[bytes] = 0;
    return is_recorded(path);
}

static void put(const void *data, size_t bytes) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (bytes && real(recording, data, bytes) != (ssize_t)bytes)
        abort(); /* A recording with a hole proves nothing. */
}

static void record(char kind, const char *path, uint64_t offset, const void *data, uint64_t bytes) {
    if (recording < 0) {
        REAL(int, "open64", const char *, int, ...);
        recording = real(getenv("RECORD_TO"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    uint16_t path_bytes = strlen(path);
    put(&kind, 1);
    put(&path_bytes, 2);
    put(&offset, 8);
    put(&bytes, 8);
    put(path, path_bytes);
    put(data, bytes);
    position++;
}

/* Does `call` and records it, if the descriptor is of a recorded file and it succeeds. */
#define ON_FILE(type, fd, call, record_it)  \
    char path[PATH_MAX];                    \
    if (!path_of(fd, path))                 \
        return call;                        \
    pthread_mutex_lock(&order);             \
    type done = call;                       \
    if (done >= 0)                          \
        record_it;                          \
    pthread_mutex_unlock(&order);           \
    return done

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    ON_FILE(ssize_t, fd, real(fd, data, bytes, offset), record('W', path, offset, data, done));
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }

ssize_t write(int fd, const void *data, size_t bytes) {
    REAL(ssize_t, "write", int, const void *, size_t);
    ON_FILE(ssize_t, fd, real(fd, data, bytes), record('W', path, lseek64(fd, 0, SEEK_CUR) - done, data, done));
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    ON_FILE(int, fd, real(fd, size), record('T', path, size, NULL, 0));
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
    REAL(int, "fsync", int);
    ON_FILE(int, fd, real(fd), record('S', path, 0, NULL, 0));
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    ON_FILE(int, fd, real(fd), record('S', path, 0, NULL, 0));
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (!is_recorded(path))
        return real(path);
    pthread_mutex_lock(&order);
    int done = real(path);
    if (done == 0)
        record('U', path, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (!is_recorded(from) && !is_recorded(to))
        return real(from, to);
    pthread_mutex_lock(&order);
    int done = real(from, to);
    if (done == 0)
        record('R', from, 0, to, strlen(to));
    pthread_mutex_unlock(&order);
    return done;
}

int open64(const char *path, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!(flags & O_CREAT) || !is_recorded(path))
        return real(path, flags, mode);
    pthread_mutex_lock(&order);
    int is_there = access(path, F_OK) == 0;
    int fd = real(path, flags, mode);
    if (fd >= 0 && !is_there)
        record('C', path, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return fd;
}
