/* logs.c - LogRead: of a task that ended, its blob is named; of one that runs, the worker is asked
 * and its answer passed on. The broker never holds a log. */
#include "broker/handlers/query.h"

#include "common/log.h"
#include "common/num.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define RELAYS_MAX 1024
#define RELAY_NS (10 * NS_PER_S)
#define LOG_READ_MAX (1u << 20)

struct relay {		 /* a LogRead that a worker is to answer */
	uint64_t serial; /* ours, towards the worker; 0: free */
	peer_handle client;
	peer_handle worker;
	uint64_t client_serial;
	uint64_t until_ns;
};

struct relays {
	struct relay items[RELAYS_MAX];
	uint64_t next;
	unsigned count;
};

void relays_fini(struct broker *b)
{
	free(b->relays);
	b->relays = NULL;
}

static void reply(struct broker *b, peer_handle to, uint64_t serial,
		  Cashet__LogData *data)
{
	struct peer *peer = peer_get(b, to);
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	e.serial = serial;
	e.body_case = CASHET__ENVELOPE__BODY_LOG_DATA;
	e.log_data = data;
	if (peer)
		peer_send(b, peer, &e);
}

static void note(struct broker *b, peer_handle to, uint64_t serial, uint64_t offset,
		 const char *text)
{
	Cashet__LogData data = CASHET__LOG_DATA__INIT;
	data.offset = offset;
	data.running = true;
	data.note = (char *)text;
	reply(b, to, serial, &data);
}

void relays_sweep(struct broker *b)
{
	for (unsigned i = 0; b->relays && b->relays->count && i < RELAYS_MAX; i++) {
		struct relay *r = &b->relays->items[i];
		if (!r->serial || (b->now < r->until_ns && peer_get(b, r->worker)))
			continue;
		r->serial = 0;
		b->relays->count--;
		note(b, r->client, r->client_serial, 0, "the worker does not answer");
	}
}

static struct relay *relay_new(struct broker *b)
{
	if (!b->relays)
		b->relays = mem_alloc(sizeof *b->relays);
	struct relays *all = b->relays;
	if (all->count == RELAYS_MAX)
		return NULL;
	for (unsigned tries = 0; tries < RELAYS_MAX; tries++) {
		uint64_t serial = ++all->next;
		struct relay *r = &all->items[serial % RELAYS_MAX];
		if (r->serial)
			continue;
		r->serial = serial;
		all->count++;
		return r;
	}
	return NULL;
}

static void ask_worker(struct broker *b, struct peer *peer, const Cashet__Envelope *e,
		       const struct core_task_view *view)
{
	struct worker *w = worker_get(b, view->worker);
	struct peer *to = w ? peer_get(b, w->peer) : NULL;
	struct relay *r = to ? relay_new(b) : NULL;
	if (!r) {
		note(b, peer->handle, e->serial, e->log_read->offset,
		     to ? "too many logs are being read"
			: "its worker is not connected at the moment");
		return;
	}
	r->client = peer->handle;
	r->client_serial = e->serial;
	r->worker = to->handle;
	r->until_ns = b->now + RELAY_NS;
	Cashet__LogRead read = CASHET__LOG_READ__INIT;
	read.batch = e->log_read->batch;
	read.index = e->log_read->index;
	read.is_stderr = e->log_read->is_stderr;
	read.offset = e->log_read->offset;
	read.max = e->log_read->max && e->log_read->max < LOG_READ_MAX ? e->log_read->max
								       : LOG_READ_MAX;
	read.epoch = view->epoch;
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	out.serial = r->serial;
	out.body_case = CASHET__ENVELOPE__BODY_LOG_READ;
	out.log_read = &read;
	peer_send(b, to, &out);
}

/* note_ready() - of a task between two attempts, or before the first one: what keeps it. */
static void note_ready(struct broker *b, struct peer *peer, const Cashet__Envelope *e,
		       const struct batch *batch, const struct core_task_view *view)
{
	struct core_wait_view wait;
	CLEANUP_BUF struct buf text = {0};
	if (view->attempts)
		buf_printf(&text,
			   "attempt %u failed, and what it wrote is not kept since the "
			   "task is tried again; ",
			   view->attempts);
	size_t before = text.size;
	if (!core_view_wait(b->core, batch->number, e->log_read->index, &wait)) {
		if (wait.why == CORE_WAIT_RETRY && view->attempts) {
			buf_add_str(&text, "the next one begins in ");
			num_add_duration(&text,
					 wait.retry_ns - wait.retry_ns % (NS_PER_S / 10));
		} else {
			batch_explain_wait(b, batch, &wait, &text);
		}
	}
	if (text.size == before)
		buf_add_str(&text, "it waits for a worker");
	note(b, peer->handle, e->serial, e->log_read->offset, buf_cstr(&text));
}

/* @row: of a batch that has ended; NULL: the task's commit is known. */
static void ask_ledger(struct broker *b, struct peer *peer, const Cashet__Envelope *e,
		       uint64_t commit, const struct ledger_batch_row *row)
{
	struct job *job = job_new(b, peer, e->serial);
	job->live.has_commit = !row;
	job->live.commit = commit;
	if (row) {
		job->live.has_row = true;
		job->live.row = *row;
	}
	query_ask(b, peer, job);
}

void handle_log_read(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__LogRead *read = e->log_read;
	struct batch *batch;
	struct ledger_batch_row row;
	struct err error = {0};
	int rc = resolve_batch(b, read->batch, &batch, &row, &error);
	uint32_t tasks = batch ? batch->task_count : row.task_count;
	if (!rc && read->index >= tasks)
		rc = err_set(&error, ERR_NOT_FOUND,
			     "the batch has no task %u: it has %u, from 0 on",
			     read->index, tasks);
	if (rc) {
		peer_error(b, peer, e->serial, &error);
		return;
	}
	struct core_task_view view;
	if (!batch) {
		ask_ledger(b, peer, e, 0, &row);
		return;
	}
	if (core_view_task(b->core, batch->number, read->index, &view))
		return;
	switch (view.status) {
	case CORE_WAITING:
		note(b, peer->handle, e->serial, read->offset, "it waits for its inputs");
		return;
	case CORE_READY:
		if (!view.epoch) {
			note_ready(b, peer, e, batch, &view);
			return;
		}
		ask_worker(b, peer, e, &view); /* which may have begun it by now */
		return;
	case CORE_RUNNING:
		ask_worker(b, peer, e, &view);
		return;
	case CORE_COMPLETED:
	case CORE_FAILED:
	case CORE_SKIPPED:
	case CORE_CANCELLED:
		ask_ledger(b, peer, e, view.commit, NULL);
		return;
	}
}

void handle_log_data(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct relay *r =
		b->relays && e->serial ? &b->relays->items[e->serial % RELAYS_MAX] : NULL;
	if (!r || r->serial != e->serial || r->worker != peer->handle)
		return; /* late: its asker was told already */
	r->serial = 0;
	b->relays->count--;
	Cashet__LogData data = *e->log_data;
	reply(b, r->client, r->client_serial, &data);
}
