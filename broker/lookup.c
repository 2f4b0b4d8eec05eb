/* lookup.c - is this work done already, and is all of it still there?
 *
 * A hit that is only passed on needs its digests; one that is a final result needs its bytes, as
 * far as presence.c does not know already that they are there. Logs do not count, but standard
 * output that is the result does. */
#include "broker/broker.h"

#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_LOOKUPS 65536
#define CHECK_CLOCK_EVERY 32

void lookup_fini(struct broker *b)
{
	free(b->lookups.items);
	free(b->lookups.slots);
}

/* ---- the questions ---- */

void lookup_add(struct broker *b, const struct core_effect *fx)
{
	struct lookups *l = &b->lookups;
	mem_grow(l->items, l->count, l->capacity);
	struct lookup *to = &l->items[l->count++];
	to->exec = fx->lookup.exec;
	memcpy(to->func_hash, fx->lookup.func_hash, DIGEST_SIZE);
	memcpy(to->args_hash, fx->lookup.args_hash, DIGEST_SIZE);
	to->need_bytes = fx->lookup.need_bytes;
	to->need_slots = fx->lookup.need_slots;
	to->parent_only = fx->lookup.parent_only;
}

bool lookup_pending(const struct broker *b)
{
	return b->lookups.first < b->lookups.count;
}

uint32_t lookup_slots(const struct commit *c, struct content *slots, uint32_t max)
{
	if (2 + c->output_count > max)
		return 0;
	slots[SLOT_RESULT] = c->result;
	slots[SLOT_STDOUT].type = c->has_stdout ? CONTENT_FILE : CONTENT_NONE;
	memcpy(slots[SLOT_STDOUT].digest, c->stdout_digest, DIGEST_SIZE);
	for (size_t i = 0; i < c->output_count; i++)
		slots[SLOT_OUTPUT + i] = c->outputs[i].content;
	return (uint32_t)(2 + c->output_count);
}

static bool bytes_are_there(struct broker *b, const struct commit *c)
{
	if (!presence_has(b, c->result.digest))
		return false;
	for (size_t i = 0; i < c->output_count; i++) {
		if (!presence_is_whole(b, &c->outputs[i].content))
			return false;
	}
	return true;
}

/* Return: whether it stands; fills the slots if they are asked for. */
static bool open_commit(struct broker *b, const struct lookup *q, uint64_t seq,
			struct core_event *event)
{
	struct lookups *l = &b->lookups;
	struct commit c;
	if (pager_commit(&b->pager, seq, &c, NULL) || c.status != COMMIT_COMPLETED)
		return false;
	if (q->need_bytes && !presence_commit(b, seq)) {
		if (!bytes_are_there(b, &c))
			return false;
		presence_note_commit(b, seq);
	}
	if (!q->need_slots)
		return true;
	size_t count = 2 + c.output_count;
	if (count > l->slot_room) {
		free(l->slots);
		l->slots = mem_alloc(count * sizeof *l->slots);
		l->slot_room = count;
	}
	event->lookup.slot_count = lookup_slots(&c, l->slots, (uint32_t)count);
	event->lookup.slots = l->slots;
	return true;
}

static void answer(struct broker *b, const struct lookup *q, uint64_t wall_ms)
{
	struct core_event event = {.type = CORE_EV_LOOKUP, .lookup = {.exec = q->exec}};
	struct ledger_hit hit;
	if (!ledger_find(b->reader, q->func_hash, q->args_hash, &hit) &&
	    !guard_is_dying_commit(b, hit.seq)) {
		event.lookup.commit = hit.seq;
		bool expired = hit.expires_wall_ms && hit.expires_wall_ms <= wall_ms;
		if (!expired && !q->parent_only) {
			bool whole = !q->need_bytes || presence_commit(b, hit.seq);
			event.lookup.hit = (whole && !q->need_slots) ||
					   open_commit(b, q, hit.seq, &event);
		}
	}
	if (event.lookup.hit)
		guard_commit(b, hit.seq);
	if (!q->parent_only) {
		if (event.lookup.hit)
			b->lookups.hits++;
		else
			b->lookups.misses++;
	}
	broker_step(b, &event);
}

void lookups_run(struct broker *b, uint64_t until_ns)
{
	struct lookups *l = &b->lookups;
	if (!lookup_pending(b))
		return;
	presence_check(b);
	uint64_t wall_ms = clock_wall_ms();
	for (unsigned n = 1; lookup_pending(b) && !b->stop; n++) {
		struct lookup q = l->items[l->first++]; /* answering may ask more */
		answer(b, &q, wall_ms);
		if (n % CHECK_CLOCK_EVERY == 0 && clock_mono_ns() >= until_ns)
			break;
	}
	if (!lookup_pending(b)) {
		l->first = l->count = 0;
		if (l->capacity > KEEP_LOOKUPS) {
			free(l->items);
			l->items = NULL;
			l->capacity = 0;
		}
	}
}
