/* The barrier of a team: threads that compute one step together and wait for each other.
 *
 * A member that waits spins for some microseconds, because the others are as a rule almost there;
 * then it hands its core to whoever wants it, then it naps: where threads outnumber cores, the one
 * waited for needs that core. The words of a team are shared by its members and zero at first. */
#pragma once

#include <sched.h>
#include <time.h>

enum { ARRIVED = 0, TURN = 16, ABORTED = 32 }; /* words, each on a cache line of its own */
enum { SPINS = 500, YIELDS = 100, NAP = 50000 /* nanoseconds */ };

static inline void rest(int tries)
{
    if (tries >= SPINS + YIELDS)
        nanosleep(&(struct timespec){0, NAP}, NULL);
    else if (tries >= SPINS)
        sched_yield();
    else {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
}

/* Returns once all members have arrived, or the run is aborted; and whether it is. What any of them
 * wrote before, all of them see after. */
static int team_wait(int *words, int size)
{
    if (size == 1)
        return 0;
    int turn = __atomic_load_n(words + TURN, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(words + ARRIVED, 1, __ATOMIC_ACQ_REL) == size) {
        __atomic_store_n(words + ARRIVED, 0, __ATOMIC_RELAXED);
        __atomic_store_n(words + TURN, !turn, __ATOMIC_RELEASE);
        return __atomic_load_n(words + ABORTED, __ATOMIC_ACQUIRE);
    }
    int aborted = 0;
    for (int tries = 0; __atomic_load_n(words + TURN, __ATOMIC_ACQUIRE) == turn && !aborted; tries++) {
        rest(tries < SPINS + YIELDS ? tries : SPINS + YIELDS);
        aborted = __atomic_load_n(words + ABORTED, __ATOMIC_ACQUIRE);
    }
    return aborted;
}
