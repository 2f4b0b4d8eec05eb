/* ask.c - batches by prefix, and the requests of clients that change something small: Cancel and
 * DrainRequest; and the table of workers. */
#include "broker/broker.h"

#include "broker/history/history.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int resolve_batch(struct broker *b, const Cashet__BatchRef *ref, struct batch **livep,
		  struct ledger_batch_row *row, struct err *e)
{
	*livep = NULL;
	if (ref && ref->prefix.len == DIGEST_SIZE && !ref->odd) {
		*livep = batches_find(b, ref->prefix.data);
		if (*livep)
			return 0;
	}
	int rc = history_find_batch(b->reader, ref, row, e);
	if (rc == 0)
		*livep = batch_find_number(b, row->batch.batch);
	return rc;
}

static void done(struct broker *b, peer_handle to, uint64_t serial)
{
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Done d = CASHET__DONE__INIT;
	e.serial = serial;
	e.body_case = CASHET__ENVELOPE__BODY_DONE;
	e.done = &d;
	struct peer *peer = peer_get(b, to);
	if (peer)
		outbox_send_envelope(b, peer, b->step, &e);
}

void handle_cancel(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__Cancel *cancel = e->cancel;
	struct batch *batch;
	struct ledger_batch_row row;
	struct err error = {0};
	int rc = resolve_batch(b, cancel->batch, &batch, &row, &error);
	uint32_t tasks = batch ? batch->task_count : row.task_count;
	if (!rc && cancel->one && cancel->index >= tasks)
		rc = err_set(&error, ERR_NOT_FOUND,
			     "the batch has no task %u: it has %u, from 0 on",
			     cancel->index, tasks);
	if (!rc && batch && !batch->sealed) {
		rc = err_set(&error, ERR_FAILED, "the batch is still being submitted");
		err_next(&error, "Ctrl-C of its submit gives it up");
	}
	if (rc) {
		peer_error(b, peer, e->serial, &error);
		return;
	}
	peer_handle handle = peer->handle;
	if (batch && !batch->ended) {
		struct core_event event = {.type = CORE_EV_CANCEL,
					   .batch = batch->number,
					   .index = cancel->one ? cancel->index
								: CORE_NO_INDEX};
		broker_step(b, &event);
	}
	done(b, handle, e->serial); /* what is over stays as it is */
}

/* ---- DrainRequest ---- */

static struct worker *worker_by_name(struct broker *b, const char *name)
{
	for (uint32_t i = 0; i < b->workers.count; i++) {
		struct worker *w = b->workers.by_number[i];
		if (w && !strcmp(w->name, name))
			return w;
	}
	return NULL;
}

void handle_drain(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__DrainRequest *request = e->drain_request;
	peer_handle handle = peer->handle;
	uint64_t deadline = request->deadline_ms
				    ? b->now + request->deadline_ms * NS_PER_MS
				    : TIME_NEVER;
	if (request->worker[0]) {
		struct worker *w = worker_by_name(b, request->worker);
		if (!w) {
			struct err error = {0};
			err_set(&error, ERR_NOT_FOUND, "no worker is called %s",
				request->worker);
			err_next(&error, "cashet worker ls lists them");
			peer_error(b, peer, e->serial, &error);
			return;
		}
		worker_ask_drain(b, w, deadline);
	} else {
		broker_drain(b, deadline,
			     strcmp(peer->version, CASHET_VERSION) != 0
				     ? "a client of another version asked"
				     : "asked by a client");
	}
	done(b, handle, e->serial);
}

/* ---- WorkersQuery ---- */

static Cashet__Resource **resources(const struct worker *w, const uint64_t *used)
{
	/* One block: the pointers, then what they point to. */
	size_t count = w->capacity_count;
	Cashet__Resource **list = mem_alloc(count * (sizeof *list + sizeof **list) + 1);
	Cashet__Resource *items = (Cashet__Resource *)(list + count);
	for (size_t i = 0; i < count; i++) {
		cashet__resource__init(&items[i]);
		items[i].name = (char *)w->capacity[i].name;
		items[i].milli = used ? used[i] : w->capacity[i].amount;
		list[i] = &items[i];
	}
	return list;
}

static void fill_row(struct broker *b, struct worker *w, Cashet__WorkerRow *row)
{
	struct core_worker_view view = {0};
	core_view_worker(b->core, w->number, &view);
	cashet__worker_row__init(row);
	row->name = w->name;
	row->key.data = w->key;
	row->key.len = KEY_SIZE;
	row->n_capacity = row->n_used = w->capacity_count;
	row->capacity = resources(w, NULL);
	row->used = resources(w, view.used);
	row->running = view.running;
	row->queued = view.queued;
	row->done = w->done;
	row->failed = w->failed;
	row->seen_ms_ago = (b->now - w->heard_ns) / NS_PER_MS;
	row->draining = w->draining || view.draining;
	row->host = w->host;
	row->pid = w->pid;
	row->isolation = w->isolation;
	bool silent = view.silent || !peer_get(b, w->peer);
	row->state = (char *)(silent ? "silent" : row->draining ? "draining" : "ready");
	row->lost = view.silent;
	if (silent && !view.silent && view.lost_at > b->now)
		row->lost_in_ms = (view.lost_at - b->now) / NS_PER_MS + 1;
}

void handle_workers(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	uint32_t room = b->workers.count;
	Cashet__WorkerRow *rows = mem_alloc((room + 1) * sizeof *rows);
	Cashet__WorkerRow **list = mem_alloc((room + 1) * sizeof *list);
	Cashet__Workers workers = CASHET__WORKERS__INIT;
	for (uint32_t i = 0; i < room; i++) {
		if (!b->workers.by_number[i])
			continue;
		fill_row(b, b->workers.by_number[i], &rows[workers.n_rows]);
		list[workers.n_rows] = &rows[workers.n_rows];
		workers.n_rows++;
	}
	workers.rows = list;
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	out.serial = e->serial;
	out.body_case = CASHET__ENVELOPE__BODY_WORKERS;
	out.workers = &workers;
	peer_send(b, peer, &out);
	for (size_t i = 0; i < workers.n_rows; i++) {
		free(rows[i].capacity);
		free(rows[i].used);
	}
	free(rows);
	free(list);
}
