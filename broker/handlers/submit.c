/* submit.c - batches come in, chunk by chunk.
 *
 * A chunk is recorded as it came and stepped into the core in the same turn; it is acknowledged
 * when that turn is durable. A chunk that was taken before is acknowledged again, also when its
 * batch has long ended: the ledger knows it by (client, request); and one that asked to watch is
 * watched again, as the client asks by nothing else until it is acknowledged. Batch and chunk are
 * named by the client, so the order and the number of repeats do not matter. */
#include "broker/broker.h"

#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "proto/pb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ack(struct broker *b, peer_handle to, uint64_t serial, const uint8_t *request,
		const uint8_t *id, uint32_t next, bool sealed, uint64_t step)
{
	struct peer *peer = peer_get(b, to);
	if (!peer)
		return;
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__SubmitAck a = CASHET__SUBMIT_ACK__INIT;
	a.request.data = (uint8_t *)request;
	a.request.len = NONCE_SIZE;
	a.batch.data = (uint8_t *)id;
	a.batch.len = DIGEST_SIZE;
	a.next = next;
	a.sealed = sealed;
	e.serial = serial;
	e.body_case = CASHET__ENVELOPE__BODY_SUBMIT_ACK;
	e.submit_ack = &a;
	outbox_send_envelope(b, peer, step, &e);
}

static void ack_batch(struct broker *b, const struct submission *s,
		      const struct batch *batch)
{
	ack(b, s->peer, s->serial, batch->request, batch->id, batch->next_chunk,
	    batch->sealed, batch->submit_step);
}

static int refuse(struct broker *b, const struct submission *s, enum err_code code,
		  const char *what, const char *next)
{
	struct err e = {0};
	err_set(&e, code, "%s", what);
	if (next)
		err_next(&e, "%s", next);
	struct peer *peer = peer_get(b, s->peer);
	if (peer)
		peer_error(b, peer, s->serial, &e);
	b->refused_messages++;
	return (int)code;
}

/* The sealing chunk again: its session, or the broker that took it, was gone before it could tell. */
static void watch_again(struct broker *b, const struct submission *s, struct batch *batch,
			const struct ledger_batch_row *row)
{
	struct peer *peer = peer_get(b, s->peer);
	if (peer && s->chunk->seal && s->chunk->watch)
		watch_begin(b, peer, batch, row, 0, WATCH_INLINE_MAX);
}

/* known() - Return: true if the chunk needed nothing but an answer, or cannot be taken. */
static bool known(struct broker *b, const struct submission *s, const uint8_t *id,
		  struct batch *batch, int *rc)
{
	const Cashet__SubmitChunk *c = s->chunk;
	*rc = 0;
	if (!batch) {
		struct ledger_batch_row row;
		size_t count = 0;
		if (known_perhaps(b->known, id) &&
		    !ledger_find_batch(b->reader, id, 2 * DIGEST_SIZE, &row, 1, &count) &&
		    row.sealed) {
			ack(b, s->peer, s->serial, c->request.data, id, row.chunk_count,
			    true, 0);
			watch_again(b, s, NULL, &row);
			return true;
		}
		if (c->chunk == 0)
			return false;
		ack(b, s->peer, s->serial, c->request.data, id, 0, false, 0);
		return true;
	}
	if (!batch->sealed && c->chunk == batch->next_chunk)
		return false;
	/* taken before, or out of order: say which one is expected */
	ack_batch(b, s, batch);
	if (batch->sealed)
		watch_again(b, s, batch, NULL);
	return true;
}

static int admit(struct broker *b, const struct submission *s)
{
	if (b->draining)
		return refuse(b, s, ERR_FAILED,
			      "the broker is draining: it takes no new work",
			      "submit again when it has been restarted");
	if (b->holding)
		return refuse(
			b, s, ERR_FAILED,
			"the disk of the broker's store is full: it takes no new work",
			BLOBS_FULL_NEXT);
	return 0;
}

/* Where the chunk is in its batch, so that readers find a task without reading all before it. Zeros
 * are written too, over whatever the client may have said. */
static void add_before(struct buf *out, const struct batch *batch)
{
	const uint32_t before[] = {batch->task_count, batch->function_count,
				   batch->group_count, batch->option_count};
	size_t mark = pb_open(out, 11);
	for (unsigned i = 0; i < ARRAY_LEN(before); i++) {
		pb_tag(out, i + 1, PB_VARINT);
		pb_varint(out, before[i]);
	}
	pb_close(out, mark);
}

/* What the broker adds to a chunk is appended: fields of a message that comes twice are merged. To the
 * first one its time. */
