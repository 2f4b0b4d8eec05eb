/* graph.c - see graph.h: nodes, edges, and counting who needs what. The choice is in choose.c. */
#include "broker/care/graph_impl.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX                                                                        \
	8 /* list, manifest, folder, file: four; more are of digests that look alike */

struct graph *graph_new(uint64_t secret)
{
	struct graph *g = mem_alloc(sizeof *g);
	g->secret = secret;
	g->window = secret % (DIGEST_SIZE - sizeof(uint64_t) + 1);
	return g;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	free(g->nodes);
	free(g->places);
	free(g->edges);
	free(g->commits);
	free(g->refs);
	free(g->order);
	free(g);
}

/* ---- nodes ---- */

static uint64_t key_of(const struct graph *g, const uint8_t *digest)
{
	uint64_t key;
	memcpy(&key, digest + g->window, sizeof key);
	return key ^ g->secret;
}

/* The place of the node with @key, or the free one where it would be. */
static size_t place_of(const struct graph *g, uint64_t key)
{
	size_t mask = g->place_count - 1;
	size_t at = (key * 0x9e3779b97f4a7c15ull >> 20) & mask;
	while (g->places[at] && g->nodes[g->places[at] - 1].key != key)
		at = (at + 1) & mask;
	return at;
}

static void grow_places(struct graph *g)
{
	free(g->places);
	g->place_count = g->place_count ? 2 * g->place_count : 1024;
	g->places = mem_alloc(g->place_count * sizeof *g->places);
	for (uint32_t i = 0; i < g->node_count; i++)
		g->places[place_of(g, g->nodes[i].key)] = i + 1;
}

uint32_t graph_find(const struct graph *g, const uint8_t digest[DIGEST_SIZE])
{
	if (!g->place_count)
		return GRAPH_NONE;
	return g->places[place_of(g, key_of(g, digest))] - 1; /* 0 - 1 is GRAPH_NONE */
}

uint32_t graph_node(struct graph *g, const uint8_t digest[DIGEST_SIZE])
{
	uint64_t key = key_of(g, digest);
	if (3 * ((size_t)g->node_count + 1) > 2 * g->place_count)
		grow_places(g);
	size_t at = place_of(g, key);
	if (!g->places[at]) {
		mem_grow(g->nodes, g->node_count, g->node_capacity);
		g->nodes[g->node_count] = (struct node){.key = key};
		g->places[at] = ++g->node_count;
	}
	return g->places[at] - 1;
}

static uint32_t add_edge(struct graph *g, uint32_t to, uint32_t next)
{
	mem_grow(g->edges, g->edge_count, g->edge_capacity);
	g->edges[g->edge_count] = (struct edge){to, next};
	return (uint32_t)++g->edge_count;
}

void graph_child(struct graph *g, uint32_t parent, uint32_t child)
{
	if (parent != child)
		g->nodes[parent].children = add_edge(g, child, g->nodes[parent].children);
}

bool graph_has_children(const struct graph *g, uint32_t node)
{
	return g->nodes[node].children;
}

void graph_bytes(struct graph *g, uint32_t node, uint64_t bytes)
{
	g->nodes[node].bytes += bytes;
	g->nodes[node].stored = true;
}

bool graph_is_stored(const struct graph *g, uint32_t node)
{
	return g->nodes[node].stored;
}

bool graph_is_needed(const struct graph *g, uint32_t node)
{
	return g->nodes[node].holds > 0 || g->nodes[node].lists > 0;
}

/* ---- counting ---- */

static void hold(struct graph *g, uint32_t node, unsigned depth)
{
	struct node *n = &g->nodes[node];
	if (n->holds++ || depth == DEPTH_MAX)
		return;
	g->held_bytes += n->lists ? 0 : n->bytes;
	for (uint32_t e = n->children; e; e = g->edges[e - 1].next)
		hold(g, g->edges[e - 1].to, depth + 1);
}

static void release(struct graph *g, uint32_t node, unsigned depth)
{
	struct node *n = &g->nodes[node];
	assert(n->holds);
	if (--n->holds || depth == DEPTH_MAX)
		return;
	g->held_bytes -= n->lists ? 0 : n->bytes;
	for (uint32_t e = n->children; e; e = g->edges[e - 1].next)
		release(g, g->edges[e - 1].to, depth + 1);
}

