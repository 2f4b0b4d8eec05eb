/* cmd_care.c - gc, clear, rm, invalidate, fsck. */
#include "client/cli/cli.h"
#include "client/cli/drawing.h"
#include "client/cli/fields.h"

#include "common/clock.h"
#include "common/num.h"
#include "common/pure/hex.h"
#include "proto/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_ABOVE 100 /* commits that are removed without a question */

/* ---- reports ---- */

static void json_report(struct json *j, const struct cashet_care_report *r)
{
	field_flag(j, "dry_run", r->dry_run);
	field_flag(j, "stopped", r->stopped);
	field_number(j, "commits", r->commits);
	field_number(j, "results", r->results);
	field_number(j, "batches", r->batches);
	field_number(j, "blobs", r->blobs);
	field_number(j, "bytes", r->bytes);
	field_number(j, "compute_ms", r->compute_ns / NS_PER_MS);
	field_number(j, "kept_in_use", r->kept_in_use);
	field_number(j, "kept_pinned", r->kept_pinned);
}

static void add_size(struct buf *out, const char *before, uint64_t bytes,
		     const char *after)
{
	buf_add_str(out, before);
	num_add_size(out, bytes);
	buf_add_str(out, after);
}

static void count(struct buf *out, uint64_t n, const char *one)
{
	buf_printf(out, "%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s");
}

static void add_gc(struct buf *out, const struct cashet_gc *what,
		   const struct cashet_care_report *r)
{
	bool any = r->results || r->commits || r->blobs;
	buf_add_str(out, !any	      ? "nothing to remove"
			 : r->dry_run ? "would remove "
				      : "removed ");
	if (r->results || r->commits) {
		count(out, r->results, "result");
		buf_add_str(out, " (");
		count(out, r->commits, "record");
		buf_add_str(out, ", ");
		count(out, r->blobs, "blob");
		buf_add_str(out, "), ");
		num_add_size(out, r->bytes);
		buf_add_str(out, ", which had cost ");
		show_duration(out, r->compute_ns);
		buf_add_str(out, " of computing");
	} else if (any) {
		count(out, r->blobs, "blob");
		buf_add_str(out, " that nothing names, ");
		num_add_size(out, r->bytes);
	}
	buf_add_byte(out, '\n');
	if (r->batches) {
		buf_add_str(out, "removed the records of ");
		buf_printf(out, "%" PRIu64 " batch%s of which nothing is left\n",
			   r->batches, r->batches == 1 ? "" : "es");
	}
	if (r->kept_in_use) {
		buf_add_str(out, "kept ");
		count(out, r->kept_in_use, "more");
		if (r->kept_in_use != 1)
			out->size--; /* "more" has no plural */
		buf_add_str(out, ": pinned, or needed just now\n");
	}
	add_size(out, "left: ", r->store_bytes, "");
	if (r->journal_free > (1u << 20)) {
		add_size(out, "; meta.db has ", r->journal_bytes, "");
		add_size(out, ", of which new records use ", r->journal_free, " first");
	}
	buf_add_str(out, "\n");
	if (what->has_max_bytes && r->store_bytes > what->max_bytes && !r->stopped)
		add_size(out, "that is more than ", what->max_bytes,
			 ": the rest is pinned (cashet pins) or needed just now "
			 "(cashet ps)\n");
}

static int stopped(const struct cli *cli, const struct cashet_care_report *r, int code)
{
	if (code || !r->stopped)
		return code;
	cli_note(cli, "stopped; the store is whole, and the same command goes on");
	return CASHET_DETACHED;
}

static int parse_size(const struct cli *cli, const char *option, const char *text,
		      uint64_t *bytes)
{
	if (num_parse_size(text, bytes) == 0)
		return 0;
	return cli_usage(cli, "", "--%s takes a size such as 500M or 10GiB, not \"%s\"",
			 option, text);
}

static int gc(struct cli *cli, const struct cashet_gc *what)
{
	struct drawing d = {.cli = cli};
	struct cashet_care_options options = {
		.dry_run = cli->settings.dry_run, .progress = drawing_draw, .arg = &d};
	struct cashet_care_report r = {0};
	struct cashet_error e;
	CLEANUP_BUF struct buf out = {0};
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	int failed = cashet_gc(cli->c, what, &options, &r, &e);
	drawing_wipe(&d);
	if (failed)
		return cli_fail(cli, &e);
	if (cli->settings.json) {
		struct json j;
		json_begin(&j, &out);
		json_report(&j, &r);
		field_number(&j, "store_bytes", r.store_bytes);
		field_number(&j, "journal_bytes", r.journal_bytes);
		field_number(&j, "journal_free_bytes", r.journal_free);
		return stopped(cli, &r, json_finish(cli, &j));
	}
	add_gc(&out, what, &r);
	return stopped(cli, &r, cli_write(cli, &out));
}

