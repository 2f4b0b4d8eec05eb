/* why.c - WhyQuery: why a task ran, waits, was a hit, was skipped or failed; and how two runs differ. */
#include "broker/history/why.h"

#include "common/clock.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 32 /* that are named */

enum { ENVELOPE_WHY_REPLY = 71 };
enum { FUNCTION_PARAM_ORDER = 6, FUNCTION_PARAMS = 8 };

static Cashet__WhyReply__Verdict verdict_of(const struct page_task *t)
{
	switch ((enum core_task_status)t->status) {
	case CORE_WAITING:
		return CASHET__WHY_REPLY__VERDICT__WAITING;
	case CORE_READY:
		return CASHET__WHY_REPLY__VERDICT__READY;
	case CORE_RUNNING:
		return CASHET__WHY_REPLY__VERDICT__RUNNING;
	case CORE_COMPLETED:
		return t->cached	 ? CASHET__WHY_REPLY__VERDICT__HIT
		       : t->deduplicated ? CASHET__WHY_REPLY__VERDICT__JOINED
					 : CASHET__WHY_REPLY__VERDICT__RAN;
	case CORE_FAILED:
		return CASHET__WHY_REPLY__VERDICT__FAILED;
	case CORE_SKIPPED:
		return CASHET__WHY_REPLY__VERDICT__SKIPPED;
	case CORE_CANCELLED:
		break;
	}
	return CASHET__WHY_REPLY__VERDICT__CANCELLED;
}

/* Which parameters people see, in which order. Numbers come packed, or one by one. */
static void put_params(struct buf *out, const struct subject *s)
{
	const uint8_t *at = s->packed.data;
	struct pb_field f;
	while (s->packed.size && pb_next(&at, s->packed.data + s->packed.size, &f)) {
		if (f.number == FUNCTION_PARAMS && f.type == PB_BYTES)
			pb_bytes(out, 11, f.data, f.size);
		if (f.number != FUNCTION_PARAM_ORDER)
			continue;
		if (f.type == PB_BYTES)
			pb_bytes(out, 9, f.data, f.size);
		else if (f.type == PB_VARINT) {
			pb_tag(out, 9, PB_VARINT);
			pb_varint(out, f.value);
		}
	}
}

static void put_side(struct buf *out, unsigned field, const struct subject *s)
{
	size_t mark = pb_open(out, field);
	if (s->has_batch) {
		pb_bytes(out, 1, s->batch, DIGEST_SIZE);
		pb_uint(out, 2, s->index);
	}
	pb_text(out, 3, s->name);
	if (s->has_print) {
		pb_bytes(out, 4, s->func_hash, DIGEST_SIZE);
		pb_bytes(out, 5, s->args_hash, DIGEST_SIZE);
	}
	if (s->seq) {
		pb_bytes(out, 6, s->hash, DIGEST_SIZE);
		pb_bytes(out, 7, s->body.data, s->body.size);
	}
	pb_bytes(out, 8, s->description.data, s->description.size);
	put_params(out, s);
	if (!s->seq && s->has_args)
		pb_bytes(out, 10, s->args_bytes.data, s->args_bytes.size);
	pb_close(out, mark);
}

static void put_task(struct history *h, struct buf *out, const struct subject *s,
		     uint32_t index, uint8_t status)
{
	CLEANUP_FREE char *name = subject_name(h, s, index);
	size_t mark = pb_open(out, 6);
	pb_uint(out, 1, index);
	pb_text(out, 2, name);
	pb_uint(out, 3, status);
	pb_close(out, mark);
}

/* ---- who made an input ---- */

struct origins {
	struct history *h;
	const struct subject *s;
	struct deps deps;
	const struct ends *ends;
};

