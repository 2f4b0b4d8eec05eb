/* spec_cycle.c - see spec.h: tasks that wait for each other.
 *
 * The nodes are the targets, and behind them their shared names: a reference to all tasks of a
 * name is one edge to the name, so a thousand readers of a thousand tasks are two thousand edges.
 * Depth first, with a stack of its own: a chain may be a million long. */
#include "client/batch/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 8 /* tasks of a cycle that are named; the rest is counted */

enum colour { NEW, OPEN, DONE };

struct graph {
	const struct targets *targets;
	struct spec_task *tasks;
	uint32_t tasks_count, count; /* of nodes */
	uint64_t *first;	     /* count + 1: where each node's edges begin */
	uint32_t *edges;
	uint8_t *colours;
	uint32_t *stack;
	uint64_t *next; /* of each node on the stack: its next edge */
};

static void graph_fini(struct graph *g)
{
	free(g->first);
	free(g->edges);
	free(g->colours);
	free(g->stack);
	free(g->next);
}

static uint32_t node_of(const struct graph *g, const struct spec_ref *ref)
{
	uint32_t name = g->targets->items[ref->target].name;
	bool is_shared =
		ref->all && !ref->by_index && g->targets->names[name].targets > 1;
	return is_shared ? g->tasks_count + name : ref->target;
}

/* each_edge() - give the edges of a task to @out, or count them if it is NULL. */
static uint64_t each_edge(const struct graph *g, const struct spec_task *task,
			  uint32_t *out)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < task->input_count; i++)
		for (uint32_t k = 0; k < task->inputs[i].count; k++) {
			const struct spec_member *m = &task->inputs[i].members[k];
			if (m->kind != MEMBER_REF)
				continue;
			if (out)
				out[count] = node_of(g, &m->ref);
			count++;
		}
	for (uint32_t i = 0; i < task->need_count; i++, count++)
		if (out)
			out[count] = node_of(g, &task->needs[i]);
	return count;
}

static uint64_t each_of_name(const struct graph *g, uint32_t name, uint32_t *out)
{
	uint64_t count = 0;
	const struct target_name *n = &g->targets->names[name];
	if (n->targets < 2)
		return 0;
	for (uint32_t i = n->first; i != TARGET_NONE;
	     i = g->targets->items[i].same, count++)
		if (out)
			out[count] = i;
	return count;
}

static bool build(struct graph *g)
{
	g->count = g->tasks_count + g->targets->name_count;
	g->first = calloc((size_t)g->count + 1, sizeof *g->first);
	g->colours = calloc((size_t)g->count + 1, sizeof *g->colours);
	g->stack = calloc((size_t)g->count + 1, sizeof *g->stack);
	g->next = calloc((size_t)g->count + 1, sizeof *g->next);
	if (!g->first || !g->colours || !g->stack || !g->next)
		return false;
	for (uint32_t i = 0; i < g->count; i++) {
		uint64_t edges = i < g->tasks_count
					 ? each_edge(g, &g->tasks[i], NULL)
					 : each_of_name(g, i - g->tasks_count, NULL);
		g->first[i + 1] = g->first[i] + edges;
	}
	g->edges = calloc(g->first[g->count] + 1, sizeof *g->edges);
	for (uint32_t i = 0; g->edges && i < g->count; i++) {
		uint32_t *out = g->edges + g->first[i];
		if (i < g->tasks_count)
			each_edge(g, &g->tasks[i], out);
		else
			each_of_name(g, i - g->tasks_count, out);
	}
	return g->edges;
}

/* The reference by which @from waits for a node: where the caret stands. */
static const struct node *node_at(const struct graph *g, const struct spec_task *from,
				  uint32_t to)
{
	for (uint32_t i = 0; i < from->input_count; i++)
		for (uint32_t k = 0; k < from->inputs[i].count; k++) {
			const struct spec_member *m = &from->inputs[i].members[k];
			if (m->kind == MEMBER_REF && node_of(g, &m->ref) == to)
				return m->ref.node;
		}
	for (uint32_t i = 0; i < from->need_count; i++)
		if (node_of(g, &from->needs[i]) == to)
			return from->needs[i].node;
	return from->node;
}

static void add_name(struct buf *out, const struct graph *g, uint32_t node)
{
	const struct spec_task *task = &g->tasks[node];
	if (task->ref_name)
		buf_printf(out, "%.40s", task->ref_name);
	else
		buf_printf(out, "%u (%.40s)", node, task->name);
}

/* The cycle is on the stack from @low to @high; it begins with the task that is first in the
 * file. */
static int fail_cycle(struct spec *s, const struct graph *g, uint32_t low, uint32_t high)
{
	CLEANUP_BUF struct buf out = {0};
	uint32_t size = high - low + 1, start = 0, tasks = 0;
	for (uint32_t i = 0; i < size; i++) {
		tasks += g->stack[low + i] < g->tasks_count;
		if (g->stack[low + i] < g->stack[low + start])
			start = i;
	}
	uint32_t shown = 0;
	for (uint32_t i = 0; i < size; i++) {
		uint32_t node = g->stack[low + (start + i) % size];
		if (node >= g->tasks_count)
			continue;
		if (shown++ < SHOWN_MAX || shown == tasks) {
			add_name(&out, g, node);
			buf_add_str(&out, " -> ");
		} else if (shown == SHOWN_MAX + 1) {
			buf_printf(&out, "(%u more) -> ", tasks - SHOWN_MAX - 1);
		}
	}
	uint32_t first = g->stack[low + start];
	add_name(&out, g, first);
	return doc_fail(s->doc,
			node_at(g, &g->tasks[first], g->stack[low + (start + 1) % size]),
			"a cycle: %s wait for each other", buf_cstr(&out));
}

static int visit(struct spec *s, struct graph *g, uint32_t root)
{
	uint32_t depth = 0;
	g->stack[depth++] = root;
	g->next[root] = g->first[root];
	g->colours[root] = OPEN;
	while (depth) {
		uint32_t node = g->stack[depth - 1];
		if (g->next[node] == g->first[node + 1]) {
			g->colours[node] = DONE;
			depth--;
			continue;
		}
		uint32_t to = g->edges[g->next[node]++];
		if (g->colours[to] == OPEN) {
			uint32_t low = depth - 1;
			while (g->stack[low] != to)
				low--;
			return fail_cycle(s, g, low, depth - 1);
		}
		if (g->colours[to] == NEW) {
			g->stack[depth++] = to;
			g->next[to] = g->first[to];
			g->colours[to] = OPEN;
		}
	}
	return 0;
}

int spec_check_cycles(struct spec *s, const struct targets *targets,
		      struct spec_task *tasks, uint32_t count)
{
	CLEANUP(graph_fini)
	struct graph g = {.targets = targets, .tasks = tasks, .tasks_count = count};
	if (!build(&g))
		return doc_no_memory(s->doc);
	for (uint32_t i = 0; i < count; i++) {
		int e = g.colours[i] == NEW ? visit(s, &g, i) : 0;
		if (e)
			return e;
	}
	return 0;
}
