/* cmd_daemon.c - worker ls, worker drain, broker status, broker drain. */
#include "client/cli/cli.h"

#include "common/num.h"
#include "common/pure/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "cpus 1/4  memory 1.0 GiB/8.0 GiB" */
static void add_resources(struct buf *out, const struct cashet_worker *w)
{
	for (size_t i = 0; i < w->capacity_count; i++) {
		const struct cashet_resource *have = &w->capacity[i];
		double used = 0;
		for (size_t k = 0; k < w->used_count; k++)
			if (strcmp(w->used[k].name, have->name) == 0)
				used = w->used[k].amount;
		buf_printf(out, "%s%s ", i ? "  " : "", have->name);
		if (strcmp(have->name, "memory") == 0) {
			num_add_size(out, (uint64_t)used);
			buf_add_byte(out, '/');
			num_add_size(out, (uint64_t)have->amount);
		} else {
			buf_printf(out, "%.6g/%.6g", used, have->amount);
		}
	}
}

static void json_resources(struct json *j, const char *key,
			   const struct cashet_resource *r, size_t count)
{
	json_key(j, key);
	json_object(j);
	for (size_t i = 0; i < count; i++) {
		json_key(j, r[i].name);
		json_double(j, r[i].amount);
	}
	json_end_object(j);
}

static void json_number(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

static void json_text(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_string(j, value);
}

static void json_flag(struct json *j, const char *key, bool value)
{
	json_key(j, key);
	json_bool(j, value);
}

struct listing {
	struct table table;
	struct json json;
	bool is_json;
	size_t count;
};

static void json_worker(struct json *j, const struct cashet_worker *w)
{
	json_object(j);
	json_text(j, "name", w->name);
	json_text(j, "state", w->state);
	json_text(j, "host", w->host);
	json_number(j, "pid", w->pid);
	json_hash(j, "key", true, w->key);
	json_text(j, "isolation", w->isolation);
	json_flag(j, "draining", w->draining);
	json_number(j, "running", w->running);
	json_number(j, "queued", w->queued);
	json_number(j, "done", w->done);
	json_number(j, "failed", w->failed);
	json_number(j, "seen_ms_ago", w->seen_ms_ago);
	json_flag(j, "lost", w->lost);
	json_key(j, "lost_in_ms");
	if (w->lost_in_ms)
		json_uint(j, w->lost_in_ms);
	else
		json_null(j);
	json_resources(j, "capacity", w->capacity, w->capacity_count);
	json_resources(j, "used", w->used, w->used_count);
	json_end_object(j);
}

/* What becomes of the tasks of one that is silent, if it has any. */
static void add_state(struct buf *out, const struct cashet_worker *w)
{
	buf_add_str(out, w->state);
	if (!w->running && !w->queued)
		return;
	if (w->lost)
		buf_add_str(out, ", leases ended");
	else if (w->lost_in_ms)
		buf_printf(out, ", leases end in %.1fs", (double)w->lost_in_ms / 1000);
}

static int list_worker(void *arg, const struct cashet_worker *w)
{
	struct listing *l = arg;
	l->count++;
	if (l->is_json) {
		json_worker(&l->json, w);
		return 0;
	}
	CLEANUP_BUF struct buf resources = {0}, state = {0};
	add_resources(&resources, w);
	add_state(&state, w);
	table_cell(&l->table, w->name);
	table_cell(&l->table, buf_cstr(&state));
	table_cell(&l->table, w->host);
	table_cellf(&l->table, "%" PRIu32, w->running);
	table_cellf(&l->table, "%" PRIu32, w->queued);
	table_cellf(&l->table, "%" PRIu64, w->done);
	table_cellf(&l->table, "%" PRIu64, w->failed);
	table_cellf(&l->table, "%.1fs ago", (double)w->seen_ms_ago / 1000);
	table_cell(&l->table, w->isolation);
	table_cell(&l->table, buf_cstr(&resources));
	return 0;
}

int cmd_worker_ls(struct cli *cli)
{
	static const char *const heads[] = {"name",	 "state",    "host",   "running",
					    "queued",	 "done",     "failed", "seen",
					    "isolation", "resources"};
	struct listing l = {.is_json = cli->settings.json};
	CLEANUP_BUF struct buf out = {0};
	struct cashet_error e;
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	table_init(&l.table, ARRAY_LEN(heads));
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&l.table, heads[i]);
	json_begin(&l.json, &out);
	json_key(&l.json, "workers");
	json_array(&l.json);
	if (cashet_workers(cli->c, list_worker, &l, &e)) {
		code = cli_fail(cli, &e);
	} else if (l.is_json) {
		json_end_array(&l.json);
		code = json_finish(cli, &l.json);
	} else if (l.count) {
		buf_reset(&out);
		table_render(&l.table, &out, cli->color_out);
		code = cli_write(cli, &out);
	} else {
		cli_note(
			cli,
			"no workers; to start one: cashet-worker --broker %s --name NAME",
			cashet_where(cli->c));
	}
	table_fini(&l.table);
	return code;
}

