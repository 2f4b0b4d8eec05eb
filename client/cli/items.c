/* items.c - see items.h. */
#include "client/cli/items.h"

#include "client/cli/arguments.h"
#include "common/json_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES (4u << 20)
#define PIECE (256u << 10)
#define IDLE_MS 200

static int item_fail(const struct items *m, uint64_t column, struct cashet_error *e,
		     const char *message, const char *next)
{
	e->code = CASHET_USAGE;
	snprintf(e->what, sizeof e->what, "%.250s:%" PRIu64 ":%" PRIu64 ": %.700s",
		 m->name, m->line, column ? column : 1, message);
	snprintf(e->next, sizeof e->next, "%.500s", next);
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

static int find_with(struct items *m, struct cashet_error *e)
{
	return m->finder ? 0 : cli_connect(m->cli, true, true, &m->finder, e);
}

/* add_special() - @FILE or ref:COMMIT, the only argument. */
static int add_special(struct items *m, const char *text, struct cashet_error *e)
{
	struct cashet_error why = {0};
	struct json j;
	int code = argument_is_ref(text) ? find_with(m, &why) : 0;
	buf_add_str(&m->out, ",\"args\":[");
	json_init(&j, &m->out);
	if (!code)
		code = argument_special(m->finder, text, &j, &why);
	if (code) {
		item_fail(m, 1, e, why.what, why.next);
		return e->code = code;
	}
	buf_add_str(&m->out, "]");
	if (m->keywords.size) {
		buf_add_str(&m->out, ",\"kwargs\":{");
		buf_add(&m->out, m->keywords.data, m->keywords.size);
		buf_add_byte(&m->out, '}');
	}
	return 0;
}

static bool is_blank(const char *text, size_t size)
{
	return strspn(text, " \t\r") >= size;
}

/* add_item() - a line of items becomes one of the batch; a blank one too, so that numbers agree. */
static int add_item(struct items *m, char *text, size_t size, struct cashet_error *e)
{
	CLEANUP(json_reader_fini) struct json_reader r = {0};
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
	while (size && strchr(" \t", text[size - 1]))
		size--;
	text[size] = '\0';
	buf_add(&m->out, m->head.data, m->head.size);
	json_reader_init(&r, text, size);
	bool special = *text == '@' || argument_is_ref(text);
	int code = special ? add_special(m, text, e) : 0;
	if (code)
		return code;
	if (!special && add_arguments(m, &r)) {
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
	if (m->at) {
		memmove(m->in.data, m->in.data + m->at, m->in.size - m->at);
		m->in.size -= m->at;
		m->at = 0;
	}
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
		size_t size = m->in.size - m->at;
		char *text = size ? (char *)m->in.data + m->at : NULL;
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

int items_read(void *arg, void *out, size_t size, size_t *gotp, struct cashet_error *e)
{
	struct items *m = arg;
	bool end = false;
	if (m->given == m->out.size) {
		buf_reset(&m->out);
		m->given = 0;
	}
	while (!end && m->out.size - m->given < size) {
		/* What has come is sent on, before a slow writer is waited for. */
		size_t left = m->in.size - m->at;
		if (m->out.size > m->given &&
		    (!left || !memchr(m->in.data + m->at, '\n', left)))
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

static int add_keywords(struct items *m)
{
	const struct text_list *list = &m->cli->settings.keywords;
	struct cli finder = *m->cli; /* that speaks with ours */
	struct arguments a = {.cli = &finder};
	struct cashet_error e;
	int code = 0;
	for (size_t i = 0; i < list->count && !code; i++) {
		const char *value = strchr(list->items[i], '=');
		if (value && argument_is_ref(value + 1) && find_with(m, &e))
			return cli_fail(m->cli, &e);
		finder.c = m->finder;
		if (i)
			buf_add_byte(&m->keywords, ',');
		code = argument_json(&a, list->items[i], &m->keywords);
	}
	arguments_fini(&a);
	return code;
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
	return add_keywords(m);
}

static int open_file(struct items *m)
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

int items_open(struct items *m)
{
	m->fd = -1;
	int code = make_head(m);
	return code ? code : open_file(m);
}

void items_fini(struct items *m)
{
	if (m->fd > STDIN_FILENO)
		close(m->fd);
	buf_fini(&m->in);
	buf_fini(&m->out);
	buf_fini(&m->head);
	buf_fini(&m->keywords);
	cashet_close(m->finder);
}
