/* dry_run.c - cashet_dry_run(): the batch goes chunk by chunk to where the store is, and is taken there as
 * if it had been submitted. Files are hashed here as always, and stay here. */
#include "client/feed.h"
#include "client/why_source.h"

#include "client/diff/code.h"
#include "common/pure/hex.h"
#include "common/rand.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 4096 /* local files of code that are remembered */
#define LOOKS_MAX 64   /* of them that are looked into */

struct local_file { /* that would be uploaded */
	uint8_t digest[DIGEST_SIZE];
	char *path; /* NULL: a source, these are its bytes: */
	struct buf data;
};

struct named_function { /* of the batch */
	char *name;
	ProtobufCBinaryData description;
	uint32_t *order; /* of its parameters, as written */
	char **labels;	 /* arguments to show, of a call */
	size_t label_count;
	struct row_function row;
};

struct dry {
	struct cashet_dry_run public; /* first: what callers have */
	struct cashet *c;
	const struct cashet_dry_run_options *options;
	uint8_t run[NONCE_SIZE];
	bool begun;			  /* there is something to be forgotten */
	struct named_function *functions; /* when tasks are asked for */
	size_t function_count, function_room;
	struct local_file *files;
	size_t file_count, file_room;
	size_t looks;
	struct request *reply; /* with the entries */
	struct cashet_dry_entry *entries;
	struct cashet_dry_cause **causes; /* by entry */
	struct texts texts;
};

/* ---- memory ---- */

void cashet_dry_run_free(struct cashet_dry_run *public)
{
	if (!public)
		return;
	struct dry *d = container_of(public, struct dry, public);
	for (size_t i = 0; i < d->function_count; i++) {
		row_function_fini(&d->functions[i].row);
		free(d->functions[i].description.data);
		free(d->functions[i].order);
		for (size_t k = 0; k < d->functions[i].label_count; k++)
			free(d->functions[i].labels[k]);
		free(d->functions[i].labels);
		free(d->functions[i].name);
	}
	for (size_t i = 0; i < d->file_count; i++) {
		free(d->files[i].path);
		buf_fini(&d->files[i].data);
	}
	for (size_t i = 0; d->causes && i < public->entry_count; i++) {
		for (size_t k = 0; d->causes[i] && k < d->entries[i].cause_count; k++)
			free((void *)d->causes[i][k].changes);
		free(d->causes[i]);
	}
	free(d->functions);
	free(d->files);
	free(d->entries);
	free(d->causes);
	texts_fini(&d->texts);
	request_free(d->reply);
	free(d);
}

static void *grow(void *items, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return items;
	size_t to = *room ? 2 * *room : 16;
	void *grown = reallocarray(items, to, size);
	if (grown)
		*room = to;
	return grown;
}

/* ---- the questions ---- */

static int ask(struct dry *d, Cashet__DryRunQuery *query, struct request **rp,
	       struct err *e)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	query->run = (ProtobufCBinaryData){.data = d->run, .len = NONCE_SIZE};
	envelope.body_case = CASHET__ENVELOPE__BODY_DRY_RUN_QUERY;
	envelope.dry_run_query = query;
	return request_ask(d->c, &envelope, CASHET__ENVELOPE__BODY_DRY_RUN_REPLY, rp, e);
}

static void forget(struct dry *d)
{
	Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
	struct request *r;
	struct err e;
	if (!d->begun)
		return;
	d->begun = false;
	query.forget = true;
	if (ask(d, &query, &r, &e) == 0)
		request_free(r);
}

/* ---- the sink of the builder ---- */

static int keep_labels(struct named_function *f, const Cashet__Function *from)
{
	f->labels = calloc(from->n_params + 1, sizeof *f->labels);
	for (size_t i = 0; f->labels && i < from->n_params; i++) {
		f->labels[i] = strdup(from->params[i]);
		if (!f->labels[i])
			return 1;
		f->label_count++;
	}
	f->row.labels = f->labels;
	f->row.label_count = f->label_count;
	return !f->labels;
}

static int keep_functions(struct dry *d, const Cashet__SubmitChunk *chunk, struct err *e)
{
	for (size_t i = 0; i < chunk->n_functions; i++) {
		const Cashet__Function *from = chunk->functions[i];
		struct named_function *grown = grow(d->functions, d->function_count,
						    &d->function_room, sizeof *grown);
		if (!grown)
			return handle_no_memory(e);
		d->functions = grown;
		struct named_function *f = &d->functions[d->function_count];
		*f = (struct named_function){
			.name = strdup(from->name),
			.order = calloc(from->n_param_order + 1, sizeof *f->order),
			.description = {.data = malloc(from->description.len + 1),
					.len = from->description.len}};
		d->function_count++;
		if (!f->name || !f->order || !f->description.data)
			return handle_no_memory(e);
		if (from->n_param_order)
			memcpy(f->order, from->param_order,
			       from->n_param_order * sizeof *f->order);
		f->row.order = f->order;
		f->row.order_count = from->n_param_order;
		if (keep_labels(f, from))
			return handle_no_memory(e);
		memcpy(f->description.data, from->description.data,
		       from->description.len);
	}
	return 0;
}

