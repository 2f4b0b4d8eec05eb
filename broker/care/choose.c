/* choose.c - who goes: what has expired; then, least recently used first, what is too old or too much.
 * When there is too much, all logs leave before the first result does; and a result takes along what
 * it alone had read and run, even if its record has to stay: otherwise a small input of the first task
 * of a chain would be there until the last one of its readers has gone. */
#include "broker/care/graph_impl.h"

#include "common/pure/mem.h"

#include <stdlib.h>

static bool is_expired(const struct graph_commit *c, uint64_t now_ms)
{
	return c->expires_ms && c->expires_ms <= now_ms;
}

struct aged {
	uint64_t used_ms;
	uint32_t commit;
};

static int by_age(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;
	if (x->used_ms != y->used_ms)
		return x->used_ms < y->used_ms ? -1 : 1;
	return x->commit < y->commit ? -1 : x->commit > y->commit;
}

static void sort_by_age(struct graph *g)
{
	struct aged *all = mem_alloc(((size_t)g->commit_count + 1) * sizeof *all);
	for (uint32_t i = 0; i < g->commit_count; i++)
		all[i] = (struct aged){g->commits[i].info.used_ms, i};
	qsort(all, g->commit_count, sizeof *all, by_age);
	free(g->order);
	g->order = mem_alloc(((size_t)g->commit_count + 1) * sizeof *g->order);
	for (uint32_t i = 0; i < g->commit_count; i++)
		g->order[i] = all[i].commit;
	free(all);
}

/* Was there a result, which goes by this? An empty one is there as long as its record. */
static bool goes(const struct graph *g, const struct commit_at *c, bool *emptyp)
{
	*emptyp = true;
	if (!c->info.completed)
		return false;
	for (uint32_t i = 0; i < c->ref_count; i++) {
		const struct ref *r = &g->refs[c->first_ref + i];
		if (r->kind != REF_OUTPUT)
			continue;
		*emptyp = false;
		if (g->nodes[r->node].stored)
			return true;
	}
	return *emptyp;
}

static void go(struct graph *g, uint32_t commit, enum graph_part part,
	       struct graph_sums *sums)
{
	struct commit_at *c = &g->commits[commit];
	if (c->fate != GRAPH_KEPT)
		return;
	if (c->is_kept) {
		sums->kept++;
		return;
	}
	bool is_empty, is_result = goes(g, c, &is_empty);
	graph_let_go(g, commit, part);
	if (is_result && (!is_empty || c->fate == GRAPH_NO_RECORD)) {
		sums->results++;
		sums->compute_ns += c->info.duration_ns;
	}
}

static uint64_t left(const struct graph *g)
{
	return g->held_bytes + g->record_bytes;
}

/* Those that went by another rule have left what they read and ran where it was: it goes first. */
static void go_until_it_fits(struct graph *g, uint64_t max, struct graph_sums *sums)
{
	for (uint32_t i = 0; i < g->commit_count && left(g) > max; i++) {
		const struct commit_at *c = &g->commits[g->order[i]];
		if (c->fate == GRAPH_KEPT && !c->is_kept)
			graph_let_go(g, g->order[i], GRAPH_LOGS);
	}
	for (uint32_t i = 0; i < g->commit_count && left(g) > max; i++) {
		const struct commit_at *c = &g->commits[g->order[i]];
		if (c->fate == GRAPH_NO_BYTES)
			graph_let_go(g, g->order[i], GRAPH_ALL_BYTES);
		else
			go(g, g->order[i], GRAPH_ALL_BYTES, sums);
	}
}

void graph_choose(struct graph *g, const struct graph_policy *policy,
		  struct graph_sums *sums)
{
	uint64_t stored = 0;
	uint64_t records = 0;
	*sums = (struct graph_sums){0};
	for (uint32_t i = 0; i < g->node_count; i++)
		stored += g->nodes[i].bytes;
	records = g->record_bytes;
	sort_by_age(g);
	for (uint32_t i = 0; i < g->commit_count; i++) {
		const struct graph_commit *c = &g->commits[i].info;
		if (policy->all || is_expired(c, policy->now_ms))
			go(g, i, GRAPH_RESULT, sums);
	}
	for (uint32_t i = 0; i < g->commit_count; i++) {
		const struct graph_commit *c = &g->commits[g->order[i]].info;
		if (c->used_ms >= policy->before_ms)
			break;
		go(g, g->order[i], GRAPH_RESULT, sums);
	}
	graph_drop_unreached(g);
	if (policy->has_max) {
		go_until_it_fits(g, policy->max_bytes, sums);
		graph_drop_unreached(g);
	}
	for (uint32_t i = 0; i < g->commit_count; i++)
		sums->records += g->commits[i].fate == GRAPH_NO_RECORD;
	for (uint32_t i = 0; i < g->node_count; i++)
		sums->objects += g->nodes[i].stored && !graph_is_needed(g, i);
	sums->left_bytes = left(g);
	sums->bytes = stored + records - sums->left_bytes;
}
