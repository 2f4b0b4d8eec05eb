/* names.c - see names.h. A task is called as its function is (several may be called alike), so no commit
 * is read for it: that makes it cheap at any size. */
#include "broker/history/names.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FUNCTION_NAME = 2 };
enum { PAGE_NAMES = 11 };

struct name {
	char *text;
	struct core_counts counts;
};

void names_fini(struct names *n)
{
	for (uint32_t i = 0; i < n->count; i++)
		free(n->items[i].text);
	free(n->items);
	free(n->of);
}

static char *name_of(struct specs *s, uint32_t function)
{
	size_t size;
	uint32_t options;
	const uint8_t *at = specs_function(s, function, &size, &options);
	struct pb_field f, name = {.data = (const uint8_t *)""};
	for (const uint8_t *end = at ? at + size : NULL; at && pb_next(&at, end, &f);)
		if (f.number == FUNCTION_NAME && f.type == PB_BYTES)
			name = f;
	char *text = mem_alloc(name.size + 1);
	memcpy(text, name.data, name.size);
	return text;
}

/* place_of() - of the name, in @n. UINT32_MAX: there are too many. */
static uint32_t place_of(struct names *n, const char *text)
{
	for (uint32_t i = n->count; i-- > 0;)
		if (!strcmp(n->items[i].text, text))
			return i;
	if (n->count == n->max)
		return UINT32_MAX;
	mem_grow(n->items, n->count, n->capacity);
	n->items[n->count] = (struct name){.text = mem_strdup(text)};
	return n->count++;
}

static struct name *find(struct names *n, struct specs *s, uint32_t function)
{
	if (function >= n->of_room) {
		uint32_t room = 2 * (function + 1);
		n->of = mem_resize(n->of, room * sizeof *n->of);
		memset(n->of + n->of_room, 0, (room - n->of_room) * sizeof *n->of);
		n->of_room = room;
	}
	if (!n->of[function]) {
		CLEANUP_FREE char *text = name_of(s, function);
		uint32_t place = place_of(n, text);
		if (place == UINT32_MAX)
			return NULL;
		n->of[function] = place + 1;
	}
	return &n->items[n->of[function] - 1];
}

static void count(struct core_counts *c, const struct page_task *t)
{
	uint64_t *const kinds[] = {
		[CORE_WAITING] = &c->waiting,
		[CORE_READY] = &c->ready,
		[CORE_RUNNING] = &c->running,
		[CORE_COMPLETED] = t->cached	     ? &c->cached
				   : t->deduplicated ? &c->deduplicated
						     : &c->executed,
		[CORE_FAILED] = &c->failed,
		[CORE_SKIPPED] = &c->skipped,
		[CORE_CANCELLED] = &c->cancelled,
	};
	c->total++;
	if (t->status < ARRAY_LEN(kinds))
		++*kinds[t->status];
}

bool names_count(struct names *n, struct specs *s, uint32_t function,
		 const struct page_task *task)
{
	struct name *name = find(n, s, function);
	if (name)
		count(&name->counts, task);
	return name;
}

void names_add(struct buf *out, const struct names *n)
{
	for (uint32_t i = 0; i < n->count; i++) {
		size_t mark = pb_open(out, PAGE_NAMES);
		pb_text(out, 1, n->items[i].text);
		page_add_counts(out, 2, &n->items[i].counts);
		pb_close(out, mark);
	}
}