static int take_chunk(void *arg, const void *packed, size_t size, bool last,
		      struct err *e)
{
	struct dry *d = arg;
	struct wire_arena arena;
	Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
	struct request *r = NULL;
	wire_arena_init(&arena);
	query.chunk = wire_unpack_chunk(&arena, packed, size);
	int rc = query.chunk ? 0 : handle_no_memory(e);
	if (rc == 0 && d->options->task)
		rc = keep_functions(d, query.chunk, e);
	if (rc == 0)
		rc = ask(d, &query, &r, e);
	d->begun = d->begun || rc == 0;
	if (rc == 0 && r->reply->dry_run_reply->next_chunk != query.chunk->chunk + 1)
		rc = err_set(e, ERR_FAILED,
			     "the broker expects part %u of the batch, not %u",
			     r->reply->dry_run_reply->next_chunk, query.chunk->chunk);
	request_free(r);
	wire_arena_fini(&arena);
	return rc;
}

static bool is_source(const struct builder_upload *upload)
{
	static const char tag[] = "cashet.source";
	return !upload->path && upload->size > 32 && upload->size <= SOURCE_SIZE_MAX &&
	       memmem(upload->data, 32, tag, sizeof tag - 1);
}

static int take_upload(void *arg, const struct builder_upload *upload, struct err *e)
{
	struct dry *d = arg;
	if ((!upload->path && !is_source(upload)) || d->file_count == FILES_MAX)
		return 0;
	struct local_file *grown =
		grow(d->files, d->file_count, &d->file_room, sizeof *grown);
	if (!grown)
		return handle_no_memory(e);
	d->files = grown;
	struct local_file *file = &d->files[d->file_count];
	*file = (struct local_file){.path = upload->path ? strdup(upload->path) : NULL};
	memcpy(file->digest, upload->digest, DIGEST_SIZE);
	d->file_count++;
	if (!upload->path)
		buf_add(&file->data, upload->data, upload->size);
	return (upload->path && !file->path) || file->data.failed ? handle_no_memory(e)
								  : 0;
}

static int begin(void *arg, struct builder_sink *sink, uint8_t request[NONCE_SIZE],
		 struct err *e)
{
	struct dry *d = arg;
	memcpy(request, d->run, NONCE_SIZE);
	*sink = (struct builder_sink){
		.arg = d, .chunk = take_chunk, .upload = take_upload};
	return 0;
}

/* ---- changes: of code, the new version is a file here ---- */

