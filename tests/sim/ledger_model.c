/* ledger_model.c - the ledger as a list of records, of which a prefix is on disk. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct record *ledger_append(struct sim *s, enum record_type type, uint64_t batch)
{
	struct record *r;

	mem_grow(s->records, s->record_count, s->record_capacity);
	r = &s->records[s->record_count++];
	memset(r, 0, sizeof *r);
	r->type = type;
	r->step = s->step;
	r->batch = batch;
	r->sim_batch = batch < s->batch_of_count ? s->batch_of[batch] : UINT32_MAX;
	return r;
}

const struct record *ledger_commit(const struct sim *s, uint64_t commit)
{
	for (size_t i = s->record_count; i; i--) {
		const struct record *r = &s->records[i - 1];

		if (r->type == R_COMMIT && r->commit == commit)
			return r;
	}
	return NULL;
}

const struct record *ledger_current(const struct sim *s,
				    const uint8_t func_hash[DIGEST_SIZE],
				    const uint8_t args_hash[DIGEST_SIZE])
{
	for (size_t i = s->durable_count; i; i--) {
		const struct record *r = &s->records[i - 1];

		if (r->type == R_COMMIT && r->current &&
		    !memcmp(r->func_hash, func_hash, DIGEST_SIZE) &&
		    !memcmp(r->args_hash, args_hash, DIGEST_SIZE))
			return r;
	}
	return NULL;
}
