/* lay_out.c - see cashet_lay_out(). Who the task is and what it was given comes from WhyQuery, which
 * knows tasks, commits and pins, live and ended ones; how it was started, from the specs of its batch,
 * or from the commit where the batch is not recorded any more. The files are placed by the code that a
 * worker uses (common/task). */
#include "client/lay_out.h"

#include "common/fs.h"
#include "common/pure/hex.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct laid_out {
	struct cashet_laid_out public;
	struct keep keep;
};

/* ---- what is known ---- */

static const Cashet__WhySide *side_of(const struct lay_out *l)
{
	return l->about.reply->now;
}

/* Options and environment as they were submitted. Without them it goes on. */
static void read_specs(struct lay_out *l)
{
	const Cashet__WhySide *side = side_of(l);
	struct err ignored;
	if (!wire_is(&side->batch, DIGEST_SIZE))
		return;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	ref.prefix = side->batch;
	Cashet__ResultsQuery query = CASHET__RESULTS_QUERY__INIT;
	query.batch = &ref;
	query.first = side->index;
	query.count = 1;
	query.specs = true;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_RESULTS_QUERY;
	envelope.results_query = &query;
	if (request_ask(l->c, &envelope, CASHET__ENVELOPE__BODY_RESULTS_PAGE, &l->specs,
			&ignored))
		return;
	const Cashet__ResultsPage *page = l->specs->reply->results_page;
	if (page->n_tasks != 1 || page->tasks[0]->index != side->index ||
	    page->tasks[0]->function >= page->n_functions)
		return;
	const Cashet__Function *f = page->functions[page->tasks[0]->function];
	l->outer = f->env;
	l->outer_count = f->n_env;
	if (wire_is(&f->source, DIGEST_SIZE)) {
		l->has_source = true;
		memcpy(l->source_digest, f->source.data, DIGEST_SIZE);
	}
	if (f->options < page->n_options)
		l->options = page->options[f->options];
}

static void read_commit(struct lay_out *l)
{
	const Cashet__WhySide *side = side_of(l);
	if (!side->body.len ||
	    commit_decode(side->body.data, side->body.len, &l->commit, &l->commit_arena))
		return;
	l->args_data = l->commit.args;
	l->args_size = l->commit.args_size;
	if (l->commit.has_source) { /* what ran, where another was submitted since */
		l->has_source = true;
		memcpy(l->source_digest, l->commit.source, DIGEST_SIZE);
	}
	if (l->options || !l->commit.options_size)
		return;
	l->options =
		cashet__options__unpack(NULL, l->commit.options_size, l->commit.options);
	l->own_options = l->options != NULL;
}

static void title(const struct lay_out *l, char *out, size_t size)
{
	const Cashet__WhySide *side = side_of(l);
	char batch[HEX_DIGEST_SIZE] = "";
	if (wire_is(&side->batch, DIGEST_SIZE))
		hex_encode(batch, side->batch.data, DIGEST_SIZE);
	snprintf(out, size, "%.100s (%.8s:%" PRIu32 ")", side->name, batch, side->index);
}

/* Nothing to lay out: what does it wait for, what failed? */
static int no_inputs(const struct lay_out *l, struct err *e)
{
	const Cashet__WhyReply *r = l->about.reply;
	char task[160], other[200] = "";
	title(l, task, sizeof task);
	if (r->n_tasks) {
		const Cashet__WhyTask *last = r->tasks[r->n_tasks - 1];
		snprintf(other, sizeof other, " %.100s (task %" PRIu32 ")", last->name,
			 last->index);
	}
	if (r->verdict == CASHET__WHY_REPLY__VERDICT__SKIPPED)
		return err_set(e, ERR_NOT_FOUND,
			       "%s was skipped, its inputs were never made:%s failed",
			       task, other);
	err_set(e, ERR_NOT_FOUND,
		"the inputs of %s are not there yet: they come from%s%s", task,
		*other ? other : " other tasks", r->n_tasks > 1 ? " and others" : "");
	err_next(e, "cashet wait waits for them");
	return ERR_NOT_FOUND;
}

static int decode(struct lay_out *l, struct err *e)
{
	const Cashet__WhySide *side = side_of(l);
	char task[160];
	title(l, task, sizeof task);
	if (!side->description.len)
		return err_set(e, ERR_NOT_FOUND,
			       "what %s runs is not in the store any more", task);
	if (function_decode(side->description.data, side->description.len, &l->function))
		return err_set(e, ERR_FAILED,
			       "what %s runs cannot be read: is it of a newer version?",
			       task);
	if (!l->args_data && side->args.len) {
		l->args_data = side->args.data;
		l->args_size = side->args.len;
	}
	if (!l->args_data)
		return no_inputs(l, e);
	if (args_decode(l->args_data, l->args_size, &l->args))
		return err_set(e, ERR_FAILED, "the arguments of %s cannot be read", task);
	for (size_t i = 0; i < l->args.input_count; i++)
		if (l->args.inputs[i].content.type == CONTENT_NONE)
			return no_inputs(l, e);
	return 0;
}

