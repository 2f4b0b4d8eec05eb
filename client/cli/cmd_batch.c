/* cmd_batch.c - submit, wait, retry, cancel, ps. */
#include "client/cli/show_why.h"
#include "client/cli/submitting.h"

#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int submit_file(struct cli *cli, const struct cashet_submit_options *options)
{
	const struct settings *s = &cli->settings;
	const char *path = cli->words.items[0];
	struct cashet_error e;
	char batch[CASHET_HEX_SIZE];
	cli_catch();
	int code = cli_open(cli, false, true);
	if (code)
		return code;
	if (s->dry_run)
		return dry_run(cli, &(struct dry_run_what){.path = path}, options);
	if (cashet_submit_file(cli->c, path, options, batch, &e))
		return cli_fail(cli, &e);
	return s->detach ? submitting_name(cli, batch)
			 : submitting_follow(cli, batch, true);
}

int cmd_submit(struct cli *cli)
{
	struct submitting s;
	int code = submitting_begin(&s, cli);
	bool call = submitting_is_call(cli->words.items[0]);
	if (code == 0 && !call)
		code = submitting_refuse_call(cli);
	if (code == 0)
		code = call ? submit_call(cli, &s.options) : submit_file(cli, &s.options);
	submitting_fini(&s);
	return code;
}

int cmd_wait(struct cli *cli)
{
	const char *batch = cli->words.count ? cli->words.items[0] : "";
	struct cashet_counts counts;
	bool paused = false;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code == 0)
		code = follow_batch(cli, batch, false, cli->settings.timeout_ns, &counts,
				    &paused);
	if (code)
		return code;
	code = paused ? CASHET_FAILED : follow_outcome(&counts);
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	struct cashet_batch found;
	struct cashet_error e;
	if (!cli->settings.json) {
		show_counts(&out, &counts);
		buf_add_byte(&out, '\n');
		int failed = cli_write(cli, &out);
		/* Failures from before we looked had no line of their own. */
		if (!failed && code && !paused && !cli->settings.quiet &&
		    !cashet_batch_find(cli->c, batch, &found, &e))
			cli_note(cli,
				 "what became of each task: cashet results %.*s; to run "
				 "again what did not succeed: cashet retry %.*s",
				 SHORT_HASH, found.batch, SHORT_HASH, found.batch);
		return failed ? failed : code;
	}
	if (cashet_batch_find(cli->c, batch, &found, &e))
		return cli_fail(cli, &e);
	json_begin(&j, &out);
	json_key(&j, "batch");
	json_string(&j, found.batch);
	json_key(&j, "ended");
	json_bool(&j, !paused);
	json_counts(&j, &counts, paused);
	int failed = json_finish(cli, &j);
	return failed ? failed : code;
}

int cmd_retry(struct cli *cli)
{
	char again[CASHET_HEX_SIZE];
	struct cashet_error e;
	cli_catch();
	int code = cli_open(cli, true, false);
	if (code)
		return code;
	const char *batch = cli->words.count ? cli->words.items[0] : "";
	if (cashet_retry(cli->c, batch, again, &e))
		return cli_fail(cli, &e);
	if (cli->settings.detach)
		return submitting_name(cli, again);
	code = cli->settings.json ? 0 : submitting_name(cli, again);
	return code ? code : submitting_follow(cli, again, false);
}

/* Whether what is to be cancelled had ended before; then it stays as it is. @batch: its full name. */
static int had_ended(struct cli *cli, const char *name, const uint32_t *index,
		     char batch[CASHET_HEX_SIZE], bool *endedp)
{
	struct cashet_error e;
	struct cashet_batch found;
	struct cashet_results *results;
	const struct cashet_result *r;
	if (cashet_batch_find(cli->c, name, &found, &e))
		return cli_fail(cli, &e);
	memcpy(batch, found.batch, CASHET_HEX_SIZE);
	*endedp = found.ended;
	if (!index || found.ended)
		return 0;
	if (cashet_result_one(cli->c, batch, *index, &results, &r, &e))
		return cli_fail(cli, &e);
	*endedp = r->status >= CASHET_COMPLETED;
	cashet_results_close(results);
	return 0;
}

int cmd_cancel(struct cli *cli)
{
	char batch[CASHET_HEX_SIZE], full[CASHET_HEX_SIZE];
	uint32_t index = 0;
	bool ended = false;
	struct cashet_error e;
	const char *word = cli->words.items[0];
	int form = cli_task(cli, word, batch, &index);
	if (form == 2)
		return CASHET_USAGE;
	int code = cli_open(cli, true, false);
	if (code)
		return code;
	const uint32_t *indexp = form ? NULL : &index;
	code = had_ended(cli, form ? word : batch, indexp, full, &ended);
	if (code)
		return code;
	if (cashet_cancel(cli->c, full, indexp, &e))
		return cli_fail(cli, &e);
	if (!cli->settings.json) {
		cli_note(cli, ended ? "it had ended already" : "cancelled");
		return 0;
	}
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_key(&j, "batch");
	json_string(&j, full);
	json_key(&j, "index");
	if (form)
		json_null(&j);
	else
		json_uint(&j, index);
	json_key(&j, "cancelled");
	json_bool(&j, !ended);
	return json_finish(cli, &j);
}

