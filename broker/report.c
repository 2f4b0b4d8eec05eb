/* report.c - what a worker reports about an attempt, checked, and made into a commit.
 *
 * An Outcome is believed as far as it can be checked: sizes and types, outputs that are those of
 * the function, bytes that are in the store or in the message. What it carries is recorded in the
 * turn that accepts it and only then, so a stale report changes nothing. The report lives while
 * its event is stepped: the core's effects name it by token. */
#include "broker/broker.h"

#include "broker/report.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_TEXT_MAX 16384
#define METRICS_MAX 4096
#define JOURNAL_BLOB_MAX 65536 /* larger manifests are files */
#define REPORT_TOKEN 1

static bool is_digest_of_file(const Cashet__Content *c)
{
	return !c || (c->type == CONTENT_FILE && wire_is(&c->digest, DIGEST_SIZE));
}

static const char *check_outputs(const Cashet__Outcome *o, const struct function *f)
{
	if (o->n_outputs != f->output_count)
		return "not the outputs of its function";
	for (size_t i = 0; i < o->n_outputs; i++) {
		const Cashet__Output *out = o->outputs[i];
		const Cashet__Content *c = out->content;
		if (strcmp(out->name, f->outputs[i].name) != 0 ||
		    strcmp(out->path, f->outputs[i].value) != 0)
			return "not the outputs of its function";
		if (!c || !wire_is(&c->digest, DIGEST_SIZE) ||
		    (c->type != CONTENT_FILE && c->type != CONTENT_EXEC &&
		     c->type != CONTENT_TREE))
			return "an output without content";
	}
	return NULL;
}

static const char *check_metrics(const Cashet__Outcome *o)
{
	if (o->n_metrics > METRICS_MAX)
		return "too many metrics";
	for (size_t i = 0; i < o->n_metrics; i++) {
		const Cashet__Metric *m = o->metrics[i];
		if (!m->name[0] || (i && strcmp(o->metrics[i - 1]->name, m->name) >= 0))
			return "metrics without names or out of order";
		if (!m->is_text && !isfinite(m->number))
			return "a metric that is not a number";
	}
	return NULL;
}

static const char *check_outcome(const Cashet__Outcome *o, const struct function_def *def)
{
	if ((unsigned)o->kind > CORE_OUT_REJECTED)
		return "an unknown kind of outcome";
	if (strlen(o->error) > ERROR_TEXT_MAX)
		return "an error text over 16 KiB";
	if (!is_digest_of_file(o->stdout_content) ||
	    !is_digest_of_file(o->stderr_content))
		return "standard output or error that is not a file";
	if (o->kind == CASHET__OUTCOME__KIND__INPUT_MISSING &&
	    !wire_is(&o->missing, DIGEST_SIZE))
		return "no digest of what is missing";
	for (size_t i = 0; i < o->n_blobs; i++) {
		if (o->blobs[i]->data.len > INLINE_MAX)
			return "an inline blob over the limit";
	}
	if (o->kind != CASHET__OUTCOME__KIND__COMPLETED)
		return o->n_outputs ? "outputs of a failure" : NULL;
	const char *wrong = check_outputs(o, &def->decoded);
	return wrong ? wrong : check_metrics(o);
}

/* ---- are its bytes there? ---- */

static void hash_inline(struct report *r, const Cashet__Outcome *o)
{
	if (o->n_blobs > r->blob_room) {
		free(r->blob_digests);
		r->blob_digests = mem_alloc(o->n_blobs * sizeof *r->blob_digests);
		r->blob_room = o->n_blobs;
	}
	for (size_t i = 0; i < o->n_blobs; i++)
		sha256_digest(o->blobs[i]->data.data, o->blobs[i]->data.len,
			      r->blob_digests[i]);
}

static void need(struct broker *b, struct report *r, const Cashet__Content *c)
{
	if (!c || !memcmp(c->digest.data, sha256_empty, DIGEST_SIZE))
		return;
	for (size_t i = 0; i < r->o->n_blobs; i++) {
		if (!memcmp(r->blob_digests[i], c->digest.data, DIGEST_SIZE))
			return;
	}
	if (lookup_has(b, c->digest.data))
		return;
	mem_grow(r->missing, r->missing_count, r->missing_room);
	memcpy(r->missing[r->missing_count++], c->digest.data, DIGEST_SIZE);
}

