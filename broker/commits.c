/* commits.c - the records that the core's decisions leave: commits, made of a worker's report or, when
 * the work was given up, of what is known; and notices of failed attempts for those who watch. */
#include "broker/broker.h"

#include "broker/handlers/import.h"
#include "broker/handlers/report.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL_BLOB_MAX 65536 /* larger manifests are files */

static void store_blobs(struct broker *b, const struct report *r)
{
	const Cashet__Outcome *o = r->o;
	for (size_t i = 0; i < o->n_blobs; i++) {
		const ProtobufCBinaryData *data = &o->blobs[i]->data;
		if (!data->len || presence_noted(b, r->blob_digests[i]))
			continue;
		ledger_add_blob(b->turn, r->blob_digests[i], data->data, data->len);
		presence_note(b, r->blob_digests[i]);
	}
	if (o->kind != CASHET__OUTCOME__KIND__COMPLETED || !r->manifest.size)
		return;
	const uint8_t *digest = r->slots[SLOT_RESULT].digest;
	if (presence_noted(b, digest))
		return;
	if (r->manifest.size <= JOURNAL_BLOB_MAX) {
		ledger_add_blob(b->turn, digest, r->manifest.data, r->manifest.size);
	} else if (cas_put(b->cas, r->manifest.data, r->manifest.size, digest, NULL)) {
		log_error("manifest not stored", "bytes=%zu", r->manifest.size);
		return;
	}
	presence_note(b, digest);
}

static void error_text(struct buf *out, const Cashet__Outcome *o)
{
	if (o->error[0])
		buf_add_str(out, o->error);
	else if (o->kind == CASHET__OUTCOME__KIND__TIMED_OUT)
		buf_add_str(out, "timed out");
	else if (o->term_signal)
		buf_printf(out, "killed by signal %d", o->term_signal);
	else if (o->kind != CASHET__OUTCOME__KIND__COMPLETED)
		buf_printf(out, "exit %d", o->exit_code);
}

static void from_outcome(struct report *r, struct commit *c)
{
	const Cashet__Outcome *o = r->o;
	c->exit_code = o->exit_code;
	c->term_signal = o->term_signal;
	c->duration_ns = o->duration_ns;
	c->cpu_user_ns = o->cpu_user_ns;
	c->cpu_system_ns = o->cpu_system_ns;
	c->max_rss_bytes = o->max_rss_bytes;
	c->has_stdout = c->has_stderr = true;
	const Cashet__Content *logs[] = {o->stdout_content, o->stderr_content};
	uint8_t *digests[] = {c->stdout_digest, c->stderr_digest};
	uint64_t *sizes[] = {&c->stdout_size, &c->stderr_size};
	for (int i = 0; i < 2; i++) {
		memcpy(digests[i], logs[i] ? logs[i]->digest.data : sha256_empty,
		       DIGEST_SIZE);
		*sizes[i] = logs[i] ? logs[i]->size : 0;
	}
	if (c->status != COMMIT_COMPLETED)
		return;
	c->result = r->slots[SLOT_RESULT];
	c->result_size = o->n_outputs ? r->manifest.size
			 : o->result  ? o->result->size
				      : c->stdout_size;
	c->output_count = o->n_outputs;
	c->metric_count = o->n_metrics;
	if (o->n_outputs)
		c->outputs = mem_alloc(o->n_outputs * sizeof *c->outputs);
	if (o->n_metrics)
		c->metrics = mem_alloc(o->n_metrics * sizeof *c->metrics);
	for (size_t i = 0; i < o->n_outputs; i++)
		c->outputs[i] =
			(struct commit_output){.name = o->outputs[i]->name,
					       .path = o->outputs[i]->path,
					       .content = r->slots[SLOT_OUTPUT + i],
					       .size = o->outputs[i]->content->size};
	for (size_t i = 0; i < o->n_metrics; i++)
		c->metrics[i] = (struct commit_metric){.name = o->metrics[i]->name,
						       .is_text = o->metrics[i]->is_text,
						       .text = o->metrics[i]->text,
						       .number = o->metrics[i]->number};
}

