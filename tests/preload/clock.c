/* A clock that is AHEAD seconds ahead: what a node tells whose clock nobody sets. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int code = (int)syscall(SYS_clock_gettime, clock, time);
    const char *ahead = getenv("AHEAD");
    if (code == 0 && clock == CLOCK_REALTIME && ahead)
        time->tv_sec += atol(ahead);
    return code;
}
