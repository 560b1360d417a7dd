/* Puts the wall clock of one process forward and back, as an operator or a time server may.
 *
 * Preloaded. `calendar_turn(seconds)` moves the clock by so much from where it is. Monotonic clocks go on as they
 * do on a real machine.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <time.h>

static int64_t ahead; /* Seconds; read and written whole by every thread. */

void calendar_turn(int64_t seconds) { __atomic_add_fetch(&ahead, seconds, __ATOMIC_SEQ_CST); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, now);
    if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += __atomic_load_n(&ahead, __ATOMIC_SEQ_CST);
    return done;
}
