/* cmd_map.c - map FILE:FUNCTION --over ITEMS: one call for each line of JSON, results in order.
 *
 * Each line becomes a line of a JSONL batch while it is sent, so a million lines need no more memory
 * than one, and nothing begins before the last one is right. An array is the arguments by position, an
 * object those by name, anything else the only argument. */
#include "client/cli/arguments.h"
#include "client/cli/submitting.h"

#include "client/describe/describe.h"
#include "common/fs.h"
#include "common/json_read.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES (4u << 20)
#define PIECE (256u << 10)
#define IDLE_MS 200
#define RESULT_MAX (64u << 20) /* bytes of a result that stands on a line */

/* ---- items to lines of a batch */

struct items {
	struct cli *cli;
	const char *name; /* of the file, for messages */
	int fd;
	struct buf in; /* what was read, from @at on */
	size_t at;
	uint64_t line; /* number of the last one that was taken */
	bool at_end;
	struct buf keywords; /* "a":1,"b":2: those of --kw */
	struct buf head;     /* {"call":...,"retries":... */
	struct buf out;	     /* lines that wait to be given, from @given on */
	size_t given;
	uint64_t count;
};

static int item_fail(const struct items *m, uint64_t column, struct cashet_error *e,
		     const char *message, const char *next)
{
	e->code = CASHET_USAGE;
	snprintf(e->what, sizeof e->what, "%s:%" PRIu64 ":%" PRIu64 ": %s", m->name,
		 m->line, column ? column : 1, message);
	snprintf(e->next, sizeof e->next, "%s", next);
	return CASHET_USAGE;
}

static void add_value(struct buf *out, const struct json_reader *r, size_t from)
{
	size_t to = (size_t)(r->at - r->data);
	buf_add_str(out, "{\"value\":");
	buf_add(out, r->data + from, to - from);
	buf_add_byte(out, '}');
}

/* add_members() - of an array or object, each as a value as it is written. */
static int add_members(struct json_reader *r, struct json_token *t, bool object,
		       struct buf *out)
{
	bool first = true;
	while (!json_next(r, t) && t->type != JSON_END_ARRAY &&
	       t->type != JSON_END_OBJECT) {
		if (!first)
			buf_add_byte(out, ',');
		first = false;
		if (object) {
			buf_add(out, r->data + t->start, t->end - t->start);
			buf_add_byte(out, ':');
			if (json_next(r, t))
				return 1;
		}
		size_t from = t->start;
		if (json_skip(r, t))
			return 1;
		add_value(out, r, from);
	}
	return r->failed;
}

static int add_arguments(struct items *m, struct json_reader *r)
{
	struct json_token t;
	struct buf *out = &m->out;
	if (json_next(r, &t))
		return 1;
	bool object = t.type == JSON_OBJECT, array = t.type == JSON_ARRAY;
	int e = 0;
	if (!object) {
		buf_add_str(out, ",\"args\":[");
		if (array)
			e = add_members(r, &t, false, out);
		else
			add_value(out, r, t.start);
		buf_add_str(out, "]");
	}
	if (e)
		return e;
	if (object || m->keywords.size) {
		buf_add_str(out, ",\"kwargs\":{");
		size_t empty = out->size;
		if (object)
			e = add_members(r, &t, true, out);
		if (m->keywords.size && out->size > empty)
			buf_add_byte(out, ',');
		buf_add(out, m->keywords.data, m->keywords.size);
		buf_add_byte(out, '}');
	}
	return e ? e : json_next(r, &t);
}

static bool is_blank(const char *text, size_t size)
{
	return strspn(text, " \t\r") >= size;
}