int cmd_gc(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct cashet_gc what = {.has_older_than = s->older_than,
				 .has_max_bytes = s->max_size};
	if (s->older_than && num_parse_duration(s->older_than, &what.older_than_ns))
		return cli_usage(cli, "",
				 "--older-than takes a duration such as 12h or 30d, not "
				 "\"%s\"",
				 s->older_than);
	int code = s->max_size ? parse_size(cli, "max-size", s->max_size, &what.max_bytes)
			       : 0;
	return code ? code : gc(cli, &what);
}

/* ---- asking ---- */

/* Return: true if a person at a terminal says yes, or --yes was given. */
static bool confirmed(struct cli *cli, const char *question, int *codep)
{
	char answer[16] = "";
	if (cli->settings.yes)
		return true;
	if (!isatty(STDIN_FILENO) || !cli->tty_err) {
		*codep = cli_usage(cli, "add --yes", "%s", question);
		return false;
	}
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	*codep = CASHET_DETACHED;
	if (!fgets(answer, sizeof answer, stdin)) {
		fputc('\n', stderr);
		return false;
	}
	return answer[0] == 'y' || answer[0] == 'Y';
}

int cmd_clear(struct cli *cli)
{
	const struct cashet_gc what = {.all = true};
	int code;
	cli->tty_err = isatty(STDERR_FILENO);
	if (!cli->settings.dry_run &&
	    !confirmed(cli, "clear removes every result that is not pinned", &code))
		return code;
	return gc(cli, &what);
}

/* ---- rm, invalidate ---- */

typedef int removal(struct cashet *c, const struct cashet_filter *filter,
		    const struct cashet_care_options *options,
		    struct cashet_care_report *report, struct cashet_error *error);

static int say_removed(struct cli *cli, const struct cashet_care_report *r,
		       const char *done, const char *would)
{
	CLEANUP_BUF struct buf out = {0};
	if (cli->settings.json) {
		struct json j;
		json_begin(&j, &out);
		json_report(&j, r);
		return stopped(cli, r, json_finish(cli, &j));
	}
	if (r->commits || r->kept_in_use || r->kept_pinned) {
		buf_printf(&out, "%s ", r->dry_run ? would : done);
		count(&out, r->commits, "commit");
		buf_add_str(&out, ", which had cost ");
		show_duration(&out, r->compute_ns);
		buf_add_str(&out, " of computing\n");
	} else {
		buf_add_str(&out, "no current result is meant by that: nothing to do\n");
	}
	if (r->kept_in_use)
		buf_printf(&out, "kept %" PRIu64 ": a batch that goes on needs %s\n",
			   r->kept_in_use, r->kept_in_use == 1 ? "it" : "them");
	if (r->kept_pinned)
		buf_printf(&out, "kept %" PRIu64 ": pinned (cashet pins lists them)\n",
			   r->kept_pinned);
	return stopped(cli, r, cli_write(cli, &out));
}

/* Tasks name commits that are there no more. */
static int gone(const struct cli *cli)
{
	struct cashet_error e = {.code = CASHET_NOT_FOUND};
	snprintf(e.what, sizeof e.what, "what is named was removed before");
	snprintf(e.next, sizeof e.next, "cashet log lists what there is");
	return cli_fail(cli, &e);
}

static int remove_them(struct cli *cli, const struct cashet_filter *filter, removal *fn,
		       const char *done, const char *would)
{
	struct drawing d = {.cli = cli};
	struct cashet_care_options options = {
		.dry_run = true, .progress = drawing_draw, .arg = &d};
	struct cashet_care_report r = {0};
	struct cashet_error e;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	int failed = fn(cli->c, filter, &options, &r, &e);
	drawing_wipe(&d);
	if (failed)
		return cli_fail(cli, &e);
	if (!r.commits && filter->commit_count && !r.kept_in_use && !r.kept_pinned &&
	    !r.stopped)
		return gone(cli);
	if (cli->settings.dry_run || r.stopped)
		return say_removed(cli, &r, done, would);
	if (r.commits > ASK_ABOVE) {
		char question[128];
		snprintf(question, sizeof question, "%s %" PRIu64 " commits?", would,
			 r.commits);
		if (!confirmed(cli, question, &code))
			return code;
	}
	options.dry_run = false;
	failed = fn(cli->c, filter, &options, &r, &e);
	drawing_wipe(&d);
	return failed ? cli_fail(cli, &e) : say_removed(cli, &r, done, would);
}

int cmd_rm(struct cli *cli)
{
	struct cashet_filter filter = {.commits = cli->words.items,
				       .commit_count = cli->words.count};
	return remove_them(cli, &filter, cashet_remove, "removed", "would remove");
}

static int parse_worker(const struct cli *cli, const char *text, uint8_t key[32])
{
	if (hex_decode(key, 32, text) == 0 || key_parse_z85(key, text) == 0)
		return 0;
	return cli_usage(cli, "cashet key ls shows keys, cashet worker ls --json too",
			 "\"%s\" is no key of a worker", text);
}