/* Commits that no report caused: the core gave the work up. */
static void given_up(struct broker *b, const struct core_effect *fx, struct buf *text)
{
	char hex[HEX_DIGEST_SIZE];
	if (fx->commit.quarantined) {
		buf_printf(text,
			   "quarantined: killed %u workers:", fx->commit.killer_count);
		for (uint32_t i = 0; i < fx->commit.killer_count; i++) {
			const char *how = life_last_death(b, fx->commit.killers[i]);
			buf_printf(text, "%s %s%s%s%s", i ? "," : "",
				   worker_name(b, fx->commit.killers[i]), how ? " (" : "",
				   how ? how : "", how ? ")" : "");
		}
	} else if (fx->commit.lost_input) {
		buf_printf(
			text,
			"its input %s is gone from the store and nothing makes it again",
			hex_encode(hex, fx->commit.missing, DIGEST_SIZE));
	} else {
		buf_add_str(text, "lost");
	}
}

static void name_commit(struct broker *b, const struct core_effect *fx, struct commit *c)
{
	const struct batch *batch = batch_find_number(b, fx->batch);
	const struct core_lease *lease = &fx->commit.lease;
	c->name = "";
	c->index = fx->index;
	if (batch && fx->commit.function < batch->function_count) {
		const struct batch_function *f = &batch->functions[fx->commit.function];
		const struct batch_options *o = &batch->options[f->options];
		c->name = f->name;
		c->ttl_s = o->ttl_s;
		c->options = o->packed;
		c->options_size = o->packed_size;
		c->has_source = f->has_source;
		memcpy(c->source, f->source, DIGEST_SIZE);
		memcpy(c->func_hash, f->def->hash, DIGEST_SIZE);
		memcpy(c->batch, batch->id, DIGEST_SIZE);
	}
	c->worker_name = "";
	if (!lease->epoch)
		return;
	memcpy(c->func_hash, lease->func_hash, DIGEST_SIZE);
	c->has_nonce = lease->has_nonce;
	memcpy(c->nonce, lease->nonce, NONCE_SIZE);
	c->worker_name = worker_name(b, lease->worker_key);
	memcpy(c->worker_key, lease->worker_key, KEY_SIZE);
	c->epoch = lease->epoch;
}

void report_commit(struct broker *b, const struct core_effect *fx)
{
	struct report *r = report_find(b, fx->commit.token);
	struct commit c = {.status = fx->commit.completed ? COMMIT_COMPLETED
							  : COMMIT_FAILED,
			   .args = fx->commit.args,
			   .args_size = fx->commit.args_size,
			   .attempts = fx->commit.attempts,
			   .exit_code = -1,
			   .error = "",
			   .ended_wall_ms = clock_wall_ms()};
	CLEANUP_BUF struct buf error = {0};
	name_commit(b, fx, &c);
	if (r) {
		from_outcome(r, &c);
		store_blobs(b, r);
		if (!fx->commit.completed)
			error_text(&error, r->o);
	} else if (!fx->commit.completed) {
		given_up(b, fx, &error);
	}
	if (error.size)
		c.error = buf_cstr(&error);
	bool current = fx->commit.completed && fx->commit.cache != CORE_CACHE_OFF;
	ledger_add_commit(b->turn, fx->commit.commit, fx->commit.parent, current, &c);
	if (current)
		import_made(b, &c);
	if (fx->commit.completed)
		presence_note_commit(b, fx->commit.commit);
	struct worker *w = r ? worker_get(b, r->worker) : NULL;
	if (w && fx->commit.completed)
		w->done++;
	free(c.outputs);
	free(c.metrics);
}

/* ---- notices ---- */

void report_failed(struct broker *b, const struct core_effect *fx)
{
	const struct report *r = report_find(b, fx->failed.token);
	struct worker *w = worker_get(b, fx->worker);
	struct batch *batch = batch_find_number(b, fx->batch);
	CLEANUP_BUF struct buf error = {0};
	if (r)
		error_text(&error, r->o);
	else if (fx->failed.died)
		buf_add_str(&error, "its worker died");
	else
		buf_add_str(&error, "failed");
	if (w)
		w->failed++;
	if (!batch)
		return;
	const char *name = "";
	if (fx->failed.function < batch->function_count)
		name = batch->functions[fx->failed.function].name;
	struct watch_notice notice = {.index = fx->index,
				      .attempt = fx->failed.attempt,
				      .attempts = fx->failed.attempts_max,
				      .final = fx->failed.final,
				      .name = (char *)name,
				      .worker = w ? w->name : (char *)"",
				      .error = (char *)buf_cstr(&error)};
	watch_notice(b, batch, &notice);
}
