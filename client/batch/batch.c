/* batch.c - see batch.h: which format, in which order, and who owns what.
 *
 * YAML and JSON are read whole, checked whole, and expanded when they are fed. JSONL is read when
 * it is fed, line by line, each line's memory being that of the line before. */
#include "client/batch/batch.h"

#include "client/batch/emit.h"
#include "client/batch/lines.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct batch {
	struct arena arena; /* what lives as long as the batch */
	const char *shown;  /* name of the file in messages */
	int fd; /* -1 until it is open; ours to close unless it is standard input */
	bool is_stdin;
	struct lines lines;
	bool is_lines;
	bool private_env;
	struct doc doc;
	struct spec spec;
	struct spec_batch read;
	struct spec_pairs extra_tags;
	struct files files;
	struct shipping shipping;
	struct targets targets;
	Cashet__BatchInfo info;
	Cashet__Policy policy;
};

void batch_free(struct batch *b)
{
	if (!b)
		return;
	memo_save(&b->files.memo);
	shipping_fini(&b->shipping);
	files_fini(&b->files);
	targets_fini(&b->targets);
	doc_fini(&b->doc);
	lines_fini(&b->lines);
	arena_fini(&b->arena);
	if (b->fd >= 0 && !b->is_stdin)
		close(b->fd);
	free(b);
}

const char *batch_name(const struct batch *b)
{
	return b->is_lines ? "" : b->read.name;
}

uint64_t batch_task_total(const struct batch *b)
{
	return b->is_lines ? 0 : b->read.total;
}

const Cashet__BatchInfo *batch_info(const struct batch *b)
{
	return &b->info;
}

/* ---- options */

static int by_key(const void *a, const void *b)
{
	const struct spec_pair *x = a, *y = b;
	return strcmp(x->key, y->key);
}

static int read_tags(struct batch *b, const struct batch_options *options, struct err *e)
{
	if (!options->tag_count)
		return 0;
	b->extra_tags.items =
		arena_calloc(&b->arena, options->tag_count, sizeof(struct spec_pair));
	if (!b->extra_tags.items)
		return source_no_memory(e);
	for (size_t i = 0; i < options->tag_count; i++) {
		const char *tag = options->tags[i], *equals = strchr(tag, '=');
		if (!equals || equals == tag)
			return err_set(e, ERR_USAGE, "--tag \"%.200s\" is not KEY=VALUE",
				       tag);
		struct spec_pair pair = {
			.key = arena_text(&b->arena, tag, (size_t)(equals - tag)),
			.value = arena_text(&b->arena, equals + 1, strlen(equals + 1))};
		if (!pair.key || !pair.value)
			return source_no_memory(e);
		for (uint32_t k = 0; k < b->extra_tags.count; k++)
			if (!strcmp(b->extra_tags.items[k].key, pair.key))
				return err_set(e, ERR_USAGE,
					       "--tag \"%.200s\" is given twice",
					       pair.key);
		b->extra_tags.items[b->extra_tags.count++] = pair;
	}
	qsort(b->extra_tags.items, b->extra_tags.count, sizeof *b->extra_tags.items,
	      by_key);
	b->spec.extra_tags = &b->extra_tags;
	return 0;
}

static int set_info(struct batch *b, const char *path, struct err *e)
{
	cashet__batch_info__init(&b->info);
	cashet__policy__init(&b->policy);
	b->policy.max_failures = (uint32_t)b->read.max_failures;
	b->policy.max_parallel = (uint32_t)b->read.max_parallel;
	b->info.policy = &b->policy;
	b->info.name = (char *)batch_name(b);
	b->info.file = arena_text(&b->arena, path, strlen(path));
	size_t count = b->extra_tags.count;
	Cashet__Pair *pairs = arena_calloc(&b->arena, count, sizeof *pairs);
	b->info.tags = arena_calloc(&b->arena, count, sizeof *b->info.tags);
	if (!b->info.file || !pairs || !b->info.tags)
		return source_no_memory(e);
	for (size_t i = 0; i < count; i++) {
		cashet__pair__init(&pairs[i]);
		pairs[i].key = (char *)b->extra_tags.items[i].key;
		pairs[i].value = (char *)b->extra_tags.items[i].value;
		b->info.tags[b->info.n_tags++] = &pairs[i];
	}
	return 0;
}

