/* watch.c - see watch.h. */
#include "broker/broker.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

enum { ENVELOPE_PROGRESS = 23 };

static void drop_notices(struct watch *w)
{
	for (uint32_t i = 0; i < w->notice_count; i++) {
		free(w->notices[i].name);
		free(w->notices[i].worker);
		free(w->notices[i].error);
	}
	w->notice_count = 0;
	w->left_out = 0;
}

void watch_remove(struct watch *w)
{
	list_del(&w->by_batch);
	list_del(&w->by_peer);
	w->owner->watch_count--;
	drop_notices(w);
	free(w->notices);
	free(w);
}

void watch_remove_peer(struct peer *peer)
{
	while (!list_empty(&peer->watches))
		watch_remove(container_of(peer->watches.next, struct watch, by_peer));
}

void watch_remove_batch(struct batch *batch)
{
	while (!list_empty(&batch->watches))
		watch_remove(container_of(batch->watches.next, struct watch, by_batch));
}

static struct watch *find(const struct peer *peer, const uint8_t id[DIGEST_SIZE])
{
	struct list *at;
	list_for_each (at, &peer->watches) {
		struct watch *w = container_of(at, struct watch, by_peer);
		if (!memcmp(w->batch->id, id, DIGEST_SIZE))
			return w;
	}
	return NULL;
}

void watch_add(struct broker *b, struct peer *peer, struct batch *batch, uint64_t serial,
	       uint32_t inline_results)
{
	struct watch *w = find(peer, batch->id);
	if (!w) {
		w = mem_alloc(sizeof *w);
		w->peer = peer->handle;
		w->owner = peer;
		peer->watch_count++;
		w->batch = batch;
		list_add_tail(&batch->watches, &w->by_batch);
		list_add_tail(&peer->watches, &w->by_peer);
	}
	w->first = true;
	w->serial = serial;
	w->unacknowledged = false;
	w->inline_results =
		inline_results < WATCH_INLINE_MAX ? inline_results : WATCH_INLINE_MAX;
	batch_touch(b, batch);
}

void watch_notice(struct broker *b, struct batch *batch,
		  const struct watch_notice *notice)
{
	struct list *at;
	list_for_each (at, &batch->watches) {
		struct watch *w = container_of(at, struct watch, by_batch);
		if (w->notice_count == WATCH_NOTICES_MAX) {
			w->left_out++;
			continue;
		}
		mem_grow(w->notices, w->notice_count, w->notice_capacity);
		struct watch_notice *copy = &w->notices[w->notice_count++];
		*copy = *notice;
		copy->name = mem_strdup(notice->name);
		copy->worker = mem_strdup(notice->worker);
		copy->error = mem_strdup(notice->error);
	}
	batch_touch(b, batch);
}

/* ---- the message ---- */

static void begin(struct buf *out, uint64_t serial)
{
	buf_reset(out);
	pb_uint(out, 1, serial);
}

static void put_progress(struct buf *out, const uint8_t id[DIGEST_SIZE],
			 const struct core_counts *counts, bool ended, bool paused)
{
	pb_bytes(out, 1, id, DIGEST_SIZE);
	page_add_counts(out, 2, counts);
	pb_uint(out, 3, ended);
	pb_uint(out, 4, paused);
}

