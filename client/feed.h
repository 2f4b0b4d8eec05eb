/* feed.h - batches on their way: read from a file or built by a program, and given to whoever takes
 * them: a submission, or a dry run. */
#pragma once

#include "client/builder.h"
#include "client/handle.h"

struct feed { /* who takes it */
	/** @sink: for builder_new(). Not 0: nothing follows. */
	int (*begin)(void *arg, struct builder_sink *sink, uint8_t request[NONCE_SIZE],
		     struct err *e);
	/** @failed: what went wrong meanwhile, or 0. Return: what is to be returned. */
	int (*end)(void *arg, int failed, struct err *e);
	void *arg;
	bool watch; /* SubmitChunk.watch */
};

/** feed_keep_up() - while files or describers are waited for: the session is kept, Ctrl-C is heard.
 * @c: struct cashet. Return: 0 or ERR_*. */
int feed_keep_up(void *c, struct err *e);
/** feed_file() - a batch file. Return: 0; ERR_USAGE for a bad file; what @feed returns. */
int feed_file(struct cashet *c, const char *path,
	      const struct cashet_submit_options *options, const struct feed *feed,
	      struct err *e);
/** feed_stream() - a batch that is made as it is read. */
int feed_stream(struct cashet *c, const struct cashet_stream *stream,
		const struct cashet_submit_options *options, const struct feed *feed,
		struct err *e);
/** feed_tasks() - cashet_submit_many()'s tasks. */
int feed_tasks(struct cashet *c, const struct cashet_task *tasks, size_t count,
	       const struct cashet_submit_options *options, const struct feed *feed,
	       struct err *e);
