/* program.h - where the programs cashet-runner-LANGUAGE are. */
#pragma once

#include "common/err.h"

/** program_find() - in $CASHET_RUNNER_PATH (a folder, and then nowhere else), beside this program, or
 * in its PATH. Return: the path, to be freed; NULL with what to install in @e. */
char *program_find(const char *language, struct err *e);
/** program_cache() - the folder of this machine's compiled libraries: below $XDG_CACHE_HOME or
 * ~/.cache; @fallback if there is no home. To be freed. */
char *program_cache(const char *fallback);