/* ---- format */

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size >= end_size && !strcasecmp(text + size - end_size, end);
}

static enum batch_format by_extension(const char *path)
{
	static const struct {
		const char *end;
		enum batch_format format;
	} rows[] = {{".yaml", BATCH_YAML},
		    {".yml", BATCH_YAML},
		    {".json", BATCH_JSON},
		    {".jsonl", BATCH_JSONL},
		    {".ndjson", BATCH_JSONL}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ends_with(path, rows[i].end))
			return rows[i].format;
	return BATCH_AUTO;
}

static const char *skip_blanks(const char *text, const char *end)
{
	while (text < end && (*text == ' ' || *text == '\t' || *text == '\r'))
		text++;
	return text;
}

/* by_content() - the first line that is not blank: a whole object is JSONL, unless it is a batch;
 * what begins like an object is JSON; all else is YAML. */
static enum batch_format by_content(const struct source_text *line)
{
	const char *text = line->text, *end = line->text + line->size;
	text = skip_blanks(text, end);
	if (text == end || *text != '{')
		return BATCH_YAML;
	struct err unused;
	struct doc doc = {.source = *line, .e = &unused};
	enum batch_format format = BATCH_YAML;
	if (!doc_parse_json(&doc)) {
		bool is_batch =
			node_find(&doc.root, "version") || node_find(&doc.root, "tasks");
		format = is_batch ? BATCH_JSON : BATCH_JSONL;
	} else {
		text = skip_blanks(text + 1, end);
		if (text == end || *text == '"')
			format = BATCH_JSON;
	}
	doc_fini(&doc);
	return format;
}

static int find_format(struct batch *b, const struct batch_options *options,
		       enum batch_format *formatp, struct err *e)
{
	*formatp = options->format;
	if (*formatp == BATCH_AUTO)
		*formatp = by_extension(options->path);
	if (*formatp != BATCH_AUTO)
		return 0;
	struct source_text line;
	int r = lines_peek(&b->lines, &line, e);
	if (r == ERR_FAILED)
		return r;
	/* A line without end: the first of it tells, and whoever reads it complains. */
	const struct buf *begun = &b->lines.buf;
	if (r)
		line = (struct source_text){b->shown, NULL, 0, 1};
	if (r && begun->size > b->lines.at) {
		line.text = (const char *)begun->data + b->lines.at;
		line.size = 1;
	}
	*e = (struct err){0};
	*formatp = line.text ? by_content(&line) : BATCH_YAML;
	return 0;
}

/* ---- reading */

/* A line of JSONL as the root of the document. */
static int read_line(struct batch *b, const struct source_text *line,
		     struct spec_task *task)
{
	arena_reset(&b->doc.arena);
	b->doc.nodes = 0;
	b->doc.source = *line;
	int e = doc_parse_json(&b->doc);
	if (!e)
		e = get_is_map(&b->doc, &b->doc.root, "a line");
	if (!e)
		e = spec_read_task(&b->spec, NULL, &b->doc.root, task);
	if (!e)
		e = spec_resolve(&b->spec, &b->targets, task, TARGET_NONE,
				 targets_total(&b->targets));
	return e;
}

static int open_lines(struct batch *b, struct err *e)
{
	struct source_text line;
	struct spec_task task;
	b->spec.form = SPEC_LINES;
	int r = lines_peek(&b->lines, &line, e);
	if (r)
		return r;
	if (!line.text)
		return err_set(e, ERR_USAGE, "%s: the file is empty", b->shown);
	r = read_line(b, &line, &task);
	b->spec.need_edges = 0;
	return r;
}

