/* names.h - ResultsQuery.by_name: instead of the tasks, how those of each name ended. */
#pragma once

#include "broker/history/parts.h"

struct names { /* zeroed but for @max; names_fini() it */
	struct name *items;
	uint32_t count, capacity, max;
	uint32_t *of; /* name of each function: its place + 1; 0: not known yet */
	uint32_t of_room;
};
void names_fini(struct names *n);
/** names_count() - one more task. Return: false if there are more than @n->max names. */
bool names_count(struct names *n, struct specs *s, uint32_t function,
		 const struct page_task *task);
/** names_add() - append field `names` of a ResultsPage for each. */
void names_add(struct buf *out, const struct names *n);