static void find_missing(struct broker *b, struct report *r)
{
	const Cashet__Outcome *o = r->o;
	r->missing_count = 0;
	hash_inline(r, o);
	need(b, r, o->stdout_content);
	need(b, r, o->stderr_content);
	for (size_t i = 0; i < o->n_outputs; i++)
		need(b, r, o->outputs[i]->content);
}

/* ---- slots ---- */

static void content_of(struct content *to, const Cashet__Content *from)
{
	to->type = from ? (uint8_t)from->type : CONTENT_FILE;
	memcpy(to->digest, from ? from->digest.data : sha256_empty, DIGEST_SIZE);
}

static void make_manifest(struct report *r)
{
	struct content_entries entries = {0};
	for (size_t i = 0; i < r->o->n_outputs; i++) {
		const Cashet__Output *out = r->o->outputs[i];
		struct content content;
		content_of(&content, out->content);
		if (content_entries_add(&entries, out->name, out->path, &content,
					out->content->size))
			abort(); /* out of memory */
	}
	buf_reset(&r->manifest);
	content_encode_result(&r->manifest, &entries);
	content_entries_fini(&entries);
	assert(!r->manifest.failed);
	r->slots[SLOT_RESULT].type = CONTENT_RESULT;
	sha256_digest(r->manifest.data, r->manifest.size, r->slots[SLOT_RESULT].digest);
}

static void make_slots(struct report *r)
{
	size_t count = SLOT_OUTPUT + r->o->n_outputs;
	if (count > r->slot_room) {
		free(r->slots);
		r->slots = mem_alloc(count * sizeof *r->slots);
		r->slot_room = count;
	}
	content_of(&r->slots[SLOT_STDOUT], r->o->stdout_content);
	for (size_t i = 0; i < r->o->n_outputs; i++)
		content_of(&r->slots[SLOT_OUTPUT + i], r->o->outputs[i]->content);
	r->manifest.size = 0;
	if (r->o->n_outputs)
		make_manifest(r);
	else
		r->slots[SLOT_RESULT] = r->slots[SLOT_STDOUT];
	r->slot_count = (uint32_t)count;
}

/* ---- taking it ---- */

static void take(struct broker *b, struct worker *w, const Cashet__Outcome *o)
{
	struct report *r = b->report;
	struct core_event event = {.type = CORE_EV_RESULT, .worker = w->number};
	struct core_lease *lease = &event.result.lease;
	if (!o->lease || worker_lease(b, o->lease, lease, &event.batch)) {
		b->refused_messages++;
		log_warn("result refused", "worker=%s why=malformed lease", w->name);
		return;
	}
	event.index = lease->index;
	*r = (struct report){.slots = r->slots,
			     .slot_room = r->slot_room,
			     .missing = r->missing,
			     .missing_room = r->missing_room,
			     .blob_digests = r->blob_digests,
			     .blob_room = r->blob_room,
			     .manifest = r->manifest,
			     .o = o,
			     .worker = w->number};
	struct function_def *def = function_def_find(b, lease->func_hash);
	if (!def) { /* no live batch has it, so nobody waits for it */
		worker_ack(b, w, lease->epoch, CORE_STALE, NULL, 0);
		return;
	}
	const char *wrong = check_outcome(o, def);
	if (wrong) {
		b->refused_messages++;
		log_warn("result refused", "worker=%s why=%s", w->name, wrong);
		worker_ack(b, w, lease->epoch, CORE_MALFORMED, NULL, 0);
		return;
	}
	find_missing(b, r);
	if (r->missing_count) {
		worker_ack(b, w, lease->epoch, CORE_BLOB_MISSING,
			   (const uint8_t(*)[DIGEST_SIZE])r->missing, r->missing_count);
		return;
	}
	event.result.outcome = (enum core_outcome)o->kind;
	event.result.token = REPORT_TOKEN;
	if (o->kind == CASHET__OUTCOME__KIND__COMPLETED) {
		make_slots(r);
		event.result.slots = r->slots;
		event.result.slot_count = r->slot_count;
	} else if (o->kind == CASHET__OUTCOME__KIND__INPUT_MISSING) {
		memcpy(event.result.missing, o->missing.data, DIGEST_SIZE);
		lookup_forget(b);
	}
	broker_step(b, &event);
	r->o = NULL;
}

