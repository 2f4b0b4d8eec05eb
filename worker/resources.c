/* resources.c - see resources.h. Invariant: used <= total for each name, and the free parts of all
 * devices add up to total - used of "gpus". */
#include "worker/resources.h"

#include <stdio.h>
#include <string.h>

static const struct resource *find(const struct resources *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->items[i].name, name) == 0)
			return &r->items[i];
	return NULL;
}

int resources_set(struct resources *r, const char *name, uint64_t amount)
{
	struct resource *item = (struct resource *)(uintptr_t)find(r, name);
	if (!item) {
		if (r->count == RESOURCES_MAX || strlen(name) >= RESOURCE_NAME_MAX)
			return 1;
		item = &r->items[r->count++];
		strcpy(item->name, name);
	}
	item->amount = amount;
	return 0;
}

uint64_t resources_get(const struct resources *r, const char *name)
{
	const struct resource *item = find(r, name);
	return item ? item->amount : 0;
}

bool resources_equal(const struct resources *a, const struct resources *b)
{
	if (a == b)
		return true;
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].amount != b->items[i].amount ||
		    strcmp(a->items[i].name, b->items[i].name))
			return false;
	return true;
}

int capacity_add(struct capacity *c, const char *name, uint64_t amount)
{
	return resources_set(&c->total, name, amount) || resources_set(&c->used, name, 0);
}

int capacity_add_gpu(struct capacity *c, uint32_t index)
{
	if (c->gpu_count == GPUS_MAX)
		return 1;
	for (size_t i = 0; i < c->gpu_count; i++)
		if (c->gpu_index[i] == index)
			return 1;
	c->gpu_index[c->gpu_count] = index;
	c->gpu_free[c->gpu_count++] = 1000;
	return capacity_add(c, "gpus", 1000 * (uint64_t)c->gpu_count);
}

const char *capacity_never(const struct capacity *c, const struct resources *want)
{
	for (size_t i = 0; i < want->count; i++)
		if (want->items[i].amount > resources_get(&c->total, want->items[i].name))
			return want->items[i].name;
	return NULL;
}

static bool take_devices(const struct capacity *c, uint64_t milli, struct grant *grant)
{
	uint64_t whole = milli / 1000;
	uint32_t part = (uint32_t)(milli % 1000);
	for (size_t i = 0; whole && i < c->gpu_count; i++)
		if (c->gpu_free[i] == 1000) {
			grant->gpu_milli[i] = 1000;
			whole--;
		}
	size_t best = GPUS_MAX;
	for (size_t i = 0; part && i < c->gpu_count; i++)
		if (!grant->gpu_milli[i] && c->gpu_free[i] >= part &&
		    (best == GPUS_MAX || c->gpu_free[i] < c->gpu_free[best]))
			best = i;
	if (whole || (part && best == GPUS_MAX))
		return false;
	if (part)
		grant->gpu_milli[best] = (uint16_t)part;
	grant->has_gpus = milli > 0;
	return true;
}

bool capacity_take(struct capacity *c, const struct resources *want, struct grant *grant)
{
	struct grant g = {.held = want};
	for (size_t i = 0; i < want->count; i++) {
		const char *name = want->items[i].name;
		uint64_t total = resources_get(&c->total, name);
		if (want->items[i].amount > total - resources_get(&c->used, name))
			return false;
	}
	if (!take_devices(c, resources_get(want, "gpus"), &g))
		return false;
	for (size_t i = 0; i < want->count; i++) {
		const char *name = want->items[i].name;
		if (want->items[i].amount)
			resources_set(&c->used, name,
				      resources_get(&c->used, name) +
					      want->items[i].amount);
	}
	for (size_t i = 0; i < c->gpu_count; i++)
		c->gpu_free[i] -= g.gpu_milli[i];
	*grant = g;
	return true;
}

void capacity_give(struct capacity *c, struct grant *grant)
{
	for (size_t i = 0; grant->held && i < grant->held->count; i++) {
		const struct resource *r = &grant->held->items[i];
		if (!r->amount)
			continue;
		uint64_t used = resources_get(&c->used, r->name);
		assert(used >= r->amount);
		resources_set(&c->used, r->name, used - r->amount);
	}
	for (size_t i = 0; i < c->gpu_count; i++)
		c->gpu_free[i] += grant->gpu_milli[i];
	*grant = (struct grant){0};
}

void grant_devices(const struct capacity *c, const struct grant *grant, char *out,
		   size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < c->gpu_count; i++) {
		if (!grant->gpu_milli[i])
			continue;
		int n = snprintf(out + used, size - used, "%s%u", used ? "," : "",
				 c->gpu_index[i]);
		used += n > 0 ? (size_t)n : 0;
		if (used >= size)
			return;
	}
}
