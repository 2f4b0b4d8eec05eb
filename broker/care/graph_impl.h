/* graph_impl.h - inside of graph.h; for graph.c, choose.c and reach.c only. */
#pragma once

#include "broker/care/graph.h"

struct node {
	uint64_t key;
	uint64_t bytes;
	uint32_t holds, readers;
	uint32_t lists;		   /* it is held as a list, without what is in it */
	uint32_t children, makers; /* first edge + 1 */
	bool stored;
};

struct edge {
	uint32_t to, next;
};

enum ref_kind { REF_OUTPUT, REF_LOG, REF_INPUT, REF_CODE };

struct ref {
	uint32_t node;
	uint8_t kind;
	bool holds, reads, lists; /* it counts in the node */
};

struct commit_at {
	struct graph_commit info;
	size_t first_ref;
	uint32_t ref_count;
	uint32_t next_considered;
	uint8_t fate;
	bool is_kept, keeps_inputs, is_considered;
};

struct graph {
	uint64_t secret;
	size_t window; /* the bytes of a digest that count */
	struct node *nodes;
	uint32_t node_count, node_capacity;
	uint32_t *places; /* node + 1, by key */
	size_t place_count;
	struct edge *edges;
	size_t edge_count, edge_capacity;
	struct commit_at *commits;
	uint32_t commit_count, commit_capacity;
	struct ref *refs;
	size_t ref_count, ref_capacity;
	uint32_t *order;
	uint32_t considered; /* first + 1 */
	bool settled;
	uint64_t held_bytes;   /* of nodes that something holds */
	uint64_t record_bytes; /* of commits whose record stays */
};

enum graph_part {
	GRAPH_LOGS,
	GRAPH_RESULT,	/* and logs */
	GRAPH_ALL_BYTES /* and what it read and ran, which only clients can bring again */
};
/** graph_let_go() - these bytes of a commit; unless it is only the logs, its record goes as well if
 * nobody reads what it made. Of a function whose code goes the description stays with the record. */
void graph_let_go(struct graph *g, uint32_t commit, enum graph_part part);
void graph_drop_considered(struct graph *g);
/** graph_drop_record() - of a commit whose bytes went. */
void graph_drop_record(struct graph *g, uint32_t commit);
/** graph_drop_unreached() - the records that nothing reads but each other (reach.c). */
void graph_drop_unreached(struct graph *g);
bool graph_is_made(const struct graph *g, uint32_t node, unsigned depth);
