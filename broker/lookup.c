/* lookup.c - is this work done already, and is all of it still there?
 *
 * A hit that is only passed on needs its digests; one that is a final result needs its bytes.
 * What was found whole is remembered: commits in a bitmap by number (whole), blobs in a table
 * that forgets what is in the way (present). Both are forgotten as soon as any blob is found to
 * be missing or corrupt, so what they say is as fresh as the last loss. That spares a hit
 * everything but the search for its fingerprint. */
#include "broker/broker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define PRESENT_SLOTS 65536u /* 2 MiB */
#define WHOLE_MAX (1ull << 32)
#define KEEP_LOOKUPS 65536
#define SLOTS_MAX 4096
#define CHECK_CLOCK_EVERY 32

struct presence {
	uint8_t (*present)[DIGEST_SIZE]; /* PRESENT_SLOTS, by the digest's first bytes */
	uint64_t *whole;		 /* bit per commit number */
	size_t whole_words;
	uint64_t losses; /* cas_losses() when this began */
	struct content *slots;
	size_t slot_room;
};

void lookup_init(struct broker *b)
{
	struct presence *p = b->lookups.presence = mem_alloc(sizeof *p);
	p->present = mem_alloc(PRESENT_SLOTS * sizeof *p->present);
	p->losses = cas_losses(b->cas);
}

void lookup_fini(struct broker *b)
{
	struct presence *p = b->lookups.presence;
	if (p) {
		free(p->present);
		free(p->whole);
		free(p->slots);
	}
	free(p);
	free(b->lookups.items);
}

/* ---- what is known to be there ---- */

static uint8_t *present_slot(struct presence *p, const uint8_t digest[DIGEST_SIZE])
{
	return p->present[(digest[0] | digest[1] << 8) % PRESENT_SLOTS];
}

void lookup_forget(struct broker *b)
{
	struct presence *p = b->lookups.presence;
	memset(p->present, 0, PRESENT_SLOTS * sizeof *p->present);
	free(p->whole);
	p->whole = NULL;
	p->whole_words = 0;
}

static void look_for_losses(struct broker *b)
{
	uint64_t losses = cas_losses(b->cas);
	if (losses == b->lookups.presence->losses)
		return;
	b->lookups.presence->losses = losses;
	lookup_forget(b);
}

bool lookup_noted(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	return !memcmp(digest, sha256_empty, DIGEST_SIZE) ||
	       !memcmp(present_slot(b->lookups.presence, digest), digest, DIGEST_SIZE);
}

void lookup_note_blob(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	memcpy(present_slot(b->lookups.presence, digest), digest, DIGEST_SIZE);
}

bool lookup_has(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	if (lookup_noted(b, digest))
		return true;
	uint64_t size;
	if (ledger_has_blob(b->reader, digest) && cas_has(b->cas, digest, &size))
		return false;
	lookup_note_blob(b, digest);
	return true;
}

void lookup_note_commit(struct broker *b, uint64_t seq)
{
	struct presence *p = b->lookups.presence;
	if (seq >= WHOLE_MAX)
		return;
	if (seq / 64 >= p->whole_words) {
		size_t words = 2 * (seq / 64 + 1);
		p->whole = mem_resize(p->whole, words * sizeof *p->whole);
		memset(p->whole + p->whole_words, 0,
		       (words - p->whole_words) * sizeof *p->whole);
		p->whole_words = words;
	}
	p->whole[seq / 64] |= 1ull << seq % 64;
}

static bool is_whole(const struct presence *p, uint64_t seq)
{
	return seq / 64 < p->whole_words && (p->whole[seq / 64] >> seq % 64 & 1);
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

/* Logs do not count for completeness; standard output does only as the result. */
static bool bytes_are_there(struct broker *b, const struct commit *c)
{
	if (!lookup_has(b, c->result.digest))
		return false;
	for (size_t i = 0; i < c->output_count; i++) {
		if (!lookup_has(b, c->outputs[i].content.digest))
			return false;
	}
	return true;
}

/* Return: whether it stands; fills the slots if they are asked for. */
static bool open_commit(struct broker *b, const struct lookup *q, uint64_t seq,
			struct core_event *event)
{
	struct presence *p = b->lookups.presence;
	struct commit c;
	if (pager_commit(&b->pager, seq, &c, NULL) || c.status != COMMIT_COMPLETED)
		return false;
	if (q->need_bytes && !is_whole(p, seq)) {
		if (!bytes_are_there(b, &c))
			return false;
		lookup_note_commit(b, seq);
	}
	if (!q->need_slots)
		return true;
	size_t count = 2 + c.output_count;
	if (count > p->slot_room) {
		free(p->slots);
		p->slots = mem_alloc(count * sizeof *p->slots);
		p->slot_room = count;
	}
	event->lookup.slot_count = lookup_slots(&c, p->slots, (uint32_t)count);
	event->lookup.slots = p->slots;
	return true;
}

static void answer(struct broker *b, const struct lookup *q, uint64_t wall_ms)
{
	struct core_event event = {.type = CORE_EV_LOOKUP, .lookup = {.exec = q->exec}};
	struct ledger_hit hit;
	if (!ledger_find(b->reader, q->func_hash, q->args_hash, &hit)) {
		event.lookup.commit = hit.seq;
		bool expired = hit.expires_wall_ms && hit.expires_wall_ms <= wall_ms;
		if (!expired && !q->parent_only) {
			bool whole =
				!q->need_bytes || is_whole(b->lookups.presence, hit.seq);
			event.lookup.hit = (whole && !q->need_slots) ||
					   open_commit(b, q, hit.seq, &event);
		}
	}
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
	look_for_losses(b);
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
