/* blob_model.c - the store: which bytes are there. A blob is its digest; of lists it knows the
 * entries, as a worker has to read them. */
#include "common/pure/sha256.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct blob *blob_find(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	uint32_t number = map_get(&s->blob_map, map_key(digest, DIGEST_SIZE));

	return number == UINT32_MAX ? NULL : &s->blobs[number];
}

static struct blob *get(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	struct blob *b = blob_find(s, digest);

	if (b)
		return b;
	map_set(&s->blob_map, map_key(digest, DIGEST_SIZE), (uint32_t)s->blob_count);
	mem_grow(s->blobs, s->blob_count, s->blob_capacity);
	b = &s->blobs[s->blob_count++];
	*b = (struct blob){0};
	memcpy(b->digest, digest, DIGEST_SIZE);
	return b;
}

void blob_put(struct sim *s, const uint8_t digest[DIGEST_SIZE], bool made)
{
	struct blob *b = get(s, digest);

	b->present = true;
	b->made |= made;
	b->swept = false;
	if (model_planted != PLANT_GC_UNASKED)
		b->doomed = false;
}

void blob_announce(struct sim *s, const struct core_effect *fx)
{
	struct blob *b = get(s, fx->blob.digest);
	uint8_t digest[DIGEST_SIZE];

	sha256_digest(fx->blob.data, fx->blob.size, digest);
	if (memcmp(digest, fx->blob.digest, DIGEST_SIZE) || fx->blob.size % CONTENT_SIZE)
		broken(s, "a list was announced under a digest that is not its own");
	if (b->entries)
		return;
	b->entries = mem_copy(fx->blob.data, fx->blob.size);
	b->entry_count = (uint32_t)(fx->blob.size / CONTENT_SIZE);
}

bool blob_is_there(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	const struct blob *b;

	if (!memcmp(digest, sha256_empty, DIGEST_SIZE))
		return true;
	b = blob_find(s, digest);
	return b && b->present;
}

void blob_lose(struct sim *s, struct blob *blob)
{
	blob->losses += blob->present;
	blob->present = false;
	for (size_t i = 0; i < s->record_count; i++) {
		struct record *r = &s->records[i];

		for (uint32_t k = 0; r->type == R_COMMIT && k < r->slot_count; k++)
			r->lost |= !memcmp(r->slots[k].digest, blob->digest, DIGEST_SIZE);
	}
	sim_trace(s, "blob %02x%02x%02x%02x is lost", blob->digest[0], blob->digest[1],
		  blob->digest[2], blob->digest[3]);
}

const uint8_t *blob_missing(struct sim *s, const struct message *a)
{
	for (uint32_t i = 0; i < a->ref_count; i++) {
		const uint8_t *digest = a->args + a->refs[i].offset + 1;
		const struct blob *b = blob_find(s, digest);

		if (!blob_is_there(s, digest))
			return digest;
		for (uint32_t k = 0; a->refs[i].is_group && b && k < b->entry_count; k++)
			if (!blob_is_there(s, b->entries[k].digest))
				return b->entries[k].digest;
	}
	return NULL;
}

void blobs_free(struct sim *s)
{
	for (size_t i = 0; i < s->blob_count; i++)
		free(s->blobs[i].entries);
	free(s->blobs);
	map_fini(&s->blob_map);
}
