/* watch.c - following a batch: the last one that was submitted (whose sealing chunk asks for it)
 * or any other. Progress is state, not events: the last one counts, and notices of failures are
 * collected until somebody looks. When the batch ended with few tasks, its results came along. */
#include "client/watch.h"

#include "client/local.h"
#include "common/clock.h"
#include "common/pure/hex.h"

#include <stdlib.h>
#include <string.h>

#define INLINE_RESULTS 64      /* tasks whose results come with the end */
#define CHUNK_KEPT (64u << 10) /* bytes of a batch's only chunk */
#define NOTICES_MAX 1000       /* kept until they are looked at */
#define INTERVAL_NS NS_PER_S

struct watch {
	uint8_t prefix[DIGEST_SIZE]; /* what was asked for; all of it is the full id */
	size_t digits;
	bool has_id;
	uint8_t id[DIGEST_SIZE];
	bool by_seal;	 /* the sealing chunk asks, as long as it is not acknowledged */
	uint64_t serial; /* of the Watch message, 0: none was sent */
	bool known, ended, paused, changed;
	struct cashet_counts counts;
	struct cashet_notice *notices; /* their texts are ours */
	size_t notice_count, notice_capacity;
	uint64_t left_out;
	struct wire_arena *page_arena;
	Cashet__ResultsPage *page;
	struct buf chunk;  /* packed; empty: not known, or too large to keep */
	struct err failed; /* code 0: it did not */
	char *note;
};

static void notices_free(struct cashet_notice *notices, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free((char *)notices[i].name);
		free((char *)notices[i].worker);
		free((char *)notices[i].error);
	}
	free(notices);
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	notices_free(w->notices, w->notice_count);
	handle_arena_free(w->page_arena);
	buf_fini(&w->chunk);
	free(w->note);
	free(w);
}

int watch_expect(struct cashet *c, const uint8_t batch[DIGEST_SIZE], const void *packed,
		 size_t size)
{
	struct watch *w = calloc(1, sizeof *w);
	if (!w)
		return ERR_FAILED;
	memcpy(w->prefix, batch, DIGEST_SIZE);
	memcpy(w->id, batch, DIGEST_SIZE);
	w->digits = 2 * DIGEST_SIZE;
	w->has_id = w->by_seal = true;
	if (packed && size <= CHUNK_KEPT)
		buf_add(&w->chunk, packed, size);
	if (w->chunk.failed) /* the broker can be asked */
		buf_fini(&w->chunk);
	watch_free(c->watch);
	c->watch = w;
	return 0;
}

static void send_watch(struct cashet *c, bool stop)
{
	struct watch *w = c->watch;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	ref.prefix = (ProtobufCBinaryData){.data = w->prefix, .len = (w->digits + 1) / 2};
	ref.odd = w->digits % 2;
	if (w->has_id) { /* "the newest" and what a prefix means must not change on the way */
		ref.prefix = (ProtobufCBinaryData){.data = w->id, .len = DIGEST_SIZE};
		ref.odd = 0;
	}
	Cashet__Watch watch = CASHET__WATCH__INIT;
	watch.batch = &ref;
	watch.stop = stop;
	watch.inline_results = INLINE_RESULTS;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.serial = w->serial = handle_serial(c);
	envelope.body_case = CASHET__ENVELOPE__BODY_WATCH;
	envelope.watch = &watch;
	CLEANUP_BUF struct buf packed = {0};
	wire_pack(&packed, &envelope);
	if (!packed.failed)
		handle_send(c, packed.data, packed.size);
}

void watch_resume(struct cashet *c, bool seal_follows)
{
	struct watch *w = c->watch;
	if (!w || w->ended || w->failed.code || (w->by_seal && seal_follows))
		return;
	w->by_seal = false;
	send_watch(c, false);
}

/* ---- what arrives ---- */

static bool is_ours(struct watch *w, const Cashet__Progress *p)
{
	if (!w || w->ended || !wire_is(&p->batch, DIGEST_SIZE))
		return false;
	if (w->has_id)
		return memcmp(w->id, p->batch.data, DIGEST_SIZE) == 0;
	if (memcmp(w->prefix, p->batch.data, w->digits / 2) ||
	    (w->digits % 2 &&
	     (p->batch.data[w->digits / 2] ^ w->prefix[w->digits / 2]) >> 4))
		return false;
	memcpy(w->id, p->batch.data, DIGEST_SIZE);
	w->has_id = true;
	return true;
}

