/* ask.c - plain questions and orders: cancel, retry, batches, workers, status, drain. One request,
 * one answer. What an answer's texts live in is kept by the handle until the next question. */
#include "client/handle.h"

#include "common/pure/hex.h"
#include "common/rand.h"

#include <stdlib.h>
#include <string.h>

#define ENVELOPE(name, CASE)                                                             \
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;                              \
	envelope.body_case = CASHET__ENVELOPE__BODY_##CASE;                              \
	envelope.name = &(message)

/* The reply lives until the next question of this handle. */
static int ask(struct cashet *c, Cashet__Envelope *envelope,
	       Cashet__Envelope__BodyCase want, Cashet__Envelope **replyp, struct err *e)
{
	struct request *r;
	int failed = request_ask(c, envelope, want, &r, e);
	if (failed)
		return failed;
	request_free(c->lent);
	c->lent = r;
	*replyp = r->reply;
	return 0;
}

static int ask_done(struct cashet *c, Cashet__Envelope *envelope, struct err *e)
{
	Cashet__Envelope *reply;
	return ask(c, envelope, CASHET__ENVELOPE__BODY_DONE, &reply, e);
}

static int cancel(struct cashet *c, const char *batch, const uint32_t *index,
		  struct err *e)
{
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE];
	int r = batch_ref_parse(batch, &ref, bytes, e);
	if (r)
		return r;
	Cashet__Cancel message = CASHET__CANCEL__INIT;
	message.batch = &ref;
	message.one = index != NULL;
	message.index = index ? *index : 0;
	ENVELOPE(cancel, CANCEL);
	return ask_done(c, &envelope, e);
}

int cashet_cancel(struct cashet *c, const char *batch, const uint32_t *index,
		  struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, cancel(c, batch, index, &e));
}

static int retry(struct cashet *c, const char *batch, char again[CASHET_HEX_SIZE],
		 struct err *e)
{
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE], request[NONCE_SIZE];
	int r = batch_ref_parse(batch, &ref, bytes, e);
	if (r)
		return r;
	rand_bytes(request, sizeof request);
	Cashet__Retry message = CASHET__RETRY__INIT;
	message.batch = &ref;
	message.request = (ProtobufCBinaryData){.data = request, .len = sizeof request};
	ENVELOPE(retry, RETRY);
	Cashet__Envelope *reply;
	r = ask(c, &envelope, CASHET__ENVELOPE__BODY_SUBMIT_ACK, &reply, e);
	if (r)
		return r;
	if (!wire_is(&reply->submit_ack->batch, DIGEST_SIZE))
		return err_set(e, ERR_FAILED, "the broker did not name the new batch");
	hex_encode(again, reply->submit_ack->batch.data, DIGEST_SIZE);
	return 0;
}

int cashet_retry(struct cashet *c, const char *batch, char again[CASHET_HEX_SIZE],
		 struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, retry(c, batch, again, &e));
}

/* ---- batches ---- */

static void batch_from(struct cashet_batch *out, const Cashet__BatchRow *row)
{
	*out = (struct cashet_batch){
		.name = row->info ? row->info->name : "",
		.file = row->info ? row->info->file : "",
		.ended = row->ended,
		.paused = row->paused,
		.note = row->note,
		.submitted_wall_ms = row->info ? row->info->submitted_wall_ms : 0,
		.ended_wall_ms = row->ended_wall_ms,
	};
	if (wire_is(&row->batch, DIGEST_SIZE))
		hex_encode(out->batch, row->batch.data, DIGEST_SIZE);
	counts_from(&out->counts, row->counts);
}

static int batches(struct cashet *c, bool all, uint32_t max,
		   int (*row)(void *arg, const struct cashet_batch *batch), void *arg,
		   uint64_t *left_out, struct err *e)
{
	Cashet__BatchesQuery message = CASHET__BATCHES_QUERY__INIT;
	message.all = all;
	message.max = max;
	ENVELOPE(batches_query, BATCHES_QUERY);
	Cashet__Envelope *reply;
	int r = ask(c, &envelope, CASHET__ENVELOPE__BODY_BATCHES, &reply, e);
	if (r)
		return r;
	struct request *held = steal(c->lent); /* @row may ask questions of its own */
	if (left_out)
		*left_out = reply->batches->left_out;
	for (size_t i = 0; i < reply->batches->n_rows; i++) {
		struct cashet_batch batch;
		batch_from(&batch, reply->batches->rows[i]);
		if (row(arg, &batch))
			break;
	}
	request_free(held);
	return 0;
}

int cashet_batches(struct cashet *c, bool all, uint32_t max,
		   int (*row)(void *arg, const struct cashet_batch *batch), void *arg,
		   uint64_t *left_out, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, batches(c, all, max, row, arg, left_out, &e));
}

static int batch_find(struct cashet *c, const char *batch, struct cashet_batch *out,
		      struct err *e)
{
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE];
	int r = batch_ref_parse(batch, &ref, bytes, e);
	if (r)
		return r;
	Cashet__BatchesQuery message = CASHET__BATCHES_QUERY__INIT;
	message.one = &ref;
	message.has_one = true;
	ENVELOPE(batches_query, BATCHES_QUERY);
	Cashet__Envelope *reply;
	r = ask(c, &envelope, CASHET__ENVELOPE__BODY_BATCHES, &reply, e);
	if (r)
		return r;
	if (!reply->batches->n_rows)
		return err_set(e, ERR_NOT_FOUND, "there is no such batch");
	batch_from(out, reply->batches->rows[0]);
	return 0;
}

