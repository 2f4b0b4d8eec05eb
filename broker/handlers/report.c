/* report.c - what a worker reports about an attempt, checked, and made into a commit.
 *
 * An Outcome is believed as far as it can be checked: sizes and types, outputs that are those of
 * the function, bytes that are in the store or in the message. What it carries is recorded in the
 * turn that accepts it and only then, so a stale report changes nothing.
 *
 * The core's effects name a report by token. Mostly they follow in the same step, and the message
 * is still there; a report of a lease from before a restart may have to wait until its task was
 * looked up, and is copied (parked) until its verdict. */
#include "broker/broker.h"

#include "broker/care/guard.h"
#include "broker/checkpoint.h"
#include "broker/handlers/report.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_TEXT_MAX 16384
#define METRICS_MAX 4096
#define MISSING_MAX 4096 /* named in one answer; the rest in the next */
#define PARKED_MAX 16384
#define PARKED_NS (600 * NS_PER_S)

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

/* What a call returns is its result; that of a command is what it leaves. */
static const char *check_result(const Cashet__Content *c, const struct function *f)
{
	if (!function_is_call(f))
		return c ? "the result of a call, from a command" : NULL;
	if (!c || !wire_is(&c->digest, DIGEST_SIZE) ||
	    (c->type != CONTENT_FILE && c->type != CONTENT_JSON &&
	     c->type != CONTENT_PICKLE))
		return "a call without a result";
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
	}
	return NULL;
}

