/* prepare.h - one check of a source that is here: `cashet-runner-LANGUAGE prepare` in a slot. */
#pragma once

#include "worker/runner/source.h"

#define PREPARE_NS (300 * NS_PER_S) /* that it may take */
#define PREPARE_MEMORY (4ull << 30) /* bytes that it may use */

/** check_begin() - its source is here: QUEUED, or at once READY or BAD. */
void check_begin(struct worker *w, struct check *c);
/** check_end() - it came to this; attempts that wait for it are told. @fmt: why, for BAD and FAILED. */
void check_end(struct worker *w, struct check *c, enum check_state state, int outcome,
	       const char *fmt, ...) PRINTF(5, 6);
