/* show_commits.c - commits as a table that begins before its end is known. */
#include "client/cli/cli.h"

#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 256 /* rows whose columns are aligned together, and written at once */

enum { COMMIT, FUNCTION, STATUS, SIZE, TIME, WHEN, TAGS, COLUMNS };
static const char *const heads[COLUMNS] = {"commit", "function", "status", "size",
					   "time",   "when",	 "tags"};

struct listing {
	struct cli *cli;
	int code; /* why it was left: an exit code, or CLI_LEFT */
	struct buf out;
	struct json json;
	struct buf text;	      /* of the cells of this piece, each with a NUL */
	size_t cells[PIECE][COLUMNS]; /* where they begin */
	size_t rows, all;
	size_t widths[COLUMNS]; /* they never shrink */
};

static size_t cell(struct listing *l, const char *text)
{
	size_t at = l->text.size;
	if (l->cli->tty_out)
		text_escape(&l->text, text, strlen(text));
	else
		buf_add_str(&l->text, text);
	buf_add_byte(&l->text, '\0');
	return at;
}

static const char *cell_at(const struct listing *l, size_t at)
{
	return (const char *)l->text.data + at;
}

static void add_line(struct listing *l, const char *const *texts)
{
	static const bool right[COLUMNS] = {[SIZE] = true, [TIME] = true, [WHEN] = true};
	for (size_t i = 0; i < COLUMNS; i++) {
		int pad = (int)(l->widths[i] - text_width(texts[i]));
		if (right[i])
			buf_printf(&l->out, "%*s", pad, "");
		buf_add_str(&l->out, texts[i]);
		if (i + 1 < COLUMNS)
			buf_printf(&l->out, "%*s", right[i] ? 2 : pad + 2, "");
	}
	while (l->out.size && l->out.data[l->out.size - 1] == ' ')
		l->out.size--;
}

/* A piece: its widths are known now. Return: 0, or the listing's code. */
static int write_piece(struct listing *l)
{
	bool color = l->cli->color_out;
	if (l->text.failed)
		return l->code = cli_write(l->cli, &l->text);
	for (size_t i = 0; i < COLUMNS; i++) {
		size_t width = strlen(heads[i]);
		for (size_t row = 0; row < l->rows; row++) {
			size_t own = text_width(cell_at(l, l->cells[row][i]));
			width = own > width ? own : width;
		}
		if (width > l->widths[i])
			l->widths[i] = width;
	}
	if (l->all == l->rows && l->rows) {
		buf_add_str(&l->out, color ? "\033[1m" : "");
		add_line(l, heads);
		buf_add_str(&l->out, color ? "\033[0m\n" : "\n");
	}
	for (size_t row = 0; row < l->rows; row++) {
		const char *texts[COLUMNS];
		for (size_t i = 0; i < COLUMNS; i++)
			texts[i] = cell_at(l, l->cells[row][i]);
		add_line(l, texts);
		buf_add_byte(&l->out, '\n');
	}
	l->rows = 0;
	buf_reset(&l->text);
	return l->code = cli_write(l->cli, &l->out);
}

static int list_commit(void *arg, const struct cashet_commit *c)
{
	struct listing *l = arg;
	CLEANUP_BUF struct buf size = {0}, time = {0}, when = {0}, tags = {0};
	char hash[SHORT_HASH + 1];
	size_t *cells = l->cells[l->rows++];
	l->all++;
	show_short(hash, c->commit);
	show_size(&size, c->size);
	show_duration(&time, c->duration_ns);
	show_ago(&when, c->ended_wall_ms);
	cells[COMMIT] = cell(l, hash);
	cells[FUNCTION] = cell(l, c->name);
	cells[STATUS] = cell(l, c->failed ? "failed" : "completed");
	cells[SIZE] = cell(l, c->failed ? "" : buf_cstr(&size));
	cells[TIME] = cell(l, buf_cstr(&time));
	cells[WHEN] = cell(l, buf_cstr(&when));
	show_tags(l->cli, &tags, c);
	cells[TAGS] = l->text.size; /* escaped already */
	buf_add(&l->text, tags.data, tags.size);
	buf_add_byte(&l->text, '\0');
	return l->rows == PIECE && write_piece(l);
}

static int list_json(void *arg, const struct cashet_commit *c)
{
	struct listing *l = arg;
	json_object(&l->json);
	json_commit(&l->json, c);
	json_end_object(&l->json);
	if (++l->all % PIECE == 0)
		l->code = cli_write(l->cli, &l->out);
	return l->code;
}

int show_commits(struct cli *cli, commit_lister lister, void *ctx)
{
	struct listing *l = mem_alloc(sizeof *l);
	struct cashet_error e;
	l->cli = cli;
	bool is_json = cli->settings.json;
	if (is_json) {
		json_begin(&l->json, &l->out);
		json_key(&l->json, "commits");
		json_array(&l->json);
	} else {
		pager_begin(cli);
	}
	int code = lister(cli, ctx, is_json ? list_json : list_commit, l, &e);
	bool failed = code != 0;
	if (code == 0)
		code = l->code;
	if (code == 0 && is_json) {
		json_end_array(&l->json);
		code = json_finish(cli, &l->json);
	} else if (code == 0) {
		code = write_piece(l);
	}
	if (code == 0 && !l->all && !is_json)
		cli_note(cli, "nothing like that is in the history");
	pager_end(cli);
	if (failed)
		code = cli_fail(cli, &e);
	buf_fini(&l->out);
	buf_fini(&l->text);
	free(l);
	return code;
}
