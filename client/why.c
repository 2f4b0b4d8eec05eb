/* why.c - see why.h, and cashet_why(). What differs is found where the store is; here the bytes of code
 * that changed are fetched, to say what changed in them. */
#include "client/why.h"

#include "client/diff/code.h"
#include "client/target.h"
#include "client/why_source.h"
#include "common/format/commit.h"
#include "common/pure/hex.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX 32 /* of code that are looked into */

const char *cashet_verdict_name(enum cashet_verdict verdict)
{
	static const char *const names[] = {"ran",     "hit",	  "joined",
					    "failed",  "running", "ready",
					    "waiting", "skipped", "cancelled"};
	return (unsigned)verdict < ARRAY_LEN(names) ? names[verdict] : "unknown";
}

const char *cashet_reason_name(enum cashet_reason reason)
{
	static const char *const names[] = {"unknown",	     "first",	 "changed",
					    "forced",	     "no_cache", "expired",
					    "gone",	     "corrupt",	 "invalidated",
					    "failed_before", "not_kept"};
	return (unsigned)reason < ARRAY_LEN(names) ? names[reason] : "unknown";
}

/* ---- texts ---- */

const char *texts_add(struct texts *t, struct buf *text)
{
	if (!text->size && !text->failed)
		return "";
	if (t->count == t->capacity) {
		size_t capacity = t->capacity ? 2 * t->capacity : 16;
		char **items = reallocarray(t->items, capacity, sizeof *items);
		if (!items)
			return NULL;
		t->items = items;
		t->capacity = capacity;
	}
	char *taken = buf_steal(text, NULL);
	if (taken)
		t->items[t->count++] = taken;
	return taken;
}

void texts_fini(struct texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->items[i]);
	free(t->items);
	*t = (struct texts){0};
}

/* ---- asking ---- */

int answer_ask(struct answer *a, struct cashet *c, const char *what, const char *against,
	       struct err *e)
{
	struct target targets[2];
	*a = (struct answer){0};
	int r = target_parse(what, &targets[0], e);
	if (r == 0 && against)
		r = target_parse(against, &targets[1], e);
	if (r)
		return r;
	Cashet__WhyQuery query = CASHET__WHY_QUERY__INIT;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	query.target = &targets[0].message;
	query.against = against ? &targets[1].message : NULL;
	envelope.body_case = CASHET__ENVELOPE__BODY_WHY_QUERY;
	envelope.why_query = &query;
	r = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_WHY_REPLY, &a->request, e);
	if (r)
		return r;
	a->reply = a->request->reply->why_reply;
	return a->reply->now ? 0
			     : err_set(e, ERR_FAILED,
				       "the answer does not say what it is about");
}

void answer_fini(struct answer *a)
{
	row_fini(&a->now.row);
	row_fini(&a->earlier.row);
	row_function_fini(&a->now.function);
	row_function_fini(&a->earlier.function);
	free(a->changes);
	texts_fini(&a->texts);
	request_free(a->request);
	*a = (struct answer){0};
}

/* ---- runs ---- */

struct cashet_content why_content(const Cashet__Content *in)
{
	struct cashet_content out = {0};
	if (!in || in->type == CASHET_CONTENT_NONE || !wire_is(&in->digest, DIGEST_SIZE))
		return out;
	out.type = (enum cashet_content_type)in->type;
	out.size = in->size;
	memcpy(out.digest, in->digest.data, DIGEST_SIZE);
	return out;
}

/* What the row does not read of a commit: its parameters, whose names are in the function, and its ttl. */
static int fill_rest(const Cashet__WhySide *side, struct run *keep, uint64_t *ttl_s,
		     struct err *e)
{
	CLEANUP_BUF struct buf arena = {0};
	struct commit commit;
	keep->description = side->description;
	keep->function = (struct row_function){.description = &keep->description,
					       .order = side->param_order,
					       .order_count = side->n_param_order,
					       .labels = side->params,
					       .label_count = side->n_params};
	if (!side->body.len ||
	    commit_decode(side->body.data, side->body.len, &commit, &arena))
		return 0;
	*ttl_s = commit.ttl_s;
	if (row_function_read(&keep->function) ||
	    row_fill_params(&keep->row, commit.args, commit.args_size, &keep->function))
		return handle_no_memory(e);
	return 0;
}

int answer_run(const Cashet__WhySide *side, struct run *keep, struct cashet_run *out,
	       struct err *e)
{
	struct cashet_result *r = &keep->row.result;
	*out = (struct cashet_run){0};
	if (wire_is(&side->batch, DIGEST_SIZE))
		hex_encode(out->batch, side->batch.data, DIGEST_SIZE);
	if (wire_is(&side->commit, DIGEST_SIZE)) {
		hex_encode(out->commit, side->commit.data, DIGEST_SIZE);
		if (row_fill_commit(&keep->row, side->body.data, side->body.len,
				    side->commit.data, NULL))
			return err_set(e, ERR_FAILED,
				       "the record of commit %.8s is malformed",
				       out->commit);
	} else {
		*r = (struct cashet_result){
			.name = side->name, .error = "", .worker = "", .exit_code = -1};
		if (wire_is(&side->func_hash, DIGEST_SIZE) &&
		    wire_is(&side->args_hash, DIGEST_SIZE)) {
			r->has_fingerprint = true;
			memcpy(r->func_hash, side->func_hash.data, DIGEST_SIZE);
			memcpy(r->args_hash, side->args_hash.data, DIGEST_SIZE);
		}
	}
	int failed = fill_rest(side, keep, &out->ttl_s, e);
	r->index = side->index;
	out->result = *r;
	return failed;
}

