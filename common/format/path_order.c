/* path_order.c - see path_order.h. If p is a prefix of x, all that sorts between them starts with p
 * too. So the earlier paths that are prefixes of x form a stack, whose top is the last path once
 * those that are none have been popped. */
#include "common/format/path_order.h"

#include "common/fs.h"

#include <stdlib.h>
#include <string.h>

void path_order_fini(struct path_order *o)
{
	free(o->open);
	*o = (struct path_order){0};
}

int path_order_next(struct path_order *o, const char *path)
{
	if (!fs_path_is_inside(path))
		return 1;
	if (o->depth && strcmp(o->open[o->depth - 1], path) >= 0)
		return 1;
	while (o->depth) {
		const char *top = o->open[o->depth - 1];
		if (!strncmp(path, top, strlen(top)))
			break;
		o->depth--;
	}
	for (size_t i = 0; i < o->depth; i++)
		if (path[strlen(o->open[i])] == '/')
			return 1;
	if (o->depth == o->capacity) {
		size_t capacity = o->capacity ? 2 * o->capacity : 16;
		const char **open = realloc(o->open, capacity * sizeof *open);
		if (!open)
			return 1;
		o->open = open;
		o->capacity = capacity;
	}
	o->open[o->depth++] = path;
	return 0;
}
