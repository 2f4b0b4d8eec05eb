/* oracle_gc.c - what gc may not remove: bytes that somebody was told are there, and what batches that go
 * on have made. */
#include "tests/sim/oracle.h"

#include <string.h>

static bool is_going_on(const struct sim *s, uint32_t b)
{
	if (!s->batches[b].number)
		return false;
	for (uint32_t i = 0; i < s->batches[b].task_count; i++)
		if (!oracle_fate(s, b, i, false)->ended)
			return true;
	return false;
}

static const struct record *completed_with(const struct sim *s, uint32_t b, uint32_t i)
{
	const struct fate *f = oracle_fate(s, b, i, false);

	return f->ended && f->status == CORE_COMPLETED ? ledger_commit(s, f->commit)
						       : NULL;
}

/* Nobody who was told that it is there since this gc began, and no batch that goes on, needs it. A hit
 * while it removes is told of digests; the bytes only where they are what was asked for, and then each
 * blob is watched. Who reads what went has it made again. */
void oracle_swept(struct sim *s, const struct blob *blob, uint64_t gc)
{
	if (blob->watched == gc)
		broken(s, "gc removed a blob that somebody was told is there");
	if (!blob->made)
		broken(s, "gc removed a blob that nothing can make again");
	for (uint32_t b = 0; b < s->batch_count; b++) {
		if (!is_going_on(s, b))
			continue;
		for (uint32_t i = 0; i < s->batches[b].task_count; i++) {
			const struct record *c = completed_with(s, b, i);

			if (oracle_fate(s, b, i, false)->passed_on == gc)
				continue;
			for (uint32_t k = 0; c && k < c->slot_count; k++)
				if (!memcmp(c->slots[k].digest, blob->digest,
					    DIGEST_SIZE))
					broken(s,
					       "gc removed what task %u:%u of a batch "
					       "that goes on has made",
					       b, i);
		}
	}
}

void oracle_dropped(struct sim *s, const struct record *r)
{
	struct print *p = oracle_print(s->oracle, r->func_hash, r->args_hash,
				       r->has_nonce ? r->nonce : NULL);

	if (p->current == r->commit)
		p->current = 0;
	for (uint32_t b = 0; b < s->batch_count; b++) {
		if (!is_going_on(s, b))
			continue;
		for (uint32_t i = 0; i < s->batches[b].task_count; i++)
			if (completed_with(s, b, i) == r)
				broken(s,
				       "gc dropped the record of task %u:%u of a batch "
				       "that goes on",
				       b, i);
	}
}
