/* quiet.h - whether a call made a system call. One that made none cannot have changed what only the
 * kernel keeps (descriptors, folders, signals, children), so nothing of that is looked at behind it:
 * that is most of what a small call costs.
 *
 * The kernel tells (syscall user dispatch, Linux 5.11 on x86-64): while a byte of ours says so, the
 * first system call of this thread becomes SIGSYS; its handler notes that, lets all further ones pass
 * and makes the call that was held up. Other threads are not seen, so a process that has any is never
 * quiet. Nor is it without help from the kernel.
 *
 * The signal costs more than what it may save. So behind QUIET_TRIES calls in a row that were not
 * quiet, only one in QUIET_EVERY is watched. */
#pragma once

#include "common/pure/base.h"

enum { QUIET_TRIES = 8, QUIET_EVERY = 64 };

/** quiet_distrust() - code of the user's runs that quiet_begin() does not see, as when a library is
 * opened: the call under way, or else the next one, is not quiet. */
void quiet_distrust(void);
/** quiet_begin() - what follows, on this thread, is the user's. */
void quiet_begin(void);
/** quiet_end() - it is ours again. Return: true if no system call was made since quiet_begin(). */
bool quiet_end(void);
