/* cmd_dry_run.c - submit --dry-run: what would run, and why, without running it. */
#include "client/cli/show_why.h"

#include "common/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_TASKS 20000 /* batches from this size on show how far it is */

struct dry_cli {
	struct cli *cli;
	struct buf out;
	struct json json;
	bool is_json, drew;
	int failed; /* exit code of what could not be written */
};

/* ---- words ---- */

static const char *words_of(enum cashet_forecast forecast)
{
	switch (forecast) {
	case CASHET_WOULD_HIT:
		return "cached";
	case CASHET_WOULD_RUN:
		return "would run";
	case CASHET_WOULD_JOIN:
		return "the same as another";
	case CASHET_WAITS:
		return "wait for what runs";
	case CASHET_HIT_IF_SAME:
		return "cached if upstream's output is unchanged";
	case CASHET_RUNS_ALIKE:
		return "would run, whatever upstream gives";
	}
	return "unknown";
}

static void add_counts(struct buf *out, uint64_t total, const uint64_t counts[6])
{
	static const enum cashet_forecast order[] = {CASHET_WOULD_HIT, CASHET_WOULD_RUN,
						     CASHET_WOULD_JOIN,
						     CASHET_HIT_IF_SAME, CASHET_WAITS};
	bool first = true;
	buf_printf(out, "%" PRIu64 " task%s", total, total == 1 ? "" : "s");
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		uint64_t count = counts[order[i]];
		if (order[i] == CASHET_WOULD_RUN)
			count += counts[CASHET_RUNS_ALIKE];
		if (!count)
			continue;
		buf_printf(out, "%s%" PRIu64 " %s", first ? ": " : ", ", count,
			   words_of(order[i]));
		first = false;
	}
}

static void add_cause(struct buf *out, enum cashet_reason reason,
		      const struct cashet_change *changes, size_t count, uint64_t tasks)
{
	bool first = true;
	if (reason != CASHET_REASON_CHANGED) {
		buf_add_str(out, show_reason(reason));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (changes[i].how == CASHET_SAME || !show_is_identity(&changes[i]))
			continue;
		buf_add_str(out, first ? "" : "; ");
		show_cause(out, &changes[i], tasks > 1);
		first = false;
	}
	if (first)
		buf_add_str(out, "nothing like it ran before");
}

static void add_entry(struct buf *out, const struct cashet_dry_entry *entry, size_t width)
{
	size_t from = out->size;
	text_escape(out, entry->name, strlen(entry->name));
	buf_add_byte(out, '\0');
	size_t name = text_width((const char *)out->data + from);
	out->size--;
	buf_printf(out, "%*s", (int)(width - name + 2), "");
	add_counts(out, entry->total, entry->counts);
	buf_add_byte(out, '\n');
	for (size_t i = 0; i < entry->cause_count; i++) {
		const struct cashet_dry_cause *cause = &entry->causes[i];
		buf_printf(out, "%*s  %6" PRIu64 "  ", (int)width, "", cause->count);
		add_cause(out, cause->reason, cause->changes, cause->change_count,
			  cause->count);
		buf_add_byte(out, '\n');
	}
}

static void add_estimate(struct buf *out, const struct cashet_dry_run *run)
{
	uint64_t runs = run->counts[CASHET_WOULD_RUN] + run->counts[CASHET_RUNS_ALIKE] +
			run->counts[CASHET_WAITS];
	if (!runs)
		return;
	if (run->unknown_durations < runs) {
		buf_add_str(out, "about ");
		show_duration(out, run->estimate_ns);
		buf_printf(out, " or more on %g cpus, by earlier runs",
			   (double)run->cpus_milli / 1000);
	} else {
		buf_add_str(out, "nothing like it ran before, so there is no estimate");
	}
	if (run->unknown_durations && run->unknown_durations < runs)
		buf_printf(out, ", without %" PRIu64 " that have none",
			   run->unknown_durations);
	buf_add_byte(out, '\n');
}

static void add_totals(struct buf *out, const struct cashet_dry_run *run)
{
	size_t width = 0;
	for (size_t i = 0; i < run->entry_count; i++) {
		CLEANUP_BUF struct buf name = {0};
		text_escape(&name, run->entries[i].name, strlen(run->entries[i].name));
		if (text_width(buf_cstr(&name)) > width)
			width = text_width(buf_cstr(&name));
	}
	for (size_t i = 0; i < run->entry_count; i++)
		add_entry(out, &run->entries[i], width);
	if (run->entry_count > 1) {
		add_counts(out, run->total, run->counts);
		buf_add_byte(out, '\n');
	}
	add_estimate(out, run);
}

/* ---- tasks, as they come ---- */

static void json_text(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (*text)
		json_string(j, text);
	else
		json_null(j);
}

static void json_reason(struct json *j, enum cashet_reason reason)
{
	json_key(j, "reason");
	if (reason == CASHET_REASON_UNKNOWN)
		json_null(j);
	else
		json_string(j, cashet_reason_name(reason));
}

static void json_changes(struct json *j, const struct cashet_change *changes,
			 size_t count)
{
	json_key(j, "changes");
	json_array(j);
	for (size_t i = 0; i < count; i++)
		json_change(j, &changes[i]);
	json_end_array(j);
}

