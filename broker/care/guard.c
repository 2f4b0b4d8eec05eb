/* guard.c - see guard.h.
 *
 * A claim of a worker stands while it holds leases; that of a client until it seals a batch. Both end
 * by themselves after CLAIM_NS at the latest: two generations of them are kept, and the older one is
 * forgotten. When there are too many, that happens earlier; guard_chunk() and the check of results
 * then find what is missing. */
#include "broker/care/guard.h"

#include "broker/broker.h"
#include "broker/care/set64.h"
#include "broker/handlers/import.h"
#include "common/clock.h"
#include "common/pure/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_NS (1800 * NS_PER_S) /* of one generation */
#define CLAIMS_MAX (1u << 20)
#define SWEPT_NS (3600 * NS_PER_S)

struct claims { /* by digest: who, and when */
	struct set64 owner, since;
};

struct guard {
	bool on, closed;
	struct set64 digests;
	struct set64 commit_set;
	uint64_t *commits;
	size_t commit_count, commit_capacity;
	struct set64 dying, dying_commits;
	uint64_t swept_ns;   /* 0: never */
	struct set64 sealed; /* by key: when that client last sealed a batch */

	pthread_mutex_t lock; /* of the rest */
	struct claims young, old;
	uint64_t young_ns;
};

static uint64_t word(const uint8_t *bytes)
{
	uint64_t w;
	memcpy(&w, bytes, sizeof w);
	return w;
}

void guard_init(struct broker *b)
{
	b->guard = mem_alloc(sizeof *b->guard);
	pthread_mutex_init(&b->guard->lock, NULL);
	b->guard->young_ns = b->now;
}

static void claims_fini(struct claims *c)
{
	set64_fini(&c->owner);
	set64_fini(&c->since);
}

void guard_fini(struct broker *b)
{
	struct guard *g = b->guard;
	if (!g)
		return;
	set64_fini(&g->digests);
	set64_fini(&g->commit_set);
	set64_fini(&g->dying);
	set64_fini(&g->dying_commits);
	set64_fini(&g->sealed);
	claims_fini(&g->young);
	claims_fini(&g->old);
	free(g->commits);
	pthread_mutex_destroy(&g->lock);
	free(g);
	b->guard = NULL;
}

/* ---- watching ---- */

void guard_watch(struct broker *b, bool on)
{
	struct guard *g = b->guard;
	set64_fini(&g->digests);
	set64_fini(&g->commit_set);
	g->commit_count = 0;
	g->on = on;
	g->closed = on && import_is_open(b);
}

void guard_close(struct broker *b)
{
	b->guard->closed = true;
}

void guard_digest(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	if (b->guard && b->guard->on)
		set64_put(&b->guard->digests, word(digest), 0);
}

void guard_commit(struct broker *b, uint64_t seq)
{
	struct guard *g = b->guard;
	if (!g || !g->on || !set64_put(&g->commit_set, seq, 0))
		return;
	mem_grow(g->commits, g->commit_count, g->commit_capacity);
	g->commits[g->commit_count++] = seq;
}

bool guard_has_commit(const struct broker *b, uint64_t seq)
{
	return set64_has(&b->guard->commit_set, seq);
}

const uint64_t *guard_commits(const struct broker *b, size_t *from, size_t *countp)
{
	const struct guard *g = b->guard;
	*countp = g->commit_count - *from;
	if (!*countp)
		return NULL;
	const uint64_t *first = g->commits + *from;
	*from = g->commit_count;
	return first;
}

/* ---- claims ---- */

void guard_claim(void *arg, const uint8_t key[KEY_SIZE],
		 const uint8_t digest[DIGEST_SIZE])
{
	struct guard *g = ((struct broker *)arg)->guard;
	uint64_t now = clock_mono_ns();
	pthread_mutex_lock(&g->lock);
	if (now - g->young_ns > CLAIM_NS || g->young.owner.count > CLAIMS_MAX) {
		claims_fini(&g->old);
		g->old = g->young;
		g->young = (struct claims){0};
		g->young_ns = now;
	}
	set64_put(&g->young.owner, word(digest), word(key));
	set64_put(&g->young.since, word(digest), now);
	pthread_mutex_unlock(&g->lock);
}

static bool is_busy_worker(struct broker *b, uint64_t owner, bool *is_workerp)
{
	*is_workerp = false;
	for (uint32_t i = 0; i < b->workers.count; i++) {
		struct worker *w = worker_get(b, i);
		struct core_worker_view view;
		if (!w || word(w->key) != owner)
			continue;
		*is_workerp = true;
		if (!core_view_worker(b->core, i, &view) && view.running + view.queued)
			return true;
	}
	return false;
}

static bool is_sending(struct broker *b, uint64_t owner)
{
	struct list *at;
	list_for_each (at, &b->batches.unsealed) {
		const struct batch *batch = container_of(at, struct batch, unsealed);
		if (word(batch->client_key) == owner)
			return true;
	}
	return false;
}

static bool stands(struct broker *b, const struct claims *c, uint64_t digest)
{
	uint64_t owner, since, sealed = 0;
	bool is_worker;
	if (!set64_get(&c->owner, digest, &owner) ||
	    !set64_get(&c->since, digest, &since) || b->now > since + 2 * CLAIM_NS)
		return false;
	if (is_busy_worker(b, owner, &is_worker) || is_sending(b, owner))
		return true;
	set64_get(&b->guard->sealed, owner, &sealed);
	return !is_worker && since >= sealed;
}