static const char *check_outcome(const Cashet__Outcome *o, const struct function_def *def)
{
	if ((unsigned)o->kind > CORE_OUT_NO_ROOM)
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
	const char *checkpoint = checkpoint_check(o);
	if (checkpoint)
		return checkpoint;
	if (o->kind != CASHET__OUTCOME__KIND__COMPLETED)
		return o->n_outputs || o->result ? "outputs of a failure" : NULL;
	const char *wrong = check_result(o->result, &def->decoded);
	if (!wrong)
		wrong = check_outputs(o, &def->decoded);
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

/* The blob as it came in the message, or NULL. */
static const Cashet__InlineBlob *find_inline(const struct report *r,
					     const uint8_t digest[DIGEST_SIZE])
{
	for (size_t i = 0; i < r->o->n_blobs; i++) {
		if (!memcmp(r->blob_digests[i], digest, DIGEST_SIZE))
			return r->o->blobs[i];
	}
	return NULL;
}

struct needing {
	struct broker *b;
	struct report *r;
};

static bool need(void *arg, const uint8_t digest[DIGEST_SIZE])
{
	const struct needing *n = arg;
	struct report *r = n->r;
	if (find_inline(r, digest) || presence_has(n->b, digest))
		return true;
	mem_grow(r->missing, r->missing_count, r->missing_room);
	memcpy(r->missing[r->missing_count++], digest, DIGEST_SIZE);
	return r->missing_count < MISSING_MAX;
}

/* need_content() - Return: NULL, or what is wrong with it. */
static const char *need_content(struct needing *n, const Cashet__Content *c)
{
	if (!c)
		return NULL;
	size_t before = n->r->missing_count;
	need(n, c->digest.data);
	if (c->type != CONTENT_TREE || n->r->missing_count > before)
		return NULL;
	const Cashet__InlineBlob *tree = find_inline(n->r, c->digest.data);
	switch (presence_tree(n->b, c->digest.data, tree ? tree->data.data : NULL,
			      tree ? tree->data.len : 0, need, n)) {
	case 1: /* it was there a moment ago: corrupt */
		presence_forget(n->b);
		mem_grow(n->r->missing, n->r->missing_count, n->r->missing_room);
		memcpy(n->r->missing[n->r->missing_count++], c->digest.data, DIGEST_SIZE);
		return NULL;
	case 2:
		return "a folder whose content is none";
	default:
		return NULL;
	}
}

static const char *find_missing(struct broker *b, struct report *r)
{
	const Cashet__Outcome *o = r->o;
	struct needing n = {b, r};
	r->missing_count = 0;
	hash_inline(r, o);
	const char *wrong = need_content(&n, o->stdout_content);
	if (!wrong)
		wrong = need_content(&n, o->stderr_content);
	if (!wrong && o->checkpoint)
		wrong = need_content(&n, o->checkpoint->content);
	if (!wrong)
		wrong = need_content(&n, o->result);
	for (size_t i = 0; !wrong && i < o->n_outputs; i++)
		wrong = need_content(&n, o->outputs[i]->content);
	return wrong;
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
	else if (r->o->result)
		content_of(&r->slots[SLOT_RESULT], r->o->result);
	else
		r->slots[SLOT_RESULT] = r->slots[SLOT_STDOUT];
	r->slot_count = (uint32_t)count;
}

/* ---- those that wait for their verdict ---- */

static void report_free(struct report *r)
{
	if (r->copy)
		cashet__outcome__free_unpacked(r->copy, NULL);
	free(r->slots);
	free(r->missing);
	free(r->blob_digests);
	buf_fini(&r->manifest);
	free(r);
}

static void unpark(struct reports *all, struct report *r)
{
	list_del(&r->node);
	all->parked_count--;
	report_free(r);
}

static void park(struct broker *b, const struct report *r)
{
	struct reports *all = b->reports;
	if (all->parked_count >= PARKED_MAX)
		unpark(all, container_of(all->parked.next, struct report, node));
	CLEANUP_BUF struct buf packed = {0};
	uint8_t *to = buf_reserve(&packed, cashet__outcome__get_packed_size(r->o));
	assert(to);
	packed.size = cashet__outcome__pack(r->o, to);
	struct report *copy = mem_alloc(sizeof *copy);
	copy->copy = cashet__outcome__unpack(NULL, packed.size, packed.data);
	assert(copy->copy);
	copy->o = copy->copy;
	copy->token = r->token;
	copy->worker = r->worker;
	copy->since_ns = b->now;
	hash_inline(copy, copy->o);
	if (copy->o->kind == CASHET__OUTCOME__KIND__COMPLETED)
		make_slots(copy);
	list_init(&copy->node);
	list_add_tail(&all->parked, &copy->node);
	all->parked_count++;
}

struct report *report_find(struct broker *b, uint64_t token)
{
	struct reports *all = b->reports;
	if (!token)
		return NULL;
	if (all->now->o && all->now->token == token)
		return all->now;
	struct list *at;
	list_for_each (at, &all->parked) {
		struct report *r = container_of(at, struct report, node);
		if (r->token == token)
			return r;
	}
	return NULL;
}

void reports_guard(struct broker *b)
{
	struct list *at;
	list_for_each (at, &b->reports->parked) {
		const struct report *r = container_of(at, struct report, node);
		const Cashet__Content *logs[] = {r->o->stdout_content,
						 r->o->stderr_content};
		for (int i = 0; i < 2; i++)
			if (logs[i])
				presence_has(b, logs[i]->digest.data);
		for (uint32_t i = 0; i < r->slot_count; i++)
			presence_is_whole(b, &r->slots[i]);
		for (size_t i = 0; i < r->o->n_blobs; i++)
			guard_digest(b, r->blob_digests[i]);
	}
}

void reports_settle(struct broker *b)
{
	struct reports *all = b->reports;
	struct list *at, *next;
	if (!all->parked_count || (!all->answered && b->now < all->next_look_ns))
		return;
	all->answered = false;
	all->next_look_ns = b->now + NS_PER_S;
	list_for_each_safe (at, next, &all->parked) {
		struct report *r = container_of(at, struct report, node);
		if (r->answered || b->now - r->since_ns > PARKED_NS)
			unpark(all, r);
	}
}

void report_init(struct broker *b)
{
	b->reports = mem_alloc(sizeof *b->reports);
	b->reports->now = mem_alloc(sizeof *b->reports->now);
	list_init(&b->reports->parked);
}

void report_fini(struct broker *b)
{
	struct reports *all = b->reports;
	if (!all)
		return;
	while (all->parked_count)
		unpark(all, container_of(all->parked.next, struct report, node));
	report_free(all->now);
	free(all);
	b->reports = NULL;
}

/* ---- taking it ---- */

static void take(struct broker *b, struct worker *w, const Cashet__Outcome *o)
{
	struct report *r = b->reports->now;
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
			     .token = ++b->reports->tokens,
			     .worker = w->number};
	struct function_def *def = function_def_find(b, lease->func_hash);
	if (!def) { /* no live batch has it, so nobody waits for it */
		worker_ack(b, w, lease->epoch, CORE_STALE, NULL, 0);
		return;
	}
	const char *wrong = check_outcome(o, def);
	if (!wrong)
		wrong = find_missing(b, r);
	if (wrong) {
		b->refused_messages++;
		log_warn("result refused", "worker=%s why=%s", w->name, wrong);
		worker_ack(b, w, lease->epoch, CORE_MALFORMED, NULL, 0);
		return;
	}
	if (r->missing_count) {
		worker_ack(b, w, lease->epoch, CORE_BLOB_MISSING,
			   (const uint8_t(*)[DIGEST_SIZE])r->missing, r->missing_count);
		return;
	}
	event.result.outcome = (enum core_outcome)o->kind;
	event.result.token = r->token;
	if (o->kind == CASHET__OUTCOME__KIND__COMPLETED) {
		make_slots(r);
		event.result.slots = r->slots;
		event.result.slot_count = r->slot_count;
	} else if (o->kind == CASHET__OUTCOME__KIND__INPUT_MISSING) {
		char digest[HEX_DIGEST_SIZE];
		memcpy(event.result.missing, o->missing.data, DIGEST_SIZE);
		hex_encode(digest, o->missing.data, DIGEST_SIZE);
		log_info("input missing, it is made again", "worker=%s digest=%s",
			 w->name, digest);
		presence_forget(b);
	}
	broker_step(b, &event);
	if (!r->answered)
		park(b, r);
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
	struct report *r = report_find(b, fx->verdict.token);
	if (r)
		r->answered = b->reports->answered = true;
	if (r && fx->verdict.verdict == CORE_ACCEPTED)
		checkpoint_take(b, r->o);
	if (!w || !fx->verdict.token)
		return;
	if (fx->verdict.verdict == CORE_STALE)
		log_info("stale result refused", "worker=%s epoch=%llu", w->name,
			 (unsigned long long)fx->verdict.epoch);
	worker_ack(b, w, fx->verdict.epoch, fx->verdict.verdict, NULL, 0);
}
