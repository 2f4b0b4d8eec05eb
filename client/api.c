/* api.c - the public face: opening, submitting files, waiting. Every function here calls one inside
 * and copies the error out; see cashet.h for what they promise. */
#include "client/batch/batch.h"
#include "client/handle.h"
#include "client/local.h"
#include "client/submission.h"
#include "client/tasks.h"
#include "client/watch.h"
#include "common/clock.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>

const char *cashet_version(void)
{
	return CASHET_VERSION;
}

const char *cashet_where(const struct cashet *c)
{
	return c->url ? c->url : "";
}

static int open_greeted(struct cashet **cp, const struct cashet_options *options,
			struct err *e)
{
	struct cashet *c;
	int r = handle_open(&c, options, e);
	if (r)
		return r;
	/* Under way, not answered: what is asked first travels right behind the greeting. A broker
	 * that is not there, or refuses us, is found out by whoever waits first. */
	if (options && options->no_wait)
		r = 0;
	else if (c->must_exist && local_may(c))
		r = local_open(
			c,
			e); /* whether it is there; a broker is started for what needs one */
	else
		r = LOCAL_SERVED;
	if (r == LOCAL_SERVED)
		r = handle_greeted(c, e);
	if (r)
		handle_close(c);
	else
		*cp = c;
	return r;
}

int cashet_open(struct cashet **cp, const struct cashet_options *options,
		struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, open_greeted(cp, options, &e));
}

void cashet_close(struct cashet *c)
{
	handle_close(c);
}

static int parse_format(const char *name, enum batch_format *format, struct err *e)
{
	static const char *const names[] = {"auto", "yaml", "json", "jsonl"};
	*format = BATCH_AUTO;
	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*format = (enum batch_format)i;
			return 0;
		}
	return name ? err_set(e, ERR_USAGE, "\"%s\" is not a format: yaml, json or jsonl",
			      name)
		    : 0;
}

/* Tags of the command line, as "key=value". */
static int make_tags(const struct cashet_submit_options *options, char ***tagsp,
		     struct err *e)
{
	char **tags = calloc(options->tag_count + 1, sizeof *tags);
	if (!tags)
		return handle_no_memory(e);
	*tagsp = tags;
	for (size_t i = 0; i < options->tag_count; i++) {
		CLEANUP_BUF struct buf text = {0};
		buf_printf(&text, "%s=%s", options->tags[i].key, options->tags[i].value);
		tags[i] = buf_steal(&text, NULL);
		if (!tags[i])
			return handle_no_memory(e);
	}
	return 0;
}

static void free_tags(char **tags, size_t count)
{
	for (size_t i = 0; tags && i < count; i++)
		free(tags[i]);
	free(tags);
}

/* While a batch file comes slowly through a pipe: the session is kept, Ctrl-C is heard. Not being
 * connected is no reason to stop reading; whoever sends finds out. */
static int keep_up(void *arg, struct err *e)
{
	struct cashet *c = arg;
	if (!c->transport && !c->submission)
		return c->interrupted && c->interrupted(c->interrupted_arg)
			       ? err_set(e, ERR_DETACHED, "interrupted")
			       : 0;
	return handle_pump(c, clock_mono_ns(), TIME_NEVER, e);
}

static int feed(struct cashet *c, struct batch *batch, bool sync,
		char name[CASHET_HEX_SIZE], struct err *e)
{
	struct builder_sink sink;
	uint8_t request[NONCE_SIZE];
	int r = submission_begin(c, &sink, request, e);
	if (r)
		return r;
	struct builder *b = builder_new(request, batch_info(batch), &sink);
	r = b ? batch_feed(batch, b, e) : handle_no_memory(e);
	if (r == 0)
		r = builder_finish(b, true, e);
	builder_free(b);
	return submission_end(c, r, sync, name, e);
}

static int submit_file(struct cashet *c, const char *path,
		       const struct cashet_submit_options *options,
		       char name[CASHET_HEX_SIZE], struct err *e)
{
	static const struct cashet_submit_options none;
	if (!options)
		options = &none;
	char **tags = NULL, *memo = handle_memo_path(c);
	struct batch_options batch_options = {
		.path = path,
		.force = options->force,
		.no_cache = options->no_cache,
		.tag_count = options->tag_count,
		.private_env = c->where.dir != NULL,
		.memo_path = memo,
		.idle = keep_up,
		.idle_arg = c,
	};
	struct batch *batch = NULL;
	int r = parse_format(options->format, &batch_options.format, e);
	if (r == 0)
		r = make_tags(options, &tags, e);
	batch_options.tags = (const char *const *)tags;
	if (r == 0)
		r = batch_open(&batch, &batch_options, e);
	if (r == 0)
		r = feed(c, batch, !options->no_sync, name, e);
	batch_free(batch);
	free_tags(tags, options->tag_count);
	free(memo);
	return r;
}

int cashet_submit_file(struct cashet *c, const char *path,
		       const struct cashet_submit_options *options,
		       char batch[CASHET_HEX_SIZE], struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, submit_file(c, path, options, batch, &e));
}

int cashet_submit_many(struct cashet *c, const struct cashet_task *tasks, size_t count,
		       const struct cashet_submit_options *options,
		       char batch[CASHET_HEX_SIZE], struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, tasks_submit(c, tasks, count, options, batch, &e));
}

int cashet_submit(struct cashet *c, const struct cashet_task *task,
		  const struct cashet_submit_options *options,
		  char batch[CASHET_HEX_SIZE], struct cashet_error *error)
{
	return cashet_submit_many(c, task, 1, options, batch, error);
}

int cashet_sync(struct cashet *c, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, submission_sync(c, &e));
}

int cashet_wait(struct cashet *c, const char *batch,
		const struct cashet_wait_options *options, struct cashet_counts *counts,
		struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, watch_wait(c, batch, options, counts, &e));
}