bool guard_doom(struct broker *b, const uint8_t digest[DIGEST_SIZE], bool object)
{
	struct guard *g = b->guard;
	if (g->closed || set64_has(&g->digests, word(digest)))
		return false;
	pthread_mutex_lock(&g->lock);
	bool claimed =
		stands(b, &g->young, word(digest)) || stands(b, &g->old, word(digest));
	/* Under the lock: who claims from now on asks the store after this, and saves it. */
	if (!claimed && object)
		cas_doom(b->cas, digest);
	pthread_mutex_unlock(&g->lock);
	if (!claimed)
		presence_drop(b, digest);
	return !claimed;
}

/* ---- dying ---- */

void guard_dying(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	set64_put(&b->guard->dying, word(digest), 1);
}

void guard_dying_commit(struct broker *b, uint64_t seq)
{
	set64_put(&b->guard->dying_commits, seq, 1);
}

bool guard_is_dying(const struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	uint64_t dying = 0;
	if (!b->guard || !b->guard->dying.count)
		return false;
	set64_get(&b->guard->dying, word(digest), &dying);
	return dying;
}

bool guard_is_dying_commit(const struct broker *b, uint64_t seq)
{
	return b->guard->dying_commits.count && set64_has(&b->guard->dying_commits, seq);
}

void guard_revive(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	if (guard_is_dying(b, digest))
		set64_put(&b->guard->dying, word(digest), 0);
}

void guard_died(struct broker *b)
{
	set64_fini(&b->guard->dying);
	set64_fini(&b->guard->dying_commits);
}

/* ---- batches ---- */

void guard_sealed(struct broker *b, const uint8_t key[KEY_SIZE])
{
	struct guard *g = b->guard;
	if (g->sealed.count > CLAIMS_MAX)
		set64_fini(&g->sealed);
	set64_put(&g->sealed, word(key), clock_mono_ns());
}

void guard_swept(struct broker *b)
{
	b->guard->swept_ns = b->now;
}

static bool is_there(struct broker *b, const struct content *c,
		     uint8_t missing[DIGEST_SIZE])
{
	static const uint8_t none[DIGEST_SIZE];
	if (c->type == CONTENT_NONE || c->type == CONTENT_EXTERN ||
	    memcmp(c->digest, none, DIGEST_SIZE) == 0 || presence_is_whole(b, c))
		return true;
	memcpy(missing, c->digest, DIGEST_SIZE);
	return false;
}

static int check_task(struct broker *b, const struct core_task_spec *t,
		      uint8_t missing[DIGEST_SIZE])
{
	struct args args = {0};
	if (!args_may_have_inputs(t->args, t->args_size) ||
	    args_decode(t->args, t->args_size, &args))
		return 0;
	int rc = 0;
	for (size_t i = 0; i < args.input_count && !rc; i++)
		rc = !is_there(b, &args.inputs[i].content, missing);
	args_fini(&args);
	return rc;
}

static int check_code(struct broker *b, const struct function *f,
		      uint8_t missing[DIGEST_SIZE])
{
	struct content code = {.type = CONTENT_FILE};
	for (size_t k = 0; k < f->code_count; k++) {
		memcpy(code.digest, f->code[k].digest, DIGEST_SIZE);
		/* others are in the source */
		if (f->code[k].scheme == CODE_BYTES && !is_there(b, &code, missing))
			return 1;
	}
	return 0;
}

struct search {
	struct broker *b;
	uint8_t *missing;
	bool found;
};

static bool look(void *arg, const uint8_t digest[DIGEST_SIZE])
{
	struct search *s = arg;
	struct content file = {.type = CONTENT_FILE};
	memcpy(file.digest, digest, DIGEST_SIZE);
	s->found = !is_there(s->b, &file, s->missing);
	return !s->found;
}

/* Functions of a chunk mostly have one source. */
static int check_sources(struct broker *b, const Cashet__SubmitChunk *c,
			 uint8_t missing[DIGEST_SIZE])
{
	const uint8_t *last = NULL;
	for (size_t i = 0; i < c->n_functions; i++) {
		const ProtobufCBinaryData *source = &c->functions[i]->source;
		struct search s = {.b = b, .missing = missing};
		if (!source->len || (last && !memcmp(last, source->data, DIGEST_SIZE)))
			continue;
		last = source->data;
		if (!look(&s, last))
			return 1;
		/* What is no source is found by who lays it out. */
		if (presence_source(b, last, look, &s) == 1) {
			memcpy(missing, last, DIGEST_SIZE);
			return 1;
		}
		if (s.found)
			return 1;
	}
	return 0;
}

int guard_chunk(struct broker *b, const Cashet__SubmitChunk *c,
		const struct chunk_view *view, uint8_t missing[DIGEST_SIZE])
{
	const struct guard *g = b->guard;
	if (!g->on && (!g->swept_ns || b->now - g->swept_ns > SWEPT_NS))
		return 0;
	for (size_t i = 0; i < view->def_count; i++)
		if (check_code(b, &view->defs[i]->decoded, missing))
			return 1;
	if (check_sources(b, c, missing))
		return 1;
	for (uint32_t i = 0; i < view->event.chunk.task_count; i++)
		if (check_task(b, &view->event.chunk.tasks[i], missing))
			return 1;
	for (uint32_t i = 0; i < view->event.chunk.group_count; i++) {
		const struct core_group *group = &view->event.chunk.groups[i];
		for (uint32_t k = 0; k < group->range_count; k++)
			if (!group->ranges[k].count &&
			    !is_there(b, &group->ranges[k].content, missing))
				return 1;
	}
	return 0;
}
