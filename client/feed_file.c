/* feed_file.c - a batch file on its way, see feed.h. */
#include "client/feed.h"

#include "client/batch/batch.h"
#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

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
int feed_keep_up(void *arg, struct err *e)
{
	struct cashet *c = arg;
	if (!c->transport && !c->submission)
		return c->interrupted && c->interrupted(c->interrupted_arg)
			       ? err_set(e, ERR_DETACHED, "interrupted")
			       : 0;
	return handle_pump(c, clock_mono_ns(), TIME_NEVER, e);
}

static int feed_batch(struct batch *batch, const char *name, const struct feed *feed,
		      struct err *e)
{
	Cashet__BatchInfo info = *batch_info(batch);
	struct builder_sink sink;
	uint8_t request[NONCE_SIZE];
	int r = feed->begin(feed->arg, &sink, request, e);
	if (r)
		return r;
	if (name)
		info.name = (char *)(uintptr_t)name;
	struct builder *b = builder_new(request, &info, &sink);
	r = b ? batch_feed(batch, b, e) : handle_no_memory(e);
	if (r == 0)
		r = builder_finish(b, feed->watch, e);
	builder_free(b);
	return feed->end(feed->arg, r, e);
}

struct streaming {
	struct cashet *c;
	const struct cashet_stream *stream;
};

/* A stream of the public kind, as lines.h wants it. */
static int read_stream(void *arg, void *out, size_t size, size_t *gotp, struct err *e)
{
	const struct streaming *s = arg;
	struct cashet_error error = {0};
	int r;
	while ((r = s->stream->read(s->stream->arg, out, size, gotp, &error)) ==
	       CASHET_AGAIN) {
		r = feed_keep_up(s->c, e);
		if (r)
			return r;
	}
	if (r) {
		err_set(e, (enum err_code)r, "%s", error.what);
		if (*error.next)
			err_next(e, "%s", error.next);
	}
	return r;
}

static int feed(struct cashet *c, const char *path, const struct cashet_stream *stream,
		const struct cashet_submit_options *options, const struct feed *to,
		struct err *e)
{
	static const struct cashet_submit_options none;
	if (!options)
		options = &none;
	char **tags = NULL, *memo = handle_memo_path(c);
	struct streaming streaming = {c, stream};
	struct batch_options batch_options = {
		.path = path,
		.force = options->force,
		.no_cache = options->no_cache,
		.tag_count = options->tag_count,
		.private_env = c->where.dir != NULL,
		.memo_path = memo,
		.warn = options->warned,
		.warn_arg = options->warned_arg,
		.idle = feed_keep_up,
		.idle_arg = c,
		.read = stream ? read_stream : NULL,
		.read_arg = &streaming,
	};
	struct batch *batch = NULL;
	int r = parse_format(options->format, &batch_options.format, e);
	if (r == 0)
		r = make_tags(options, &tags, e);
	batch_options.tags = (const char *const *)tags;
	if (r == 0)
		r = batch_open(&batch, &batch_options, e);
	if (r == 0)
		r = feed_batch(batch, options->name, to, e);
	batch_free(batch);
	free_tags(tags, options->tag_count);
	free(memo);
	return r;
}

int feed_file(struct cashet *c, const char *path,
	      const struct cashet_submit_options *options, const struct feed *to,
	      struct err *e)
{
	return feed(c, path, NULL, options, to, e);
}

int feed_stream(struct cashet *c, const struct cashet_stream *stream,
		const struct cashet_submit_options *options, const struct feed *to,
		struct err *e)
{
	return feed(c, stream->name, stream, options, to, e);
}