static int drain(struct cli *cli, const char *worker)
{
	struct cashet_error e;
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_drain(cli->c, worker, cli->settings.deadline_ns, &e))
		return cli_fail(cli, &e);
	if (!cli->settings.json) {
		cli_note(cli, "%s finishes what it runs and takes nothing new",
			 worker ? worker : "the broker");
		return 0;
	}
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_key(&j, "worker");
	if (worker)
		json_string(&j, worker);
	else
		json_null(&j);
	json_flag(&j, "draining", true);
	return json_finish(cli, &j);
}

int cmd_worker_drain(struct cli *cli)
{
	return drain(cli, cli->words.items[0]);
}

int cmd_broker_drain(struct cli *cli)
{
	return drain(cli, NULL);
}

/* ---- broker status ---- */

static int json_status(struct cli *cli, const struct cashet_broker_status *s)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_text(&j, "url", cashet_where(cli->c));
	json_text(&j, "version", s->version);
	json_text(&j, "store", s->store);
	json_number(&j, "pid", s->pid);
	json_number(&j, "uptime_ms", s->uptime_ms);
	json_number(&j, "boot", s->boot);
	json_text(&j, "role", s->role);
	json_flag(&j, "private", s->is_private);
	json_flag(&j, "insecure", s->insecure);
	json_flag(&j, "draining", s->draining);
	json_flag(&j, "disk_full", s->disk_full);
	json_key(&j, "listen");
	json_array(&j);
	for (size_t i = 0; i < s->listen_count; i++)
		json_string(&j, s->listen[i]);
	json_end_array(&j);
	json_number(&j, "batches", s->batches);
	json_number(&j, "waiting", s->waiting);
	json_number(&j, "ready", s->ready);
	json_number(&j, "running", s->running);
	json_number(&j, "workers", s->workers);
	json_number(&j, "clients", s->clients);
	json_number(&j, "commits", s->commits);
	json_number(&j, "hits", s->hits);
	json_number(&j, "misses", s->misses);
	json_number(&j, "refused_messages", s->refused_messages);
	json_number(&j, "refused_results", s->refused_results);
	json_number(&j, "rss_bytes", s->rss_bytes);
	json_number(&j, "free_bytes", s->free_bytes);
	return json_finish(cli, &j);
}

static void row(struct buf *out, const char *name)
{
	buf_printf(out, "%-10s", name);
}

static void add_status(struct cli *cli, struct buf *out,
		       const struct cashet_broker_status *s)
{
	row(out, "broker");
	buf_add_str(out, cashet_where(cli->c));
	buf_printf(out, "  pid %" PRIu64 "  version ", s->pid);
	text_escape(out, s->version, strlen(s->version));
	buf_add_str(out, "  up ");
	show_duration(out, s->uptime_ms * NS_PER_MS);
	buf_printf(out, "  boot %" PRIu64 "\n", s->boot);
	row(out, "state");
	buf_add_str(out, s->draining	? "draining"
			 : s->disk_full ? "disk full: takes nothing new"
					: "working");
	buf_printf(out, "%s%s\n", s->is_private ? "  private" : "",
		   s->insecure ? "  INSECURE: peers without keys are taken" : "");
	row(out, "store");
	text_escape(out, s->store, strlen(s->store));
	buf_add_str(out, "  free ");
	num_add_size(out, s->free_bytes);
	buf_add_str(out, "\n");
	for (size_t i = 0; i < s->listen_count; i++) {
		row(out, i ? "" : "listens");
		text_escape(out, s->listen[i], strlen(s->listen[i]));
		buf_add_byte(out, '\n');
	}
	row(out, "tasks");
	buf_printf(out,
		   "%" PRIu64 " running, %" PRIu64 " ready, %" PRIu64
		   " waiting, in %" PRIu64 " batches\n",
		   s->running, s->ready, s->waiting, s->batches);
	row(out, "peers");
	buf_printf(out, "%" PRIu64 " worker%s, %" PRIu64 " client%s\n", s->workers,
		   s->workers == 1 ? "" : "s", s->clients, s->clients == 1 ? "" : "s");
	row(out, "cache");
	buf_printf(out, "%" PRIu64 " commits, %" PRIu64 " hits, %" PRIu64 " misses\n",
		   s->commits, s->hits, s->misses);
	row(out, "refused");
	buf_printf(out, "%" PRIu64 " messages, %" PRIu64 " results\n",
		   s->refused_messages, s->refused_results);
	row(out, "memory");
	num_add_size(out, s->rss_bytes);
	buf_add_byte(out, '\n');
}

int cmd_broker_status(struct cli *cli)
{
	struct cashet_broker_status status;
	struct cashet_error e;
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_status(cli->c, &status, &e))
		return cli_fail(cli, &e);
	if (cli->settings.json)
		return json_status(cli, &status);
	CLEANUP_BUF struct buf out = {0};
	add_status(cli, &out, &status);
	return cli_write(cli, &out);
}
