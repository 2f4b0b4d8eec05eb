/* tree.h - signals to every descendant of the calling process. For slot processes, which
 * are child subreapers: whatever a task forks, double-forks or moves into its own session
 * stays below them. */
#pragma once

#include "common/pure/base.h"

/** tree_signal() - send @signal to all descendants, once. Safe against reused pids: each
 * process is held by a pidfd while its parent is checked. Return: how many were
 * signalled. */
unsigned tree_signal(int signal);
/** tree_freeze_and_kill() - stop all descendants, looking again until no new one shows
 * (so that a fork bomb cannot outrun the sweep), then kill all. The caller reaps. Return:
 * how many. */
unsigned tree_freeze_and_kill(void);
/** tree_each() - call @fn for every descendant. */
void tree_each(void (*fn)(void *arg, int pid), void *arg);
/** tree_children() - direct children of @pid. Return: count, at most @max written to
 * @pids. */
size_t tree_children(int pid, int *pids, size_t max);
