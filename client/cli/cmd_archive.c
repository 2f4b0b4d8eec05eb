/* cmd_archive.c - export, import. */
#include "client/cli/cli.h"
#include "client/cli/drawing.h"
#include "client/cli/fields.h"

#include "common/num.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void count(struct buf *out, uint64_t n, const char *one)
{
	buf_printf(out, "%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s");
}

static void json_report(struct json *j, const struct cashet_archive_report *r)
{
	field_number(j, "commits", r->commits);
	field_number(j, "blobs", r->blobs);
	field_number(j, "absent", r->absent);
	field_number(j, "pins", r->pins);
	field_number(j, "bytes", r->bytes);
	field_number(j, "archive_bytes", r->archive_bytes);
}

static void add_blobs(struct buf *out, const struct cashet_archive_report *r)
{
	count(out, r->blobs, "blob");
	buf_add_str(out, " of ");
	num_add_size(out, r->bytes);
	if (r->absent)
		buf_printf(out, " (%" PRIu64 " more that they name %s not in the store)",
			   r->absent, r->absent == 1 ? "was" : "were");
}

static void add_pins(struct buf *out, const struct cashet_archive_report *r)
{
	if (!r->pins)
		return;
	buf_add_str(out, ", ");
	count(out, r->pins, "pin");
}

/* ---- export ---- */

static int say_exported(struct cli *cli, const char *file,
			const struct cashet_archive_report *r)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	if (cli->settings.json) {
		json_begin(&j, &out);
		json_report(&j, r);
		return json_finish(cli, &j);
	}
	buf_add_str(&out, "exported ");
	count(&out, r->commits, "commit");
	buf_add_str(&out, ", ");
	add_blobs(&out, r);
	add_pins(&out, r);
	buf_add_str(&out, ": ");
	num_add_size(&out, r->archive_bytes);
	if (strcmp(file, "-") == 0) {
		cli_note(cli, "%s", buf_cstr(&out));
		return 0;
	}
	buf_add_str(&out, "\n");
	return cli_write(cli, &out);
}

static bool has_condition(const struct cashet_commits_filter *f)
{
	return f->func || f->tag_count || f->batch || f->completed || f->failed ||
	       f->since_wall_ms;
}

int cmd_export(struct cli *cli)
{
	const char *file = cli->words.items[0];
	CLEANUP_FREE void *memory = NULL;
	struct cashet_commits_filter filter;
	struct drawing d = {.cli = cli};
	struct cashet_care_options options = {.progress = drawing_draw, .arg = &d};
	struct cashet_archive_report r = {0};
	struct cashet_error e;
	int code = cli_filter(cli, &filter, &memory);
	if (code)
		return code;
	if (has_condition(&filter) && cli->words.count > 1)
		return cli_usage(cli, "",
				 "commits are named, or conditions are given, not both");
	if (cli->settings.json && strcmp(file, "-") == 0)
		return cli_usage(cli, "name a file",
				 "--json and the archive cannot both go to standard "
				 "output");
	struct cashet_export what = {
		.commits = cli->words.items + 1,
		.commit_count = cli->words.count - 1,
		.filter = &filter,
		.all = cli->settings.all,
		.no_logs = cli->settings.no_logs,
	};
	cli_catch();
	code = cli_open(cli, true, true);
	if (code)
		return code;
	int failed = cashet_export(cli->c, file, &what, &options, &r, &e);
	drawing_wipe(&d);
	return failed ? cli_fail(cli, &e) : say_exported(cli, file, &r);
}

/* ---- import ---- */

struct kept { /* names of pins */
	char **names;
	size_t count, capacity;
};

static void keep(void *arg, const char *name)
{
	struct kept *k = arg;
	mem_grow(k->names, k->count, k->capacity);
	k->names[k->count++] = mem_strdup(name);
}

static void kept_fini(struct kept *k)
{
	for (size_t i = 0; i < k->count; i++)
		free(k->names[i]);
	free(k->names);
}

static int json_imported(struct cli *cli, const struct kept *kept,
			 const struct cashet_archive_report *r)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	field_flag(&j, "dry_run", cli->settings.dry_run);
	json_report(&j, r);
	field_number(&j, "known", r->known);
	json_key(&j, "pins_kept");
	json_array(&j);
	for (size_t i = 0; i < kept->count; i++)
		json_string(&j, kept->names[i]);
	json_end_array(&j);
	return json_finish(cli, &j);
}

static int say_imported(struct cli *cli, const struct kept *kept,
			const struct cashet_archive_report *r)
{
	CLEANUP_BUF struct buf out = {0};
	buf_add_str(&out, cli->settings.dry_run ? "the archive is whole: " : "imported ");
	count(&out, r->commits, cli->settings.dry_run ? "commit" : "new commit");
	if (r->known)
		buf_printf(&out, " (%" PRIu64 " %s known)", r->known,
			   r->known == 1 ? "was" : "were");
	buf_add_str(&out, ", ");
	add_blobs(&out, r);
	add_pins(&out, r);
	buf_add_str(&out, "\n");
	for (size_t i = 0; i < kept->count; i++)
		cli_note(cli, "the pin %s stands for another commit here, and still does",
			 kept->names[i]);
	return cli_write(cli, &out);
}

int cmd_import(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct drawing d = {.cli = cli};
	struct cashet_care_options options = {
		.dry_run = s->dry_run, .progress = drawing_draw, .arg = &d};
	CLEANUP(kept_fini) struct kept kept = {0};
	struct cashet_import how = {.pin_kept = keep, .arg = &kept};
	struct cashet_archive_report r = {0};
	struct cashet_error e;
	if (s->max_size && num_parse_size(s->max_size, &how.max_bytes))
		return cli_usage(cli, "",
				 "--max-size takes a size such as 500M or 10GiB, not "
				 "\"%s\"",
				 s->max_size);
	cli_catch();
	int code = cli_open(cli, false, true);
	if (code)
		return code;
	int failed = cashet_import(cli->c, cli->words.items[0], &how, &options, &r, &e);
	drawing_wipe(&d);
	if (failed)
		return cli_fail(cli, &e);
	return s->json ? json_imported(cli, &kept, &r) : say_imported(cli, &kept, &r);
}
