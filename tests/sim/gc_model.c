/* gc_model.c - gc beside everything else: the real graph of what needs what (broker/care/graph.h),
 * between models of the rest. It goes through the steps of the real one, with time between them:
 *
 *   begin   what is relied on from now on is watched; all that was decided before becomes durable
 *   mark    the graph of what is on disk then, and the choice
 *   forget  the last moment at which a hit keeps all that it has brought
 *   doom    a lot of blobs that nothing holds, but for those that are watched
 *   remove  those of them that nobody has asked for or put meanwhile
 *   drop    records that nobody reads, by a record of the ledger
 *
 * A crash of the broker ends it anywhere. */
#include "broker/care/graph.h"
#include "common/pure/sha256.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define LOT 8
#define STEP_NS (20 * NS_PER_MS)

struct victim {
	uint32_t blob;
	bool doomed;
};

struct gc_model {
	uint64_t number; /* of this gc; 0: none is on */
	uint64_t numbers;
	uint64_t began_step, began_at;
	enum { GC_BEGUN, GC_FORGET, GC_DOOM, GC_REMOVE, GC_DROP } phase;
	struct graph *graph;
	struct victim *victims;
	size_t victim_count, victim_capacity, at, lot_end;
	uint32_t dropped; /* commits looked at */
};

bool gc_is_on(const struct sim *s)
{
	return s->gc && s->gc->number;
}

void gc_end(struct sim *s)
{
	if (!gc_is_on(s))
		return;
	for (size_t i = 0; i < s->blob_count; i++)
		s->blobs[i].doomed = false;
	graph_free(s->gc->graph);
	s->gc->graph = NULL;
	s->gc->number = 0;
	s->gc->victim_count = 0;
}

void gc_free(struct sim *s)
{
	gc_end(s);
	if (s->gc)
		free(s->gc->victims);
	free(s->gc);
}

/* ---- what somebody relies on ---- */

void gc_watch(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	struct blob *b = gc_is_on(s) ? blob_find(s, digest) : NULL;

	if (!b)
		return;
	b->watched = s->gc->number;
	if (model_planted != PLANT_GC_UNASKED)
		b->doomed = false;
}

void gc_watch_commit(struct sim *s, struct record *r)
{
	if (gc_is_on(s) && r)
		r->watched = s->gc->number;
}

/* What the loop has just told the core, or been told by a worker. */
void gc_watch_slots(struct sim *s, const struct content *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		gc_watch(s, slots[i].digest);
}

uint64_t gc_removing(const struct sim *s)
{
	return gc_is_on(s) && s->gc->phase >= GC_DOOM ? s->gc->number : 0;
}

uint64_t gc_touched_at(const struct sim *s)
{
	return s->gc ? s->gc_touched_at : 0;
}

static void again(struct sim *s)
{
	sim_at(s, rng_below(&s->collect, STEP_NS), A_GC, 0, s->gc->numbers);
}

static void watch_list(void *arg, const uint8_t digest[DIGEST_SIZE])
{
	gc_watch(arg, digest);
}

void gc_begin(struct sim *s)
{
	if (!s->gc)
		s->gc = mem_alloc(sizeof *s->gc);
	if (s->gc->number)
		return;
	s->gc->number = ++s->gc->numbers;
	s->gc->phase = GC_BEGUN;
	s->gc->began_step = s->step;
	s->gc->began_at = s->now;
	sim_trace(s, "gc begins");
	/* Reports that wait for their verdict rely on what they brought. */
	for (size_t i = 0; i < s->report_count; i++)
		if (!s->reports[i].answered)
			gc_watch_slots(s, s->reports[i].slots, s->reports[i].slot_count);
	core_each_list(s->core, watch_list, s);
	again(s);
}

/* ---- the graph of what is on disk ---- */

struct live {
	bool *batches; /* by number: opened and not over */
	bool *commits; /* by record: ended a task of those */
};