/* References are at their places in the bytes as submitted, and resolving moves nothing. */
static void put_origin(void *arg, struct buf *out, size_t input)
{
	struct origins *o = arg;
	const struct dep *dep = NULL;
	uint64_t count = 0;
	bool ran = false;
	for (size_t i = 0; i < o->deps.count; i++) {
		const struct dep *d = &o->deps.items[i];
		if (!d->is_input || d->offset != o->s->args.inputs[input].offset)
			continue;
		dep = dep ? dep : d;
		count += d->count;
		for (uint32_t k = d->first; k - d->first < d->count && k < o->ends->count;
		     k++)
			ran = ran || (o->ends->items[k].status == CORE_COMPLETED &&
				      !(o->ends->items[k].flags & 1));
	}
	if (!dep || dep->first >= o->ends->count)
		return;
	CLEANUP_FREE char *name = subject_name(o->h, o->s, dep->first);
	const struct ledger_end *end = &o->ends->items[dep->first];
	uint8_t hash[DIGEST_SIZE];
	size_t mark = pb_open(out, 8);
	pb_uint(out, 1, dep->first);
	pb_text(out, 2, name);
	buf_reset(&o->h->pager.body);
	if (end->commit && count == 1 &&
	    !ledger_read_commit(history_reader(o->h), end->commit, &o->h->pager.body,
				hash))
		pb_bytes(out, 3, hash, DIGEST_SIZE);
	pb_uint(out, 4, ran);
	pb_uint(out, 5, count);
	pb_close(out, mark);
}

/* ---- what differs ---- */

static Cashet__Function *unpack_function(const struct subject *s)
{
	return s->packed.size
		       ? cashet__function__unpack(NULL, s->packed.size, s->packed.data)
		       : NULL;
}

static void put_tags(const struct compare_sink *sink, const struct subject *old,
		     const struct subject *now)
{
	Cashet__Function *a = unpack_function(old), *b = unpack_function(now);
	if (a && b)
		compare_tags(sink, a->tags, a->n_tags, b->tags, b->n_tags);
	if (a)
		cashet__function__free_unpacked(a, NULL);
	if (b)
		cashet__function__free_unpacked(b, NULL);
}

static void put_changes(struct history *h, struct buf *out, const struct subject *old,
			const struct subject *now)
{
	struct origins o = {.h = h, .s = now};
	struct compare_sink sink = {.out = out, .field = 5, .arg = &o};
	struct compare_side a = {.function = old->has_function ? &old->function : NULL,
				 .args = old->has_args ? &old->args : NULL,
				 .func_hash = old->func_hash,
				 .args_hash = old->args_hash,
				 .source = old->has_source ? old->source : NULL},
			    b = {.function = now->has_function ? &now->function : NULL,
				 .args = now->has_args ? &now->args : NULL,
				 .func_hash = now->func_hash,
				 .args_hash = now->args_hash,
				 .source = now->has_source ? now->source : NULL};
	if (now->has_spec &&
	    !deps_read(h, &now->row, now->spec.data, now->spec.size, &o.deps)) {
		o.ends = history_ends(h, &now->row);
		sink.input = put_origin;
	}
	compare_write(&sink, &a, &b);
	deps_fini(&o.deps);
	if (old->options.size && now->options.size)
		compare_options(&sink, old->options.data, old->options.size,
				now->options.data, now->options.size);
	put_tags(&sink, old, now);
}

/* ---- waiting and skipped tasks ---- */

static bool is_over(uint8_t status)
{
	return status >= CORE_COMPLETED;
}

/* The ledger knows what has ended, the loop what goes on. */
static uint8_t status_of(const struct history_live *live, const struct ends *ends,
			 uint32_t index)
{
	const struct history_live_task *t = live->task;
	return t && index < t->status_count ? t->statuses[index]
					    : ends->items[index].status;
}

static void put_waits(struct history *h, struct buf *out, const struct subject *s,
		      const struct history_live *live)
{
	struct deps deps;
	uint64_t named = 0, left_out = 0;
	if (!s->has_spec || deps_read(h, &s->row, s->spec.data, s->spec.size, &deps))
		return;
	const struct ends *ends = history_ends(h, &s->row);
	for (size_t i = 0; i < deps.count; i++) {
		const struct dep *d = &deps.items[i];
		for (uint32_t k = d->first; k - d->first < d->count && k < ends->count;
		     k++) {
			uint8_t status = status_of(live, ends, k);
			if (is_over(status))
				continue;
			if (named == TASKS_MAX) {
				left_out++;
				continue;
			}
			named++;
			put_task(h, out, s, k, status);
		}
	}
	pb_uint(out, 7, left_out);
	deps_fini(&deps);
}

/* The task before @index through which the failure of @root came; @index itself if unknown. */
static uint32_t step_up(struct history *h, const struct subject *s,
			const struct ends *ends, uint32_t index, uint32_t root)
{
	struct specs_task t;
	struct deps deps = {0};
	uint32_t found = index;
	struct specs *specs = history_specs(h, &s->row);
	if (!specs || specs_task(specs, index, &t) ||
	    deps_read(h, &s->row, t.packed, t.packed_size, &deps))
		return index;
	for (size_t i = 0; found != root && i < deps.count; i++) {
		const struct dep *d = &deps.items[i];
		if (root - d->first < d->count) {
			found = root;
			break;
		}
		for (uint32_t k = d->first; k - d->first < d->count && k < ends->count;
		     k++) {
			if (ends->items[k].status != CORE_SKIPPED ||
			    ends->items[k].upstream != root)
				continue;
			found = k;
			break;
		}
	}
	deps_fini(&deps);
	return found;
}

