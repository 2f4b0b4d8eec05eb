/* deps.h - which tasks a task refers to, from the recorded chunks of its batch. */
#pragma once

#include "broker/history/parts.h"

struct dep { /* tasks [first, first + count) */
	uint32_t first, count;
	bool is_input; /* gives content for the placeholder at @offset; else only comes first */
	uint32_t offset;
};

struct deps {
	struct dep *items;
	size_t count, capacity;
};

/** deps_read() - of the task in @packed (a cashet.TaskSpec). Return: 0; 1 if the batch's record cannot
 * be read. deps_fini() in any case. */
int deps_read(struct history *h, const struct ledger_batch_row *row, const void *packed,
	      size_t size, struct deps *deps);
void deps_fini(struct deps *deps);
