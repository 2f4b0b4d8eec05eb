/* describe.c - what a function does: its canonical description, which func_hash is the hash of. The
 * chunks of the batch that ran it have it, as long as they are there; after that it is a blob. */
#include "broker/history/parts.h"

#include "common/pure/sha256.h"

#include <string.h>

#define DESCRIPTION_MAX (1u << 20)
#define CHUNKS_LOOKED_MAX 64
#define HEAD_SIZE (48u << 10) /* of a chunk: functions come before tasks */
#define REMEMBERED_MAX (16u << 10)

enum { CHUNK_FUNCTIONS = 5, FUNCTION_DESCRIPTION = 1 };

static bool find_in_chunk(const struct buf *chunk, const uint8_t hash[DIGEST_SIZE],
			  struct buf *out, struct buf *packed)
{
	const uint8_t *at = chunk->data, *end = at + chunk->size;
	struct pb_field function, f;
	while (pb_find(&at, end, CHUNK_FUNCTIONS, &function)) {
		const uint8_t *inside = function.data;
		uint8_t digest[DIGEST_SIZE];
		if (!pb_find(&inside, function.data + function.size, FUNCTION_DESCRIPTION,
			     &f))
			continue;
		sha256_digest(f.data, f.size, digest);
		if (memcmp(digest, hash, DIGEST_SIZE))
			continue;
		buf_add(out, f.data, f.size);
		if (packed)
			buf_add(packed, function.data, function.size);
		return true;
	}
	return false;
}

/* A function is in the chunk of its first task or before it; most batches have all in the first
 * chunk, generated ones have each near its task. So: the first, where the task should be, and from
 * there to the front. */
static bool find_in_batch(struct history *h, const struct ledger_batch_row *row,
			  uint32_t index, const uint8_t hash[DIGEST_SIZE],
			  struct buf *out, struct buf *packed)
{
	CLEANUP_BUF struct buf chunk = {0};
	uint32_t count = row->chunk_count,
		 at = row->task_count
			      ? (uint32_t)((uint64_t)index * count / row->task_count)
			      : 0;
	at = at + 1 < count ? at + 1 : at; /* chunks are not cut evenly */
	for (uint32_t n = 0; n < CHUNKS_LOOKED_MAX; n++) {
		size_t max = HEAD_SIZE;
		for (int i = 0; i < 2; i++, max = SIZE_MAX) {
			buf_reset(&chunk);
			if (ledger_read_chunk_head(history_reader(h), row->batch.batch,
						   n ? at : 0, max, &chunk))
				return false;
			if (find_in_chunk(&chunk, hash, out, packed))
				return true;
			if (chunk.size < max)
				break; /* that was all of it */
		}
		if (n && at-- <= 1)
			return false;
		if (!n && (!at || at >= count))
			return false;
	}
	return false;
}

static int find(struct history *h, const uint8_t *func_hash, const uint8_t *batch,
		uint32_t index, struct buf *out, struct buf *packed)
{
	struct ledger_batch_row row;
	size_t found = 0;
	uint64_t size;
	if (batch &&
	    !ledger_find_batch(history_reader(h), batch, 2 * DIGEST_SIZE, &row, 1,
			       &found) &&
	    find_in_batch(h, &row, index, func_hash, out, packed))
		return 0;
	if (!ledger_find_blob(history_reader(h), func_hash, out))
		return 0;
	if (!h->cas || cas_has(h->cas, func_hash, &size))
		return 1;
	return cas_read(h->cas, func_hash, DESCRIPTION_MAX, out) != 0;
}

/* What many tasks share is looked for once. It is named by its hash, so it stays right. */
static void remember(struct history *h, const uint8_t *hash, const uint8_t *text,
		     size_t size)
{
	if (!size || size > REMEMBERED_MAX)
		return;
	struct history_description *d = &h->descriptions[h->next_description];
	h->next_description = (h->next_description + 1) % HISTORY_DESCRIPTIONS;
	memcpy(d->hash, hash, DIGEST_SIZE);
	buf_reset(&d->text);
	buf_add(&d->text, text, size);
	if (d->text.failed)
		buf_fini(&d->text);
}

int history_description(struct history *h, const uint8_t func_hash[DIGEST_SIZE],
			const uint8_t batch[DIGEST_SIZE], uint32_t index, struct buf *out,
			struct buf *packed)
{
	size_t before = out->size;
	for (size_t i = 0; i < HISTORY_DESCRIPTIONS && !packed; i++) {
		const struct history_description *d = &h->descriptions[i];
		if (!d->text.size || memcmp(d->hash, func_hash, DIGEST_SIZE) != 0)
			continue;
		buf_add(out, d->text.data, d->text.size);
		return 0;
	}
	int rc = find(h, func_hash, batch, index, out, packed);
	if (!rc && !packed && !out->failed)
		remember(h, func_hash, out->data + before, out->size - before);
	return rc;
}
