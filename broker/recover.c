/* recover.c - the start: everything that had not ended is read back from the ledger.
 *
 * Batches are replayed in order, through the checks that they passed when they came; then what had
 * ended and what was leased. Nothing is recorded meanwhile: the core's effects of a replay are
 * what the ledger already holds (effects.c). Only CORE_EV_RECOVERED starts anything. */
#include "broker/checkpoint.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct rows {
	struct ledger_batch_row *items;
	size_t count, room;
};

static int keep_row(void *arg, const struct ledger_batch_row *row)
{
	struct rows *rows = arg;
	mem_grow(rows->items, rows->count, rows->room);
	rows->items[rows->count++] = *row;
	return 0;
}

static int replay_chunks(struct broker *b, struct batch *batch, uint32_t count)
{
	CLEANUP_BUF struct buf chunk = {0};
	for (uint32_t i = 0; i < count; i++) {
		buf_reset(&chunk);
		if (ledger_read_chunk(b->reader, batch->number, i, &chunk))
			return 1;
		wire_arena_reset(&b->arena);
		Cashet__SubmitChunk *c =
			wire_unpack_chunk(&b->arena, chunk.data, chunk.size);
		if (!c || submit_replay(b, batch, c))
			return 1;
	}
	return 0;
}

struct replay {
	struct broker *b;
	uint64_t number;
	struct ledger_end *ends; /* in the order in which they ended */
	size_t count, room;
	struct content *slots;
	size_t slot_room;
	uint64_t ended, leases;
};

static int keep_end(void *arg, const struct ledger_end *end)
{
	struct replay *r = arg;
	mem_grow(r->ends, r->count, r->room);
	r->ends[r->count++] = *end;
	return 0;
}

static void add_slots(struct replay *r, const struct ledger_end *end,
		      struct core_event *event)
{
	struct broker *b = r->b;
	struct commit c;
	if (pager_commit(&b->pager, end->commit, &c, NULL))
		return;
	if (2 + c.output_count > r->slot_room) {
		r->slot_room = 2 + c.output_count;
		free(r->slots);
		r->slots = mem_alloc(r->slot_room * sizeof *r->slots);
	}
	event->old_end.slot_count = lookup_slots(&c, r->slots, (uint32_t)r->slot_room);
	event->old_end.slots = r->slots;
}

/* Readers end after what they read, so backwards: who still wants slots is then known. */
static void replay_ends(struct replay *r)
{
	for (size_t i = r->count; i-- > 0;) {
		const struct ledger_end *end = &r->ends[i];
		struct core_event event = {
			.type = CORE_EV_OLD_END, .batch = r->number, .index = end->index};
		event.old_end.status = (enum core_task_status)end->status;
		event.old_end.cached = end->flags & 1;
		event.old_end.deduplicated = end->flags & 2;
		event.old_end.commit = end->commit;
		event.old_end.upstream = end->upstream;
		event.old_end.attempts = end->attempts;
		if (end->status == CORE_COMPLETED &&
		    core_wants_slots(r->b->core, r->number, end->index))
			add_slots(r, end, &event);
		broker_step(r->b, &event);
	}
	r->ended += r->count;
	r->count = 0;
}

static int replay_lease(void *arg, const struct ledger_lease *lease)
{
	struct replay *r = arg;
	struct core_event event = {
		.type = CORE_EV_OLD_LEASE, .batch = r->number, .index = lease->index};
	event.old_lease.epoch = lease->epoch;
	event.old_lease.attempt = lease->attempt;
	event.old_lease.deaths = lease->deaths;
	memcpy(event.old_lease.worker_key, lease->worker_key, KEY_SIZE);
	broker_step(r->b, &event);
	r->leases++;
	return 0;
}

static void replay_pause(const struct replay *r, const struct ledger_batch_row *row)
{
	struct core_event event = {.type = CORE_EV_OLD_PAUSE, .batch = r->number};
	event.old_pause.paused = row->paused;
	event.old_pause.function = row->paused_by;
	broker_step(r->b, &event);
}

static int unreadable(const struct replay *r, struct err *e)
{
	err_set(e, ERR_FAILED, "batch %" PRIu64 " in meta.db cannot be read back",
		r->number);
	err_next(e, "keep a copy of the store's directory before anything else");
	return ERR_FAILED;
}

static int replay_batch(struct replay *r, const struct ledger_batch_row *row,
			struct err *e)
{
	struct broker *b = r->b;
	struct batch *batch = batch_new(b, row->batch.batch, row->batch.id,
					row->batch.client_key, row->batch.request);
	r->number = batch->number;
	if (replay_chunks(b, batch, row->chunk_count) || !batch_find_number(b, r->number))
		return unreadable(r, e);
	if (!row->sealed)
		return 0;
	struct core_event event = {.type = CORE_EV_BATCH_SEAL, .batch = r->number};
	broker_step(b, &event);
	batch = batch_find_number(b, r->number);
	if (!batch)
		return unreadable(r, e);
	batch->sealed = true;
	list_del(&batch->unsealed);
	known_add(b->known, batch->id);
	ledger_each_end(b->reader, r->number, keep_end, r);
	replay_ends(r);
	ledger_each_lease(b->reader, r->number, replay_lease, r);
	checkpoints_replay(b, r->number);
	if (row->paused || row->resumed)
		replay_pause(r, row);
	return 0;
}

int recover(struct broker *b, struct err *e)
{
	uint64_t began = clock_mono_ns();
	struct rows rows = {0};
	struct replay r = {.b = b};
	int rc = 0;
	b->recovering = true;
	ledger_each_open_batch(b->reader, keep_row, &rows);
	for (size_t i = 0; !rc && i < rows.count; i++)
		rc = replay_batch(&r, &rows.items[i], e);
	if (!rc && rows.count)
		log_info("recovered",
			 "batches=%zu ended=%" PRIu64 " leases=%" PRIu64 " ms=%" PRIu64,
			 rows.count, r.ended, r.leases,
			 (uint64_t)((clock_mono_ns() - began) / NS_PER_MS));
	free(rows.items);
	free(r.ends);
	free(r.slots);
	b->recovering = false;
	if (rc)
		return rc;
	b->now = clock_mono_ns();
	b->step = 1;
	struct core_event event = {.type = CORE_EV_RECOVERED};
	broker_step(b, &event);
	return 0;
}
