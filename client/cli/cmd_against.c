/* cmd_against.c - `describe --against`: what a function is now beside what a run had. */
#include "client/cli/show_why.h"

#include "common/pure/hex.h"

#include <string.h>

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void add_identity(struct buf *out, const char *name, const uint8_t digest[32])
{
	char hash[SHORT_HASH + 1];
	text_escape(out, name, strlen(name));
	show_short(hash, digest);
	buf_printf(out, " %s", hash);
}

/* "train.py:train", or of a script its path. */
static void add_unit(struct buf *out, const struct cashet_source_unit *u)
{
	CLEANUP_BUF struct buf name = {0};
	buf_printf(&name, "%s%s%s", u->path, u->name ? ":" : "", u->name ? u->name : "");
	add_identity(out, buf_cstr(&name), u->identity);
}

static void show_comparison(struct buf *out, const struct cli *cli,
			    const struct cashet_comparison *d)
{
	const struct cashet_commit *c = &d->then->commit;
	char hash[SHORT_HASH + 1], batch[SHORT_HASH + 1];
	show_short(hash, c->commit);
	show_short(batch, c->batch);
	buf_printf(out, "%s%s%s  ", cli->color_out ? BOLD : "",
		   d->same ? "SAME" : "DIFFERS", cli->color_out ? PLAIN : "");
	add_identity(out, d->now->name, d->now->identity);
	buf_add_str(out, d->same ? " is what " : " from ");
	if (!d->same) {
		add_unit(out, d->unit);
		buf_add_str(out, " of ");
	}
	buf_printf(out, "%s (%.4s:%u, ", hash, batch, c->index);
	show_ago(out, c->ended_wall_ms);
	buf_add_str(out, d->same ? ") ran\n" : ") in:\n");
	show_changes(out, d->changes, d->change_count, false, cli->color_out);
	for (size_t i = 0; i < d->change_count; i++)
		if (d->changes[i].component != CASHET_LAYOUT)
			show_code_diff(out, cli, &d->changes[i]);
}

static void json_then(struct json *j, const struct cashet_comparison *d)
{
	const struct cashet_commit *c = &d->then->commit;
	const struct cashet_source_unit *u = d->unit;
	json_key(j, "against");
	json_object(j);
	json_hash(j, "commit", true, c->commit);
	json_hash(j, "batch", true, c->batch);
	json_key(j, "index");
	json_uint(j, c->index);
	json_key(j, "path");
	json_string(j, u->path);
	json_key(j, "name");
	if (u->name)
		json_string(j, u->name);
	else
		json_null(j);
	json_hash(j, "hash", true, u->hash);
	json_hash(j, "identity", true, u->identity);
	json_end_object(j);
}

static int json_comparison(struct cli *cli, struct buf *out,
			   const struct cashet_comparison *d)
{
	struct json j;
	json_begin(&j, out);
	json_key(&j, "same");
	json_bool(&j, d->same);
	json_key(&j, "now");
	json_description(&j, d->now);
	json_then(&j, d);
	json_key(&j, "changes");
	json_array(&j);
	for (size_t i = 0; i < d->change_count; i++)
		json_change(&j, &d->changes[i]);
	json_end_array(&j);
	return json_finish(cli, &j);
}

int describe_against(struct cli *cli, const struct cashet_describe *what)
{
	struct cashet_comparison *d;
	struct cashet_error e;
	CLEANUP_BUF struct buf out = {0};
	if (what->count > 1)
		return cli_usage(cli, "", "--against compares one function at a time");
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_describe_against(cli->c, what, cli->settings.against, &d, &e))
		return cli_fail(cli, &e);
	if (cli->settings.json) {
		code = json_comparison(cli, &out, d);
	} else {
		show_comparison(&out, cli, d);
		code = cli_write(cli, &out);
	}
	cashet_comparison_free(d);
	return code;
}
