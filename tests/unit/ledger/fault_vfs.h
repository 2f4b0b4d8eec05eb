/* fault_vfs.h - SQLite's file layer with faults: becomes the default one; what it opens goes
 * through to the real one until a fault is switched on. */
#pragma once

#include <stdbool.h>

enum fault_call { FAULT_NONE, FAULT_WRITE, FAULT_SYNC };

void fault_vfs_install(void);
/** fault_set() - from now on, @call on files whose name ends in @name fails with @error (ENOSPC,
 * EIO). FAULT_NONE: no more. */
void fault_set(enum fault_call call, const char *name, int error);
unsigned fault_count(void); /* calls that failed since fault_set() */