static void record(struct broker *b, const struct submission *s, struct batch *batch)
{
	buf_reset(&b->scratch);
	buf_add(&b->scratch, s->packed, s->packed_size);
	if (s->chunk->chunk) {
		add_before(&b->scratch, batch);
	} else {
		size_t mark = pb_open(&b->scratch, 3);
		pb_uint(&b->scratch, 5, clock_wall_ms());
		pb_close(&b->scratch, mark);
	}
	assert(!b->scratch.failed);
	ledger_add_chunk(b->turn, batch->number, s->chunk->chunk, b->scratch.data,
			 b->scratch.size);
}

static void discard(struct broker *b, const struct submission *s, struct batch *batch)
{
	if (batch && !batch->sealed) {
		struct core_event event = {.type = CORE_EV_BATCH_DISCARD,
					   .batch = batch->number};
		broker_step(b, &event);
	}
	struct peer *peer = peer_get(b, s->peer);
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Done done = CASHET__DONE__INIT;
	e.serial = s->serial;
	e.body_case = CASHET__ENVELOPE__BODY_DONE;
	e.done = &done;
	if (peer)
		outbox_send_envelope(b, peer, b->step, &e);
}

static void keep(struct broker *b, struct batch *batch, const Cashet__SubmitChunk *c,
		 struct chunk_view *view)
{
	for (size_t i = 0; i < c->n_options; i++)
		batch_add_options(batch, c->options[i]);
	for (size_t i = 0; i < c->n_functions; i++)
		batch_add_function(b, batch, view->defs[i], c->functions[i]);
	batch->task_count += (uint32_t)c->n_tasks;
	batch->group_count += (uint32_t)c->n_groups;
	batch->next_chunk = c->chunk + 1;
	if (c->chunk == 0 && c->info && !batch->name)
		batch->name = mem_strdup(c->info->name);
}

static void open_event(struct core_event *event, const struct batch *batch,
		       const Cashet__SubmitChunk *c)
{
	*event = (struct core_event){.type = CORE_EV_BATCH_OPEN, .batch = batch->number};
	memcpy(event->open.id, batch->id, DIGEST_SIZE);
	if (c->info && c->info->policy) {
		event->open.max_failures = c->info->policy->max_failures;
		event->open.max_parallel = c->info->policy->max_parallel;
	}
}

static struct batch *open_batch(struct broker *b, const struct submission *s,
				const uint8_t *id)
{
	struct batch *batch = batch_new(b, b->batches.next_number++, id, s->client_key,
					s->chunk->request.data);
	struct ledger_batch row = {.batch = batch->number};
	memcpy(row.id, id, DIGEST_SIZE);
	memcpy(row.client_key, batch->client_key, KEY_SIZE);
	memcpy(row.request, batch->request, NONCE_SIZE);
	ledger_add_batch(b->turn, &row);
	struct core_event event;
	open_event(&event, batch, s->chunk);
	broker_step(b, &event);
	return batch;
}

int submit_chunk(struct broker *b, const struct submission *s)
{
	const Cashet__SubmitChunk *c = s->chunk;
	if (!wire_is(&c->request, NONCE_SIZE))
		return refuse(b, s, ERR_USAGE, "SubmitChunk.request must be 16 bytes",
			      NULL);
	uint8_t id[DIGEST_SIZE];
	batch_make_id(id, s->client_key, c->request.data);
	struct batch *batch = batches_find(b, id);
	if (c->discard) {
		discard(b, s, batch);
		return 0;
	}
	int rc;
	if (known(b, s, id, batch, &rc))
		return rc;
	if ((rc = admit(b, s)))
		return rc;
	struct chunk_view view;
	if (chunk_check(b, c, batch ? batch->function_count : 0,
			batch ? batch->option_count : 0, &view)) {
		char what[256];
		snprintf(what, sizeof what, "chunk %u of the batch has %s", c->chunk,
			 view.wrong);
		return refuse(b, s, ERR_USAGE, what, "see PROTOCOL.md, submitting");
	}
	uint8_t missing[DIGEST_SIZE];
	if (guard_chunk(b, c, &view, missing) && s->peer) {
		char hex[HEX_DIGEST_SIZE], what[160];
		snprintf(what, sizeof what,
			 "its input %s was removed from the store while it was being "
			 "submitted",
			 hex_encode(hex, missing, DIGEST_SIZE));
		chunk_view_drop(b, &view);
		return refuse(b, s, ERR_FAILED, what, "submit it again");
	}
	if (!batch)
		batch = open_batch(b, s, id);
	uint64_t number = batch->number;
	record(b, s, batch);
	keep(b, batch, c, &view);
	batch->submitter = s->peer;
	batch->submit_serial = s->serial;
	batch->submit_step = b->step;
	view.event.batch = number;
	broker_step(b, &view.event);
	chunk_view_drop(b, &view);
	batch = batch_find_number(b, number); /* the core may have refused it */
	if (batch && c->seal) {
		struct peer *peer = peer_get(b, s->peer);
		if (c->watch && peer)
			watch_add(b, peer, batch, 0, WATCH_INLINE_MAX);
		struct core_event event = {.type = CORE_EV_BATCH_SEAL, .batch = number};
		broker_step(b, &event);
		batch = batch_find_number(b, number);
	}
	if (batch && !c->seal && !s->quiet)
		ack_batch(b, s, batch); /* the seal is acknowledged by submit_sealed() */
	return batch ? 0 : ERR_USAGE;
}

