/* cmd_describe.c - what a function by source is: what counts, what is shipped, and its hash. */
#include "client/cli/cli.h"

#include "common/pure/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

/* ---- for people ---- */

static void add_escaped(struct buf *out, const char *text)
{
	text_escape(out, text, strlen(text));
}

static void add_head(struct buf *out, const struct cli *cli, const char *text)
{
	buf_printf(out, "\n%s%s%s\n", cli->color_out ? BOLD : "", text,
		   cli->color_out ? PLAIN : "");
}

static void add_title(struct buf *out, const struct cli *cli,
		      const struct cashet_description *d)
{
	char hash[HEX_DIGEST_SIZE], identity[HEX_DIGEST_SIZE];
	if (cli->color_out)
		buf_add_str(out, BOLD);
	add_escaped(out, d->name);
	if (d->signature)
		add_escaped(out, d->signature);
	if (cli->color_out)
		buf_add_str(out, PLAIN);
	buf_printf(out, "\n%s, %s", d->kind, d->language);
	if (*d->version) {
		buf_add_str(out, " ");
		add_escaped(out, d->version);
	}
	buf_printf(out, "\nhash      %s\nidentity  %s\n",
		   hex_encode(hash, d->hash, DIGEST_SIZE),
		   hex_encode(identity, d->identity, DIGEST_SIZE));
}

static void cell_short(struct table *t, const uint8_t digest[32])
{
	char hash[SHORT_HASH + 1];
	show_short(hash, digest);
	table_cell(t, hash);
}

/* A table without a head of columns: the first row is like the others. */
static void add_table(struct buf *out, struct table *t)
{
	table_render(t, out, false);
	table_fini(t);
}

static void add_definitions(struct buf *out, const struct cashet_description *d)
{
	struct table t;
	table_init(&t, 4);
	for (size_t i = 0; i < d->definition_count; i++) {
		const struct cashet_definition *row = &d->definitions[i];
		table_cell(&t, row->label);
		table_cell(&t, row->kind);
		if (row->line)
			table_cellf(&t, "%s:%" PRIu32, row->path, row->line);
		else
			table_cell(&t, row->path);
		cell_short(&t, row->digest);
	}
	add_table(out, &t);
}

static void add_packages(struct buf *out, const struct cashet_description *d)
{
	struct table t;
	table_init(&t, 3);
	for (size_t i = 0; i < d->package_count; i++) {
		const struct cashet_package *row = &d->packages[i];
		table_cell(&t, row->name);
		table_cell(&t, row->version ? row->version : "?");
		table_cell(&t, row->counts ? "counts" : "imported only");
	}
	add_table(out, &t);
}

static void add_files(struct buf *out, const struct cashet_description *d)
{
	struct table t;
	table_init(&t, 3);
	for (size_t i = 0; i < d->file_count; i++) {
		CLEANUP_BUF struct buf size = {0};
		show_size(&size, d->files[i].size);
		table_cell(&t, d->files[i].path);
		table_cell(&t, buf_cstr(&size));
		cell_short(&t, d->files[i].digest);
	}
	add_table(out, &t);
}

static void add_place(struct buf *out, const struct cashet_warning *w)
{
	if (!*w->file)
		return;
	add_escaped(out, w->file);
	if (w->line)
		buf_printf(out, ":%" PRIu32, w->line);
	if (w->column)
		buf_printf(out, ":%" PRIu32, w->column);
	buf_add_str(out, ": ");
}

static void add_warnings(struct buf *out, const struct cashet_description *d)
{
	for (size_t i = 0; i < d->warning_count; i++) {
		const struct cashet_warning *w = &d->warnings[i];
		add_place(out, w);
		add_escaped(out, w->name);
		if (*w->subject) {
			buf_add_str(out, " ");
			add_escaped(out, w->subject);
		}
		buf_add_str(out, ": ");
		add_escaped(out, w->message);
		buf_add_byte(out, '\n');
	}
}

/* The canonical form is ours, but names in it are not: line by line on a terminal. */
static void add_canonical(struct buf *out, const struct cli *cli, const char *text)
{
	for (size_t size; *text; text += size + (text[size] == '\n')) {
		size = strcspn(text, "\n");
		if (cli->tty_out)
			text_escape(out, text, size);
		else
			buf_add(out, text, size);
		buf_add_byte(out, '\n');
	}
}

static void add_description(struct buf *out, const struct cli *cli,
			    const struct cashet_description *d)
{
	add_title(out, cli, d);
	if (d->definition_count) {
		add_head(out, cli, "what counts");
		add_definitions(out, d);
	}
	if (d->package_count) {
		add_head(out, cli, "packages");
		add_packages(out, d);
	}
	add_head(out, cli, "files that are shipped");
	add_files(out, d);
	if (d->warning_count) {
		add_head(out, cli, "warnings");
		add_warnings(out, d);
	}
	if (d->canonical) {
		add_head(out, cli, "canonical form");
		add_canonical(out, cli, d->canonical);
	}
}

/* ---- for programs ---- */

static void json_text(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (text)
		json_string(j, text);
	else
		json_null(j);
}

static void json_digest(struct json *j, const char *key, const uint8_t digest[32])
{
	json_key(j, key);
	json_hex(j, digest, DIGEST_SIZE);
}