static void find_live(struct sim *s, struct live *live)
{
	live->batches = mem_alloc(s->next_batch + 1);
	live->commits = mem_alloc(s->record_count + 1);
	for (size_t i = 0; i < s->durable_count; i++) {
		const struct record *r = &s->records[i];

		if (r->type == R_OPEN)
			live->batches[r->batch] = true;
		if (r->type == R_BATCH_ENDED || r->type == R_FORGET)
			live->batches[r->batch] = false;
	}
	if (model_planted == PLANT_GC_IGNORES_LIVE)
		memset(live->batches, 0, s->next_batch);
	for (size_t i = 0; i < s->durable_count; i++) {
		const struct record *r = &s->records[i], *c;

		if (r->type == R_END && r->commit && live->batches[r->batch] &&
		    (c = ledger_commit(s, r->commit)))
			live->commits[c - s->records] = true;
	}
}

static bool is_nothing(const struct content *c)
{
	return c->type == CONTENT_NONE || !memcmp(c->digest, sha256_empty, DIGEST_SIZE);
}

static bool is_live(struct sim *s, const struct live *live, const struct record *r)
{
	if (live->commits[r - s->records] || live->batches[r->batch])
		return true;
	/* The same work, made again since: an older one of its fingerprint is live. */
	for (uint32_t n = r->before; n; n = s->records[n - 1].before)
		if (live->commits[n - 1])
			return true;
	return false;
}

static void add_commit(struct sim *s, const struct live *live, const struct record *r)
{
	struct graph *g = s->gc->graph;
	uint32_t commit = graph_commit(
		g, &(struct graph_commit){.seq = r->commit,
					  .used_ms = rng_below(&s->collect, 1000),
					  .record_bytes = 1,
					  .completed = r->completed});

	for (uint32_t i = 0; i < r->slot_count; i++) {
		if (is_nothing(&r->slots[i]))
			continue;
		if (i == 1)
			graph_log(g, graph_node(g, r->slots[i].digest));
		else
			graph_output(g, graph_node(g, r->slots[i].digest));
	}
	for (uint32_t i = 0; i < r->input_count; i++)
		if (!is_nothing(&r->inputs[i]))
			graph_input(g, graph_node(g, r->inputs[i].digest));
	if (is_live(s, live, r))
		graph_keep(g, commit, false);
}

static void add_blob(struct sim *s, const struct blob *b)
{
	struct graph *g = s->gc->graph;
	uint32_t node = graph_node(g, b->digest);

	if (b->present)
		graph_bytes(g, node, 100);
	for (uint32_t i = 0; i < b->entry_count; i++)
		if (!is_nothing(&b->entries[i]))
			graph_child(g, node, graph_node(g, b->entries[i].digest));
}

static void mark(struct sim *s)
{
	struct gc_model *gc = s->gc;
	struct graph_policy policy = {.all = rng_chance(&s->collect, 600)};
	struct graph_sums sums;
	struct live live;

	gc->graph = graph_new(rng_next(&s->collect));
	find_live(s, &live);
	for (size_t i = 0; i < s->blob_count; i++)
		add_blob(s, &s->blobs[i]);
	for (size_t i = 0; i < s->durable_count; i++)
		if (s->records[i].type == R_COMMIT && !s->records[i].removed)
			add_commit(s, &live, &s->records[i]);
	graph_settle(gc->graph);
	for (size_t i = 0; i < s->blob_count;
	     i++) /* the clients' own: all will be sent */
		if (!s->blobs[i].made)
			graph_hold(gc->graph, graph_node(gc->graph, s->blobs[i].digest));
	policy.has_max = !policy.all;
	policy.max_bytes = rng_below(&s->collect, 50 * s->blob_count + 1);
	graph_choose(gc->graph, &policy, &sums);
	for (size_t i = 0; i < s->blob_count; i++) {
		uint32_t node = graph_find(gc->graph, s->blobs[i].digest);

		if (!s->blobs[i].present || graph_is_needed(gc->graph, node))
			continue;
		mem_grow(gc->victims, gc->victim_count, gc->victim_capacity);
		gc->victims[gc->victim_count++] = (struct victim){.blob = (uint32_t)i};
	}
	sim_trace(s, "gc marked, %zu blobs may go, %llu records", gc->victim_count,
		  (unsigned long long)sums.records);
	free(live.batches);
	free(live.commits);
	gc->at = 0;
	gc->dropped = 0;
	gc->phase = GC_FORGET;
}