static int keep_piece(void *arg, const void *data, size_t size)
{
	struct buf *to = arg;
	if (to->size + size > SOURCE_SIZE_MAX)
		return -EFBIG;
	buf_add(to, data, size);
	return to->failed ? -ENOMEM : 0;
}

/* The bytes of code that is described by what it means. */
static int read_source(struct lay_out *l, struct err *e)
{
	CLEANUP_BUF struct buf blob = {0};
	char task[160];
	if (!l->has_source || !function_has_source(&l->function))
		return 0;
	int r = handle_get_blob(l->c, l->source_digest, 0, keep_piece, &blob, e);
	if (r)
		return r;
	title(l, task, sizeof task);
	return source_decode(blob.data, blob.size, &l->source)
		       ? err_set(e, ERR_FAILED, "the source of %s cannot be read", task)
		       : 0;
}

static int learn(struct lay_out *l, const char *what, struct err *e)
{
	int r = answer_ask(&l->about, l->c, what, NULL, e);
	if (r)
		return r;
	read_specs(l);
	read_commit(l);
	r = decode(l, e);
	return r ? r : read_source(l, e);
}

static void lay_out_fini(struct lay_out *l)
{
	answer_fini(&l->about);
	request_free(l->specs);
	if (l->own_options)
		cashet__options__free_unpacked(l->options, NULL);
	buf_fini(&l->commit_arena);
	function_fini(&l->function);
	args_fini(&l->args);
	source_fini(&l->source);
	free(l->dir);
	free(l->task);
	free(l->tmp);
	free(l->checkpoint);
	free(l->script);
}

/* ---- the files ---- */

static int write_piece(void *arg, const void *data, size_t size)
{
	return fs_write_all(*(int *)arg, data, size);
}

