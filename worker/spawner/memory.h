/* memory.h - how much memory the processes below the calling one use, against what they may.
 *
 * What counts is what the kernel cannot take back: anonymous and shared memory and what of it was
 * swapped out; pages of files do not. Memory that several processes share counts once (each has
 * its proportional part), so a server that forks workers is not killed for what it never used. */
#pragma once

#include "common/pure/base.h"

/** memory_of_tree() - bytes that all descendants use. Up to @max it may be more than that: only
 * beyond it is it worth finding out who shares what. */
uint64_t memory_of_tree(uint64_t max);
/** memory_pause_ns() - how long until the next look: the closer to the limit, the shorter. */
uint64_t memory_pause_ns(uint64_t used, uint64_t max);