static void hold_list(struct graph *g, uint32_t node)
{
	struct node *n = &g->nodes[node];
	if (!n->lists++ && !n->holds)
		g->held_bytes += n->bytes;
}

static void release_list(struct graph *g, uint32_t node)
{
	struct node *n = &g->nodes[node];
	assert(n->lists);
	if (!--n->lists && !n->holds)
		g->held_bytes -= n->bytes;
}

void graph_hold(struct graph *g, uint32_t node)
{
	hold(g, node, 0);
}

static void read_node(struct graph *g, uint32_t node, unsigned depth)
{
	struct node *n = &g->nodes[node];
	if (n->readers++ || depth == DEPTH_MAX)
		return;
	for (uint32_t e = n->children; e; e = g->edges[e - 1].next)
		read_node(g, g->edges[e - 1].to, depth + 1);
}

static bool is_read(const struct graph *g, const struct commit_at *c)
{
	for (uint32_t i = 0; i < c->ref_count; i++) {
		const struct ref *r = &g->refs[c->first_ref + i];
		if (r->kind == REF_OUTPUT && g->nodes[r->node].readers)
			return true;
	}
	return false;
}

static void consider(struct graph *g, uint32_t commit);

static void unread_node(struct graph *g, uint32_t node, unsigned depth)
{
	struct node *n = &g->nodes[node];
	assert(n->readers);
	if (--n->readers)
		return;
	for (uint32_t e = n->makers; e; e = g->edges[e - 1].next)
		consider(g, g->edges[e - 1].to);
	if (depth == DEPTH_MAX)
		return;
	n = &g->nodes[node];
	for (uint32_t e = n->children; e; e = g->edges[e - 1].next)
		unread_node(g, g->edges[e - 1].to, depth + 1);
}

/* consider() - a commit whose bytes go and that nobody reads: its record is looked at later, one after
 * the other, since chains of them may be long. */
static void consider(struct graph *g, uint32_t commit)
{
	struct commit_at *c = &g->commits[commit];
	if (c->fate != GRAPH_NO_BYTES || c->is_considered || c->is_kept)
		return;
	c->is_considered = true;
	c->next_considered = g->considered;
	g->considered = commit + 1;
}

void graph_drop_record(struct graph *g, uint32_t commit)
{
	struct commit_at *c = &g->commits[commit];
	c->fate = GRAPH_NO_RECORD;
	g->record_bytes -= c->info.record_bytes;
	for (uint32_t i = 0; i < c->ref_count; i++) {
		struct ref *r = &g->refs[c->first_ref + i];
		if (r->holds) {
			r->holds = false;
			release(g, r->node, 0);
		}
		if (r->lists) {
			r->lists = false;
			release_list(g, r->node);
		}
		if (r->reads) {
			r->reads = false;
			unread_node(g, r->node, 0);
		}
	}
}

void graph_drop_considered(struct graph *g)
{
	while (g->considered) {
		uint32_t commit = g->considered - 1;
		struct commit_at *c = &g->commits[commit];
		g->considered = c->next_considered;
		c->is_considered = false;
		if (c->fate == GRAPH_NO_BYTES && !is_read(g, c))
			graph_drop_record(g, commit);
	}
}

/* ---- commits ---- */

uint32_t graph_commit(struct graph *g, const struct graph_commit *info)
{
	assert(!g->commit_count || g->commits[g->commit_count - 1].info.seq < info->seq);
	mem_grow(g->commits, g->commit_count, g->commit_capacity);
	g->commits[g->commit_count] = (struct commit_at){
		.info = *info, .first_ref = g->ref_count, .fate = GRAPH_KEPT};
	g->record_bytes += info->record_bytes;
	return g->commit_count++;
}

static void add_ref(struct graph *g, uint32_t node, enum ref_kind kind)
{
	mem_grow(g->refs, g->ref_count, g->ref_capacity);
	g->refs[g->ref_count++] = (struct ref){.node = node, .kind = (uint8_t)kind};
	g->commits[g->commit_count - 1].ref_count++;
}

void graph_output(struct graph *g, uint32_t node)
{
	add_ref(g, node, REF_OUTPUT);
	g->nodes[node].makers = add_edge(g, g->commit_count - 1, g->nodes[node].makers);
}

void graph_log(struct graph *g, uint32_t node)
{
	add_ref(g, node, REF_LOG);
}

void graph_input(struct graph *g, uint32_t node)
{
	add_ref(g, node, REF_INPUT);
}

