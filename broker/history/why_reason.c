/* why_reason.c - why a task ran although work is done only once: the same work was not there, or did not
 * count, or had to be done again. */
#include "broker/history/why.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- earlier runs of the same fingerprint ---- */

struct runs {
	uint64_t before;
	const uint8_t *parent;
	struct buf arena;
	uint64_t newest, success, not_kept; /* numbers; 0: none */
	bool success_is_parent;
	uint64_t expires_ms; /* of @success; 0: never */
	struct content result;
	uint8_t outputs[8][DIGEST_SIZE];
	size_t output_count;
};

static Cashet__Options__Cache cache_of(const uint8_t *options, size_t size)
{
	const uint8_t *at = options;
	struct pb_field f;
	uint64_t cache = CASHET__OPTIONS__CACHE__USE;
	while (options && pb_next(&at, options + size, &f))
		if (f.number == 6 && f.type == PB_VARINT)
			cache = f.value;
	return (Cashet__Options__Cache)cache;
}

static void note_success(struct runs *r, const struct ledger_commit_row *row,
			 const struct commit *c)
{
	r->success = row->seq;
	r->success_is_parent = r->parent && !memcmp(row->hash, r->parent, DIGEST_SIZE);
	r->expires_ms = c->ttl_s ? c->ended_wall_ms + c->ttl_s * 1000 : 0;
	r->result = c->result;
	for (size_t i = 0; i < c->output_count && i < ARRAY_LEN(r->outputs); i++)
		memcpy(r->outputs[r->output_count++], c->outputs[i].content.digest,
		       DIGEST_SIZE);
}

static int look_at_run(void *arg, const struct ledger_commit_row *row)
{
	struct runs *r = arg;
	struct commit c;
	buf_reset(&r->arena);
	if ((r->before && row->seq >= r->before) || !row->body ||
	    commit_decode(row->body, row->size, &c, &r->arena))
		return 0;
	if (!r->newest)
		r->newest = row->seq;
	if (c.status != COMMIT_COMPLETED)
		return 0;
	if (c.has_nonce &&
	    cache_of(c.options, c.options_size) == CASHET__OPTIONS__CACHE__OFF) {
		if (!r->not_kept)
			r->not_kept = row->seq;
		return 0;
	}
	note_success(r, row, &c);
	return 1;
}

static bool was_corrupt(struct history *h, const struct runs *r)
{
	if (!h->cas)
		return false;
	if (cas_was_corrupt(h->cas, r->result.digest))
		return true;
	for (size_t i = 0; i < r->output_count; i++)
		if (cas_was_corrupt(h->cas, r->outputs[i]))
			return true;
	return false;
}

/* A success of the same work was there: why did it not count? */
static Cashet__WhyReply__Reason why_not(struct history *h, const struct runs *r,
					const struct same_work *w)
{
	struct ledger_hit hit;
	if (r->expires_ms && r->expires_ms <= w->started_ms)
		return CASHET__WHY_REPLY__REASON__EXPIRED;
	/* The broker names as parent what it found and could not use; what was invalidated it does
	 * not find. Before the run, it would still be found. */
	bool found = w->before ? r->success_is_parent
			       : !ledger_find(history_reader(h), w->func_hash,
					      w->args_hash, &hit);
	if (!found)
		return CASHET__WHY_REPLY__REASON__INVALIDATED;
	return was_corrupt(h, r) ? CASHET__WHY_REPLY__REASON__CORRUPT
				 : CASHET__WHY_REPLY__REASON__GONE;
}

Cashet__WhyReply__Reason why_same_work(struct history *h, const struct same_work *w,
				       uint64_t *earlierp)
{
	struct runs r = {.before = w->before, .parent = w->parent};
	Cashet__WhyReply__Reason reason = CASHET__WHY_REPLY__REASON__CHANGED;
	*earlierp = 0;
	if (history_reader(h))
		ledger_each_run(history_reader(h), w->func_hash, w->args_hash,
				look_at_run, &r);
	buf_fini(&r.arena);
	if (w->cache != CASHET__OPTIONS__CACHE__USE) {
		*earlierp = r.success ? r.success : r.newest;
		return w->cache == CASHET__OPTIONS__CACHE__OFF
			       ? CASHET__WHY_REPLY__REASON__NO_CACHE
			       : CASHET__WHY_REPLY__REASON__FORCED;
	}
	if (r.success) {
		*earlierp = r.success;
		reason = why_not(h, &r, w);
	} else if (r.newest && r.newest != r.not_kept) {
		*earlierp = r.newest;
		reason = CASHET__WHY_REPLY__REASON__FAILED_BEFORE;
	} else if (r.not_kept) {
		*earlierp = r.not_kept;
		reason = CASHET__WHY_REPLY__REASON__NOT_KEPT;
	}
	return reason;
}

Cashet__WhyReply__Reason why_reason(struct history *h, const struct subject *s,
				    uint64_t now_ms, uint64_t *earlierp)
{
	*earlierp = 0;
	if (!s->has_print)
		return CASHET__WHY_REPLY__REASON__UNKNOWN;
	const struct commit *c = s->seq ? &s->commit : NULL;
	struct same_work w = {.func_hash = s->func_hash,
			      .args_hash = s->args_hash,
			      .before = s->seq,
			      .started_ms = now_ms,
			      .cache = CASHET__OPTIONS__CACHE__USE,
			      .parent = c && c->has_parent ? c->parent : NULL};
	if (c)
		w.started_ms = c->ended_wall_ms - c->duration_ns / NS_PER_MS;
	if (s->has_nonce)
		w.cache = cache_of(s->options.data, s->options.size);
	Cashet__WhyReply__Reason reason = why_same_work(h, &w, earlierp);
	if (*earlierp || reason != CASHET__WHY_REPLY__REASON__CHANGED)
		return reason;
	struct print p = {.function = s->has_function ? &s->function : NULL,
			  .args = s->has_args ? &s->args : NULL,
			  .batch = s->has_batch ? s->batch : NULL,
			  .index = s->index};
	memcpy(p.func_hash, s->func_hash, DIGEST_SIZE);
	memcpy(p.args_hash, s->args_hash, DIGEST_SIZE);
	struct nearest *n = nearest_load(h, s->name, s->seq);
	bool none = nearest_find(n, &p, true, earlierp);
	nearest_free(n);
	if (!none)
		return CASHET__WHY_REPLY__REASON__CHANGED;
	*earlierp = 0;
	return CASHET__WHY_REPLY__REASON__FIRST;
}