/* ---- changes ---- */

int why_fetch(struct cashet *c, const uint8_t digest[DIGEST_SIZE], struct buf *out,
	      struct err *e)
{
	struct cashet_error error;
	void *data;
	size_t size;
	int r = cashet_get_blob_memory(c, digest, TEXT_DIFF_MAX, &data, &size, &error);
	if (r == ERR_DETACHED || r == ERR_UNREACHABLE) {
		err_set(e, (enum err_code)r, "%s", error.what);
		err_next(e, "%s", error.next);
		return r;
	}
	if (r)
		return 1;
	if (text_is_text(data, size))
		buf_add(out, data, size);
	else
		r = 1;
	free(data);
	return r ? r : out->failed ? handle_no_memory(e) : 0;
}

/* Both versions of a file of code. Return: as why_fetch(). */
static int fetch_both(struct cashet *c, const struct cashet_change *change,
		      struct buf *old, struct buf *now, struct err *e)
{
	int r = why_fetch(c, change->old.digest, old, e);
	return r ? r : why_fetch(c, change->now.digest, now, e);
}

static int look_at_code(struct answer *a, struct cashet *c, struct cashet_change *change,
			bool diff, struct err *e)
{
	CLEANUP_BUF struct buf old = {0}, now = {0}, where = {0}, text = {0};
	struct code_look look;
	if (!memcmp(change->old.digest, change->now.digest, DIGEST_SIZE)) {
		buf_printf(&where, "%s is %s executable", change->name,
			   change->now.type == CASHET_CONTENT_EXEC ? "now" : "no longer");
		change->where = texts_add(&a->texts, &where);
		return change->where ? 0 : handle_no_memory(e);
	}
	int r = fetch_both(c, change, &old, &now, e);
	if (r)
		return r == 1 ? 0 : r;
	if (code_look(&look, change->name, old.data, old.size, now.data, now.size))
		return handle_no_memory(e);
	code_describe(&where, &look, change->name);
	change->only_comments = look.only_comments;
	change->where = texts_add(&a->texts, &where);
	if (!change->where)
		return handle_no_memory(e);
	if (!diff)
		return 0;
	struct text_diff d;
	if (text_diff_make(&d, old.data, old.size, now.data, now.size))
		return handle_no_memory(e);
	text_diff_render(&text, &d, NULL, NULL);
	text_diff_fini(&d);
	change->diff = texts_add(&a->texts, &text);
	return change->diff ? 0 : handle_no_memory(e);
}

static int diff_texts(struct answer *a, struct cashet_change *change, struct err *e)
{
	CLEANUP_BUF struct buf text = {0};
	struct text_diff d;
	if (!strchr(change->before, '\n') && !strchr(change->after, '\n'))
		return 0;
	if (text_diff_make(&d, change->before, strlen(change->before), change->after,
			   strlen(change->after)))
		return handle_no_memory(e);
	text_diff_render(&text, &d, NULL, NULL);
	text_diff_fini(&d);
	change->diff = texts_add(&a->texts, &text);
	return change->diff ? 0 : handle_no_memory(e);
}

void why_change(struct cashet_change *to, const Cashet__Change *from)
{
	*to = (struct cashet_change){
		.component = (enum cashet_component)from->what,
		.how = (enum cashet_how)from->how,
		.name = from->name,
		.before = from->before,
		.after = from->after,
		.old = why_content(from->old),
		.now = why_content(from->new_),
		.where = "",
		.origin_name = "",
	};
	const Cashet__Origin *o = from->origin;
	if (!o)
		return;
	to->has_origin = true;
	to->origin_index = o->index;
	to->origin_count = o->count;
	to->origin_name = o->name;
	to->origin_ran = o->ran;
	if (wire_is(&o->commit, DIGEST_SIZE))
		hex_encode(to->origin_commit, o->commit.data, DIGEST_SIZE);
}

static int read_blob(void *arg, bool now, bool text, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out, struct err *e)
{
	(void)now;
	return text ? why_fetch(arg, digest, out, e) : why_read(arg, digest, out, e);
}

