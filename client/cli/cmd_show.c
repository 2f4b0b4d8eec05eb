/* cmd_show.c - show: all that is known of one commit. */
#include "client/cli/show_source.h"

#include "common/format/content.h"
#include "common/num.h"
#include "common/pure/hex.h"

#include <inttypes.h>
#include <string.h>

#define TAIL_BYTES 4096
#define TAIL_LINES 20
#define SOURCES_SHOWN 10
#define LISTING_MAX                                                                      \
	(32u << 20) /* bytes of a folder's listing that is read to add it up */

static void head(struct buf *out, const char *name)
{
	buf_printf(out, "%-10s", name);
}

static void add_hex(struct buf *out, const uint8_t digest[32])
{
	char hex[CASHET_HEX_SIZE];
	buf_add_str(out, hex_encode(hex, digest, 32));
}

static void add_short(struct buf *out, const uint8_t digest[32])
{
	char hex[SHORT_HASH + 1];
	show_short(hex, digest);
	buf_add_str(out, hex);
}

static void add_moment(struct buf *out, uint64_t wall_ms)
{
	show_time(out, wall_ms);
	buf_add_str(out, " (");
	show_ago(out, wall_ms);
	buf_add_str(out, ")\n");
}

/* ---- the lines of the head ---- */

static void add_status(const struct cli *cli, struct buf *out,
		       const struct cashet_shown *s)
{
	const struct cashet_commit *c = &s->commit;
	head(out, "Status:");
	buf_add_str(out, c->failed    ? "failed"
			 : c->current ? "completed"
				      : "completed, no longer current");
	if (c->attempts > 1)
		buf_printf(out, " (%" PRIu32 " attempts)", c->attempts);
	for (size_t i = 0; i < s->pin_count; i++) {
		buf_add_str(out, i ? ", " : ", pinned as ");
		show_text(cli, out, s->pins[i]);
	}
	buf_add_byte(out, '\n');
}

/* What is stored of a folder is its listing; people ask for what it holds. */
struct folder {
	uint64_t files, bytes;
};

static int keep_listing(void *arg, const void *data, size_t size)
{
	struct buf *listing = arg;
	buf_add(listing, data, size);
	return listing->failed;
}

/* read_folder() - Return: whether @content is a folder whose listing could be read. */
static bool read_folder(struct cli *cli, const struct cashet_content *content,
			struct folder *f)
{
	CLEANUP_BUF struct buf listing = {0};
	struct content_entries entries = {0};
	struct cashet_error e;
	*f = (struct folder){0};
	if (content->type != CASHET_CONTENT_TREE || content->size > LISTING_MAX ||
	    cashet_get_blob(cli->c, content->digest, keep_listing, &listing, &e) ||
	    content_decode_tree(listing.data, listing.size, &entries))
		return false;
	for (size_t i = 0; i < entries.count; i++) {
		bool is_file = content_is_file(entries.items[i].content.type);
		f->files += is_file;
		f->bytes += is_file ? entries.items[i].size : 0;
	}
	content_entries_fini(&entries);
	return true;
}

static void add_content(struct cli *cli, struct buf *out,
			const struct cashet_content *content)
{
	struct folder f;
	if (read_folder(cli, content, &f)) {
		show_size(out, f.bytes);
		buf_printf(out, " in %" PRIu64 " file%s", f.files,
			   f.files == 1 ? "" : "s");
	} else if (content->type == CASHET_CONTENT_TREE) {
		buf_add_str(out, "a folder");
	} else {
		show_size(out, content->size);
	}
}

/* All that the task gave; what cannot be read of folders counts with its listing. */
static uint64_t whole_size(struct cli *cli, const struct cashet_shown *s)
{
	uint64_t size = s->commit.size;
	for (size_t i = 0; i < s->result->output_count; i++) {
		const struct cashet_content *content = &s->result->outputs[i].content;
		struct folder f;
		if (read_folder(cli, content, &f))
			size += f.bytes - content->size;
	}
	return size;
}

static void add_output(struct cli *cli, struct buf *out, const struct cashet_shown *s)
{
	const struct cashet_result *r = s->result;
	head(out, "Output:");
	if (r->result.type == CASHET_CONTENT_NONE) {
		buf_add_str(out, "none\n");
		return;
	}
	add_hex(out, r->result.digest);
	buf_add_str(out, "  ");
	show_size(out, whole_size(cli, s));
	buf_add_byte(out, '\n');
	for (size_t i = 0; i < r->output_count; i++) {
		const struct cashet_output *o = &r->outputs[i];
		head(out, "");
		show_text(cli, out, o->name);
		buf_add_str(out, "  ");
		show_text(cli, out, o->path);
		buf_add_str(out, "  ");
		add_hex(out, o->content.digest);
		buf_add_str(out, "  ");
		add_content(cli, out, &o->content);
		buf_add_byte(out, '\n');
	}
}