static void put_chain(struct history *h, struct buf *out, const struct subject *s)
{
	const struct ends *ends = history_ends(h, &s->row);
	uint32_t at = s->index, root = s->task.upstream;
	for (unsigned n = 0; n < TASKS_MAX && at != root; n++) {
		uint32_t next = step_up(h, s, ends, at, root);
		if (next == at)
			next = root;
		if (next >= ends->count)
			return;
		put_task(h, out, s, next, ends->items[next].status);
		at = next;
	}
}

/* ---- the question ---- */

/* Why task @s, which is the @which of two, cannot be compared. */
static int no_print(const struct subject *s, const char *which, struct err *e)
{
	Cashet__WhyReply__Verdict verdict = verdict_of(&s->task);
	bool skipped = verdict == CASHET__WHY_REPLY__VERDICT__SKIPPED;
	if (skipped || verdict == CASHET__WHY_REPLY__VERDICT__CANCELLED) {
		err_set(e, ERR_NOT_FOUND,
			"the %s one was %s and never ran, so there is nothing to compare",
			which, skipped ? "skipped" : "cancelled");
		err_next(e, "cashet why tells why");
	} else {
		err_set(e, ERR_NOT_FOUND,
			"the inputs of the %s one are not known yet, so there is nothing "
			"to compare",
			which);
		err_next(e, "wait until it has run: cashet wait");
	}
	return ERR_NOT_FOUND;
}

/* Which of two runs is compared with which was said. */
static int compare_with(struct history *h, const Cashet__WhyQuery *query,
			const struct subject *now, struct buf *out, struct err *e)
{
	static const struct history_live none;
	struct subject old;
	int rc = subject_load(h, query->against, &none, &old, e);
	if (rc == 0 && !old.has_print)
		rc = no_print(&old, "first", e);
	else if (rc == 0 && !now->has_print)
		rc = no_print(now, "second", e);
	if (rc == 0) {
		put_side(out, 4, &old);
		put_changes(h, out, &old, now);
	}
	subject_fini(&old);
	return rc;
}

static void explain(struct history *h, const struct subject *s, uint64_t now_ms,
		    struct buf *out)
{
	uint64_t earlier;
	struct err e = {0};
	Cashet__WhyReply__Reason reason = why_reason(h, s, now_ms, &earlier);
	pb_uint(out, 2, reason);
	struct subject old = {0};
	if (earlier && !subject_load_commit(h, earlier, &old, &e)) {
		put_side(out, 4, &old);
		put_changes(h, out, &old, s);
	}
	subject_fini(&old);
}

int history_why(struct history *h, const Cashet__Envelope *question,
		const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__WhyQuery *query = question->why_query;
	struct subject s = {0};
	if (!query->target)
		return err_set(e, ERR_USAGE, "which task or commit?");
	uint64_t now_ms = clock_wall_ms();
	int rc = subject_load(h, query->target, live, &s, e);
	size_t mark = pb_open(out, ENVELOPE_WHY_REPLY);
	if (rc == 0) {
		Cashet__WhyReply__Verdict verdict = verdict_of(&s.task);
		pb_uint(out, 1, verdict);
		put_side(out, 3, &s);
		if (query->against)
			rc = compare_with(h, query, &s, out, e);
		else if (verdict == CASHET__WHY_REPLY__VERDICT__WAITING)
			put_waits(h, out, &s, live);
		else if (verdict == CASHET__WHY_REPLY__VERDICT__SKIPPED)
			put_chain(h, out, &s);
		else if (verdict != CASHET__WHY_REPLY__VERDICT__HIT &&
			 verdict != CASHET__WHY_REPLY__VERDICT__JOINED &&
			 verdict != CASHET__WHY_REPLY__VERDICT__CANCELLED)
			explain(h, &s, now_ms, out);
		if (live->task && live->task->note)
			pb_text(out, 8, live->task->note);
		pb_uint(out, 9, now_ms);
	}
	pb_close(out, mark);
	subject_fini(&s);
	return rc;
}
