/* oracle_input.c - what a task may read. Not what it must read to the bit: a task that ran again may
 * have written something else, and who reads it may have the old or the new. But every
 * placeholder must hold what some success of the task that it stands for has written, a list must
 * have the entry of each member in order, and the rest of the arguments must be untouched. */
#include "common/pure/sha256.h"
#include "tests/sim/sim.h"

#include <string.h>

uint64_t oracle_shape(const struct sim_task *t)
{
	return map_key(t->args, t->spec.args_size);
}

/* Did a success of the same work, other than the one that the task ended with, write that? */
static bool made_again(struct sim *s, const struct sim_batch *b, uint32_t target,
		       uint32_t slot, const struct content *got, size_t limit)
{
	const struct sim_task *t = &b->tasks[target];
	const uint8_t *func = b->functions[t->spec.function].hash;
	uint64_t shape = oracle_shape(t);

	for (size_t i = 0; i < limit; i++) {
		const struct record *r = &s->records[i];

		if (r->type != R_COMMIT || !r->completed || r->shape != shape ||
		    slot >= r->slot_count || memcmp(r->func_hash, func, DIGEST_SIZE))
			continue;
		if (!r->current && (!t->spec.nonce || !r->has_nonce ||
				    memcmp(r->nonce, t->spec.nonce, NONCE_SIZE)))
			continue; /* of another one without a cache */
		if (!memcmp(&r->slots[slot], got, CONTENT_SIZE))
			return true;
	}
	return false;
}

static bool may_be(struct sim *s, uint32_t b, uint32_t target, uint32_t slot,
		   const struct content *got, bool durable)
{
	const struct fate *f = oracle_fate(s, b, target, durable);
	const struct record *c;

	if (!f->ended || f->status != CORE_COMPLETED)
		return false;
	c = ledger_commit(s, f->commit);
	if (c && slot < c->slot_count && !memcmp(&c->slots[slot], got, CONTENT_SIZE))
		return true;
	return made_again(s, &s->batches[b], target, slot, got,
			  durable ? s->durable_count : s->record_count);
}

static bool list_fits(struct sim *s, uint32_t b, const struct core_group *g,
		      const struct content *list, bool durable)
{
	const struct blob *blob = blob_find(s, list->digest);
	uint32_t at = 0, count = blob ? blob->entry_count : 0;

	if (list->type != CONTENT_LIST)
		return false;
	if (!blob && memcmp(list->digest, sha256_empty, DIGEST_SIZE))
		return false; /* was never announced */
	for (uint32_t i = 0; i < g->range_count; i++) {
		const struct core_group_range *r = &g->ranges[i];

		if (!r->count && (at == count || memcmp(&blob->entries[at++], &r->content,
							CONTENT_SIZE)))
			return false;
		for (uint32_t k = r->first; k < r->first + r->count; k++) {
			const struct fate *f = oracle_fate(s, b, k, durable);

			if (f->ended && f->status != CORE_COMPLETED && g->skip_failed)
				continue;
			if (at == count ||
			    !may_be(s, b, k, r->slot, &blob->entries[at++], durable))
				return false;
		}
	}
	return at == count;
}

void oracle_check_args(struct sim *s, uint32_t batch, uint32_t index, const uint8_t *args,
		       uint32_t size, bool durable)
{
	const struct sim_batch *b = &s->batches[batch];
	const struct sim_task *t = &b->tasks[index];
	uint8_t rest[SIM_ARGS_MAX];

	if (size != t->spec.args_size)
		broken(s, "the arguments of task %u:%u changed their size", batch, index);
	memcpy(rest, args, size);
	for (uint32_t i = 0; i < t->spec.ref_count; i++) {
		const struct core_ref *ref = &t->refs[i];
		struct content got;
		bool good;

		memcpy(&got, args + ref->offset, CONTENT_SIZE);
		memset(rest + ref->offset, 0, CONTENT_SIZE);
		good = ref->is_group
			       ? list_fits(s, batch, &b->groups[ref->target], &got,
					   durable)
			       : may_be(s, batch, ref->target, ref->slot, &got, durable);
		if (!good)
			broken(s,
			       durable ? "task %u:%u runs, and what it reads is not on "
					 "disk"
				       : "task %u:%u was given what it must not read",
			       batch, index);
	}
	if (memcmp(rest, t->args, size))
		broken(s, "the arguments of task %u:%u are not its own", batch, index);
	for (uint32_t i = 0; i < t->spec.need_count; i++) {
		const struct fate *f = oracle_fate(s, batch, t->needs[i], durable);

		if (!f->ended || f->status != CORE_COMPLETED)
			broken(s, "task %u:%u did not wait for task %u", batch, index,
			       t->needs[i]);
	}
}
