/* script.h - what has to change to make one sequence out of another: Myers' O(ND) search, bounded.
 *
 * The search gives up on a piece that differs in more than SCRIPT_COST_MAX places; such a piece is cut
 * at the items that both sides have exactly once (as patience diff does) and its parts are searched
 * again; what is left then counts as replaced. So the answer is always right, memory is bounded by the
 * input and SCRIPT_COST_MAX squared, and only for very different inputs it is not the shortest. */
#pragma once

#include "common/pure/base.h"

#define SCRIPT_COST_MAX 1000

struct script_hunk { /* items a_first.. of the old are replaced by items b_first.. of the new */
	uint32_t a_first, a_count, b_first, b_count;
};

struct script {
	struct script_hunk *hunks; /* ascending, never adjacent */
	size_t count, capacity;
};

/** script_make() - @a, @b: equal items have equal numbers. Return: 0 (script_fini() it), -ENOMEM. */
int script_make(struct script *s, const uint32_t *a, uint32_t a_count, const uint32_t *b,
		uint32_t b_count);
void script_fini(struct script *s);
