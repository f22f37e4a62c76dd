"""Several threads as one: who they are, which part of the work is whose, when all are done."""

cdef extern from "team.h" nogil:
    int team_wait(int* words, int size) noexcept
    int team_begin(int* words, int size, int number) noexcept
    int exchange(int* word, int value) noexcept
    enum:
        ABORTED
        PLACES

cdef struct Member:
    int number, size  # of this member, from 0 on, and how many there are
    int* words  # the barrier; NULL if the member is alone


cdef inline Py_ssize_t border(
    const Member* me, Py_ssize_t n, Py_ssize_t unit, int number
) noexcept nogil:
    """Where the part of n that has this number begins: a multiple of unit, or n"""
    return min(n, (n + unit - 1) // unit * number // me.size * unit)


cdef inline Py_ssize_t part_begin(const Member* me, Py_ssize_t n, Py_ssize_t unit) noexcept nogil:
    return border(me, n, unit, me.number)


cdef inline Py_ssize_t part_end(const Member* me, Py_ssize_t n, Py_ssize_t unit) noexcept nogil:
    return border(me, n, unit, me.number + 1)


cdef inline bint begin(const Member* me) noexcept nogil:
    """Wait for all members to enter the run; true: it is aborted, leave it at once.

    A run that has begun is finished.
    """
    return team_begin(me.words, me.size, me.number)


cdef inline bint wait(const Member* me) noexcept nogil:
    """Wait for the others to come as far."""
    return team_wait(me.words, me.size)
