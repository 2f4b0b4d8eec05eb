/* api.c - the public face: opening, submitting files, waiting. Every function here calls one inside
 * and copies the error out; see cashet.h for what they promise. */
#include "client/feed.h"
#include "client/handle.h"
#include "client/local.h"
#include "client/submission.h"
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

/* ---- submitting ---- */

struct submitting {
	struct cashet *c;
	bool sync;
	char *batch;
};

static int begin_submission(void *arg, struct builder_sink *sink,
			    uint8_t request[NONCE_SIZE], struct err *e)
{
	const struct submitting *s = arg;
	return submission_begin(s->c, sink, request, e);
}

static int end_submission(void *arg, int failed, struct err *e)
{
	const struct submitting *s = arg;
	return submission_end(s->c, failed, s->sync, s->batch, e);
}

static struct feed submission_feed(struct submitting *s)
{
	return (struct feed){.begin = begin_submission,
			     .end = end_submission,
			     .arg = s,
			     .watch = true};
}

int cashet_submit_file(struct cashet *c, const char *path,
		       const struct cashet_submit_options *options,
		       char batch[CASHET_HEX_SIZE], struct cashet_error *error)
{
	struct err e;
	struct submitting s = {c, !options || !options->no_sync, batch};
	struct feed feed = submission_feed(&s);
	return error_give(error, &e, feed_file(c, path, options, &feed, &e));
}

int cashet_submit_stream(struct cashet *c, const struct cashet_stream *stream,
			 const struct cashet_submit_options *options,
			 char batch[CASHET_HEX_SIZE], struct cashet_error *error)
{
	static const struct cashet_submit_options none;
	struct err e;
	struct submitting s = {c, !options || !options->no_sync, batch};
	struct feed feed = submission_feed(&s);
	struct cashet_submit_options as_lines = options ? *options : none;
	if (!as_lines.format)
		as_lines.format = "jsonl";
	return error_give(error, &e, feed_stream(c, stream, &as_lines, &feed, &e));
}

int cashet_submit_many(struct cashet *c, const struct cashet_task *tasks, size_t count,
		       const struct cashet_submit_options *options,
		       char batch[CASHET_HEX_SIZE], struct cashet_error *error)
{
	struct err e;
	struct submitting s = {c, !options || !options->no_sync, batch};
	struct feed feed = submission_feed(&s);
	return error_give(error, &e, feed_tasks(c, tasks, count, options, &feed, &e));
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