int cmd_invalidate(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct cashet_filter filter = {.func = s->func, .downstream = s->downstream};
	struct cashet_pair *tags = calloc(s->tags.count + 1, sizeof *tags);
	char **keys = calloc(s->tags.count + 1, sizeof *keys);
	uint8_t worker[32];
	int code = 0;
	for (size_t i = 0; tags && keys && i < s->tags.count; i++) {
		const char *equals = strchr(s->tags.items[i], '=');
		keys[i] = strndup(s->tags.items[i],
				  equals ? (size_t)(equals - s->tags.items[i])
					 : strlen(s->tags.items[i]));
		tags[i] = (struct cashet_pair){keys[i], equals ? equals + 1 : NULL};
		if (!keys[i] || !*keys[i])
			code = cli_usage(cli, "",
					 "--tag takes KEY=VALUE or KEY, not \"%s\"",
					 s->tags.items[i]);
	}
	filter.tags = tags;
	filter.tag_count = s->tags.count;
	if (!code && s->worker) {
		code = parse_worker(cli, s->worker, worker);
		filter.worker = worker;
	}
	if (!code && filter.func && !*filter.func)
		code = cli_usage(cli, "", "--func takes the name of a task, not \"\"");
	if (!code && !filter.func && !filter.tag_count && !filter.worker &&
	    !filter.downstream)
		code = cli_usage(
			cli,
			"--tag KEY=VALUE, --func NAME, --worker KEY, --downstream COMMIT",
			"nothing is said of which results are meant");
	if (!code)
		code = remove_them(cli, &filter, cashet_invalidate, "invalidated",
				   "would invalidate");
	for (size_t i = 0; keys && i < s->tags.count; i++)
		free(keys[i]);
	free(keys);
	free(tags);
	return code;
}

/* ---- fsck ---- */

struct checking {
	bool is_json;
	struct json json;
	struct buf *out;
};

static void take_finding(void *arg, const struct cashet_finding *f)
{
	struct checking *c = arg;
	if (c->is_json) {
		json_object(&c->json);
		field_text(&c->json, "kind", f->kind);
		field_text(&c->json, "what", f->what);
		field_text(&c->json, "name", f->name);
		json_hash(&c->json, "blob", f->has_blob, f->blob);
		json_hash(&c->json, "commit", f->has_commit, f->commit);
		field_flag(&c->json, "repaired", f->repaired);
		json_end_object(&c->json);
		return;
	}
	char hex[HEX_DIGEST_SIZE];
	text_escape(c->out, f->kind, strlen(f->kind));
	if (f->has_commit)
		buf_printf(c->out, "  commit %s", hex_encode(hex, f->commit, 32));
	if (f->has_blob)
		buf_printf(c->out, "  blob %s", hex_encode(hex, f->blob, 32));
	if (*f->name) {
		buf_add_str(c->out, "  ");
		text_escape(c->out, f->name, strlen(f->name));
	}
	buf_add_str(c->out, "\n  ");
	text_escape(c->out, f->what, strlen(f->what));
	buf_add_str(c->out, f->repaired ? " (repaired)\n" : "\n");
}

static void add_fsck(struct buf *out, const struct cashet_care_report *r)
{
	buf_add_str(out, "checked ");
	count(out, r->checked_commits, "commit");
	buf_add_str(out, " and ");
	count(out, r->checked_blobs, "blob");
	add_size(out, ", read ", r->read_bytes, "\n");
	if (!r->problems)
		buf_add_str(out, "nothing is wrong\n");
	else
		buf_printf(out, "%" PRIu64 " wrong, %" PRIu64 " repaired\n", r->problems,
			   r->repaired);
}

int cmd_fsck(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	char *end = NULL;
	unsigned long percent = s->read_data ? strtoul(s->read_data, &end, 10) : 0;
	if (s->read_data && (*end == '%' ? end[1] : *end || percent > 100))
		return cli_usage(cli, "", "--read-data takes 0 to 100, not \"%s\"",
				 s->read_data);
	if (percent > 100)
		return cli_usage(cli, "", "--read-data takes 0 to 100, not \"%s\"",
				 s->read_data);
	CLEANUP_BUF struct buf out = {0};
	struct drawing d = {.cli = cli};
	struct cashet_care_options options = {.progress = drawing_draw, .arg = &d};
	struct cashet_care_report r = {0};
	struct checking c = {.is_json = s->json, .out = &out};
	struct cashet_error e;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (s->json) {
		json_begin(&c.json, &out);
		json_key(&c.json, "findings");
		json_array(&c.json);
	}
	int failed = cashet_fsck(cli->c, (unsigned)percent, s->repair, &options,
				 take_finding, &c, &r, &e);
	drawing_wipe(&d);
	if (failed)
		return cli_fail(cli, &e);
	if (s->json) {
		json_end_array(&c.json);
		field_number(&c.json, "checked_commits", r.checked_commits);
		field_number(&c.json, "checked_blobs", r.checked_blobs);
		field_number(&c.json, "read_bytes", r.read_bytes);
		field_number(&c.json, "problems", r.problems);
		field_number(&c.json, "repaired", r.repaired);
		field_flag(&c.json, "stopped", r.stopped);
		code = json_finish(cli, &c.json);
	} else {
		add_fsck(&out, &r);
		code = cli_write(cli, &out);
	}
	code = stopped(cli, &r, code);
	return code ? code : r.problems ? CASHET_FAILED : 0;
}
