/* results.c - see results.h. While one page is being read by the caller, the next is on its way:
 * the question is asked as soon as it is known where the next page begins. */
#include "client/results.h"

#include "client/target.h"
#include "client/watch.h"
#include "common/pure/hex.h"

#include <stdlib.h>
#include <string.h>

struct cashet_results {
	struct cashet *c;
	uint8_t id[DIGEST_SIZE];
	struct cashet_batch batch;
	char *name, *file;    /* of the batch */
	struct request *next; /* the page that is on its way */
	struct request *held; /* whose reply is @page; or @arena's: */
	struct wire_arena *arena;
	Cashet__ResultsPage *page;	/* NULL: none yet */
	Cashet__SubmitChunk *chunk;	/* of a batch of ours: what @page leaves out */
	size_t at;			/* row of @page */
	struct row_function *functions; /* of @page */
	size_t function_count;
	struct row row;
};

static struct request *ask(struct cashet *c, Cashet__BatchRef *ref, uint32_t first,
			   uint32_t count)
{
	Cashet__ResultsQuery query = CASHET__RESULTS_QUERY__INIT;
	query.batch = ref;
	query.first = first;
	query.count = count;
	query.specs = true;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_RESULTS_QUERY;
	envelope.results_query = &query;
	return request_send(c, &envelope);
}

static void drop_page(struct cashet_results *r)
{
	for (size_t i = 0; i < r->function_count; i++)
		row_function_fini(&r->functions[i]);
	free(steal(r->functions));
	r->function_count = 0;
	request_free(steal(r->held));
	handle_arena_free(steal(r->arena));
	if (r->chunk)
		cashet__submit_chunk__free_unpacked(steal(r->chunk), NULL);
	r->page = NULL;
}

/* The functions of the page and their options: its own, or those of the chunk. */
static int prepare_functions(struct cashet_results *r, struct err *e)
{
	const Cashet__ResultsPage *page = r->page;
	const Cashet__SubmitChunk *chunk = r->chunk;
	size_t count = chunk ? chunk->n_functions : page->n_functions;
	size_t option_count = chunk ? chunk->n_options : page->n_options;
	Cashet__Function **functions = chunk ? chunk->functions : page->functions;
	Cashet__Options **options = chunk ? chunk->options : page->options;
	if (!count)
		return 0;
	r->functions = calloc(count, sizeof *r->functions);
	if (!r->functions)
		return handle_no_memory(e);
	r->function_count = count;
	for (size_t i = 0; i < count; i++) {
		struct row_function *f = &r->functions[i];
		f->name = functions[i]->name;
		f->description = &functions[i]->description;
		f->order = functions[i]->param_order;
		f->order_count = functions[i]->n_param_order;
		f->labels = functions[i]->params;
		f->label_count = functions[i]->n_params;
		if (functions[i]->options < option_count) {
			const Cashet__Options *o = options[functions[i]->options];
			f->best = (const char *const *)o->best;
			f->best_count = o->n_best;
		}
	}
	return 0;
}

static int take_page(struct cashet_results *r, Cashet__ResultsPage *page, bool more,
		     struct err *e)
{
	r->page = page;
	r->at = 0;
	if (!wire_is(&page->batch, DIGEST_SIZE) || page->next < page->first ||
	    (more && page->next < page->total && page->n_tasks == 0))
		return err_set(e, ERR_FAILED,
			       "the broker sent a page that makes no sense");
	memcpy(r->id, page->batch.data, DIGEST_SIZE);
	int failed = prepare_functions(r, e);
	if (failed || !more || page->next >= page->total)
		return failed;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	ref.prefix = (ProtobufCBinaryData){.data = r->id, .len = DIGEST_SIZE};
	r->next = ask(r->c, &ref, page->next, 0);
	return r->next ? 0 : handle_no_memory(e);
}

/* The page that was asked for becomes the one that is read. */
static int turn_page(struct cashet_results *r, bool more, struct err *e)
{
	int failed = request_wait(r->c, r->next, CASHET__ENVELOPE__BODY_RESULTS_PAGE,
				  r->c->connect_ns, e);
	if (failed)
		return failed;
	drop_page(r);
	r->held = steal(r->next);
	return take_page(r, r->held->reply->results_page, more, e);
}

static int fill_batch(struct cashet_results *r, bool paused, struct err *e)
{
	const Cashet__ResultsPage *page = r->page;
	const Cashet__BatchInfo *info = page->info;
	r->name = strdup(info ? info->name : "");
	r->file = strdup(info ? info->file : "");
	if (!r->name || !r->file)
		return handle_no_memory(e);
	r->batch = (struct cashet_batch){
		.name = r->name,
		.file = r->file,
		.ended = page->ended,
		.paused = paused,
		.note = "",
		.submitted_wall_ms = info ? info->submitted_wall_ms : 0,
	};
	hex_encode(r->batch.batch, r->id, DIGEST_SIZE);
	counts_from(&r->batch.counts, page->counts);
	return 0;
}