static void put_notices(struct buf *out, const struct watch *w)
{
	for (uint32_t i = 0; i < w->notice_count; i++) {
		const struct watch_notice *n = &w->notices[i];
		size_t mark = pb_open(out, 5);
		pb_uint(out, 1, n->index);
		pb_text(out, 2, n->name);
		pb_uint(out, 3, n->attempt);
		pb_uint(out, 4, n->attempts);
		pb_text(out, 5, n->worker);
		pb_text(out, 6, n->error);
		pb_uint(out, 7, n->final);
		pb_close(out, mark);
	}
	pb_uint(out, 6, w->left_out);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Return: whether it is to be told again, though nothing else may happen. A peer that can't be told is
 * dropped, and @w with it. */
static bool send_progress(struct broker *b, struct watch *w)
{
	struct core_batch_view view;
	struct peer *peer = peer_get(b, w->peer);
	if (!peer || core_view_batch(b->core, w->batch->number, &view))
		return false;
	begin(&b->packed, 0);
	size_t mark = pb_open(&b->packed, ENVELOPE_PROGRESS);
	put_progress(&b->packed, w->batch->id, &view.counts, false, view.paused);
	put_notices(&b->packed, w);
	CLEANUP_BUF struct buf note = {0};
	batch_note(&note, w->batch, &view);
	pb_text(&b->packed, 8, buf_cstr(&note));
	pb_close(&b->packed, mark);
	drop_notices(w);
	bool again = view.paused && view.counts.running;
	w->first = false;
	w->due = w->holds = again;
	w->unacknowledged = true;
	w->sent_ns = b->now;
	outbox_send(b, peer, later(w->batch->hold_step, w->batch->submit_step),
		    &b->packed);
	return again;
}

static uint64_t due_at(const struct watch *w)
{
	bool at_once =
		w->first || (w->batch->task_count <= WATCH_INLINE_MAX && !w->holds);
	return at_once ? 0 : w->sent_ns + WATCH_INTERVAL_NS;
}

/* Batches that changed and could not all be told yet stay in the list of dirty ones. */
void watch_flush(struct broker *b)
{
	struct list *at, *next, *watch_at, *watch_next;
	list_for_each_safe (at, next, &b->batches.dirty) {
		struct batch *batch = container_of(at, struct batch, dirty);
		bool pending = false;
		list_for_each_safe (watch_at, watch_next, &batch->watches) {
			struct watch *w = container_of(watch_at, struct watch, by_batch);
			if (batch->ended || !batch->sealed)
				continue;
			w->due = true;
			if (w->unacknowledged || b->now < due_at(w) ||
			    send_progress(b, w))
				pending = true;
		}
		if (!pending)
			list_del(&batch->dirty);
	}
}

uint64_t watch_deadline(struct broker *b)
{
	uint64_t deadline = TIME_NEVER;
	struct list *at, *watch_at;
	list_for_each (at, &b->batches.dirty) {
		struct batch *batch = container_of(at, struct batch, dirty);
		list_for_each (watch_at, &batch->watches) {
			struct watch *w = container_of(watch_at, struct watch, by_batch);
			if (w->due && !w->unacknowledged && due_at(w) < deadline)
				deadline = due_at(w);
		}
	}
	return deadline;
}

/* ---- the last one ---- */

struct last_progress { /* built when all that it tells is durable */
	peer_handle peer;
	uint64_t serial;
	uint8_t id[DIGEST_SIZE];
	struct core_counts counts;
	struct buf notices; /* encoded */
	bool with_results;
	uint32_t task_count;
	struct page_task tasks[];
};

static void free_last(void *arg)
{
	struct last_progress *p = arg;
	buf_fini(&p->notices);
	free(p);
}

static void send_last(struct broker *b, void *arg)
{
	struct last_progress *p = arg;
	struct peer *peer = peer_get(b, p->peer);
	if (!peer) {
		free_last(p);
		return;
	}
	struct buf *out = &b->packed;
	begin(out, p->serial);
	size_t mark = pb_open(out, ENVELOPE_PROGRESS);
	put_progress(out, p->id, &p->counts, true, false);
	buf_add(out, p->notices.data, p->notices.size);
	if (p->with_results) {
		size_t page = pb_open(out, 7);
		pb_bytes(out, 1, p->id, DIGEST_SIZE);
		pb_uint(out, 3, p->task_count);
		pb_uint(out, 4, p->task_count);
		pb_uint(out, 5, true);
		for (uint32_t i = 0; i < p->task_count; i++) {
			struct page_task *t = &p->tasks[i];
			if (t->status == CORE_SKIPPED && t->upstream < p->task_count)
				t->upstream_cancelled =
					p->tasks[t->upstream].status == CORE_CANCELLED;
			page_add_task(out, &b->pager, t, NULL);
		}
		page_add_counts(out, 9, &p->counts);
		pb_close(out, page);
	}
	pb_close(out, mark);
	free_last(p);
	peer_send_packed(b, peer, out);
}

static struct last_progress *last_new(peer_handle peer, const uint8_t id[DIGEST_SIZE],
				      const struct core_counts *counts, bool with_results)
{
	uint32_t tasks = with_results ? (uint32_t)counts->total : 0;
	struct last_progress *p = mem_alloc(sizeof *p + tasks * sizeof p->tasks[0]);
	p->peer = peer;
	memcpy(p->id, id, DIGEST_SIZE);
	p->counts = *counts;
	p->with_results = with_results;
	p->task_count = tasks;
	return p;
}

static void view_task(struct broker *b, uint64_t batch, uint32_t index,
		      struct page_task *to)
{
	struct core_task_view view;
	if (!core_view_task(b->core, batch, index, &view))
		page_from_view(to, index, &view);
}

void watch_ended(struct broker *b, struct batch *batch, const struct core_counts *counts)
{
	while (!list_empty(&batch->watches)) {
		struct watch *w =
			container_of(batch->watches.next, struct watch, by_batch);
		struct last_progress *p = last_new(w->peer, batch->id, counts,
						   counts->total <= w->inline_results);
		for (uint32_t i = 0; i < p->task_count; i++)
			view_task(b, batch->number, i, &p->tasks[i]);
		put_notices(&p->notices, w);
		watch_remove(w);
		outbox_do(b, batch->hold_step, send_last, free_last, p);
	}
}

void watch_given_up(struct broker *b, struct batch *batch)
{
	while (!list_empty(&batch->watches)) {
		struct watch *w =
			container_of(batch->watches.next, struct watch, by_batch);
		struct peer *peer = peer_get(b, w->peer);
		uint64_t serial = w->serial;
		struct err error = {0};
		watch_remove(w);
		err_set(&error, ERR_NOT_FOUND,
			"the batch is gone: it was given up while it was being "
			"submitted");
		if (peer)
			peer_error(b, peer, serial, &error);
	}
}

/* ---- Watch, ProgressAck ---- */

static int keep_end(void *arg, const struct ledger_end *end)
{
	struct last_progress *p = arg;
	if (end->index < p->task_count)
		page_from_end(&p->tasks[end->index], end);
	return 0;
}

static void watch_over(struct broker *b, struct peer *peer,
		       const struct ledger_batch_row *row, uint64_t serial,
		       uint32_t inline_results)
{
	bool small = row->counts.total <= WATCH_INLINE_MAX &&
		     row->counts.total <= inline_results;
	struct last_progress *p =
		last_new(peer->handle, row->batch.id, &row->counts, small);
	p->serial = serial;
	for (uint32_t i = 0; i < p->task_count; i++)
		p->tasks[i].index = i;
	if (small)
		ledger_each_end(b->reader, row->batch.batch, keep_end, p);
	send_last(b, p);
}

/* What it ended as is on its way to the disk. */
static void watch_ending(struct broker *b, struct peer *peer, const struct batch *batch,
			 uint64_t serial, uint32_t inline_results)
{
	struct core_batch_view view;
	if (core_view_batch(b->core, batch->number, &view))
		return;
	struct last_progress *p = last_new(peer->handle, batch->id, &view.counts,
					   view.counts.total <= WATCH_INLINE_MAX &&
						   view.counts.total <= inline_results);
	p->serial = serial;
	for (uint32_t i = 0; i < p->task_count; i++)
		view_task(b, batch->number, i, &p->tasks[i]);
	outbox_do(b, batch->hold_step, send_last, free_last, p);
}

void watch_begin(struct broker *b, struct peer *peer, struct batch *batch,
		 const struct ledger_batch_row *row, uint64_t serial,
		 uint32_t inline_results)
{
	if (!batch)
		watch_over(b, peer, row, serial, inline_results);
	else if (batch->ended)
		watch_ending(b, peer, batch, serial, inline_results);
	else
		watch_add(b, peer, batch, serial, inline_results);
}

void handle_watch(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct batch *batch;
	struct ledger_batch_row row;
	struct err error = {0};
	if (resolve_batch(b, e->watch->batch, &batch, &row, &error)) {
		peer_error(b, peer, e->serial, &error);
		return;
	}
	struct watch *w = batch ? find(peer, batch->id) : NULL;
	if (e->watch->stop) {
		if (w)
			watch_remove(w);
		Cashet__Envelope out = CASHET__ENVELOPE__INIT;
		Cashet__Done done = CASHET__DONE__INIT;
		out.serial = e->serial;
		out.body_case = CASHET__ENVELOPE__BODY_DONE;
		out.done = &done;
		peer_send(b, peer, &out);
		return;
	}
	bool another = batch && !batch->ended && !w;
	if (another && peer->watch_count >= WATCH_PER_PEER_MAX) {
		err_set(&error, ERR_FAILED, "too many watches of one client");
		peer_error(b, peer, e->serial, &error);
		return;
	}
	watch_begin(b, peer, batch, &row, e->serial, e->watch->inline_results);
}

void handle_progress_ack(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	if (!wire_is(&e->progress_ack->batch, DIGEST_SIZE))
		return;
	struct watch *w = find(peer, e->progress_ack->batch.data);
	if (w)
		w->unacknowledged = false;
}