void handle_results(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__Results *results = e->results;
	peer_handle handle = peer->handle;
	struct worker *w = peer->worker;
	for (size_t i = 0; i < results->n_outcomes; i++) {
		take(b, w, results->outcomes[i]);
		peer = peer_get(b, handle);
		if (!peer || peer->worker != w)
			return;
	}
	w->heard_ns = b->now;
	if (results->credit == w->credit)
		return;
	w->credit = results->credit;
	struct core_event event = {
		.type = CORE_EV_WORKER_CREDIT, .worker = w->number, .credit = w->credit};
	broker_step(b, &event);
}

void report_verdict(struct broker *b, const struct core_effect *fx)
{
	struct worker *w = worker_get(b, fx->worker);
	if (!w || !fx->verdict.token)
		return;
	if (fx->verdict.verdict == CORE_STALE)
		log_info("stale result refused", "worker=%s epoch=%llu", w->name,
			 (unsigned long long)fx->verdict.epoch);
	worker_ack(b, w, fx->verdict.epoch, fx->verdict.verdict, NULL, 0);
}

/* ---- commits ---- */

static void store_blobs(struct broker *b, const struct report *r)
{
	const Cashet__Outcome *o = r->o;
	for (size_t i = 0; i < o->n_blobs; i++) {
		const ProtobufCBinaryData *data = &o->blobs[i]->data;
		if (!data->len || lookup_noted(b, r->blob_digests[i]))
			continue;
		ledger_add_blob(b->turn, r->blob_digests[i], data->data, data->len);
		lookup_note_blob(b, r->blob_digests[i]);
	}
	const uint8_t *digest = r->slots[SLOT_RESULT].digest;
	if (o->kind != CASHET__OUTCOME__KIND__COMPLETED || !r->manifest.size ||
	    lookup_noted(b, digest))
		return;
	if (r->manifest.size <= JOURNAL_BLOB_MAX) {
		ledger_add_blob(b->turn, digest, r->manifest.data, r->manifest.size);
	} else if (cas_put(b->cas, r->manifest.data, r->manifest.size, digest, NULL)) {
		log_error("manifest not stored", "bytes=%zu", r->manifest.size);
		return;
	}
	lookup_note_blob(b, digest);
}

void report_error_text(struct buf *out, const Cashet__Outcome *o)
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
	c->result_size = o->n_outputs ? r->manifest.size : c->stdout_size;
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
	struct report *r = fx->commit.token ? b->report : NULL;
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
	if (r && r->o) {
		from_outcome(r, &c);
		store_blobs(b, r);
		if (!fx->commit.completed)
			report_error_text(&error, r->o);
	} else if (!fx->commit.completed) {
		given_up(b, fx, &error);
	}
	if (error.size)
		c.error = buf_cstr(&error);
	bool current = fx->commit.completed && fx->commit.cache != CORE_CACHE_OFF;
	ledger_add_commit(b->turn, fx->commit.commit, fx->commit.parent, current, &c);
	if (fx->commit.completed)
		lookup_note_commit(b, fx->commit.commit);
	struct worker *w = r && r->o ? worker_get(b, r->worker) : NULL;
	if (w && fx->commit.completed)
		w->done++;
	free(c.outputs);
	free(c.metrics);
}

/* ---- notices ---- */

void report_failed(struct broker *b, const struct core_effect *fx)
{
	struct report *r = fx->failed.token && b->report->o ? b->report : NULL;
	struct worker *w = worker_get(b, fx->worker);
	struct batch *batch = batch_find_number(b, fx->batch);
	CLEANUP_BUF struct buf error = {0};
	if (r)
		report_error_text(&error, r->o);
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

void report_fini(struct broker *b)
{
	struct report *r = b->report;
	if (!r)
		return;
	free(r->slots);
	free(r->missing);
	free(r->blob_digests);
	buf_fini(&r->manifest);
	free(r);
	b->report = NULL;
}

void report_init(struct broker *b)
{
	b->report = mem_alloc(sizeof *b->report);
}
