/* effects.c - the list that a step writes. Appends, so that a loop may collect several steps if it
 * copies nothing that they point to; normally it resets the list before each step. */
#include "broker/core/parts.h"

#include <stdlib.h>

#define KEEP 4096u /* effects whose memory a reset keeps */

struct core_effect *fx_add(struct core *core, enum core_effect_type type)
{
	struct core_effects *fx = core->fx;
	mem_grow(fx->items, fx->count, fx->capacity);
	struct core_effect *e = &fx->items[fx->count++];
	memset(e, 0, sizeof *e);
	e->type = type;
	return e;
}

size_t fx_count(const struct core *core)
{
	return core->fx->count - core->fx_start;
}

void core_effects_reset(struct core_effects *effects)
{
	effects->count = 0;
	if (effects->capacity > KEEP) {
		free(effects->items);
		effects->items = NULL;
		effects->capacity = 0;
	}
}

void core_effects_fini(struct core_effects *effects)
{
	free(effects->items);
	memset(effects, 0, sizeof *effects);
}