/* ---- ps ---- */

struct listing {
	struct table table;
	struct json json;
	struct buf notes;
	bool is_json;
	size_t count;
};

static const char *batch_state(const struct cashet_batch *b)
{
	const struct cashet_counts *c = &b->counts;
	if (b->paused && !b->ended)
		return "paused";
	if (!b->ended)
		return c->running ? "running" : "waiting";
	return c->failed      ? "failed"
	       : c->cancelled ? "cancelled"
	       : c->skipped   ? "skipped"
			      : "completed";
}

/* Below the table: why a batch does not get on, and what a person can do. */
static void add_note(struct buf *notes, const struct cashet_batch *b)
{
	buf_printf(notes, "%.*s %s: ", SHORT_HASH, b->batch, batch_state(b));
	text_escape(notes, b->note, strlen(b->note));
	if (b->paused)
		buf_printf(
			notes,
			". To go on: cashet retry %.*s; to give up: cashet cancel %.*s",
			SHORT_HASH, b->batch, SHORT_HASH, b->batch);
	buf_add_byte(notes, '\n');
}

static int list_batch(void *arg, const struct cashet_batch *b)
{
	struct listing *l = arg;
	const struct cashet_counts *c = &b->counts;
	l->count++;
	if (l->is_json) {
		json_object(&l->json);
		json_key(&l->json, "batch");
		json_string(&l->json, b->batch);
		json_key(&l->json, "name");
		json_string(&l->json, b->name);
		json_key(&l->json, "file");
		json_string(&l->json, b->file);
		json_key(&l->json, "state");
		json_string(&l->json, batch_state(b));
		json_key(&l->json, "note");
		json_string(&l->json, b->note);
		json_key(&l->json, "ended");
		json_bool(&l->json, b->ended);
		json_counts(&l->json, c, true);
		json_key(&l->json, "submitted_ms");
		json_uint(&l->json, b->submitted_wall_ms);
		json_key(&l->json, "ended_ms");
		if (b->ended_wall_ms)
			json_uint(&l->json, b->ended_wall_ms);
		else
			json_null(&l->json);
		json_end_object(&l->json);
		return 0;
	}
	CLEANUP_BUF struct buf ago = {0};
	show_ago(&ago, b->submitted_wall_ms);
	uint64_t done = c->cached + c->executed + c->deduplicated + c->failed +
			c->skipped + c->cancelled;
	table_cellf(&l->table, "%.*s", SHORT_HASH, b->batch);
	table_cell(&l->table, *b->name ? b->name : b->file);
	table_cell(&l->table, batch_state(b));
	table_cellf(&l->table, "%" PRIu64 "/%" PRIu64, done, c->total);
	table_cellf(&l->table, "%" PRIu64, c->cached);
	table_cellf(&l->table, "%" PRIu64, c->running);
	table_cellf(&l->table, "%" PRIu64, c->failed);
	table_cell(&l->table, buf_cstr(&ago));
	if (*b->note)
		add_note(&l->notes, b);
	return 0;
}

int cmd_ps(struct cli *cli)
{
	static const char *const heads[] = {"batch",  "name",	 "state",  "done",
					    "cached", "running", "failed", "submitted"};
	struct listing l = {.is_json = cli->settings.json};
	CLEANUP_BUF struct buf out = {0};
	struct cashet_error e;
	uint64_t left_out = 0;
	int code = cli_open(cli, true, false);
	if (code)
		return code;
	table_init(&l.table, ARRAY_LEN(heads));
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&l.table, heads[i]);
	json_begin(&l.json, &out);
	json_key(&l.json, "batches");
	json_array(&l.json);
	if (cashet_batches(cli->c, cli->settings.all, 0, list_batch, &l, &left_out, &e)) {
		code = cli_fail(cli, &e);
	} else if (l.is_json) {
		json_end_array(&l.json);
		json_key(&l.json, "left_out");
		json_uint(&l.json, left_out);
		code = json_finish(cli, &l.json);
	} else if (l.count) {
		buf_reset(&out);
		table_render(&l.table, &out, cli->color_out);
		code = cli_write(cli, &out);
		if (left_out)
			cli_note(cli, "and %" PRIu64 " older ones", left_out);
		if (l.notes.size)
			fputs(buf_cstr(&l.notes), stderr);
	} else {
		cli_note(cli,
			 cli->settings.all
				 ? "no batches yet"
				 : "nothing is going on; -a lists ended batches too");
	}
	table_fini(&l.table);
	buf_fini(&l.notes);
	return code;
}