static void json_place(struct json *j, uint32_t line, uint32_t column, bool has_column)
{
	json_key(j, "line");
	if (line)
		json_uint(j, line);
	else
		json_null(j);
	if (!has_column)
		return;
	json_key(j, "column");
	if (column)
		json_uint(j, column);
	else
		json_null(j);
}

static void json_warning(struct json *j, const struct cashet_warning *w)
{
	json_object(j);
	json_text(j, "name", w->name);
	json_text(j, "subject", w->subject);
	json_text(j, "message", w->message);
	json_text(j, "file", *w->file ? w->file : NULL);
	json_place(j, w->line, w->column, true);
	json_end_object(j);
}

static void json_files(struct json *j, const struct cashet_description *d)
{
	json_key(j, "files");
	json_array(j);
	for (size_t i = 0; i < d->file_count; i++) {
		json_object(j);
		json_text(j, "path", d->files[i].path);
		json_text(j, "file", d->files[i].file);
		json_key(j, "size");
		json_uint(j, d->files[i].size);
		json_digest(j, "digest", d->files[i].digest);
		json_end_object(j);
	}
	json_end_array(j);
}

static void json_packages(struct json *j, const struct cashet_description *d)
{
	json_key(j, "packages");
	json_array(j);
	for (size_t i = 0; i < d->package_count; i++) {
		json_object(j);
		json_text(j, "name", d->packages[i].name);
		json_text(j, "version", d->packages[i].version);
		json_key(j, "counts");
		json_bool(j, d->packages[i].counts);
		json_end_object(j);
	}
	json_end_array(j);
}

static void json_definitions(struct json *j, const struct cashet_description *d)
{
	json_key(j, "definitions");
	json_array(j);
	for (size_t i = 0; i < d->definition_count; i++) {
		const struct cashet_definition *row = &d->definitions[i];
		json_object(j);
		json_text(j, "label", row->label);
		json_text(j, "kind", row->kind);
		json_text(j, "path", *row->path ? row->path : NULL);
		json_place(j, row->line, 0, false);
		json_digest(j, "digest", row->digest);
		json_end_object(j);
	}
	json_end_array(j);
}

void json_description(struct json *j, const struct cashet_description *d)
{
	json_object(j);
	json_text(j, "target", d->target);
	json_key(j, "ok");
	json_bool(j, d->ok);
	if (!d->ok) {
		json_key(j, "error");
		json_warning(j, &d->error);
		json_end_object(j);
		return;
	}
	json_text(j, "name", d->name);
	json_text(j, "language", d->language);
	json_text(j, "version", d->version);
	json_text(j, "kind", d->kind);
	json_text(j, "signature", d->signature);
	json_digest(j, "hash", d->hash);
	json_digest(j, "identity", d->identity);
	json_definitions(j, d);
	json_packages(j, d);
	json_files(j, d);
	json_key(j, "warnings");
	json_array(j);
	for (size_t i = 0; i < d->warning_count; i++)
		json_warning(j, &d->warnings[i]);
	json_end_array(j);
	json_text(j, "canonical", d->canonical);
	json_end_object(j);
}

/* ---- the command ---- */

static int print_json(struct cli *cli, const struct cashet_descriptions *all)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_key(&j, "targets");
	json_array(&j);
	for (size_t i = 0; i < all->count; i++) {
		json_description(&j, &all->items[i]);
		int code = json_pass(cli, &out);
		if (code)
			return code;
	}
	json_end_array(&j);
	return json_finish(cli, &j);
}

static int print_text(struct cli *cli, const struct cashet_descriptions *all)
{
	CLEANUP_BUF struct buf out = {0};
	bool first = true;
	for (size_t i = 0; i < all->count; i++) {
		if (!all->items[i].ok)
			continue;
		if (!first)
			buf_add_str(&out, "\n");
		first = false;
		add_description(&out, cli, &all->items[i]);
		int code = cli_write(cli, &out);
		if (code)
			return code;
	}
	return 0;
}

/* Errors are said last, so that they are seen. */
static int tell_errors(struct cli *cli, const struct cashet_descriptions *all)
{
	int code = 0;
	for (size_t i = 0; i < all->count; i++) {
		const struct cashet_description *d = &all->items[i];
		struct err e = {0};
		const struct cashet_warning *w = &d->error;
		char place[32] = "";
		if (d->ok)
			continue;
		if (*w->file && w->line)
			snprintf(place, sizeof place, ":%" PRIu32 ":%" PRIu32, w->line,
				 w->column);
		err_set(&e, ERR_USAGE, "%s%s: %s", *w->file ? w->file : d->target, place,
			w->message);
		if (*d->error.subject)
			err_next(&e, "%s", d->error.subject);
		code = cli_fail_err(cli, &e);
	}
	return code;
}

int cmd_describe(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct cashet_describe what = {
		.targets = cli->words.items,
		.count = cli->words.count,
		.python = s->python,
		.cflags = s->cflags.items,
		.cflag_count = s->cflags.count,
		.canonical = !s->against,
		.interrupted = cli_interrupted,
	};
	struct cashet_descriptions *all;
	struct cashet_error e;
	cli_catch();
	if (s->against)
		return describe_against(cli, &what);
	cli_look(cli);
	if (cashet_describe(&what, &all, &e))
		return cli_fail(cli, &e);
	int code = s->json ? print_json(cli, all) : print_text(cli, all);
	if (code == CLI_LEFT)
		code = 0;
	int bad = tell_errors(cli, all);
	cashet_descriptions_free(all);
	return code ? code : bad;
}