void graph_code(struct graph *g, uint32_t node)
{
	add_ref(g, node, REF_CODE);
}

uint32_t graph_commit_count(const struct graph *g)
{
	return g->commit_count;
}

const struct graph_commit *graph_commit_at(const struct graph *g, uint32_t commit)
{
	return &g->commits[commit].info;
}

enum graph_fate graph_fate(const struct graph *g, uint32_t commit)
{
	return (enum graph_fate)g->commits[commit].fate;
}

uint32_t graph_find_commit(const struct graph *g, uint64_t seq)
{
	uint32_t low = 0, high = g->commit_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (g->commits[middle].info.seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < g->commit_count && g->commits[low].info.seq == seq ? low
									: GRAPH_NONE;
}

/* An input that nothing here makes cannot be made again: who read it holds it. Who made it otherwise
 * is kept as a record, by @reads. Failures are no hits, so what they read need not be known. */
static void take_refs(struct graph *g, struct commit_at *c)
{
	for (uint32_t i = 0; i < c->ref_count; i++) {
		struct ref *r = &g->refs[c->first_ref + i];
		bool is_input = r->kind == REF_INPUT;
		bool is_made = is_input && graph_is_made(g, r->node, 0);
		r->holds = !is_input || !is_made;
		r->reads = is_input && is_made && c->info.completed;
		r->lists = is_input && is_made && !g->nodes[r->node].makers;
		if (r->holds)
			hold(g, r->node, 0);
		if (r->lists)
			hold_list(g, r->node);
		if (r->reads)
			read_node(g, r->node, 0);
	}
}

bool graph_is_made(const struct graph *g, uint32_t node, unsigned depth)
{
	const struct node *n = &g->nodes[node];
	if (n->makers)
		return true;
	/* A list is made by the core, of what tasks made. */
	for (uint32_t e = n->children; e && depth < DEPTH_MAX; e = g->edges[e - 1].next)
		if (graph_is_made(g, g->edges[e - 1].to, depth + 1))
			return true;
	return false;
}

void graph_settle(struct graph *g)
{
	for (uint32_t i = 0; i < g->commit_count; i++)
		take_refs(g, &g->commits[i]);
	for (uint32_t i = 0; i < g->commit_count; i++) {
		struct commit_at *c = &g->commits[i];
		for (uint32_t k = 0; c->keeps_inputs && k < c->ref_count; k++) {
			struct ref *r = &g->refs[c->first_ref + k];
			if (!r->holds)
				hold(g, r->node, 0);
			r->holds = true;
		}
	}
	g->settled = true;
}

void graph_keep(struct graph *g, uint32_t commit, bool inputs)
{
	struct commit_at *c = &g->commits[commit];
	c->is_kept = true;
	c->keeps_inputs |= inputs;
	if (!g->settled)
		return;
	bool had_record = c->fate != GRAPH_NO_RECORD;
	c->fate = had_record ? GRAPH_KEPT : GRAPH_NO_RECORD;
	for (uint32_t i = 0; i < c->ref_count; i++) {
		struct ref *r = &g->refs[c->first_ref + i];
		if (!r->holds && (r->kind != REF_INPUT || inputs)) {
			r->holds = true;
			hold(g, r->node, 0);
		}
	}
}

static bool is_in_part(const struct ref *r, enum graph_part part)
{
	switch ((enum ref_kind)r->kind) {
	case REF_LOG:
		return true;
	case REF_OUTPUT:
		return part != GRAPH_LOGS;
	case REF_INPUT:
	case REF_CODE:
		return part == GRAPH_ALL_BYTES;
	}
	return false;
}

void graph_let_go(struct graph *g, uint32_t commit, enum graph_part part)
{
	struct commit_at *c = &g->commits[commit];
	for (uint32_t i = 0; i < c->ref_count; i++) {
		struct ref *r = &g->refs[c->first_ref + i];
		if (!r->holds || !is_in_part(r, part))
			continue;
		if (r->kind == REF_CODE && !r->lists) {
			r->lists = true;
			hold_list(g, r->node);
		}
		r->holds = false;
		release(g, r->node, 0);
	}
	if (part == GRAPH_LOGS)
		return;
	c->fate = GRAPH_NO_BYTES;
	if (!is_read(g, c))
		consider(g, commit);
	graph_drop_considered(g);
}