static int unnamed_file(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	char path[4096];
	snprintf(path, sizeof path, "%s/.blob-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* A blob as a file without a name beside the directory, so that placing it may be a clone. */
static int open_blob(void *arg, const uint8_t digest[DIGEST_SIZE], int *fdp,
		     uint64_t *sizep, struct err *e)
{
	struct lay_out *l = arg;
	struct cashet_error why;
	struct stat st;
	int fd = unnamed_file(l->dir);
	if (fd < 0) {
		err_set(e, ERR_FAILED, "a file in %s cannot be made: %s", l->dir,
			strerror(errno));
		return errno == ENOSPC ? LAYOUT_FULL : LAYOUT_ERROR;
	}
	int r = cashet_get_blob(l->c, digest, write_piece, &fd, &why);
	if (r == 0 && (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		r = CASHET_FAILED;
		snprintf(why.what, sizeof why.what, "%s", strerror(errno));
	}
	if (r) {
		close(fd);
		err_set(e, (enum err_code)r, "%s", why.what);
		err_next(e, "%s", why.next);
		return r == CASHET_NOT_FOUND  ? LAYOUT_MISSING
		       : r == CASHET_DETACHED ? LAYOUT_CANCELLED
					      : LAYOUT_ERROR;
	}
	*fdp = fd;
	*sizep = (uint64_t)st.st_size;
	return LAYOUT_OK;
}

/* Which of its parts is gone, and who can make it again. */
static int missing(const struct lay_out *l, const uint8_t digest[DIGEST_SIZE],
		   struct err *e)
{
	const struct function *f = &l->function;
	char hex[HEX_DIGEST_SIZE], task[160], what[200] = "a part of an input";
	const char *input = NULL;
	title(l, task, sizeof task);
	for (size_t i = 0; i < f->code_count; i++)
		if (memcmp(f->code[i].digest, digest, DIGEST_SIZE) == 0)
			snprintf(what, sizeof what, "its code %.150s", f->code[i].path);
	for (size_t i = 0; i < l->args.input_count; i++)
		if (memcmp(l->args.inputs[i].content.digest, digest, DIGEST_SIZE) == 0)
			input = l->args.inputs[i].label ? l->args.inputs[i].label
							: f->inputs[i];
	if (input)
		snprintf(what, sizeof what, "its input %.150s", input);
	err_set(e, ERR_NOT_FOUND,
		"%s cannot be laid out: %s (%.8s) is not in the store any more, or is "
		"damaged",
		task, what, hex_encode(hex, digest, DIGEST_SIZE));
	err_next(e, "cashet fsck says what is damaged; submitting its batch file again "
		    "with --force makes all of it again");
	return ERR_NOT_FOUND;
}

int lay_out_place(struct lay_out *l, const struct function *f, const struct args *args,
		  const struct source *shipped, const char *dir, struct layout *layout,
		  struct err *e)
{
	const struct layout_source source = {l, open_blob};
	size_t count = l->options && args->input_count ? l->options->n_externs : 0;
	struct layout_extern *externs = calloc(count + 1, sizeof *externs);
	if (!externs)
		return handle_no_memory(e);
	for (size_t i = 0; i < count; i++)
		externs[i] = (struct layout_extern){
			.input = l->options->externs[i]->input,
			.member = l->options->externs[i]->member,
			.path = l->options->externs[i]->path,
		};
	*layout = (struct layout){.function = f,
				  .args = args,
				  .externs = externs,
				  .extern_count = count,
				  .shipped = shipped && shipped->files ? shipped : NULL,
				  .dir = dir,
				  .source = &source};
	enum layout_result result = layout_run(layout, e);
	layout->externs = NULL;
	free(externs);
	switch (result) {
	case LAYOUT_OK:
		return 0;
	case LAYOUT_MISSING:
		return missing(l, layout->missing, e);
	case LAYOUT_ABSENT:
		return ERR_NOT_FOUND;
	case LAYOUT_CANCELLED:
		return ERR_DETACHED;
	case LAYOUT_BAD:
	case LAYOUT_FULL:
	case LAYOUT_ERROR:
		break;
	}
	return ERR_FAILED;
}

/* ---- the folder ---- */

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	bool empty = dir != NULL;
	for (struct dirent *d; empty && (d = readdir(dir));)
		empty = !strcmp(d->d_name, ".") || !strcmp(d->d_name, "..");
	if (dir)
		closedir(dir);
	return empty;
}

static int make_folders(struct lay_out *l, const char *dir, struct err *e)
{
	if (mkdir(dir, 0777) < 0 && !(errno == EEXIST && is_empty(dir))) {
		err_set(e, ERR_USAGE, "%s cannot be the task's folder: %s", dir,
			errno == EEXIST ? "it is there and not empty" : strerror(errno));
		return ERR_USAGE;
	}
	l->dir = realpath(dir, NULL);
	if (!l->dir)
		return err_set(e, ERR_FAILED, "%s: %s", dir, strerror(errno));
	if (asprintf(&l->task, "%s/task", l->dir) < 0 ||
	    asprintf(&l->tmp, "%s/tmp", l->dir) < 0 ||
	    asprintf(&l->checkpoint, "%s/checkpoint", l->dir) < 0 ||
	    asprintf(&l->script, "%s/run", l->dir) < 0)
		return handle_no_memory(e);
	if (mkdir(l->task, 0777) < 0 || mkdir(l->tmp, 0777) < 0 ||
	    mkdir(l->checkpoint, 0777) < 0)
		return err_set(e, ERR_FAILED, "folders in %s cannot be made: %s", l->dir,
			       strerror(errno));
	return 0;
}

static int lay_out(struct cashet *c, const char *what, const char *dir,
		   struct cashet_laid_out **lp, struct err *e)
{
	struct lay_out l = {.c = c};
	struct layout layout = {0};
	struct laid_out *out = calloc(1, sizeof *out);
	int r = out ? learn(&l, what, e) : handle_no_memory(e);
	if (r == 0)
		r = make_folders(&l, dir, e);
	bool is_call = function_is_call(&l.function);
	if (r == 0 && is_call)
		r = lay_out_call(&l, &out->public, &out->keep, e);
	if (r == 0 && !is_call)
		r = lay_out_place(&l, &l.function, &l.args, &l.source, l.task, &layout,
				  e);
	if (r == 0 && !is_call)
		r = lay_out_finish(&l, layout.inputs, &out->public, &out->keep, e);
	if (layout.function)
		layout_fini(&layout);
	lay_out_fini(&l);
	if (r)
		cashet_laid_out_free(out ? &out->public : NULL);
	else
		*lp = &out->public;
	return r;
}

int cashet_lay_out(struct cashet *c, const char *what, const char *dir,
		   struct cashet_laid_out **lp, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, lay_out(c, what, dir, lp, &e));
}

void cashet_laid_out_free(struct cashet_laid_out *l)
{
	if (!l)
		return;
	struct laid_out *out = container_of(l, struct laid_out, public);
	keep_fini(&out->keep);
	free(out);
}
