/* doc.c - see doc.h. */
#include "client/batch/doc.h"

#include "client/batch/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FEW_KEYS 16 /* up to here every key is compared with every other */
#define KEY_SHOWN 80

void doc_fini(struct doc *doc)
{
	arena_fini(&doc->arena);
}

int doc_fail(const struct doc *doc, const struct node *node, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int r = source_vfail(&doc->source, node->offset, doc->e, fmt, args);
	va_end(args);
	return r;
}

int doc_fail_within(const struct doc *doc, const struct node *node, const char *part,
		    size_t part_size, const char *fmt, ...)
{
	/* A text with escapes or folded lines may not stand in the source as it is. */
	const char *start = doc->source.text + node->offset;
	size_t left = doc->source.size - node->offset,
	       reach = 2 * (size_t)node->count + 64;
	const char *found = memmem(start, left < reach ? left : reach, part, part_size);
	size_t offset = found ? (size_t)(found - doc->source.text) : node->offset;
	va_list args;
	va_start(args, fmt);
	int r = source_vfail(&doc->source, offset, doc->e, fmt, args);
	va_end(args);
	return r;
}

int doc_no_memory(const struct doc *doc)
{
	return source_no_memory(doc->e);
}

const struct node *node_find(const struct node *map, const char *key)
{
	size_t size = strlen(key);
	for (uint32_t i = 0; map->kind == NODE_MAP && i < map->count; i++) {
		const struct node *k = &map->pairs[i].key;
		if (k->count == size && !memcmp(k->text, key, size))
			return &map->pairs[i].value;
	}
	return NULL;
}

void doc_stack_fini(struct doc_stack *s)
{
	free(s->nodes);
}

int doc_push(struct doc *doc, struct doc_stack *s, const struct node *node)
{
	if (doc->nodes++ == DOC_NODES_MAX)
		return doc_fail(doc, node, "the file has more than %u values",
				DOC_NODES_MAX);
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 64;
		struct node *nodes = realloc(s->nodes, capacity * sizeof *nodes);
		if (!nodes)
			return doc_no_memory(doc);
		s->nodes = nodes;
		s->capacity = capacity;
	}
	s->nodes[s->count++] = *node;
	return 0;
}

static int fail_duplicate(struct doc *doc, const struct node *first,
			  const struct node *second)
{
	uint64_t line, column;
	source_where(&doc->source, first->offset, &line, &column);
	return doc_fail(doc, second,
			"duplicate key \"%.*s\"; it is already in line %" PRIu64,
			KEY_SHOWN, second->text, line);
}

static int check_few(struct doc *doc, const struct node_pair *pairs, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct node *a = &pairs[j].key, *b = &pairs[i].key;
			if (a->count == b->count && !memcmp(a->text, b->text, a->count))
				return fail_duplicate(doc, a, b);
		}
	return 0;
}

static int check_many(struct doc *doc, const struct node_pair *pairs, size_t count)
{
	CLEANUP(map_fini) struct map map = {0};
	for (size_t i = 0; i < count; i++) {
		const struct node *key = &pairs[i].key;
		uint32_t *before = map_find(&map, key->text, key->count);
		if (before)
			return fail_duplicate(doc, &pairs[*before].key, key);
		if (map_put(&map, key->text, key->count, (uint32_t)i))
			return doc_no_memory(doc);
	}
	return 0;
}

int doc_close(struct doc *doc, struct doc_stack *s, size_t first, struct node *node)
{
	size_t count = s->count - first;
	struct node *members = arena_alloc(&doc->arena, count * sizeof *members);
	if (!members)
		return doc_no_memory(doc);
	if (count)
		memcpy(members, s->nodes + first, count * sizeof *members);
	s->count = first;
	node->items = members;
	node->count = (uint32_t)count;
	if (node->kind != NODE_MAP)
		return 0;
	_Static_assert(sizeof(struct node_pair) == 2 * sizeof(struct node),
		       "pairs are two nodes");
	node->count /= 2;
	return node->count <= FEW_KEYS ? check_few(doc, node->pairs, node->count)
				       : check_many(doc, node->pairs, node->count);
}
