/* retry.c - Retry: the recorded chunks of a batch, submitted again as a new one.
 *
 * What had finished is found in the store, so only the rest runs. The new batch is the asker's,
 * under the request id of the Retry: repeating that gives the same answer. Nonces are drawn
 * anew, as a forced task is to run again. One chunk per turn, so that a batch of a million tasks
 * does not hold up the loop. */
#include "broker/broker.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "common/rand.h"

#include <stdlib.h>
#include <string.h>

#define RETRIES_MAX 64

struct retry {
	struct list node;
	peer_handle peer;
	uint64_t serial;
	uint8_t client_key[KEY_SIZE], request[NONCE_SIZE];
	uint64_t number; /* of the old batch */
	uint32_t next, chunk_count;
};

struct retries {
	struct list all;
	unsigned count;
	struct wire_arena arena;
};

bool retries_pending(const struct broker *b)
{
	return b->retries && b->retries->count;
}

static void retry_free(struct broker *b, struct retry *r)
{
	list_del(&r->node);
	free(r);
	b->retries->count--;
}

void retries_fini(struct broker *b)
{
	if (!b->retries)
		return;
	while (b->retries->count)
		retry_free(b, container_of(b->retries->all.next, struct retry, node));
	wire_arena_fini(&b->retries->arena);
	free(b->retries);
	b->retries = NULL;
}

/* A batch that paused because its first tasks all failed is not over: it is told to go on, and the
 * answer names it and no new one. Return: false if @batch has not paused. */
static bool resume(struct broker *b, const struct batch *batch, peer_handle to,
		   uint64_t serial, const Cashet__Retry *retry)
{
	struct core_batch_view view;
	if (core_view_batch(b->core, batch->number, &view) || !view.paused || view.ended)
		return false;
	uint8_t id[DIGEST_SIZE];
	memcpy(id, batch->id, DIGEST_SIZE);
	struct core_event event = {.type = CORE_EV_RESUME, .batch = batch->number};
	broker_step(b, &event);
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__SubmitAck ack = CASHET__SUBMIT_ACK__INIT;
	ack.request = retry->request;
	ack.batch.data = id;
	ack.batch.len = DIGEST_SIZE;
	ack.sealed = true;
	e.serial = serial;
	e.body_case = CASHET__ENVELOPE__BODY_SUBMIT_ACK;
	e.submit_ack = &ack;
	struct peer *peer = peer_get(b, to);
	if (peer)
		outbox_send_envelope(b, peer, b->step, &e);
	return true;
}

void handle_retry(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__Retry *retry = e->retry;
	struct batch *batch;
	struct ledger_batch_row row;
	struct err error = {0};
	int rc = 0;
	if (!wire_is(&retry->request, NONCE_SIZE))
		rc = err_set(&error, ERR_USAGE, "Retry.request must be 16 bytes");
	if (!rc)
		rc = resolve_batch(b, retry->batch, &batch, &row, &error);
	if (!rc && batch && ledger_read_batch(b->reader, batch->number, &row))
		rc = err_set(&error, ERR_FAILED, "the batch is still being submitted");
	if (!rc && !row.sealed)
		rc = err_set(&error, ERR_FAILED, "the batch is still being submitted");
	if (!rc && b->retries && b->retries->count >= RETRIES_MAX)
		rc = err_set(&error, ERR_FAILED, "too many retries at once");
	if (rc) {
		peer_error(b, peer, e->serial, &error);
		return;
	}
	if (batch && !batch->ended && resume(b, batch, peer->handle, e->serial, retry))
		return;
	if (!b->retries) {
		b->retries = mem_alloc(sizeof *b->retries);
		list_init(&b->retries->all);
		wire_arena_init(&b->retries->arena);
	}
	struct retry *r = mem_alloc(sizeof *r);
	r->peer = peer->handle;
	r->serial = e->serial;
	memcpy(r->client_key, peer->key, KEY_SIZE);
	memcpy(r->request, retry->request.data, NONCE_SIZE);
	r->number = row.batch.batch;
	r->chunk_count = row.chunk_count;
	list_add_tail(&b->retries->all, &r->node);
	b->retries->count++;
}

/* What of the same request was taken before a reconnect is not submitted twice; of what was sealed
 * the last chunk says so again. */
static void skip_taken(struct broker *b, struct retry *r)
{
	uint8_t id[DIGEST_SIZE];
	struct ledger_batch_row row;
	size_t count = 0;
	batch_make_id(id, r->client_key, r->request);
	const struct batch *batch = batches_find(b, id);
	bool sealed = batch && batch->sealed;
	if (batch && !sealed && batch->next_chunk > r->next)
		r->next = batch->next_chunk;
	if (!batch && !r->next && known_perhaps(b->known, id))
		sealed = !ledger_find_batch(b->reader, id, 2 * DIGEST_SIZE, &row, 1,
					    &count) &&
			 row.sealed;
	if (sealed && r->chunk_count)
		r->next = r->chunk_count - 1;
}

static void give_up(struct broker *b, struct retry *r, const char *what)
{
	struct err e = {0};
	err_set(&e, ERR_FAILED, "%s", what);
	struct peer *peer = peer_get(b, r->peer);
	if (peer)
		peer_error(b, peer, r->serial, &e);
}

/* Return: true when it is over. */
static bool submit_next(struct broker *b, struct retry *r)
{
	CLEANUP_BUF struct buf old = {0}, packed = {0};
	skip_taken(b, r);
	if (r->next >= r->chunk_count)
		return true;
	wire_arena_reset(&b->retries->arena);
	Cashet__SubmitChunk *c = NULL;
	if (!ledger_read_chunk(b->reader, r->number, r->next, &old))
		c = wire_unpack_chunk(&b->retries->arena, old.data, old.size);
	if (!c) {
		give_up(b, r, "the record of the batch cannot be read");
		return true;
	}
	c->request.data = r->request;
	c->request.len = NONCE_SIZE;
	c->watch = false;
	for (size_t i = 0; i < c->n_tasks; i++) {
		if (c->tasks[i]->nonce.len == NONCE_SIZE)
			rand_bytes(c->tasks[i]->nonce.data, NONCE_SIZE);
	}
	size_t size = cashet__submit_chunk__get_packed_size(c);
	uint8_t *to = buf_reserve(&packed, size);
	assert(to);
	packed.size = cashet__submit_chunk__pack(c, to);
	struct submission s = {.peer = r->peer,
			       .serial = r->serial,
			       .client_key = r->client_key,
			       .chunk = c,
			       .packed = packed.data,
			       .packed_size = packed.size,
			       .quiet = true};
	return submit_chunk(b, &s) || ++r->next >= r->chunk_count;
}

void retries_run(struct broker *b)
{
	if (!retries_pending(b))
		return;
	struct list *at, *next;
	list_for_each_safe (at, next, &b->retries->all) {
		struct retry *r = container_of(at, struct retry, node);
		if (submit_next(b, r))
			retry_free(b, r);
	}
}