void submit_sealed(struct broker *b, const struct core_effect *fx)
{
	struct batch *batch = batch_find_number(b, fx->batch);
	if (!batch)
		return;
	batch->sealed = true;
	list_del(&batch->unsealed);
	batch->submit_step = b->step;
	b->turn_small = batch->task_count <= WATCH_INLINE_MAX;
	known_add(b->known, batch->id);
	guard_sealed(b, batch->client_key);
	ledger_add_sealed(b->turn, batch->number, batch->task_count);
	ack(b, batch->submitter, batch->submit_serial, batch->request, batch->id,
	    batch->next_chunk, true, b->step);
	batch_touch(b, batch);
	log_debug("batch accepted", "batch=%llu tasks=%u",
		  (unsigned long long)batch->number, batch->task_count);
}

static const char *refusal(enum core_refusal why)
{
	switch (why) {
	case CORE_R_BAD_FUNCTION:
		return "a function or its options do not exist";
	case CORE_R_BAD_REF:
		return "a reference names a task, group or output that does not exist";
	case CORE_R_SELF_REF:
		return "a task refers to itself";
	case CORE_R_CYCLE:
		return "tasks wait for each other in a cycle";
	case CORE_R_BAD_NONCE:
		return "a nonce is missing or not wanted: tasks have one exactly when "
		       "cache is "
		       "off or force";
	case CORE_R_BAD_OPTIONS:
		return "options are out of range";
	case CORE_R_TOO_LARGE:
		return "the batch is too large";
	}
	return "refused";
}

void submit_refused(struct broker *b, const struct core_effect *fx)
{
	struct batch *batch = batch_find_number(b, fx->batch);
	if (!batch)
		return;
	if (b->recovering) { /* recover.c finds it gone and stops */
		batch_free(b, batch);
		return;
	}
	struct err e = {0};
	char tasks[512] = "";
	size_t at = 0;
	for (uint32_t i = 0; i < fx->refused.index_count && at + 32 < sizeof tasks; i++) {
		at += (size_t)snprintf(tasks + at, sizeof tasks - at, "%s%u",
				       i ? ", " : ": task ", fx->refused.indices[i]);
		if (i == 15 && fx->refused.index_count > 16) {
			snprintf(tasks + at, sizeof tasks - at, " and %u more",
				 fx->refused.index_count - 16);
			break;
		}
	}
	err_set(&e, ERR_USAGE, "the batch was refused: %s%s", refusal(fx->refused.why),
		tasks);
	ledger_add_discarded(b->turn, batch->number);
	struct peer *peer = peer_get(b, batch->submitter);
	if (peer)
		peer_error(b, peer, batch->submit_serial, &e);
	watch_given_up(b, batch);
	batch_free(b, batch);
}

void submit_discarded(struct broker *b, const struct core_effect *fx)
{
	struct batch *batch = batch_find_number(b, fx->batch);
	if (!batch)
		return;
	ledger_add_discarded(b->turn, batch->number);
	watch_given_up(b, batch);
	batch_free(b, batch);
}

int submit_replay(struct broker *b, struct batch *batch, const Cashet__SubmitChunk *c)
{
	struct chunk_view view;
	if (c->chunk != batch->next_chunk ||
	    chunk_check(b, c, batch->function_count, batch->option_count, &view))
		return 1;
	if (!c->chunk) {
		struct core_event event;
		open_event(&event, batch, c);
		broker_step(b, &event);
	}
	keep(b, batch, c, &view);
	view.event.batch = batch->number;
	broker_step(b, &view.event);
	chunk_view_drop(b, &view);
	return 0;
}

void handle_submit_chunk(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const struct wire_frame *frame = b->frame;
	struct submission s = {.peer = peer->handle,
			       .serial = e->serial,
			       .client_key = peer->key,
			       .chunk = e->submit_chunk};
	const uint8_t *at = frame->data, *end = frame->data + frame->size;
	struct pb_field packed, second;
	/* Were the field there twice, what was decoded would not be what is recorded. */
	if (!pb_find(&at, end, 20, &packed) || pb_find(&at, end, 20, &second)) {
		refuse(b, &s, ERR_USAGE, "a malformed SubmitChunk", NULL);
		return;
	}
	s.packed = packed.data;
	s.packed_size = packed.size;
	uint8_t key[KEY_SIZE];
	memcpy(key, peer->key, KEY_SIZE);
	s.client_key = key; /* the peer may be gone before the end */
	submit_chunk(b, &s);
}