int cashet_batch_find(struct cashet *c, const char *batch, struct cashet_batch *out,
		      struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, batch_find(c, batch, out, &e));
}

/* ---- workers, status, drain ---- */

static double resource_amount(const Cashet__Resource *r)
{
	return strcmp(r->name, "memory") == 0 ? (double)r->milli
					      : (double)r->milli / 1000;
}

static void resources_from(struct cashet_resource *to, Cashet__Resource *const *from,
			   size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] = (struct cashet_resource){.name = from[i]->name,
						 .amount = resource_amount(from[i])};
}

static int give_worker(const Cashet__WorkerRow *w,
		       int (*row)(void *arg, const struct cashet_worker *worker),
		       void *arg)
{
	struct cashet_resource *resources =
		calloc(w->n_capacity + w->n_used + 1, sizeof *resources);
	if (!resources)
		return -1;
	resources_from(resources, w->capacity, w->n_capacity);
	resources_from(resources + w->n_capacity, w->used, w->n_used);
	struct cashet_worker worker = {
		.name = w->name,
		.host = w->host,
		.state = w->state,
		.isolation = w->isolation,
		.capacity = resources,
		.capacity_count = w->n_capacity,
		.used = resources + w->n_capacity,
		.used_count = w->n_used,
		.running = w->running,
		.queued = w->queued,
		.done = w->done,
		.failed = w->failed,
		.seen_ms_ago = w->seen_ms_ago,
		.pid = w->pid,
		.draining = w->draining,
		.lost = w->lost,
		.lost_in_ms = w->lost_in_ms,
	};
	if (wire_is(&w->key, KEY_SIZE))
		memcpy(worker.key, w->key.data, KEY_SIZE);
	int r = row(arg, &worker);
	free(resources);
	return r ? 1 : 0;
}

static int workers(struct cashet *c,
		   int (*row)(void *arg, const struct cashet_worker *worker), void *arg,
		   struct err *e)
{
	Cashet__WorkersQuery message = CASHET__WORKERS_QUERY__INIT;
	ENVELOPE(workers_query, WORKERS_QUERY);
	Cashet__Envelope *reply;
	int r = ask(c, &envelope, CASHET__ENVELOPE__BODY_WORKERS, &reply, e);
	if (r)
		return r;
	struct request *held = steal(c->lent);
	for (size_t i = 0; r == 0 && i < reply->workers->n_rows; i++)
		r = give_worker(reply->workers->rows[i], row, arg);
	request_free(held);
	return r < 0 ? handle_no_memory(e) : 0;
}

int cashet_workers(struct cashet *c,
		   int (*row)(void *arg, const struct cashet_worker *worker), void *arg,
		   struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, workers(c, row, arg, &e));
}

static int status(struct cashet *c, struct cashet_broker_status *out, struct err *e)
{
	Cashet__StatusQuery message = CASHET__STATUS_QUERY__INIT;
	ENVELOPE(status_query, STATUS_QUERY);
	Cashet__Envelope *reply;
	int r = ask(c, &envelope, CASHET__ENVELOPE__BODY_STATUS, &reply, e);
	if (r)
		return r;
	const Cashet__Status *s = reply->status;
	*out = (struct cashet_broker_status){
		.version = s->version,
		.store = s->store,
		.role = c->welcome.role,
		.listen = (const char *const *)s->listen,
		.listen_count = s->n_listen,
		.pid = s->pid,
		.uptime_ms = s->uptime_ms,
		.boot = s->boot,
		.insecure = s->insecure,
		.draining = s->draining,
		.disk_full = s->disk_full,
		.is_private = c->welcome.is_private,
		.batches = s->batches,
		.waiting = s->waiting,
		.ready = s->ready,
		.running = s->running,
		.workers = s->workers,
		.clients = s->clients,
		.commits = s->commits,
		.hits = s->hits,
		.misses = s->misses,
		.refused_messages = s->refused_messages,
		.refused_results = s->refused_results,
		.rss_bytes = s->rss_bytes,
		.free_bytes = s->free_bytes,
	};
	return 0;
}

int cashet_status(struct cashet *c, struct cashet_broker_status *out,
		  struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, status(c, out, &e));
}

static int drain(struct cashet *c, const char *worker, uint64_t deadline_ns,
		 struct err *e)
{
	Cashet__DrainRequest message = CASHET__DRAIN_REQUEST__INIT;
	message.worker = (char *)(worker ? worker : "");
	message.deadline_ms = deadline_ns / NS_PER_MS + (deadline_ns % NS_PER_MS ? 1 : 0);
	ENVELOPE(drain_request, DRAIN_REQUEST);
	return ask_done(c, &envelope, e);
}

int cashet_drain(struct cashet *c, const char *worker, uint64_t deadline_ns,
		 struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, drain(c, worker, deadline_ns, &e));
}
