/* graph.c - sealing: every edge is checked and linked to the node it starts from, members of groups
 * get an edge each, and Kahn's algorithm proves that there is no cycle. Linear in tasks and edges;
 * nothing recurses.
 *
 * Nodes are tasks and groups. Edges to one task lie together (task->in up to the one marked
 * last), as do the members of one group (group->in); edges from one node are chained by ->next in
 * ascending order. A group is one node: a thousand readers of a thousand outputs are two thousand
 * edges. */
#include "broker/core/parts.h"

#include <stdlib.h>

struct refusal {
	enum core_refusal why;
	uint32_t index;
};

static uint32_t slots_of(const struct batch *b, uint32_t index)
{
	const struct function *f = seg_at(&b->functions, batch_task(b, index)->function);
	return 2 + f->func->output_count;
}

static bool check_edges(const struct batch *b, struct refusal *r)
{
	for (uint32_t i = 0; i < b->edges.count; i++) {
		const struct edge *e = batch_edge(b, i);
		bool good = e->kind == EDGE_LIST ? e->from < b->groups.count
						 : e->from < b->tasks.count;
		if (good && e->kind == EDGE_REF)
			good = e->slot < slots_of(b, e->from);
		if (!good) {
			*r = (struct refusal){CORE_R_BAD_REF, e->to};
			return false;
		}
	}
	return true;
}

static bool count_members(const struct batch *b, uint64_t *total, struct refusal *r)
{
	for (uint32_t i = 0; i < b->groups.count; i++) {
		struct group *g = batch_group(b, i);
		uint64_t size = 0;
		for (uint32_t k = 0; k < g->range_count; k++) {
			const struct core_group_range *range = &g->ranges[k];
			size += range->count ? range->count : 1;
			if ((uint64_t)range->first + range->count > b->tasks.count &&
			    range->count) {
				*r = (struct refusal){CORE_R_BAD_REF, CORE_NO_INDEX};
				return false;
			}
			if (*total + size > MEMBERS_MAX) {
				*r = (struct refusal){CORE_R_TOO_LARGE, CORE_NO_INDEX};
				return false;
			}
		}
		*total += size;
		g->size = (uint32_t)size;
	}
	return true;
}

static bool add_members(struct batch *b, uint32_t number, struct refusal *r)
{
	struct group *g = batch_group(b, number);
	uint32_t position = 0;
	g->in = b->edges.count;
	for (uint32_t k = 0; k < g->range_count; k++) {
		const struct core_group_range *range = &g->ranges[k];
		if (!range->count) {
			position++;
			continue;
		}
		for (uint32_t i = range->first; i < range->first + range->count; i++) {
			if (range->slot >= slots_of(b, i)) {
				*r = (struct refusal){CORE_R_BAD_REF, i};
				return false;
			}
			struct edge *e = seg_add(&b->edges);
			*e = (struct edge){.from = i, .to = number, .next = NO_EDGE};
			e->offset = position++;
			e->slot = range->slot;
			e->kind = EDGE_MEMBER;
		}
	}
	g->member_count = b->edges.count - g->in;
	g->pending = g->member_count;
	return true;
}

/* From the last to the first, pushing to the front: chains come out ascending. */
static void chain_edges(struct batch *b)
{
	for (uint32_t i = b->edges.count; i-- > 0;) {
		struct edge *e = batch_edge(b, i);
		if (e->kind == EDGE_LIST) {
			struct group *g = batch_group(b, e->from);
			e->next = g->out;
			g->out = i;
			g->readers++;
			continue;
		}
		struct task *t = batch_task(b, e->from);
		e->next = t->out;
		t->out = i;
		if (e->kind != EDGE_NEED)
			t->flags |= TASK_READ;
	}
}

/* Node numbers: tasks first, then groups. */
static uint32_t node_to(const struct batch *b, const struct edge *e)
{
	return e->kind == EDGE_MEMBER ? b->tasks.count + e->to : e->to;
}

static uint32_t node_from(const struct batch *b, const struct edge *e)
{
	return e->kind == EDGE_LIST ? b->tasks.count + e->from : e->from;
}

static uint32_t node_out(const struct batch *b, uint32_t node)
{
	return node < b->tasks.count ? batch_task(b, node)->out
				     : batch_group(b, node - b->tasks.count)->out;
}

/* Takes nodes without unmet edges away until none is left, or only cycles and what hangs on them. */
static uint32_t kahn(const struct batch *b, uint32_t *degree, uint32_t *order)
{
	uint32_t nodes = b->tasks.count + b->groups.count, done = 0, found = 0;
	for (uint32_t i = 0; i < nodes; i++) {
		degree[i] = i < b->tasks.count
				    ? batch_task(b, i)->pending
				    : batch_group(b, i - b->tasks.count)->pending;
		if (!degree[i])
			order[found++] = i;
	}
	while (done < found)
		for (uint32_t i = node_out(b, order[done++]); i != NO_EDGE;
		     i = batch_edge(b, i)->next) {
			uint32_t to = node_to(b, batch_edge(b, i));
			if (--degree[to] == 0)
				order[found++] = to;
		}
	return nodes - done;
}

/* An edge to @node from a node that is left. */
static uint32_t left_before(const struct batch *b, uint32_t node, const uint32_t *degree)
{
	uint32_t i = node < b->tasks.count ? batch_task(b, node)->in
					   : batch_group(b, node - b->tasks.count)->in;
	for (;; i++) {
		uint32_t from = node_from(b, batch_edge(b, i));
		if (degree[from])
			return from;
	}
}

/* Every node that is left has one before it that is left: walking back must close a cycle. */
static void refuse_cycle(struct core *core, struct batch *b, uint32_t *degree,
			 uint32_t *seen)
{
	uint32_t nodes = b->tasks.count + b->groups.count, node = 0, count = 0;
	while (!degree[node])
		node++;
	memset(seen, 0, (size_t)nodes * sizeof *seen);
	for (; !seen[node]; node = left_before(b, node, degree))
		seen[node] = 1;
	uint32_t first = node;
	do {
		count += node < b->tasks.count;
		node = left_before(b, node, degree);
	} while (node != first);
	uint32_t *indices = mem_resize(NULL, (size_t)count * sizeof *indices), at = count;
	do {
		if (node < b->tasks.count)
			indices[--at] = node;
		node = left_before(b, node, degree);
	} while (node != first);
	enum core_refusal why = count == 1 ? CORE_R_SELF_REF : CORE_R_CYCLE;
	batch_refuse(core, b, why, indices[0], indices, count);
}

static bool check_cycles(struct core *core, struct batch *b)
{
	if (!b->edges.count)
		return true;
	size_t nodes = (size_t)b->tasks.count + b->groups.count;
	CLEANUP_FREE uint32_t *degree = mem_resize(NULL, nodes * sizeof *degree);
	CLEANUP_FREE uint32_t *order = mem_resize(NULL, nodes * sizeof *order);
	if (!kahn(b, degree, order))
		return true;
	refuse_cycle(core, b, degree, order);
	return false;
}

int graph_link(struct core *core, struct batch *b)
{
	struct refusal r = {0};
	uint64_t members = 0;
	bool good = check_edges(b, &r) && count_members(b, &members, &r);
	for (uint32_t i = 0; good && i < b->groups.count; i++)
		good = add_members(b, i, &r);
	if (!good) {
		batch_refuse(core, b, r.why, r.index, NULL, 0);
		return 1;
	}
	chain_edges(b);
	return check_cycles(core, b) ? 0 : 1;
}