static int open_whole(struct batch *b, enum batch_format format, struct err *e)
{
	int r = lines_rest(&b->lines, e);
	if (r)
		return r;
	b->doc.source = (struct source_text){b->shown, (const char *)b->lines.buf.data,
					     b->lines.buf.size, 1};
	r = source_check(&b->doc.source, e);
	if (!r)
		r = format == BATCH_JSON ? doc_parse_json(&b->doc)
					 : doc_parse_yaml(&b->doc);
	return r ? r : spec_read_batch(&b->spec, &b->targets, &b->read);
}

static int open_batch(struct batch *b, const struct batch_options *options, struct err *e)
{
	b->is_stdin = !options->read && !strcmp(options->path, "-");
	enum batch_format format;
	b->shown = b->is_stdin
			   ? "<stdin>"
			   : arena_text(&b->arena, options->path, strlen(options->path));
	const char *memo = options->memo_path ? arena_text(&b->arena, options->memo_path,
							   strlen(options->memo_path))
					      : NULL;
	if (!b->shown || (options->memo_path && !memo))
		return source_no_memory(e);
	int r = options->read ? 0 : source_open(options->path, b->shown, &b->fd, e);
	if (r)
		return r;
	lines_init(&b->lines, b->fd, b->shown);
	b->lines.read = options->read;
	b->lines.read_arg = options->read_arg;
	b->lines.idle = options->idle;
	b->lines.idle_arg = options->idle_arg;
	r = read_tags(b, options, e);
	if (!r)
		r = files_init(&b->files, options->read ? "-" : options->path, memo, e);
	struct describe_options describe = {
		.memo_path = memo, .idle = options->idle, .idle_arg = options->idle_arg};
	if (!r)
		r = shipping_init(&b->shipping, &describe, e);
	if (!r)
		r = find_format(b, options, &format, e);
	if (r)
		return r;
	lines_rewind(&b->lines);
	b->is_lines = format == BATCH_JSONL;
	r = b->is_lines ? open_lines(b, e) : open_whole(b, format, e);
	if (!r && !b->is_lines)
		memo_save(&b->files.memo);
	return r ? r : set_info(b, options->path, e);
}

int batch_open(struct batch **batchp, const struct batch_options *options, struct err *e)
{
	struct err unused;
	if (!e)
		e = &unused;
	struct batch *b = calloc(1, sizeof *b);
	if (!b)
		return source_no_memory(e);
	b->fd = -1;
	b->private_env = options->private_env;
	b->doc.e = e;
	b->spec = (struct spec){.doc = &b->doc,
				.files = &b->files,
				.shipping = &b->shipping,
				.force = options->force,
				.no_cache = options->no_cache};
	b->shipping = (struct shipping){
		.files = &b->files, .warn = options->warn, .warn_arg = options->warn_arg};
	b->read.name = "";
	int r = open_batch(b, options, e);
	b->doc.e = NULL;
	if (r)
		batch_free(b);
	else
		*batchp = b;
	return r;
}

/* ---- feeding */

static int feed_whole(struct batch *b, struct emit *m)
{
	int e = 0;
	for (uint32_t i = 0; !e && i < b->read.count; i++)
		e = emit_task(m, &b->read.tasks[i], b->targets.items[i].keeps_stdout);
	return e;
}

static int feed_lines(struct batch *b, struct emit *m)
{
	struct source_text line;
	struct spec_task task;
	int e;
	while (!(e = lines_peek(&b->lines, &line, b->doc.e)) && line.text) {
		e = read_line(b, &line, &task);
		if (!e)
			e = emit_task(m, &task, false);
		if (!e)
			e = spec_add_target(&b->spec, &b->targets, &task);
		if (e)
			return e;
		lines_take(&b->lines);
	}
	return e;
}

int batch_feed(struct batch *b, struct builder *builder, struct err *e)
{
	struct err unused;
	struct emit m;
	if (!e)
		e = &unused;
	int r = emit_init(&m, builder, &b->targets, b->private_env, e);
	if (r)
		return r;
	b->doc.e = e;
	files_begin(&b->files);
	shipping_begin(&b->shipping);
	r = b->is_lines ? feed_lines(b, &m) : feed_whole(b, &m);
	emit_fini(&m);
	b->doc.e = NULL;
	memo_save(&b->files.memo);
	return r;
}