/* add_item() - a line of items becomes one of the batch; a blank one too, so that numbers agree. */
static int add_item(struct items *m, char *text, size_t size, struct cashet_error *e)
{
	CLEANUP(json_reader_fini) struct json_reader r;
	text[size] = '\0'; /* its line end, or behind the last one */
	m->line++;
	if (m->line == 1 && size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		size -= 3;
	}
	if (memchr(text, '\0', size))
		return item_fail(m, 1, e, "not valid JSON: a NUL byte", "");
	if (is_blank(text, size)) {
		buf_add_byte(&m->out, '\n');
		return 0;
	}
	if (size && text[size - 1] == '\r')
		size--;
	json_reader_init(&r, text, size);
	buf_add(&m->out, m->head.data, m->head.size);
	if (add_arguments(m, &r)) {
		char message[200];
		snprintf(message, sizeof message, "not valid JSON: %s", r.message);
		return item_fail(
			m, r.column, e, message,
			"each line is a JSON value: the only argument, or a list "
			"or a map of them");
	}
	buf_add_str(&m->out, "}\n");
	m->count++;
	return m->out.failed ? item_fail(m, 1, e, "out of memory", "") : 0;
}

static int read_piece(struct items *m, struct cashet_error *e)
{
	memmove(m->in.data, m->in.data + m->at, m->in.size - m->at);
	m->in.size -= m->at;
	m->at = 0;
	uint8_t *to = buf_reserve(&m->in, PIECE + 1);
	struct pollfd item = {.fd = m->fd, .events = POLLIN};
	ssize_t n = -1;
	if (!to)
		return item_fail(m, 1, e, "out of memory", "");
	do {
		if (poll(&item, 1, IDLE_MS) <= 0)
			return CASHET_AGAIN; /* Ctrl-C is heard there */
		n = read(m->fd, to, PIECE);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return item_fail(m, 1, e, strerror(errno), "");
	m->in.size += (size_t)n;
	m->at_end = n == 0;
	return 0;
}

/* next_item() - Return: 0, with *@endp when there is none; CASHET_USAGE; CASHET_AGAIN. */
static int next_item(struct items *m, bool *endp, struct cashet_error *e)
{
	size_t searched = 0;
	for (;;) {
		char *text = (char *)m->in.data + m->at;
		size_t size = m->in.size - m->at;
		char *end = size > searched
				    ? memchr(text + searched, '\n', size - searched)
				    : NULL;
		if (end || (m->at_end && size)) {
			size_t length = end ? (size_t)(end - text) : size;
			m->at += length + (end != NULL);
			return add_item(m, text, length, e);
		}
		*endp = m->at_end;
		if (m->at_end)
			return 0;
		searched = size;
		if (size > LINE_MAX_BYTES) {
			m->line++;
			return item_fail(m, 1, e, "the line is longer than 4 MiB",
					 "pass large data as a file");
		}
		int code = read_piece(m, e);
		if (code)
			return code;
	}
}

/* read_items() - a cashet_stream: lines of the batch. */
static int read_items(void *arg, void *out, size_t size, size_t *gotp,
		      struct cashet_error *e)
{
	struct items *m = arg;
	bool end = false;
	if (m->given == m->out.size) {
		buf_reset(&m->out);
		m->given = 0;
	}
	while (!end && m->out.size - m->given < size) {
		/* What has come is sent on, before a slow writer is waited for. */
		if (m->out.size > m->given &&
		    !memchr((char *)m->in.data + m->at, '\n', m->in.size - m->at))
			break;
		int code = next_item(m, &end, e);
		if (code)
			return code;
	}
	*gotp = m->out.size - m->given < size ? m->out.size - m->given : size;
	if (*gotp)
		memcpy(out, m->out.data + m->given, *gotp);
	m->given += *gotp;
	if (!*gotp && !m->count) {
		m->line = 1;
		return item_fail(m, 1, e, "there are no items in it", "");
	}
	return 0;
}

/* make_head() - what all lines of the batch have. */
static int make_head(struct items *m)
{
	const struct settings *s = &m->cli->settings;
	struct json j;
	json_init(&j, &m->head);
	json_object(&j);
	json_key(&j, "call");
	json_string(&j, m->cli->words.items[0]);
	if (s->python) {
		json_key(&j, "python");
		json_string(&j, s->python);
	}
	if (s->isolation) {
		json_key(&j, "isolation");
		json_string(&j, s->isolation);
	}
	if (s->cflags.count) {
		json_key(&j, "cflags");
		json_array(&j);
		for (size_t i = 0; i < s->cflags.count; i++)
			json_string(&j, s->cflags.items[i]);
		json_end_array(&j);
	}
	if (s->retries) {
		json_key(&j, "retries");
		json_uint(&j, s->retries);
	}
	if (s->task_timeout_ns) {
		char text[40];
		snprintf(text, sizeof text, "%llums",
			 (s->task_timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
		json_key(&j, "timeout");
		json_string(&j, text);
	}
	for (size_t i = 0; i < s->keywords.count; i++) {
		if (i)
			buf_add_byte(&m->keywords, ',');
		int code = argument_json(m->cli, s->keywords.items[i], &m->keywords);
		if (code)
			return code;
	}
	return 0;
}

/* ---- results */

struct output {
	struct cli *cli;
	FILE *file;
	char *temporary; /* becomes @path when all is written; NULL: standard output */
	const char *path;
};

static int output_fail(struct output *o)
{
	struct err e;
	err_set(&e, ERR_FAILED, "%s cannot be written: %s",
		o->path ? o->path : "standard output", strerror(errno));
	return cli_fail_err(o->cli, &e);
}

static int output_open(struct output *o)
{
	struct stat st;
	o->path = o->cli->settings.output_file;
	if (o->path && !strcmp(o->path, "-"))
		o->path = NULL;
	if (!o->path) {
		o->file = stdout;
		return 0;
	}
	bool plain = stat(o->path, &st) < 0 || S_ISREG(st.st_mode);
	if (plain && asprintf(&o->temporary, "%s.part.%d", o->path, (int)getpid()) < 0)
		abort();
	o->file = fopen(plain ? o->temporary : o->path, "we");
	return o->file ? 0 : output_fail(o);
}

/* output_close() - @code: what went wrong so far. Return: that, or the exit code, printed. */
static int output_close(struct output *o, int code)
{
	if (o->file && code == 0 && fflush(o->file))
		code = output_fail(o);
	if (o->file && o->file != stdout)
		fclose(o->file);
	if (o->temporary && code == 0 && rename(o->temporary, o->path) < 0)
		code = output_fail(o);
	if (o->temporary && code)
		unlink(o->temporary);
	free(o->temporary);
	return code;
}

static int keep(void *arg, const void *data, size_t size)
{
	struct buf *to = arg;
	if (to->size + size > RESULT_MAX)
		return -EFBIG;
	buf_add(to, data, size);
	return to->failed ? -ENOMEM : 0;
}

static void add_failed(struct buf *line, const char *batch, const struct cashet_result *r)
{
	struct json j;
	char task[SHORT_HASH + 16];
	json_init(&j, line);
	snprintf(task, sizeof task, "%.*s:%" PRIu32, SHORT_HASH, batch, r->index);
	json_object(&j);
	json_key(&j, "error");
	json_string(&j, *r->error ? r->error : cashet_status_name(r->status));
	json_key(&j, "status");
	json_string(&j, cashet_status_name(r->status));
	json_key(&j, "task");
	json_string(&j, task);
	json_end_object(&j);
}

static void add_named(struct buf *line, const struct cashet_result *r)
{
	struct json j;
	json_init(&j, line);
	json_object(&j);
	json_hash(&j, "commit", r->has_commit, r->commit);
	json_key(&j, "size");
	json_uint(&j, r->result.size);
	json_end_object(&j);
}

/* add_result() - JSON as it is. Return: 0 or the exit code, printed. */
static int add_result(struct cli *cli, const char *batch, const struct cashet_result *r,
		      struct buf *line)
{
	struct cashet_error e;
	if (r->status != CASHET_COMPLETED)
		add_failed(line, batch, r);
	else if (r->result.type != CASHET_CONTENT_JSON || r->result.size > RESULT_MAX)
		add_named(line, r);
	else if (cashet_get_blob(cli->c, r->result.digest, keep, line, &e))
		return cli_fail(cli, &e);
	buf_add_byte(line, '\n');
	return 0;
}

static int write_results(struct output *o, const char *batch)
{
	CLEANUP_BUF struct buf line = {0};
	struct cashet_results *results;
	const struct cashet_result *r;
	struct cashet_error e;
	if (cashet_results_open(o->cli->c, batch, &results, &e))
		return cli_fail(o->cli, &e);
	int code = 0;
	while (code == 0) {
		if (cashet_results_next(results, &r, &e)) {
			code = cli_fail(o->cli, &e);
			break;
		}
		if (!r)
			break;
		buf_reset(&line);
		code = add_result(o->cli, batch, r, &line);
		if (code == 0 && fwrite(line.data, 1, line.size, o->file) != line.size)
			code = output_fail(o);
	}
	cashet_results_close(results);
	return code;
}

/* ---- the command */

static int open_items(struct items *m)
{
	const char *path = m->cli->settings.over;
	struct err e;
	m->fd = STDIN_FILENO;
	m->name = "<stdin>";
	if (!strcmp(path, "-"))
		return 0;
	m->name = path;
	m->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (m->fd >= 0)
		return 0;
	err_set(&e, ERR_USAGE, "%s cannot be read: %s", path, strerror(errno));
	return cli_fail_err(m->cli, &e);
}

static int output(struct cli *cli, const char *batch)
{
	struct output o = {.cli = cli};
	int code = output_open(&o);
	if (code == 0)
		code = write_results(&o, batch);
	return output_close(&o, code);
}

static int end(struct cli *cli, const char *batch, const struct cashet_counts *counts)
{
	CLEANUP_BUF struct buf text = {0};
	if (cli->settings.json)
		return submitting_end(cli, batch);
	show_counts(&text, counts);
	cli_note(cli, "%s", buf_cstr(&text));
	return 0;
}

/* What is wrong with an item is quoted from the line that we made of it: what helps is its number. */
static void hide_our_line(const struct items *m, struct cashet_error *e)
{
	char *quote = strchr(e->what, '\n');
	size_t size = strlen(m->name);
	uint64_t line, column;
	int end = 0;
	if (!quote || strncmp(e->what, m->name, size) ||
	    sscanf(e->what + size, ":%" SCNu64 ":%" SCNu64 "%n", &line, &column, &end) !=
		    2)
		return;
	*quote = '\0';
	char *message = e->what + size + end;
	char place[32];
	int place_size = snprintf(place, sizeof place, ":%" PRIu64, line);
	if (place_size < 0 || place_size > end)
		return;
	memcpy(e->what + size, place, (size_t)place_size);
	memmove(e->what + size + place_size, message, strlen(message) + 1);
}

static int map(struct items *m, const struct cashet_submit_options *options)
{
	struct cli *cli = m->cli;
	struct cashet_stream stream = {.name = m->name, .read = read_items, .arg = m};
	struct cashet_error e;
	struct cashet_counts counts;
	char batch[CASHET_HEX_SIZE];
	bool paused = false;
	if (cashet_submit_stream(cli->c, &stream, options, batch, &e)) {
		hide_our_line(m, &e);
		return cli_fail(cli, &e);
	}
	if (cli->settings.detach)
		return submitting_name(cli, batch);
	cli->name_is_chatter = true;
	int code = follow_batch(cli, batch, true, 0, &counts, &paused);
	if (code == 0 && (!cli->settings.json || cli->settings.output_file))
		code = output(cli, batch);
	if (code == 0)
		code = end(cli, batch, &counts);
	return code ? code : paused ? CASHET_FAILED : follow_outcome(&counts);
}

int cmd_map(struct cli *cli)
{
	struct items m = {.cli = cli, .fd = -1};
	struct submitting s;
	int code = submitting_begin(&s, cli);
	const char *word = cli->words.items[0];
	if (code == 0 && !submitting_is_call(word))
		code = cli_usage(cli, "a function is FILE.py:NAME or FILE.c:NAME",
				 "%.200s names no function", word);
	if (code == 0 && !cli->settings.over)
		code = cli_usage(cli, "each line is one call; - is standard input",
				 "--over ITEMS.jsonl is missing");
	if (code == 0)
		code = make_head(&m);
	if (code == 0)
		code = open_items(&m);
	s.options.format = "jsonl"; /* what we make */
	if (!s.options.name)
		s.options.name = word;
	cli_catch();
	if (code == 0)
		code = cli_open(cli, false, true);
	if (code == 0)
		code = map(&m, &s.options);
	if (m.fd > STDIN_FILENO)
		close(m.fd);
	buf_fini(&m.in);
	buf_fini(&m.out);
	buf_fini(&m.head);
	buf_fini(&m.keywords);
	submitting_fini(&s);
	return code;
}
