/* intern.c - functions, requests and resource names, each kept once however many tasks use them.
 * Equal things have equal pointers, which is what makes comparing fingerprints and finding room
 * cheap. Counted: the last user frees. */
#include "broker/core/parts.h"

static uint32_t func_hash32(const uint8_t hash[DIGEST_SIZE], uint32_t output_count)
{
	uint64_t word;
	memcpy(&word, hash, sizeof word);
	return table_hash(word + output_count);
}

struct func *func_intern(struct core *core, const uint8_t hash[DIGEST_SIZE],
			 uint32_t output_count)
{
	uint32_t h = func_hash32(hash, output_count), at;
	for (uint32_t slot = table_first(&core->func_table, h, &at); slot != TABLE_NONE;
	     slot = table_next(&core->func_table, h, &at)) {
		struct func *f = pool_at(&core->funcs, slot);
		if (f->output_count == output_count &&
		    !memcmp(f->hash, hash, DIGEST_SIZE)) {
			f->refs++;
			return f;
		}
	}
	uint32_t slot;
	struct func *f = pool_take(&core->funcs, &slot);
	memcpy(f->hash, hash, DIGEST_SIZE);
	f->output_count = output_count;
	f->refs = 1;
	f->slot = slot;
	table_add(&core->func_table, h, slot);
	return f;
}

void func_ref(struct func *func)
{
	func->refs++;
}

void func_unref(struct core *core, struct func *func)
{
	if (--func->refs)
		return;
	table_remove(&core->func_table, func_hash32(func->hash, func->output_count),
		     func->slot);
	pool_release(&core->funcs, func->slot);
}

/* Names are few (cpus, memory, gpus and what a site adds), so they are searched one by one. */
uint32_t resource_intern(struct core *core, const char name[CORE_RESOURCE_NAME])
{
	uint32_t free_slot = NO_SLOT;
	for (uint32_t i = 0; i < core->resource_count; i++) {
		struct resource *r = &core->resources[i];
		if (!r->refs) {
			free_slot = free_slot == NO_SLOT ? i : free_slot;
		} else if (!strncmp(r->name, name, CORE_RESOURCE_NAME)) {
			r->refs++;
			return i;
		}
	}
	if (free_slot == NO_SLOT) {
		mem_grow(core->resources, core->resource_count, core->resource_capacity);
		free_slot = core->resource_count++;
	}
	struct resource *r = &core->resources[free_slot];
	memset(r, 0, sizeof *r);
	memcpy(r->name, name, strnlen(name, CORE_RESOURCE_NAME));
	r->refs = 1;
	return free_slot;
}

void resource_unref(struct core *core, uint32_t resource)
{
	assert(core->resources[resource].refs);
	core->resources[resource].refs--;
	while (core->resource_count && !core->resources[core->resource_count - 1].refs)
		core->resource_count--;
}

static uint32_t class_hash(const struct class *c)
{
	uint64_t word = c->count;
	for (uint32_t i = 0; i < c->count; i++)
		word = (word ^ c->items[i].resource) * 0x9e3779b97f4a7c15ull +
		       c->items[i].amount;
	return table_hash(word);
}

static bool class_equal(const struct class *a, const struct class *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].resource != b->items[i].resource ||
		    a->items[i].amount != b->items[i].amount)
			return false;
	return true;
}

static void class_release_names(struct core *core, const struct class *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		resource_unref(core, c->items[i].resource);
}

/* Adds a resource, in order of its number. Return: false if it is there already. */
static bool class_add(struct class *c, uint32_t resource, uint64_t amount)
{
	uint32_t at = c->count;
	for (uint32_t i = 0; i < c->count; i++)
		if (c->items[i].resource == resource)
			return false;
	for (; at && c->items[at - 1].resource > resource; at--)
		c->items[at] = c->items[at - 1];
	c->items[at] = (struct class_item){resource, amount};
	c->count++;
	return true;
}

/* A request that does not name "cpus" asks for one. */
static bool class_build(struct core *core, struct class *c,
			const struct core_resource *resources, uint32_t count)
{
	static const char cpus[CORE_RESOURCE_NAME] = "cpus";
	bool has_cpus = false;
	c->memory = UINT64_MAX;
	for (uint32_t i = 0; i < count; i++) {
		const char *name = resources[i].name;
		size_t length = strnlen(name, CORE_RESOURCE_NAME);
		if (length == 0 || length == CORE_RESOURCE_NAME)
			return false;
		uint32_t resource = resource_intern(core, name);
		if (!class_add(c, resource, resources[i].amount)) {
			resource_unref(core, resource);
			return false;
		}
		has_cpus |= !strcmp(name, cpus);
		if (!strcmp(name, "memory") && resources[i].amount)
			c->memory = resources[i].amount;
	}
	if (!has_cpus)
		class_add(c, resource_intern(core, cpus), 1000);
	return true;
}

struct class *class_intern(struct core *core, const struct core_resource *resources,
			   uint32_t count)
{
	struct class built = {0};
	if (count > CORE_RESOURCES_MAX)
		return NULL;
	if (!class_build(core, &built, resources, count)) {
		class_release_names(core, &built);
		return NULL;
	}
	uint32_t h = class_hash(&built), at;
	for (uint32_t slot = table_first(&core->class_table, h, &at); slot != TABLE_NONE;
	     slot = table_next(&core->class_table, h, &at)) {
		struct class *c = pool_at(&core->classes, slot);
		if (class_equal(c, &built)) {
			class_release_names(core, &built);
			c->refs++;
			return c;
		}
	}
	uint32_t slot;
	struct class *c = pool_take(&core->classes, &slot);
	*c = built;
	c->refs = 1;
	c->slot = slot;
	table_add(&core->class_table, h, slot);
	return c;
}

void class_ref(struct class *class)
{
	class->refs++;
}

void class_unref(struct core *core, struct class *class)
{
	if (--class->refs)
		return;
	table_remove(&core->class_table, class_hash(class), class->slot);
	class_release_names(core, class);
	pool_release(&core->classes, class->slot);
}
