/* path_order.h - the order of paths in canonical formats: ascending by bytes, none twice, none
 * inside another (a file is no folder). Costs time in proportion to the bytes of all paths, also
 * when they are hostile. */
#pragma once

#include "common/pure/base.h"

struct path_order {
	const char *
		*open; /* earlier paths that the last one begins with, shortest first */
	size_t depth, capacity;
};

void path_order_fini(struct path_order *o);
/** path_order_next() - check the next path; borrowed until path_order_fini().
 * Return: 0; 1 if it is not inside (fs_path_is_inside()), out of order, or out of memory. */
int path_order_next(struct path_order *o, const char *path);