static void add_head(struct cli *cli, struct buf *out, const struct cashet_shown *s)
{
	const struct cashet_commit *c = &s->commit;
	head(out, "Hash:");
	add_hex(out, c->commit);
	buf_add_byte(out, '\n');
	head(out, "Function:");
	show_text(cli, out, c->name);
	buf_add_byte(out, '\n');
	add_status(cli, out, s);
	add_output(cli, out, s);
	head(out, "Created:");
	add_moment(out, c->ended_wall_ms);
	head(out, "Duration:");
	show_duration(out, c->duration_ns);
	buf_add_byte(out, '\n');
	head(out, "Worker:");
	show_text(cli, out, *c->worker ? c->worker : "none");
	buf_add_byte(out, '\n');
	head(out, "Parent:");
	if (c->has_parent)
		add_hex(out, c->parent);
	buf_add_str(out, c->has_parent ? "\n" : "none\n");
	head(out, "Tags:");
	show_tags(cli, out, c);
	buf_add_str(out, c->tag_count ? "\n" : "none\n");
	head(out, "Expires:");
	if (c->expires_wall_ms)
		show_time(out, c->expires_wall_ms);
	buf_add_str(out, c->expires_wall_ms ? "\n" : "never\n");
}

/* ---- what ran, with what ---- */

static void add_args(const struct cli *cli, struct buf *out,
		     const struct cashet_result *r)
{
	buf_add_str(out, "Args:\n");
	for (size_t i = 0; i < r->param_count; i++) {
		CLEANUP_BUF struct buf value = {0};
		show_value(&value, &r->params[i].value, SHOW_FULL);
		buf_add_str(out, "  ");
		show_text(cli, out, r->params[i].name);
		buf_add_str(out, " = ");
		show_text(cli, out, buf_cstr(&value));
		buf_add_byte(out, '\n');
	}
	if (!r->param_count)
		buf_add_str(out, "  none\n");
}

static void add_origin_of(const struct cli *cli, struct buf *out,
			  const struct cashet_origin *o,
			  const struct cashet_commit *sources)
{
	size_t shown = o->source_count < SOURCES_SHOWN ? o->source_count : SOURCES_SHOWN;
	bool several = o->source_count > 1;
	for (size_t i = 0; i < shown; i++) {
		const struct cashet_commit *c = &sources[o->sources[i]];
		buf_add_str(out, several ? "\n    from " : "  from ");
		add_short(out, c->commit);
		buf_add_byte(out, ' ');
		show_text(cli, out, c->name);
	}
	/* Of a wide list not all are told (1,000); what it consists of is counted. */
	uint64_t made = (uint64_t)o->parts - o->supplied - o->unknown;
	if (shown < o->source_count)
		buf_printf(out, "\n    and from %" PRIu64 " more",
			   (made > o->source_count ? made : o->source_count) - shown);
	if (o->content.type == CASHET_CONTENT_NONE)
		return;
	if (o->supplied && !o->source_count)
		buf_add_str(out, "  supplied by the client");
	else if (o->supplied)
		buf_printf(out, "\n    and %" PRIu32 " supplied by the client",
			   o->supplied);
	if (o->unknown)
		buf_add_str(out, "  from where is not recorded here");
}

void show_origin(const struct cli *cli, struct buf *out, const struct cashet_origin *o)
{
	if (*o->name) {
		show_text(cli, out, o->name);
		buf_add_str(out, "  ");
	}
	if (o->file_count) {
		show_text(cli, out, o->files[0]);
		buf_add_str(out, o->file_count > 1 ? ", ...  " : "  ");
	}
	if (o->parts > 1)
		buf_printf(out, "%" PRIu32 " files  ", o->parts);
	add_short(out, o->content.digest);
}

static void add_inputs(const struct cli *cli, struct buf *out,
		       const struct cashet_shown *s)
{
	buf_add_str(out, "Inputs:\n");
	for (size_t i = 0; i < s->input_count; i++) {
		buf_add_str(out, "  ");
		show_origin(cli, out, &s->inputs[i]);
		add_origin_of(cli, out, &s->inputs[i], s->sources);
		buf_add_byte(out, '\n');
	}
	if (!s->input_count)
		buf_add_str(out, "  none\n");
}

static void add_metrics(const struct cli *cli, struct buf *out,
			const struct cashet_result *r)
{
	if (r->metric_count)
		buf_add_str(out, "Metrics:\n");
	for (size_t i = 0; i < r->metric_count; i++) {
		const struct cashet_metric *m = &r->metrics[i];
		char number[32];
		buf_add_str(out, "  ");
		show_text(cli, out, m->name);
		buf_add_str(out, " = ");
		if (m->is_text)
			show_text(cli, out, m->text);
		else
			buf_add_str(out, num_format_double(number, m->number));
		buf_add_byte(out, '\n');
	}
}

/* ---- the error ---- */

