/* history.c - lists of commits, and counts of the store. */
#include "client/history.h"

#include "client/target.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PAGE 200 /* rows: whoever looks at the newest ones need not wait for more */
#define PAGE 2000

/* ---- lists ---- */

/* Return: 0; 1 the caller has seen enough; ERR_*. */
enum { SEEN_ENOUGH = -1 };

static int give_rows(const Cashet__CommitsPage *page, cashet_commit_row row, void *arg,
		     struct err *e)
{
	for (size_t i = 0; i < page->n_rows; i++) {
		struct keep k = {0};
		struct cashet_commit commit;
		commit_from(&commit, page->rows[i], &k);
		int r = k.failed	    ? handle_no_memory(e)
			: row(arg, &commit) ? SEEN_ENOUGH
					    : 0;
		keep_fini(&k);
		if (r)
			return r;
	}
	return 0;
}

void conditions_fini(struct conditions *q)
{
	free(q->pairs);
	free(q->pair_pointers);
	free(q->any_value);
}

int conditions_init(struct conditions *q, const struct cashet_commits_filter *f,
		    struct err *e)
{
	Cashet__CommitsQuery *m = &q->message;
	*q = (struct conditions){.message = CASHET__COMMITS_QUERY__INIT,
				 .batch = CASHET__BATCH_REF__INIT};
	q->pairs = calloc(f->tag_count + 1, sizeof *q->pairs);
	q->pair_pointers = calloc(f->tag_count + 1, sizeof *q->pair_pointers);
	q->any_value = calloc(f->tag_count + 1, sizeof *q->any_value);
	if (!q->pairs || !q->pair_pointers || !q->any_value)
		return handle_no_memory(e);
	for (size_t i = 0; i < f->tag_count; i++) {
		cashet__pair__init(&q->pairs[i]);
		q->pairs[i].key = (char *)f->tags[i].key;
		q->pairs[i].value = (char *)(f->tags[i].value ? f->tags[i].value : "");
		q->pair_pointers[i] = &q->pairs[i];
		if (!f->tags[i].value)
			q->any_value[m->n_any_value++] = (uint32_t)i;
	}
	m->func = (char *)(f->func ? f->func : "");
	m->tags = q->pair_pointers;
	m->n_tags = f->tag_count;
	m->any_value = q->any_value;
	m->status = f->completed && !f->failed ? 1 : f->failed && !f->completed ? 2 : 0;
	m->since_wall_ms = f->since_wall_ms;
	if (!f->batch)
		return 0;
	m->has_batch = true;
	m->batch = &q->batch;
	return batch_ref_parse(f->batch, &q->batch, q->bytes, e);
}

static int ask_page(struct cashet *c, struct conditions *q, struct request **rp,
		    struct err *e)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_COMMITS_QUERY;
	envelope.commits_query = &q->message;
	return request_ask(c, &envelope, CASHET__ENVELOPE__BODY_COMMITS_PAGE, rp, e);
}

static int commits(struct cashet *c, const struct cashet_commits_filter *filter,
		   cashet_commit_row row, void *arg, struct err *e)
{
	static const struct cashet_commits_filter none;
	const struct cashet_commits_filter *f = filter ? filter : &none;
	struct conditions q;
	uint64_t left = f->max ? f->max : UINT64_MAX, page = FIRST_PAGE;
	int r = conditions_init(&q, f, e);
	while (r == 0 && left) {
		struct request *request;
		q.message.max = (uint32_t)(left < page ? left : page);
		r = ask_page(c, &q, &request, e);
		if (r)
			break;
		const Cashet__CommitsPage *got = request->reply->commits_page;
		left -= got->n_rows < left ? got->n_rows : left;
		r = give_rows(got, row, arg, e);
		if (r == 0 && got->next && q.message.before &&
		    got->next >= q.message.before)
			r = err_set(e, ERR_FAILED,
				    "the broker sent a page that makes no sense");
		q.message.before = got->next;
		request_free(request);
		page = PAGE;
		if (!q.message.before)
			break;
	}
	conditions_fini(&q);
	return r == SEEN_ENOUGH ? 0 : r;
}

int cashet_commits(struct cashet *c, const struct cashet_commits_filter *filter,
		   cashet_commit_row row, void *arg, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, commits(c, filter, row, arg, &e));
}

static int runs(struct cashet *c, const char *what, cashet_commit_row row, void *arg,
		struct err *e)
{
	struct target target;
	int r = target_parse(what, &target, e);
	if (r)
		return r;
	Cashet__RunsQuery query = CASHET__RUNS_QUERY__INIT;
	query.target = &target.message;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_RUNS_QUERY;
	envelope.runs_query = &query;
	struct request *request;
	r = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_COMMITS_PAGE, &request, e);
	if (r)
		return r;
	r = give_rows(request->reply->commits_page, row, arg, e);
	request_free(request);
	return r == SEEN_ENOUGH ? 0 : r;
}

int cashet_runs(struct cashet *c, const char *what, cashet_commit_row row, void *arg,
		struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, runs(c, what, row, arg, &e));
}

/* ---- counts ---- */

static int stats(struct cashet *c, struct cashet_store_stats *out, struct err *e)
{
	Cashet__StatsQuery query = CASHET__STATS_QUERY__INIT;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_STATS_QUERY;
	envelope.stats_query = &query;
	struct request *request;
	int r = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_STATS, &request, e);
	if (r)
		return r;
	const Cashet__Stats *s = request->reply->stats;
	*out = (struct cashet_store_stats){
		.completed = s->completed,
		.failed = s->failed,
		.hits = s->hits,
		.executed = s->executed,
		.deduplicated = s->deduplicated,
		.compute_ns = s->compute_ns,
		.saved_ns = s->saved_ns,
		.referenced_bytes = s->referenced_bytes,
		.object_bytes = s->object_bytes,
		.stored_bytes = s->stored_bytes,
		.objects = s->objects,
		.inline_blobs = s->inline_blobs,
		.inline_bytes = s->inline_bytes,
		.batches = s->batches,
		.pins = s->pins,
		.journal_bytes = s->journal_bytes,
		.journal_free_bytes = s->journal_free_bytes,
	};
	request_free(request);
	return 0;
}

int cashet_stats(struct cashet *c, struct cashet_store_stats *out,
		 struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, stats(c, out, &e));
}