static void json_task(struct json *j, const struct cashet_dry_task *t)
{
	json_object(j);
	json_key(j, "index");
	json_uint(j, t->index);
	json_text(j, "name", t->name);
	json_params(j, t->params, t->param_count);
	json_key(j, "forecast");
	json_string(j, cashet_forecast_name(t->forecast));
	json_text(j, "commit", t->commit);
	json_reason(j, t->reason);
	json_text(j, "earlier", t->earlier);
	json_changes(j, t->changes, t->change_count);
	json_end_object(j);
}

static void add_task(struct buf *out, const struct cashet_dry_task *t)
{
	buf_printf(out, "%6u  ", t->index);
	show_title(out, t->name, t->params, t->param_count);
	buf_printf(out, "  %s", words_of(t->forecast));
	if (*t->commit)
		buf_printf(out, " (%.*s)", SHORT_HASH, t->commit);
	if (t->reason != CASHET_REASON_UNKNOWN) {
		buf_add_str(out, ": ");
		add_cause(out, t->reason, t->changes, t->change_count, 1);
	}
	buf_add_byte(out, '\n');
}

static int take_task(void *arg, const struct cashet_dry_task *task)
{
	struct dry_cli *d = arg;
	if (d->is_json)
		json_task(&d->json, task);
	else
		add_task(&d->out, task);
	d->failed = d->is_json		  ? json_pass(d->cli, &d->out)
		    : d->out.size < 65536 ? 0
					  : cli_write(d->cli, &d->out);
	return d->failed;
}

static void take_progress(void *arg, uint64_t done, uint64_t total)
{
	struct dry_cli *d = arg;
	if (!d->cli->tty_err || d->cli->settings.quiet || total < PROGRESS_TASKS)
		return;
	d->drew = true;
	fprintf(stderr, "\r%" PRIu64 "/%" PRIu64 " tasks looked at\033[K", done, total);
}

/* ---- all of it ---- */

static void json_counts_of(struct json *j, const uint64_t counts[6], uint64_t total)
{
	json_key(j, "counts");
	json_object(j);
	json_key(j, "total");
	json_uint(j, total);
	for (size_t i = 0; i < 6; i++) {
		json_key(j, cashet_forecast_name((enum cashet_forecast)i));
		json_uint(j, counts[i]);
	}
	json_end_object(j);
}

static void json_entries(struct json *j, const struct cashet_dry_run *run)
{
	json_key(j, "entries");
	json_array(j);
	for (size_t i = 0; i < run->entry_count; i++) {
		const struct cashet_dry_entry *entry = &run->entries[i];
		json_object(j);
		json_text(j, "name", entry->name);
		json_counts_of(j, entry->counts, entry->total);
		json_key(j, "causes");
		json_array(j);
		for (size_t k = 0; k < entry->cause_count; k++) {
			const struct cashet_dry_cause *cause = &entry->causes[k];
			json_object(j);
			json_reason(j, cause->reason);
			json_key(j, "tasks");
			json_uint(j, cause->count);
			json_key(j, "index");
			json_uint(j, cause->index);
			json_changes(j, cause->changes, cause->change_count);
			json_end_object(j);
		}
		json_end_array(j);
		json_key(j, "duration_ms");
		if (entry->duration_ns)
			json_double(j, (double)entry->duration_ns / NS_PER_MS);
		else
			json_null(j);
		json_end_object(j);
	}
	json_end_array(j);
}

static int finish_json(struct dry_cli *d, const struct cashet_dry_run *run)
{
	struct json *j = &d->json;
	json_end_array(j);
	json_counts_of(j, run->counts, run->total);
	json_entries(j, run);
	json_key(j, "work_ms");
	json_double(j, (double)run->work_ns / NS_PER_MS);
	json_key(j, "chain_ms");
	json_double(j, (double)run->chain_ns / NS_PER_MS);
	json_key(j, "estimate_ms");
	json_double(j, (double)run->estimate_ns / NS_PER_MS);
	json_key(j, "cpus");
	json_double(j, (double)run->cpus_milli / 1000);
	json_key(j, "unknown_durations");
	json_uint(j, run->unknown_durations);
	return json_finish(d->cli, j);
}

int dry_run(struct cli *cli, const struct dry_run_what *what,
	    const struct cashet_submit_options *submit)
{
	struct dry_cli d = {.cli = cli, .is_json = cli->settings.json};
	struct cashet_dry_run_options options = {.progress = take_progress, .arg = &d};
	struct cashet_dry_run *run;
	struct cashet_error e;
	int code, failed;
	if (d.is_json) {
		json_begin(&d.json, &d.out);
		json_key(&d.json, "tasks");
		json_array(&d.json);
	}
	if (d.is_json || cli->settings.verbose)
		options.task = take_task;
	if (what->path)
		failed = cashet_dry_run(cli->c, what->path, submit, &options, &run, &e);
	else
		failed = cashet_dry_run_many(cli->c, what->tasks, what->count, submit,
					     &options, &run, &e);
	if (d.drew)
		fputs("\r\033[K", stderr);
	if (failed) {
		code = cli_fail(cli, &e);
	} else if (d.failed) {
		code = d.failed;
	} else if (d.is_json) {
		code = finish_json(&d, run);
	} else {
		add_totals(&d.out, run);
		code = cli_write(cli, &d.out);
	}
	if (!failed)
		cashet_dry_run_free(run);
	buf_fini(&d.out);
	return code;
}
