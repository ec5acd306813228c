/* A wall clock that a test can set back, for one process: preloaded, it stands before the C library's.
 * A thread that waits for a moment of that clock goes on waiting until it says so, as in Linux. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile long set_back_s = 0;
static int watch = -1;

static int the_clock(clockid_t clock, struct timespec *now) {
  return ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = the_clock(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec -= set_back_s;
  return result;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
  struct timespec now, slice;
  if (until->tv_sec < 1000000000) /* of the monotonic clock, as Python asks for */
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, until);
  for (;;) {
    clock_gettime(CLOCK_REALTIME, &now);
    double left_s = (double)(until->tv_sec - now.tv_sec) + 1e-9 * (double)(until->tv_nsec - now.tv_nsec);
    if (left_s <= 0) return ETIMEDOUT;
    the_clock(CLOCK_MONOTONIC, &slice);
    slice.tv_nsec += left_s < 0.005 ? (long)(left_s * 1e9) : 5000000;
    slice.tv_sec += slice.tv_nsec / 1000000000;
    slice.tv_nsec %= 1000000000;
    int result = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &slice);
    if (result != ETIMEDOUT) return result;
  }
}

int timerfd_create(int clock, int flags) { return watch = eventfd(0, EFD_NONBLOCK); }

int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *from) { return 0; }

void set_back(long seconds) {
  unsigned long one = 1;
  set_back_s = seconds;
  if (watch >= 0 && write(watch, &one, sizeof one) < 0) set_back_s = 0;
}
