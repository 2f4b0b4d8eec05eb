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
static int keep_up(void *arg, struct err *e)
{
	struct cashet *c = arg;
	if (!c->transport && !c->submission)
		return c->interrupted && c->interrupted(c->interrupted_arg)
			       ? err_set(e, ERR_DETACHED, "interrupted")
			       : 0;
	return handle_pump(c, clock_mono_ns(), TIME_NEVER, e);
}

static int feed_batch(struct batch *batch, const struct feed *feed, struct err *e)
{
	struct builder_sink sink;
	uint8_t request[NONCE_SIZE];
	int r = feed->begin(feed->arg, &sink, request, e);
	if (r)
		return r;
	struct builder *b = builder_new(request, batch_info(batch), &sink);
	r = b ? batch_feed(batch, b, e) : handle_no_memory(e);
	if (r == 0)
		r = builder_finish(b, feed->watch, e);
	builder_free(b);
	return feed->end(feed->arg, r, e);
}

int feed_file(struct cashet *c, const char *path,
	      const struct cashet_submit_options *options, const struct feed *feed,
	      struct err *e)
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
		r = feed_batch(batch, feed, e);
	batch_free(batch);
	free_tags(tags, options->tag_count);
	free(memo);
	return r;
}
