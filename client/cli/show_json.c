/* show_json.c - JSON as docs/cli.md promises it: keys are stable, new ones may come, and "schema"
 * counts when one changes its meaning. Written in pieces: a batch may have a million tasks. */
#include "client/cli/cli.h"

#include <string.h>

#define PIECE (256u << 10)

void json_begin(struct json *j, struct buf *out)
{
	json_init(j, out);
	json_object(j);
	json_key(j, "schema");
	json_uint(j, JSON_SCHEMA);
}

int json_finish(struct cli *cli, struct json *j)
{
	json_end_object(j);
	buf_add_byte(j->out, '\n');
	return cli_write(cli, j->out);
}

static void count(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

void json_counts(struct json *j, const struct cashet_counts *c, bool live)
{
	json_key(j, "counts");
	json_object(j);
	count(j, "total", c->total);
	if (live) {
		count(j, "waiting", c->waiting);
		count(j, "ready", c->ready);
		count(j, "running", c->running);
	}
	count(j, "cached", c->cached);
	count(j, "executed", c->executed);
	count(j, "deduplicated", c->deduplicated);
	count(j, "failed", c->failed);
	count(j, "skipped", c->skipped);
	count(j, "cancelled", c->cancelled);
	json_end_object(j);
}

void json_hash(struct json *j, const char *key, bool is, const uint8_t digest[32])
{
	json_key(j, key);
	if (is)
		json_hex(j, digest, 32);
	else
		json_null(j);
}

static void json_text(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (*text)
		json_string(j, text);
	else
		json_null(j);
}

void json_value(struct json *j, const struct cashet_value *v)
{
	switch (v->type) {
	case CASHET_BOOL:
		json_bool(j, v->boolean);
		break;
	case CASHET_INT:
		json_int(j, v->i);
		break;
	case CASHET_UINT:
		json_uint(j, v->u);
		break;
	case CASHET_DOUBLE:
		json_double(j, v->d);
		break;
	case CASHET_STRING:
		if (v->is_written && !strcmp(v->text, "null"))
			json_null(j);
		else
			json_string(j, v->text);
		break;
	}
}

static void json_outputs(struct json *j, const struct cashet_result *r)
{
	json_key(j, "outputs");
	json_object(j);
	for (size_t i = 0; i < r->output_count; i++)
		json_hash(j, r->outputs[i].name,
			  r->outputs[i].content.type != CASHET_CONTENT_NONE,
			  r->outputs[i].content.digest);
	json_end_object(j);
}

static void json_metrics(struct json *j, const struct cashet_result *r)
{
	json_key(j, "metrics");
	json_object(j);
	for (size_t i = 0; i < r->metric_count; i++) {
		json_key(j, r->metrics[i].name);
		if (r->metrics[i].is_text)
			json_string(j, r->metrics[i].text);
		else
			json_double(j, r->metrics[i].number);
	}
	json_end_object(j);
}

static void json_fingerprint(struct json *j, const struct cashet_result *r)
{
	json_key(j, "fingerprint");
	if (!r->has_fingerprint) {
		json_null(j);
		return;
	}
	/* "func_hash:args_hash" as one string: two hashes and what is between them. */
	json_hex(j, r->func_hash, sizeof r->func_hash);
	j->out->size--;
	buf_add_byte(j->out, ':');
	struct buf *out = j->out;
	size_t at = out->size;
	j->need_comma[j->depth] = false;
	json_hex(j, r->args_hash, sizeof r->args_hash);
	if (!out->failed) { /* its opening quote goes */
		memmove(out->data + at, out->data + at + 1, out->size - at - 1);
		out->size--;
	}
}

void json_params(struct json *j, const struct cashet_param *params, size_t count)
{
	json_key(j, "params");
	json_object(j);
	for (size_t i = 0; i < count; i++) {
		json_key(j, params[i].name);
		json_value(j, &params[i].value);
	}
	json_end_object(j);
}

/* "" if there is none. */
static const char *type_name(enum cashet_content_type type)
{
	switch (type) {
	case CASHET_CONTENT_NONE:
		break;
	case CASHET_CONTENT_FILE:
	case CASHET_CONTENT_EXEC:
		return "file";
	case CASHET_CONTENT_TREE:
		return "folder";
	case CASHET_CONTENT_LIST:
		return "list";
	case CASHET_CONTENT_RESULT:
		return "outputs";
	case CASHET_CONTENT_JSON:
		return "json";
	case CASHET_CONTENT_PICKLE:
		return "pickle";
	}
	return "";
}

void json_result(struct json *j, const struct cashet_result *r)
{
	json_object(j);
	json_key(j, "index");
	json_uint(j, r->index);
	json_key(j, "name");
	json_string(j, r->name);
	json_params(j, r->params, r->param_count);
	json_key(j, "status");
	json_string(j, cashet_status_name(r->status));
	json_key(j, "cached");
	json_bool(j, r->cached);
	json_key(j, "deduplicated");
	json_bool(j, r->deduplicated);
	json_key(j, "attempts");
	json_uint(j, r->attempts);
	json_key(j, "exit_code");
	if (r->exit_code >= 0)
		json_int(j, r->exit_code);
	else
		json_null(j);
	json_key(j, "signal");
	if (r->term_signal)
		json_int(j, r->term_signal);
	else
		json_null(j);
	json_fingerprint(j, r);
	json_hash(j, "commit", r->has_commit, r->commit);
	json_hash(j, "result", r->result.type != CASHET_CONTENT_NONE, r->result.digest);
	json_text(j, "result_type", type_name(r->result.type));
	json_hash(j, "output", r->output.type != CASHET_CONTENT_NONE, r->output.digest);
	json_hash(j, "log", r->log.type != CASHET_CONTENT_NONE, r->log.digest);
	json_outputs(j, r);
	json_text(j, "worker", r->worker);
	json_key(j, "duration_ms");
	json_double(j, (double)(r->duration_ns / 1000) / 1000);
	json_text(j, "error", r->error);
	json_metrics(j, r);
	json_end_object(j);
}

void json_batch(struct json *j, struct buf *out, const struct cashet_batch *batch)
{
	json_begin(j, out);
	json_key(j, "batch");
	json_string(j, batch->batch);
	json_text(j, "name", batch->name);
	json_key(j, "ended");
	json_bool(j, batch->ended);
	json_counts(j, &batch->counts, !batch->ended);
}

int json_pass(struct cli *cli, struct buf *out)
{
	return out->size >= PIECE ? cli_write(cli, out) : 0;
}

int show_json(struct cli *cli, struct cashet_results *results)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	struct cashet_error e;
	json_batch(&j, &out, cashet_results_batch(results));
	json_key(&j, "tasks");
	json_array(&j);
	for (;;) {
		const struct cashet_result *r;
		if (cashet_results_next(results, &r, &e))
			return cli_fail(cli, &e);
		if (!r)
			break;
		json_result(&j, r);
		int failed = json_pass(cli, &out);
		if (failed)
			return failed;
	}
	json_end_array(&j);
	return json_finish(cli, &j);
}
