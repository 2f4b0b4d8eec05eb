/* cmd_map.c - map FILE:FUNCTION --over ITEMS: one call for each line of JSON, results in order.
 *
 * Each line becomes a line of a JSONL batch while it is sent (items.h), so a million lines need no more
 * memory than one, and nothing begins before the last one is right. */
#include "client/cli/items.h"
#include "client/cli/submitting.h"

#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESULT_MAX (64u << 20) /* bytes of a result that stands on a line */

/* ---- results */

struct output {
	struct cli *cli;
	FILE *file;
	char *temporary; /* becomes @real when all is written; NULL: no file is replaced */
	char *real;
	const char *path; /* as it was given; NULL: standard output */
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
	int fd;
	o->path = o->cli->settings.output_file;
	if (o->path && !strcmp(o->path, "-"))
		o->path = NULL;
	if (!o->path) {
		o->file = stdout;
		return 0;
	}
	int rc = fs_output_find(o->path, &o->real, &fd);
	if (rc) {
		errno = -rc;
		return output_fail(o);
	}
	if (o->real && asprintf(&o->temporary, "%s.part.%d", o->real, (int)getpid()) < 0)
		abort();
	if (o->real)
		fd = open(o->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			  fs_output_mode(o->real, 0666));
	o->file = fd < 0 ? NULL : fdopen(fd, "w");
	return o->file ? 0 : output_fail(o);
}

/* output_close() - @code: what went wrong so far. Return: that, or the exit code, printed. */
static int output_close(struct output *o, int code)
{
	if (o->file && code == 0 && fflush(o->file))
		code = output_fail(o);
	if (o->file && o->real)
		fs_output_like(fileno(o->file), o->real);
	if (o->file && o->file != stdout)
		fclose(o->file);
	if (o->temporary && code == 0 && rename(o->temporary, o->real) < 0)
		code = output_fail(o);
	if (o->temporary && code)
		unlink(o->temporary);
	free(o->temporary);
	free(o->real);
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
		return submitting_end(cli, batch, counts);
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
	struct cashet_stream stream = {.name = m->name, .read = items_read, .arg = m};
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
		code = items_open(&m);
	s.options.format = "jsonl"; /* what we make */
	if (!s.options.name)
		s.options.name = word;
	cli_catch();
	if (code == 0)
		code = cli_open(cli, false, true);
	if (code == 0)
		code = map(&m, &s.options);
	items_fini(&m);
	submitting_fini(&s);
	return code;
}
