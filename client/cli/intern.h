/* intern.h - client/intern.h for the commands, which do not survive without memory. */
#pragma once

#include "client/intern.h"

#include <stdlib.h>

/** intern_add() - the number of @data, a new one if it was not there. */
static inline uint32_t intern_add(struct intern *t, const void *data, size_t size)
{
	uint32_t number = intern_get(t, data, size);
	if (number == INTERN_NONE)
		abort(); /* as mem_alloc() */
	return number;
}