int why_read(struct cashet *c, const uint8_t digest[DIGEST_SIZE], struct buf *out,
	     struct err *e)
{
	struct cashet_error error;
	void *data;
	size_t size;
	int r = cashet_get_blob_memory(c, digest, SOURCE_SIZE_MAX, &data, &size, &error);
	if (r == ERR_DETACHED || r == ERR_UNREACHABLE) {
		err_set(e, (enum err_code)r, "%s", error.what);
		err_next(e, "%s", error.next);
		return r;
	}
	if (r)
		return 1;
	buf_add(out, data, size);
	free(data);
	return out->failed ? handle_no_memory(e) : 0;
}

int answer_changes(struct answer *a, struct cashet *c, bool diffs, struct err *e)
{
	const struct source_reader reader = {read_blob, c};
	size_t looked = 0;
	a->changes = calloc(a->reply->n_changes + 1, sizeof *a->changes);
	if (!a->changes)
		return handle_no_memory(e);
	a->change_count = a->reply->n_changes;
	for (size_t i = 0; i < a->change_count; i++)
		why_change(&a->changes[i], a->reply->changes[i]);
	int failed = source_changes(&a->changes, &a->change_count, &a->texts, &reader,
				    diffs, e);
	for (size_t i = 0; i < a->change_count && !failed; i++) {
		struct cashet_change *change = &a->changes[i];
		int r = 0;
		if (change->how != CASHET_CHANGED || *change->where || change->file)
			continue; /* or told already */
		if (change->component == CASHET_CODE && looked++ < FILES_MAX)
			r = look_at_code(a, c, change, diffs, e);
		else if (diffs && change->component != CASHET_CODE)
			r = diff_texts(a, change, e);
		if (r)
			return r;
	}
	return failed;
}

/* ---- cashet_why() ---- */

struct why {
	struct cashet_why public; /* first: what callers have */
	struct answer answer;
	struct cashet_why_task *tasks;
};

void cashet_why_free(struct cashet_why *public)
{
	if (!public)
		return;
	struct why *w = container_of(public, struct why, public);
	answer_fini(&w->answer);
	free(w->tasks);
	free(w);
}

static int fill_tasks(struct why *w, struct err *e)
{
	const Cashet__WhyReply *reply = w->answer.reply;
	w->tasks = calloc(reply->n_tasks + 1, sizeof *w->tasks);
	if (!w->tasks)
		return handle_no_memory(e);
	for (size_t i = 0; i < reply->n_tasks; i++)
		w->tasks[i] = (struct cashet_why_task){
			.index = reply->tasks[i]->index,
			.name = reply->tasks[i]->name,
			.status = (enum cashet_status)reply->tasks[i]->state};
	w->public.tasks = w->tasks;
	w->public.task_count = reply->n_tasks;
	w->public.tasks_left_out = reply->tasks_left_out;
	return 0;
}

static int fill_why(struct why *w, struct cashet *c, struct err *e)
{
	struct cashet_why *out = &w->public;
	const Cashet__WhyReply *reply = w->answer.reply;
	static const enum cashet_status statuses[] = {
		[CASHET_WHY_RAN] = CASHET_COMPLETED,
		[CASHET_WHY_HIT] = CASHET_COMPLETED,
		[CASHET_WHY_JOINED] = CASHET_COMPLETED,
		[CASHET_WHY_FAILED] = CASHET_TASK_FAILED,
		[CASHET_WHY_RUNNING] = CASHET_RUNNING,
		[CASHET_WHY_READY] = CASHET_READY,
		[CASHET_WHY_WAITING] = CASHET_WAITING,
		[CASHET_WHY_SKIPPED] = CASHET_SKIPPED,
		[CASHET_WHY_CANCELLED] = CASHET_CANCELLED,
	};
	out->verdict = (enum cashet_verdict)reply->verdict;
	out->reason = (enum cashet_reason)reply->reason;
	out->note = reply->note;
	int r = answer_run(reply->now, &w->answer.now, &out->run, e);
	if ((unsigned)out->verdict < ARRAY_LEN(statuses))
		out->run.result.status = statuses[out->verdict];
	out->run.result.cached = out->verdict == CASHET_WHY_HIT;
	out->run.result.deduplicated = out->verdict == CASHET_WHY_JOINED;
	if (r == 0 && reply->earlier) {
		out->has_earlier = true;
		r = answer_run(reply->earlier, &w->answer.earlier, &out->earlier, e);
	}
	if (r == 0)
		r = answer_changes(&w->answer, c, false, e);
	out->changes = w->answer.changes;
	out->change_count = w->answer.change_count;
	return r ? r : fill_tasks(w, e);
}

static int why(struct cashet *c, const char *what, struct cashet_why **whyp,
	       struct err *e)
{
	struct why *w = calloc(1, sizeof *w);
	if (!w)
		return handle_no_memory(e);
	int r = answer_ask(&w->answer, c, what, NULL, e);
	if (r == 0)
		r = fill_why(w, c, e);
	if (r)
		cashet_why_free(&w->public);
	else
		*whyp = &w->public;
	return r;
}

int cashet_why(struct cashet *c, const char *what, struct cashet_why **whyp,
	       struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, why(c, what, whyp, &e));
}