static int read_local(struct dry *d, const uint8_t digest[DIGEST_SIZE], struct buf *out)
{
	for (size_t i = 0; i < d->file_count; i++) {
		if (memcmp(d->files[i].digest, digest, DIGEST_SIZE))
			continue;
		if (!d->files[i].path) {
			buf_add(out, d->files[i].data.data, d->files[i].data.size);
			return out->failed;
		}
		int fd = open(d->files[i].path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		ssize_t n = 0;
		while (fd >= 0 && out->size <= TEXT_DIFF_MAX) {
			uint8_t *to = buf_reserve(out, 65536);
			n = to ? read(fd, to, 65536) : -1;
			if (n <= 0)
				break;
			out->size += (size_t)n;
		}
		if (fd >= 0)
			close(fd);
		return fd >= 0 && n == 0 && text_is_text(out->data, out->size) ? 0 : 1;
	}
	return 1;
}

static int look_at_code(struct dry *d, struct cashet_change *change, struct err *e)
{
	CLEANUP_BUF struct buf old = {0}, now = {0}, where = {0};
	struct code_look look;
	if (change->component != CASHET_CODE || change->how != CASHET_CHANGED ||
	    *change->where || d->looks >= LOOKS_MAX ||
	    read_local(d, change->now.digest, &now))
		return 0;
	d->looks++;
	int r = why_fetch(d->c, change->old.digest, &old, e);
	if (r)
		return r == 1 ? 0 : r;
	if (code_look(&look, change->name, old.data, old.size, now.data, now.size))
		return handle_no_memory(e);
	code_describe(&where, &look, change->name);
	change->only_comments = look.only_comments;
	change->where = texts_add(&d->texts, &where);
	return change->where ? 0 : handle_no_memory(e);
}

/* Of what changed, the new version is here, or in the store by now. */
static int read_blob(void *arg, bool now, bool text, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out, struct err *e)
{
	struct dry *d = arg;
	if (now && !read_local(d, digest, out))
		return 0;
	buf_reset(out);
	return text ? why_fetch(d->c, digest, out, e) : why_read(d->c, digest, out, e);
}

static struct cashet_change *make_changes(struct dry *d, Cashet__Change *const *from,
					  size_t *countp, struct err *e)
{
	const struct source_reader reader = {read_blob, d};
	size_t count = *countp;
	struct cashet_change *changes = calloc(count + 1, sizeof *changes);
	if (!changes)
		handle_no_memory(e);
	for (size_t i = 0; changes && i < count; i++)
		why_change(&changes[i], from[i]);
	bool failed = !changes ||
		      (d->looks++ < LOOKS_MAX &&
		       source_changes(&changes, countp, &d->texts, &reader, false, e));
	for (size_t i = 0; !failed && i < *countp; i++)
		failed = look_at_code(d, &changes[i], e);
	size_t kept = 0; /* only what differs */
	for (size_t i = 0; !failed && i < *countp; i++)
		if (changes[i].how != CASHET_SAME &&
		    changes[i].component != CASHET_SOURCE)
			changes[kept++] = changes[i];
	*countp = failed ? 0 : kept;
	if (!failed)
		return changes;
	free(changes);
	return NULL;
}

/* ---- totals ---- */

static int fill_causes(struct dry *d, size_t number, const Cashet__DryRunEntry *from,
		       struct err *e)
{
	struct cashet_dry_entry *entry = &d->entries[number];
	struct cashet_dry_cause *causes = calloc(from->n_causes + 1, sizeof *causes);
	d->causes[number] = causes;
	if (!causes)
		return handle_no_memory(e);
	entry->causes = causes;
	for (size_t i = 0; i < from->n_causes; i++) {
		const Cashet__DryRunCause *cause = from->causes[i];
		causes[i] = (struct cashet_dry_cause){
			.reason = (enum cashet_reason)cause->reason,
			.count = cause->count,
			.index = cause->index,
			.change_count = cause->n_changes};
		entry->cause_count++;
		causes[i].changes =
			make_changes(d, cause->changes, &causes[i].change_count, e);
		if (!causes[i].changes)
			return ERR_FAILED;
	}
	return 0;
}

/* Neither can it be quicker than its longest chain, nor than its work on all there is. */
static void estimate(struct cashet_dry_run *out)
{
	uint64_t cpus = out->cpus_milli, by_work;
	if (!cpus) {
		long here = sysconf(_SC_NPROCESSORS_ONLN);
		cpus = here > 0 ? (uint64_t)here * 1000 : 1000;
		out->cpus_milli = cpus;
	}
	by_work = out->work_ns / cpus * 1000;
	out->estimate_ns = by_work > out->chain_ns ? by_work : out->chain_ns;
}

static int fill_totals(struct dry *d, const Cashet__DryRunReply *reply, struct err *e)
{
	struct cashet_dry_run *out = &d->public;
	d->entries = calloc(reply->n_entries + 1, sizeof *d->entries);
	d->causes = calloc(reply->n_entries + 1, sizeof(struct cashet_dry_cause *));
	if (!d->entries || !d->causes)
		return handle_no_memory(e);
	out->entries = d->entries;
	for (size_t i = 0; i < reply->n_entries; i++) {
		const Cashet__DryRunEntry *from = reply->entries[i];
		struct cashet_dry_entry *entry = &d->entries[i];
		*entry = (struct cashet_dry_entry){
			.name = from->name,
			.total = from->total,
			.counts = {[CASHET_WOULD_HIT] = from->cached,
				   [CASHET_WOULD_RUN] = from->run,
				   [CASHET_WOULD_JOIN] = from->joins,
				   [CASHET_WAITS] = from->waits,
				   [CASHET_HIT_IF_SAME] = from->cached_if_same,
				   [CASHET_RUNS_ALIKE] = from->run_alike},
			.work_ns = from->work_ns,
			.duration_ns = from->duration_ns};
		out->entry_count++;
		out->total += from->total;
		out->work_ns += from->work_ns;
		for (size_t k = 0; k < ARRAY_LEN(out->counts); k++)
			out->counts[k] += entry->counts[k];
		if (!from->duration_ns)
			out->unknown_durations +=
				from->run + from->waits + from->run_alike;
		int r = fill_causes(d, i, from, e);
		if (r)
			return r;
	}
	out->chain_ns = reply->chain_ns;
	out->cpus_milli = reply->cpus_milli;
	estimate(out);
	return 0;
}

/* ---- tasks ---- */

static int give_task(struct dry *d, struct row *row, const Cashet__DryRunTask *from,
		     struct err *e)
{
	struct named_function *f =
		from->function < d->function_count ? &d->functions[from->function] : NULL;
	struct cashet_dry_task task = {.index = from->index,
				       .name = f ? f->name : "",
				       .forecast = (enum cashet_forecast)from->state,
				       .reason = (enum cashet_reason)from->reason,
				       .change_count = from->n_changes};
	if (f && !f->row.read) {
		f->row.description = &f->description;
		if (row_function_read(&f->row))
			return handle_no_memory(e);
	}
	if (f && row_fill_params(row, from->args.data, from->args.len, &f->row))
		return handle_no_memory(e);
	task.params = row->result.params;
	task.param_count = row->result.param_count;
	if (wire_is(&from->commit, DIGEST_SIZE))
		hex_encode(task.commit, from->commit.data, DIGEST_SIZE);
	if (wire_is(&from->earlier, DIGEST_SIZE))
		hex_encode(task.earlier, from->earlier.data, DIGEST_SIZE);
	struct cashet_change *changes =
		make_changes(d, from->changes, &task.change_count, e);
	if (!changes)
		return ERR_FAILED;
	task.changes = changes;
	bool stop = d->options->task(d->options->arg, &task);
	free(changes);
	return stop ? -1 : 0;
}

static int give_tasks(struct dry *d, struct err *e)
{
	struct row row = {0};
	uint32_t first = 0;
	int rc = 0;
	while (rc == 0 && first < d->public.total) {
		Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
		struct request *r;
		query.page = true;
		query.first = first;
		query.specs = true;
		rc = ask(d, &query, &r, e);
		if (rc)
			break;
		const Cashet__DryRunReply *reply = r->reply->dry_run_reply;
		for (size_t i = 0; rc == 0 && i < reply->n_tasks; i++)
			rc = give_task(d, &row, reply->tasks[i], e);
		if (rc == 0 && reply->next <= first)
			rc = err_set(e, ERR_FAILED,
				     "the broker sent a page that makes no sense");
		first = reply->next;
		request_free(r);
	}
	row_fini(&row);
	return rc < 0 ? 0 : rc;
}

static int finish(struct dry *d, struct err *e)
{
	for (;;) {
		Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
		request_free(steal(d->reply));
		int r = ask(d, &query, &d->reply, e);
		if (r)
			return r;
		const Cashet__DryRunReply *reply = d->reply->reply->dry_run_reply;
		if (d->options->progress)
			d->options->progress(d->options->arg, reply->done, reply->total);
		if (!reply->ready)
			continue;
		r = fill_totals(d, reply, e);
		return r || !d->options->task ? r : give_tasks(d, e);
	}
}

static int end(void *arg, int failed, struct err *e)
{
	struct dry *d = arg;
	int r = failed ? failed : finish(d, e);
	forget(d);
	return r;
}

static int run(struct cashet *c, const char *path, const struct cashet_task *tasks,
	       size_t count, const struct cashet_submit_options *submit,
	       const struct cashet_dry_run_options *options, struct cashet_dry_run **out,
	       struct err *e)
{
	static const struct cashet_dry_run_options none;
	struct dry *d = calloc(1, sizeof *d);
	if (!d)
		return handle_no_memory(e);
	d->c = c;
	d->options = options ? options : &none;
	rand_bytes(d->run, sizeof d->run);
	struct feed feed = {.begin = begin, .end = end, .arg = d};
	bool was = c->may_be_missing;
	c->may_be_missing = true;
	int r = path ? feed_file(c, path, submit, &feed, e)
		     : feed_tasks(c, tasks, count, submit, &feed, e);
	c->may_be_missing = was;
	if (r)
		cashet_dry_run_free(&d->public);
	else
		*out = &d->public;
	return r;
}

int cashet_dry_run(struct cashet *c, const char *path,
		   const struct cashet_submit_options *submit,
		   const struct cashet_dry_run_options *options,
		   struct cashet_dry_run **out, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, run(c, path, NULL, 0, submit, options, out, &e));
}

int cashet_dry_run_many(struct cashet *c, const struct cashet_task *tasks, size_t count,
			const struct cashet_submit_options *submit,
			const struct cashet_dry_run_options *options,
			struct cashet_dry_run **out, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e,
			  run(c, NULL, tasks, count, submit, options, out, &e));
}

const char *cashet_forecast_name(enum cashet_forecast forecast)
{
	static const char *const names[] = {"cached",	      "run",	  "join", "waits",
					    "cached_if_same", "run_alike"};
	return (unsigned)forecast < ARRAY_LEN(names) ? names[forecast] : "unknown";
}
