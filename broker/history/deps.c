/* deps.c - see deps.h. A group is looked for in all chunks, since references may point forwards. */
#include "broker/history/deps.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_GROUPS = 6, GROUP_RANGES = 1 };
enum { TASK_REFS = 3, TASK_NEEDS = 4 };

void deps_fini(struct deps *deps)
{
	free(deps->items);
	*deps = (struct deps){0};
}

static void add(struct deps *deps, const struct dep *dep)
{
	mem_grow(deps->items, deps->count, deps->capacity);
	deps->items[deps->count++] = *dep;
}

static void read_ranges(struct deps *deps, const struct pb_field *group, uint32_t offset)
{
	const uint8_t *at = group->data;
	struct pb_field range, f;
	while (pb_find(&at, group->data + group->size, GROUP_RANGES, &range)) {
		const uint8_t *inside = range.data;
		struct dep dep = {.is_input = true, .offset = offset};
		while (pb_next(&inside, range.data + range.size, &f)) {
			if (f.type != PB_VARINT)
				continue;
			if (f.number == 1)
				dep.first = (uint32_t)f.value;
			else if (f.number == 2)
				dep.count = (uint32_t)f.value;
		}
		if (dep.count)
			add(deps, &dep);
	}
}

static int read_group(struct history *h, const struct ledger_batch_row *row,
		      uint32_t number, uint32_t offset, struct deps *deps)
{
	CLEANUP_BUF struct buf chunk = {0};
	uint32_t at_group = 0;
	for (uint32_t i = 0; i < row->chunk_count; i++) {
		buf_reset(&chunk);
		if (ledger_read_chunk(history_reader(h), row->batch.batch, i, &chunk))
			return 1;
		const uint8_t *at = chunk.data;
		struct pb_field group;
		while (pb_find(&at, chunk.data + chunk.size, CHUNK_GROUPS, &group)) {
			if (at_group++ != number)
				continue;
			read_ranges(deps, &group, offset);
			return 0;
		}
	}
	return 1;
}

static int read_ref(struct history *h, const struct ledger_batch_row *row,
		    const struct pb_field *ref, struct deps *deps)
{
	const uint8_t *at = ref->data;
	struct pb_field f;
	struct dep dep = {.count = 1, .is_input = true};
	bool is_group = false;
	while (pb_next(&at, ref->data + ref->size, &f)) {
		if (f.type != PB_VARINT)
			continue;
		if (f.number == 1)
			dep.offset = (uint32_t)f.value;
		else if (f.number == 2)
			is_group = f.value;
		else if (f.number == 3)
			dep.first = (uint32_t)f.value;
	}
	if (is_group)
		return read_group(h, row, dep.first, dep.offset, deps);
	add(deps, &dep);
	return 0;
}

/* A repeated number comes packed, or one by one. */
static void read_needs(const struct pb_field *f, struct deps *deps)
{
	if (f->type == PB_VARINT) {
		add(deps, &(struct dep){.first = (uint32_t)f->value, .count = 1});
		return;
	}
	const uint8_t *at = f->data, *end = at + (f->type == PB_BYTES ? f->size : 0);
	while (at < end) {
		uint64_t value = 0;
		unsigned shift = 0;
		do
			value |= (uint64_t)(*at & 0x7f) << (shift < 64 ? shift : 63);
		while (shift += 7, *at++ & 0x80 && at < end);
		add(deps, &(struct dep){.first = (uint32_t)value, .count = 1});
	}
}

int deps_read(struct history *h, const struct ledger_batch_row *row, const void *packed,
	      size_t size, struct deps *deps)
{
	const uint8_t *at = packed, *end = at + size;
	struct pb_field f;
	int rc = 0;
	*deps = (struct deps){0};
	while (rc == 0 && pb_next(&at, end, &f)) {
		if (f.number == TASK_REFS && f.type == PB_BYTES)
			rc = read_ref(h, row, &f, deps);
		else if (f.number == TASK_NEEDS)
			read_needs(&f, deps);
	}
	return rc;
}
