/* known.c - has a batch with this id ended here before? Mostly not, and then this filter says so
 * without a look into the ledger.
 *
 * A Bloom filter of the ids of all sealed batches; ids are SHA-256, so their bytes are the hashes.
 * The query thread fills in those of the past while the loop adds those of the present; until the
 * thread is through, every answer is "perhaps". With more batches than it was made for it only
 * says "perhaps" more often. */
#include "broker/broker.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define BITS_PER_BATCH 16
#define BATCHES_MIN (1u << 18) /* 512 KiB */
#define PROBES 4

struct known {
	uint64_t *bits; /* atomic words */
	uint64_t mask;	/* bits - 1 */
	bool ready;	/* atomic */
};

void known_init(struct broker *b)
{
	struct known *k = b->known = mem_alloc(sizeof *k);
	uint64_t bits = (uint64_t)BATCHES_MIN * BITS_PER_BATCH;
	while (bits < 2 * b->info.next_batch * BITS_PER_BATCH)
		bits *= 2;
	k->bits = mem_alloc(bits / 8);
	k->mask = bits - 1;
}

void known_fini(struct broker *b)
{
	if (b->known)
		free(b->known->bits);
	free(b->known);
	b->known = NULL;
}

static uint64_t probe(const struct known *k, const uint8_t id[DIGEST_SIZE], unsigned i)
{
	uint64_t word;
	memcpy(&word, id + 8 * i, sizeof word);
	return word & k->mask;
}

void known_add(struct known *k, const uint8_t id[DIGEST_SIZE])
{
	_Static_assert(8 * PROBES <= DIGEST_SIZE, "one word of the id for each probe");
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t bit = probe(k, id, i);
		__atomic_or_fetch(&k->bits[bit / 64], 1ull << bit % 64, __ATOMIC_RELAXED);
	}
}

bool known_perhaps(const struct known *k, const uint8_t id[DIGEST_SIZE])
{
	if (!__atomic_load_n(&k->ready, __ATOMIC_ACQUIRE))
		return true;
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t bit = probe(k, id, i);
		uint64_t word = __atomic_load_n(&k->bits[bit / 64], __ATOMIC_RELAXED);
		if (!(word >> bit % 64 & 1))
			return false;
	}
	return true;
}

static int add_row(void *arg, const struct ledger_batch_row *row)
{
	known_add(arg, row->batch.id);
	return 0;
}

void known_fill(struct known *k, struct ledger_reader *reader)
{
	if (!ledger_list_batches(reader, 0, add_row, k))
		__atomic_store_n(&k->ready, true, __ATOMIC_RELEASE);
}