static void add_notice(struct watch *w, const Cashet__Notice *n)
{
	if (w->notice_count == w->notice_capacity && w->notice_count < NOTICES_MAX) {
		size_t capacity = w->notice_capacity ? 2 * w->notice_capacity : 8;
		struct cashet_notice *grown =
			realloc(w->notices, capacity * sizeof *grown);
		if (grown) {
			w->notices = grown;
			w->notice_capacity = capacity;
		}
	}
	struct cashet_notice to = {
		.index = n->index,
		.name = strdup(n->name),
		.worker = strdup(n->worker),
		.error = strdup(n->error),
		.attempt = n->attempt,
		.attempts = n->attempts,
		.final = n->final,
	};
	if (to.name && to.worker && to.error && w->notice_count < w->notice_capacity) {
		w->notices[w->notice_count++] = to;
		return;
	}
	w->left_out++;
	free((char *)to.name);
	free((char *)to.worker);
	free((char *)to.error);
}

static void acknowledge(struct cashet *c, const Cashet__Progress *p)
{
	Cashet__ProgressAck ack = CASHET__PROGRESS_ACK__INIT;
	ack.batch = p->batch;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_PROGRESS_ACK;
	envelope.progress_ack = &ack;
	CLEANUP_BUF struct buf packed = {0};
	wire_pack(&packed, &envelope);
	if (!packed.failed)
		handle_send(c, packed.data, packed.size);
}

bool watch_take_progress(struct cashet *c, Cashet__Progress *p)
{
	struct watch *w = c->watch;
	if (!p->ended)
		acknowledge(c, p);
	if (!is_ours(w, p))
		return false;
	w->known = w->changed = true;
	counts_from(&w->counts, p->counts);
	w->paused = p->paused;
	char *note = strdup(p->note);
	if (note) {
		free(w->note);
		w->note = note;
	}
	w->left_out += p->notices_left_out;
	for (size_t i = 0; i < p->n_notices; i++)
		add_notice(w, p->notices[i]);
	if (!p->ended)
		return true;
	w->ended = true;
	Cashet__ResultsPage *page = p->results;
	if (page && page->first == 0 && page->next == page->total) {
		w->page_arena = handle_take_arena(c);
		w->page = w->page_arena ? page : NULL;
	}
	return true;
}

bool watch_take_error(struct cashet *c, uint64_t serial, const Cashet__Error *error)
{
	struct watch *w = c->watch;
	if (!w || !serial || w->serial != serial)
		return false;
	request_error(error, &w->failed);
	return true;
}

bool watch_take_page(struct cashet *c, const Cashet__BatchRef *ref,
		     struct watch_page *out)
{
	struct watch *w = c->watch;
	if (!w || !w->page || ref->prefix.len != DIGEST_SIZE || ref->odd ||
	    memcmp(ref->prefix.data, w->id, DIGEST_SIZE))
		return false;
	*out = (struct watch_page){.paused = w->paused};
	if (!w->page->n_functions && w->page->n_tasks) {
		if (w->chunk.size)
			out->chunk = cashet__submit_chunk__unpack(NULL, w->chunk.size,
								  w->chunk.data);
		if (!out->chunk || out->chunk->n_tasks != w->page->n_tasks) {
			if (out->chunk)
				cashet__submit_chunk__free_unpacked(out->chunk, NULL);
			return false;
		}
	}
	out->arena = steal(w->page_arena);
	out->page = steal(w->page);
	return true;
}

/* ---- waiting ---- */

/* The watch of @batch: the one that there is, or a new one. */
static int get_watch(struct cashet *c, const char *batch, struct err *e)
{
	struct watch *w = c->watch;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE];
	int r = batch_ref_parse(batch, &ref, bytes, e);
	if (r)
		return r;
	bool whole = ref.prefix.len == DIGEST_SIZE && !ref.odd;
	if (w && whole && w->has_id && !w->failed.code &&
	    memcmp(w->id, bytes, DIGEST_SIZE) == 0)
		return 0;
	if (w && !w->ended && w->known)
		send_watch(c, true);
	w = calloc(1, sizeof *w);
	if (!w)
		return handle_no_memory(e);
	memcpy(w->prefix, bytes, DIGEST_SIZE);
	w->digits = 2 * ref.prefix.len - (ref.odd ? 1 : 0);
	if (whole) {
		memcpy(w->id, bytes, DIGEST_SIZE);
		w->has_id = true;
	}
	watch_free(c->watch);
	c->watch = w;
	if (c->transport)
		send_watch(c, false); /* else the session that begins says it */
	return 0;
}

