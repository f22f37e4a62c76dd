/* The barrier of a team: threads that compute one step together and wait for each other.
 *
 * A member that waits spins for some microseconds, because the others are as a rule almost there;
 * then it yields its core, then it naps: where threads outnumber cores, the one
 * waited for needs that core. It yields for longer than a nap takes: else, once one has napped, the
 * others would nap in turn at every barrier that follows.
 *
 * The words of a team are shared by its members and zero at first. */
#pragma once

#include <sched.h>
#include <time.h>

/* Words, the first three on cache lines of their own; from PLACES on one for each member. */
enum { ARRIVED = 0, TURN = 16, ABORTED = 32, PLACES = 48 };
enum { SPINS = 500, YIELDS = 1000, NAP = 50000 /* nanoseconds */ };

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

/* Puts a value in the place of a word at once, and returns what was there. */
static inline int exchange(int *word, int value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_ACQ_REL);
}

/* On the CPU of another member a member would wait for it in vain, and since both keep yielding, Linux
 * may leave them together. So whoever shares its place with one of lower number moves to a CPU where
 * none is, and is free to be moved again from there. */
#if defined(__linux__)
static void move_apart(const int *places, int size, int number)
{
    cpu_set_t allowed, target;
    int together = 0, free_places = 0;
    for (int i = 0; i < number; i++)
        together |= places[i] == places[number];
    if (!together || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    CPU_ZERO(&target);
    for (int cpu = 0; cpu < CPU_SETSIZE && free_places < number; cpu++) {
        int taken = !CPU_ISSET(cpu, &allowed);
        for (int i = 0; i < size; i++)
            taken |= places[i] == cpu;
        if (!taken) {
            CPU_ZERO(&target);
            CPU_SET(cpu, &target); /* the last free one up to one's own number */
            free_places++;
        }
    }
    if (free_places > 0 && sched_setaffinity(0, sizeof target, &target) == 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}
#define place_of_thread sched_getcpu
#else
#define move_apart(places, size, number)
#define place_of_thread() 0
#endif

/* The first wait of a run. */
static int team_begin(int *words, int size, int number)
{
    if (size == 1)
        return 0;
    words[PLACES + number] = place_of_thread();
    if (team_wait(words, size))
        return 1;
    move_apart(words + PLACES, size, number);
    return 0;
}
