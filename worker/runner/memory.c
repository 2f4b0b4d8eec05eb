/* memory.c - see memory.h. */
#include "worker/runner/memory.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 8192 /* power of two */

struct memory_blob {
	struct memory_blob *next;
	struct list used;
	uint8_t digest[DIGEST_SIZE];
	size_t size;
	uint8_t data[];
};

void memory_init(struct memory *m)
{
	*m = (struct memory){.buckets = mem_alloc(BUCKETS * sizeof *m->buckets)};
	list_init(&m->used);
}

static struct memory_blob **find(struct memory *m, const uint8_t *digest)
{
	uint32_t n;
	memcpy(&n, digest, sizeof n);
	struct memory_blob **at = &m->buckets[n & (BUCKETS - 1)];
	while (*at && memcmp((*at)->digest, digest, DIGEST_SIZE))
		at = &(*at)->next;
	return at;
}

/* What is kept for one beside its bytes counts, too: there may be many empty ones. */
static uint64_t cost(const struct memory_blob *b)
{
	return sizeof *b + b->size;
}

static void drop_oldest(struct memory *m)
{
	struct memory_blob *b = container_of(m->used.next, struct memory_blob, used);
	struct memory_blob **at = find(m, b->digest);
	*at = b->next;
	list_del(&b->used);
	m->bytes -= cost(b);
	free(b);
}

void memory_fini(struct memory *m)
{
	if (!m->buckets)
		return;
	while (!list_empty(&m->used))
		drop_oldest(m);
	free(m->buckets);
	*m = (struct memory){0};
}

static void touch(struct memory *m, struct memory_blob *b)
{
	list_del(&b->used);
	list_add_tail(&m->used, &b->used);
}

void memory_put(struct memory *m, const uint8_t digest[DIGEST_SIZE], const void *data,
		size_t size)
{
	if (size > MEMORY_BLOB_MAX)
		return;
	struct memory_blob **at = find(m, digest);
	if (*at) {
		touch(m, *at);
		return;
	}
	struct memory_blob *b = mem_alloc(sizeof *b + size);
	memcpy(b->digest, digest, DIGEST_SIZE);
	b->size = size;
	if (size)
		memcpy(b->data, data, size);
	*at = b;
	list_add_tail(&m->used, &b->used);
	m->bytes += cost(b);
	while (m->bytes > MEMORY_MAX)
		drop_oldest(m);
}

const void *memory_get(struct memory *m, const uint8_t digest[DIGEST_SIZE], size_t *sizep)
{
	struct memory_blob *b = *find(m, digest);
	if (!b)
		return NULL;
	touch(m, b);
	*sizep = b->size;
	return b->data;
}
