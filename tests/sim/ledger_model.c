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

static uint64_t fingerprint_key(const uint8_t func_hash[DIGEST_SIZE],
				const uint8_t args_hash[DIGEST_SIZE])
{
	return map_mix(map_key(func_hash, DIGEST_SIZE), map_key(args_hash, DIGEST_SIZE));
}

void ledger_index_commit(struct sim *s, struct record *r)
{
	uint64_t key = fingerprint_key(r->func_hash, r->args_hash);
	uint32_t number = (uint32_t)(r - s->records);

	map_set(&s->commits, r->commit, number);
	r->before = map_get(&s->fingerprints, key) + 1;
	map_set(&s->fingerprints, key, number);
}

void ledger_cut(struct sim *s, size_t keep)
{
	s->record_count = keep;
	map_fini(&s->commits);
	map_fini(&s->fingerprints);
	for (size_t i = 0; i < keep; i++) {
		struct record *r = &s->records[i];

		r->removed = false;
		if (r->type == R_COMMIT)
			ledger_index_commit(s, r);
		if (r->type == R_REMOVED)
			ledger_commit(s, r->commit)->removed = true;
	}
}

struct record *ledger_commit(const struct sim *s, uint64_t commit)
{
	uint32_t number = map_get(&s->commits, commit);

	return number == UINT32_MAX ? NULL : &s->records[number];
}

struct record *ledger_current(const struct sim *s, const uint8_t func_hash[DIGEST_SIZE],
			      const uint8_t args_hash[DIGEST_SIZE], bool durable)
{
	uint32_t number =
		map_get(&s->fingerprints, fingerprint_key(func_hash, args_hash)) + 1;

	for (; number; number = s->records[number - 1].before) {
		struct record *r = &s->records[number - 1];

		if (r->current && (!durable || number <= s->durable_count))
			return r->removed ? NULL : r;
	}
	return NULL;
}

/* Standard output that is not the result does not count: it is rarely read. */
static bool is_whole(struct sim *s, const struct record *r)
{
	for (uint32_t i = 0; i < r->slot_count; i++) {
		if (i == 1)
			continue;
		if (!blob_is_there(s, r->slots[i].digest))
			return false;
		gc_watch(s, r->slots[i].digest);
	}
	return true;
}

void ledger_look_up(struct sim *s, struct message *m)
{
	struct record *r = ledger_current(s, m->lookup.lookup.func_hash,
					  m->lookup.lookup.args_hash, true);

	m->answered = true;
	m->read_at = s->now;
	m->hit = false;
	m->commit = 0;
	if (r) {
		if (sim_fault(s, FAULT_EXPIRE, &s->disk))
			r->expired = true;
		m->commit = r->commit;
		m->hit = !m->lookup.lookup.parent_only && !r->expired &&
			 (!m->lookup.lookup.need_bytes || is_whole(s, r));
		memcpy(m->slots, r->slots, sizeof m->slots);
		m->slot_count = r->slot_count;
	}
	oracle_lookup(s, m);
}