/* Notices are taken out first: the callback may use the handle, and more may arrive. */
static int tell(struct cashet *c, const struct cashet_wait_options *options,
		struct err *e)
{
	struct watch *w = c->watch;
	char batch[CASHET_HEX_SIZE] = "";
	if (w->has_id)
		hex_encode(batch, w->id, DIGEST_SIZE);
	struct cashet_progress p = {
		.batch = batch,
		.counts = w->counts,
		.known = w->known,
		.ended = w->ended,
		.paused = w->paused,
		.note = w->note ? w->note : "",
		.connected = c->greeted || w->ended,
		.notices = w->notices,
		.notice_count = w->notice_count,
		.notices_left_out = w->left_out,
	};
	struct cashet_notice *notices = steal(w->notices);
	w->notice_count = w->notice_capacity = 0;
	w->left_out = 0;
	w->changed = false;
	int r = options->progress ? options->progress(options->arg, &p) : 0;
	notices_free(notices, p.notice_count);
	return r ? err_set(e, ERR_DETACHED, "the wait was ended") : 0;
}

static int wait_until_ended(struct cashet *c, const struct cashet_wait_options *options,
			    struct err *e)
{
	uint64_t now = clock_mono_ns();
	uint64_t until = options->timeout_ns ? now + options->timeout_ns : TIME_NEVER;
	uint64_t interval = options->interval_ns ? options->interval_ns : INTERVAL_NS;
	uint64_t next = options->progress ? now + interval : TIME_NEVER;
	if (until < now)
		until = TIME_NEVER;
	for (;;) {
		struct watch *w = c->watch;
		if (w->failed.code) {
			if (e)
				*e = w->failed;
			return w->failed.code;
		}
		int r = submission_check(c, e);
		if (r)
			return r;
		if (w->changed || now >= next) {
			next = options->progress ? now + interval : TIME_NEVER;
			r = tell(c, options, e);
			if (r)
				return r;
		}
		if (c->watch->changed)
			continue; /* more arrived while it was told */
		if (c->watch->ended)
			return 0;
		if (now >= until) {
			err_set(e, ERR_TIMED_OUT, "the batch has not ended in time");
			char id[CASHET_HEX_SIZE] = "";
			hex_encode(id, w->has_id ? w->id : w->prefix, DIGEST_SIZE);
			if (!w->has_id)
				id[w->digits] = '\0';
			err_next(e, "it goes on; to come back: cashet wait %.8s", id);
			return ERR_TIMED_OUT;
		}
		/* Once the broker has said that it knows the batch, there is all the time in the
		 * world: it will come back. */
		bool lasting = w->known || c->submission;
		r = handle_pump(c, until < next ? until : next,
				lasting ? TIME_NEVER : HANDLE_CONNECT_NS, e);
		if (r)
			return r;
		now = clock_mono_ns();
	}
}

/* Of a store that no broker serves: a batch that has ended needs none, one that has not goes on only
 * with one. */
static int look_locally(struct cashet *c, struct err *e)
{
	struct watch *w = c->watch;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	ref.prefix = (ProtobufCBinaryData){.data = w->prefix, .len = (w->digits + 1) / 2};
	ref.odd = w->digits % 2;
	Cashet__BatchesQuery query = CASHET__BATCHES_QUERY__INIT;
	query.has_one = true;
	query.one = &ref;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_BATCHES_QUERY;
	envelope.batches_query = &query;
	struct request *r;
	int failed = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_BATCHES, &r, e);
	if (failed)
		return failed;
	const Cashet__Batches *found = r->reply->batches;
	const Cashet__BatchRow *row = found->n_rows ? found->rows[0] : NULL;
	if (row && row->ended && wire_is(&row->batch, DIGEST_SIZE)) {
		memcpy(w->id, row->batch.data, DIGEST_SIZE);
		w->has_id = w->known = w->ended = w->changed = true;
		counts_from(&w->counts, row->counts);
	}
	request_free(r);
	return 0;
}

int watch_wait(struct cashet *c, const char *batch,
	       const struct cashet_wait_options *options, struct cashet_counts *counts,
	       struct err *e)
{
	static const struct cashet_wait_options none;
	int r = get_watch(c, batch, e);
	if (r)
		return r;
	if (!c->watch->known && !c->submission && local_may(c))
		r = look_locally(c, e);
	if (r)
		return r;
	r = wait_until_ended(c, options ? options : &none, e);
	if (counts)
		*counts = c->watch->counts;
	return r;
}