struct tail { /* the last bytes of a stream */
	char bytes[TAIL_BYTES];
	uint64_t size; /* of the whole */
};

static int keep_tail(void *arg, const void *data, size_t size)
{
	struct tail *t = arg;
	const char *from = data;
	for (size_t i = size > TAIL_BYTES ? size - TAIL_BYTES : 0; i < size; i++)
		t->bytes[(t->size + i) % TAIL_BYTES] = from[i];
	t->size += size;
	return 0;
}

/* Its last lines, in order; the first may be cut. */
static void unroll(const struct tail *t, struct buf *out)
{
	uint64_t first = t->size > TAIL_BYTES ? t->size - TAIL_BYTES : 0;
	unsigned lines = 0;
	uint64_t end = t->size;
	while (end > first && t->bytes[(end - 1) % TAIL_BYTES] == '\n')
		end--;
	uint64_t from = end;
	while (from > first) {
		if (t->bytes[(from - 1) % TAIL_BYTES] == '\n' && ++lines == TAIL_LINES)
			break;
		from--;
	}
	for (; from < end; from++)
		buf_add_byte(out, (uint8_t)t->bytes[from % TAIL_BYTES]);
}

static void read_tail(struct cli *cli, const struct cashet_shown *s, struct buf *out)
{
	struct tail t = {.size = 0};
	struct cashet_error e;
	if (s->result->log.type == CASHET_CONTENT_NONE)
		return;
	if (cashet_get_blob(cli->c, s->result->log.digest, keep_tail, &t, &e))
		cli_note(cli, "its standard error: %s", e.what);
	else
		unroll(&t, out);
}

static void add_error(struct cli *cli, struct buf *out, const struct cashet_shown *s)
{
	CLEANUP_BUF struct buf tail = {0};
	if (!s->commit.failed)
		return;
	read_tail(cli, s, &tail);
	buf_add_str(out, "Error:\n  ");
	show_text(cli, out, s->commit.error);
	buf_add_byte(out, '\n');
	const char *at = tail.size ? buf_cstr(&tail) : "";
	while (*at) {
		size_t size = strcspn(at, "\n");
		buf_add_str(out, "  | ");
		if (cli->tty_out)
			text_escape(out, at, size);
		else
			buf_add(out, at, size);
		buf_add_byte(out, '\n');
		at += size + (at[size] == '\n');
	}
}

/* ---- JSON ---- */

static void json_folders(struct cli *cli, struct json *j, const struct cashet_result *r)
{
	json_key(j, "folders");
	json_object(j);
	for (size_t i = 0; i < r->output_count; i++) {
		struct folder f;
		if (!read_folder(cli, &r->outputs[i].content, &f))
			continue;
		json_key(j, r->outputs[i].name);
		json_object(j);
		json_key(j, "files");
		json_uint(j, f.files);
		json_key(j, "size");
		json_uint(j, f.bytes);
		json_end_object(j);
	}
	json_end_object(j);
}

static int print_json(struct cli *cli, const struct cashet_shown *s)
{
	CLEANUP_BUF struct buf out = {0}, tail = {0};
	struct json j;
	json_begin(&j, &out);
	json_commit(&j, &s->commit);
	json_key(&j, "current");
	json_bool(&j, s->commit.current);
	json_key(&j, "hits");
	json_uint(&j, s->hits);
	json_key(&j, "last_used_ms");
	if (s->last_used_wall_ms)
		json_uint(&j, s->last_used_wall_ms);
	else
		json_null(&j);
	json_key(&j, "pins");
	json_array(&j);
	for (size_t i = 0; i < s->pin_count; i++)
		json_string(&j, s->pins[i]);
	json_end_array(&j);
	json_hash(&j, "result", s->result->result.type != CASHET_CONTENT_NONE,
		  s->result->result.digest);
	json_folders(cli, &j, s->result);
	json_key(&j, "task");
	json_result(&j, s->result);
	json_function(&j, s->function);
	json_source(&j, s->source);
	json_origins(&j, s->inputs, s->input_count, s->sources);
	json_key(&j, "stderr_tail");
	if (s->commit.failed) {
		read_tail(cli, s, &tail);
		json_string_n(&j, (const char *)tail.data, tail.size);
	} else {
		json_null(&j);
	}
	return json_finish(cli, &j);
}

int cmd_show(struct cli *cli)
{
	struct cashet_shown *s;
	struct cashet_error e;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_show(cli->c, cli->words.items[0], &s, &e))
		return cli_fail(cli, &e);
	if (cli->settings.json) {
		code = print_json(cli, s);
	} else {
		CLEANUP_BUF struct buf out = {0};
		add_head(cli, &out, s);
		show_source(cli, &out, s->function, s->source);
		add_args(cli, &out, s->result);
		add_inputs(cli, &out, s);
		add_metrics(cli, &out, s->result);
		add_error(cli, &out, s);
		code = cli_write(cli, &out);
	}
	cashet_shown_free(s);
	return code;
}
