/* reach.c - records that only read each other.
 *
 * Names are contents, so work may have read what it made itself (a step that changes nothing), or two
 * tasks what the other one made. Counting readers never finds that nobody else does. So, once it is
 * known whose bytes stay, everything is followed from there: from a record to what it read, from that
 * to the records that made it. A record that is not met on the way is nobody's. Linear. */
#include "broker/care/graph_impl.h"

#include "common/pure/mem.h"

#include <stdlib.h>

struct reach {
	struct graph *g;
	bool *commits, *nodes; /* that were met */
	uint32_t *stack;       /* commits that are to be followed */
	size_t count;
	uint32_t *folders; /* nodes that are to be looked into */
	size_t folder_count;
};

static void meet_commit(struct reach *r, uint32_t commit)
{
	if (r->commits[commit] || r->g->commits[commit].fate == GRAPH_NO_RECORD)
		return;
	r->commits[commit] = true;
	r->stack[r->count++] = commit;
}

static void meet_node(struct reach *r, uint32_t node)
{
	if (r->nodes[node])
		return;
	r->nodes[node] = true;
	r->folders[r->folder_count++] = node;
}

/* What was read, with all that is in it; and who made that. */
static void follow_nodes(struct reach *r)
{
	const struct graph *g = r->g;
	while (r->folder_count) {
		const struct node *n = &g->nodes[r->folders[--r->folder_count]];
		for (uint32_t e = n->makers; e; e = g->edges[e - 1].next)
			meet_commit(r, g->edges[e - 1].to);
		for (uint32_t e = n->children; e; e = g->edges[e - 1].next)
			meet_node(r, g->edges[e - 1].to);
	}
}

static void follow(struct reach *r)
{
	const struct graph *g = r->g;
	while (r->count) {
		const struct commit_at *c = &g->commits[r->stack[--r->count]];
		for (uint32_t i = 0; i < c->ref_count; i++)
			if (g->refs[c->first_ref + i].reads)
				meet_node(r, g->refs[c->first_ref + i].node);
		follow_nodes(r);
	}
}

void graph_drop_unreached(struct graph *g)
{
	struct reach r = {
		.g = g,
		.commits = mem_alloc((size_t)g->commit_count + 1),
		.nodes = mem_alloc((size_t)g->node_count + 1),
		.stack = mem_alloc(((size_t)g->commit_count + 1) * sizeof *r.stack),
		.folders = mem_alloc(((size_t)g->node_count + 1) * sizeof *r.folders),
	};
	for (uint32_t i = 0; i < g->commit_count; i++)
		if (g->commits[i].fate == GRAPH_KEPT)
			meet_commit(&r, i);
	follow(&r);
	for (uint32_t i = 0; i < g->commit_count; i++)
		if (!r.commits[i] && g->commits[i].fate == GRAPH_NO_BYTES)
			graph_drop_record(g, i);
	graph_drop_considered(g);
	free(r.commits);
	free(r.nodes);
	free(r.stack);
	free(r.folders);
}