static int open_at(struct cashet *c, const char *batch, uint32_t first, uint32_t count,
		   struct cashet_results **rp, struct err *e)
{
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE];
	int failed = batch_ref_parse(batch, &ref, bytes, e);
	if (failed)
		return failed;
	struct cashet_results *r = calloc(1, sizeof *r);
	if (!r)
		return handle_no_memory(e);
	r->c = c;
	struct watch_page page = {0};
	if (!count && watch_take_page(c, &ref, &page)) {
		r->arena = page.arena;
		r->chunk = page.chunk;
		failed = take_page(r, page.page, true, e);
	} else {
		r->next = ask(c, &ref, first, count);
		failed = r->next ? turn_page(r, count == 0, e) : handle_no_memory(e);
	}
	if (!failed)
		failed = fill_batch(r, page.paused, e);
	if (failed)
		cashet_results_close(r);
	else
		*rp = r;
	return failed;
}

int results_open(struct cashet *c, const char *batch, struct cashet_results **rp,
		 struct err *e)
{
	return open_at(c, batch, 0, 0, rp, e);
}

int results_next(struct cashet_results *r, const struct cashet_result **resultp,
		 struct err *e)
{
	while (!r->page || r->at == r->page->n_tasks) {
		if (!r->next) {
			*resultp = NULL;
			return 0;
		}
		int failed = turn_page(r, true, e);
		if (failed)
			return failed;
	}
	const Cashet__TaskResult *t = r->page->tasks[r->at];
	const ProtobufCBinaryData *args = &t->args;
	uint32_t number = t->function;
	struct row_function *f = NULL;
	if (r->chunk) { /* as many tasks as the page has, see watch_take_page() */
		args = &r->chunk->tasks[r->at]->args;
		number = r->chunk->tasks[r->at]->function;
	}
	if (number < r->function_count) {
		f = &r->functions[number];
		if (!f->read && row_function_read(f))
			return handle_no_memory(e);
	}
	if (row_fill(&r->row, t, args, f))
		return handle_no_memory(e);
	r->at++;
	*resultp = &r->row.result;
	return 0;
}

int results_one(struct cashet *c, const char *batch, uint32_t index,
		struct cashet_results **rp, const struct cashet_result **resultp,
		struct err *e)
{
	struct cashet_results *r;
	int failed = open_at(c, batch, index, 1, &r, e);
	if (failed)
		return failed;
	failed = results_next(r, resultp, e);
	if (!failed && (!*resultp || (*resultp)->index != index)) {
		failed = err_set(e, ERR_NOT_FOUND,
				 "batch %.8s has no task %u: it has %u, from 0 on",
				 r->batch.batch, index, r->page->total);
	}
	if (failed)
		cashet_results_close(r);
	else
		*rp = r;
	return failed;
}

void cashet_results_close(struct cashet_results *r)
{
	if (!r)
		return;
	drop_page(r);
	request_free(r->next);
	row_fini(&r->row);
	free(r->name);
	free(r->file);
	free(r);
}

const struct cashet_batch *cashet_results_batch(const struct cashet_results *r)
{
	return &r->batch;
}

int cashet_results_open(struct cashet *c, const char *batch, struct cashet_results **rp,
			struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, results_open(c, batch, rp, &e));
}

int cashet_results_next(struct cashet_results *r, const struct cashet_result **resultp,
			struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, results_next(r, resultp, &e));
}

int cashet_result_one(struct cashet *c, const char *batch, uint32_t index,
		      struct cashet_results **rp, const struct cashet_result **resultp,
		      struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, results_one(c, batch, index, rp, resultp, &e));
}

/* A commit is asked for by itself; what it leaves out comes from the task that made it. */
static int commit_find(struct cashet *c, const char *what, struct cashet_results **rp,
		       const struct cashet_result **resultp, struct err *e)
{
	struct target target;
	int failed = target_parse(what, &target, e);
	if (failed)
		return failed;
	Cashet__CommitQuery query = CASHET__COMMIT_QUERY__INIT;
	query.target = &target.message;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_COMMIT_QUERY;
	envelope.commit_query = &query;
	struct cashet_results *r = calloc(1, sizeof *r);
	if (!r)
		return handle_no_memory(e);
	r->c = c;
	failed = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_COMMIT_REPLY, &r->held,
			     e);
	if (!failed) {
		const Cashet__CommitReply *reply = r->held->reply->commit_reply;
		if (!wire_is(&reply->hash, DIGEST_SIZE) ||
		    row_fill_commit(&r->row, reply->body.data, reply->body.len,
				    reply->hash.data, NULL))
			failed = err_set(e, ERR_FAILED,
					 "the broker sent a commit that cannot be read");
	}
	if (failed) {
		cashet_results_close(r);
		return failed;
	}
	*resultp = &r->row.result;
	*rp = r;
	return 0;
}

int cashet_commit_find(struct cashet *c, const char *what, struct cashet_results **rp,
		       const struct cashet_result **resultp, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, commit_find(c, what, rp, resultp, &e));
}