/* What was a hit since it began is kept after all, with its bytes. */
static void forget(struct sim *s)
{
	struct gc_model *gc = s->gc;
	size_t kept = 0;

	for (size_t i = 0; i < s->record_count; i++) {
		const struct record *r = &s->records[i];
		uint32_t commit = GRAPH_NONE;

		if (r->type == R_COMMIT && r->watched == gc->number)
			commit = graph_find_commit(gc->graph, r->commit);
		if (commit != GRAPH_NONE)
			graph_keep(gc->graph, commit, false);
	}
	for (size_t i = 0; i < gc->victim_count; i++) {
		const struct blob *b = &s->blobs[gc->victims[i].blob];

		if (!graph_is_needed(gc->graph, graph_find(gc->graph, b->digest)))
			gc->victims[kept++] = gc->victims[i];
	}
	gc->victim_count = kept;
	gc->phase = GC_DOOM;
}

/* ---- removing ---- */

static void doom(struct sim *s)
{
	struct gc_model *gc = s->gc;

	if (gc->at == gc->victim_count) {
		gc->phase = GC_DROP;
		return;
	}
	gc->lot_end = gc->at + 1 + rng_below(&s->collect, LOT);
	if (gc->lot_end > gc->victim_count)
		gc->lot_end = gc->victim_count;
	for (size_t i = gc->at; i < gc->lot_end; i++) {
		struct blob *b = &s->blobs[gc->victims[i].blob];

		gc->victims[i].doomed =
			b->watched != gc->number || model_planted == PLANT_GC_UNASKED;
		b->doomed = gc->victims[i].doomed;
	}
	s->gc_touched_at = s->now;
	gc->phase = GC_REMOVE;
}

static void remove_lot(struct sim *s)
{
	struct gc_model *gc = s->gc;

	for (; gc->at < gc->lot_end; gc->at++) {
		struct blob *b = &s->blobs[gc->victims[gc->at].blob];

		if (!gc->victims[gc->at].doomed || !b->doomed || !b->present)
			continue;
		oracle_swept(s, b, gc->number);
		b->doomed = false;
		b->swept = true;
		blob_lose(s, b);
	}
	s->gc_touched_at = s->now;
	gc->phase = GC_DOOM;
}

static void drop(struct sim *s)
{
	struct gc_model *gc = s->gc;
	uint32_t until = gc->dropped + 1 + (uint32_t)rng_below(&s->collect, LOT);

	for (; gc->dropped < graph_commit_count(gc->graph) && gc->dropped < until;
	     gc->dropped++) {
		uint64_t commit = graph_commit_at(gc->graph, gc->dropped)->seq;
		struct record *r = ledger_commit(s, commit), *gone;

		if (graph_fate(gc->graph, gc->dropped) != GRAPH_NO_RECORD ||
		    r->watched == gc->number)
			continue;
		oracle_dropped(s, r);
		gone = ledger_append(s, R_REMOVED, 0);
		gone->commit = commit;
		ledger_commit(s, commit)->removed = true;
	}
	s->gc_touched_at = s->now;
	disk_kick(s);
	if (gc->dropped < graph_commit_count(gc->graph))
		return;
	sim_trace(s, "gc ends");
	gc_end(s);
}

void gc_step(struct sim *s, uint64_t number)
{
	if (!gc_is_on(s) || s->gc->numbers != number || !s->broker_up)
		return;
	if (!s->broker_paused) {
		switch (s->gc->phase) {
		case GC_BEGUN:
			if (disk_has(s, s->gc->began_step) ||
			    model_planted == PLANT_GC_MARKS_EARLY)
				mark(s);
			break;
		case GC_FORGET:
			forget(s);
			break;
		case GC_DOOM:
			doom(s);
			break;
		case GC_REMOVE:
			remove_lot(s);
			break;
		case GC_DROP:
			drop(s);
			break;
		}
	}
	if (gc_is_on(s))
		again(s);
}
