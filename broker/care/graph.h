/* graph.h - what in a store needs what, and what may go: the thinking half of gc, without a store.
 *
 * Nodes are digests, reduced to 64 bits; two that look alike become one, and then stay as long as
 * either is needed, which is harmless. A node knows how many commits *hold* it (their results, logs,
 * code, inputs that nothing here makes) and how many records of finished work *read* it (its bytes
 * may go, but the record of who made it may not: otherwise finished work would run again to find out
 * what it read). Folders, lists and manifests pass both on to what is in them.
 *
 * Everything is linear: each edge is followed once when it comes and once when it goes.
 *
 * Life: add all there is, graph_settle(), then let commits go. Thread: one. */
#pragma once

#include "common/pure/base.h"

struct graph;

struct graph *graph_new(uint64_t secret); /* so that nobody can aim at equal nodes */
void graph_free(struct graph *g);

#define GRAPH_NONE UINT32_MAX

/** graph_node() - the node of a digest, made if need be; graph_find(): or GRAPH_NONE. */
uint32_t graph_node(struct graph *g, const uint8_t digest[DIGEST_SIZE]);
uint32_t graph_find(const struct graph *g, const uint8_t digest[DIGEST_SIZE]);
/** graph_bytes() - so many more bytes are stored of it. */
void graph_bytes(struct graph *g, uint32_t node, uint64_t bytes);
bool graph_is_stored(const struct graph *g, uint32_t node);
/** graph_child() - @child is in the folder, list or manifest @parent. Only before graph_settle(). */
void graph_child(struct graph *g, uint32_t parent, uint32_t child);
bool graph_has_children(const struct graph *g, uint32_t node);
/** graph_hold() - for good: something needs it. */
void graph_hold(struct graph *g, uint32_t node);
/** graph_is_needed() - false: nothing that is left holds it. */
bool graph_is_needed(const struct graph *g, uint32_t node);

struct graph_commit {
	uint64_t seq;
	uint64_t used_ms;    /* last use */
	uint64_t expires_ms; /* 0: never */
	uint64_t duration_ns;
	uint64_t record_bytes;
	bool completed;
};

/** graph_commit() - begin the next commit; what follows is about it. Numbers ascend. */
uint32_t graph_commit(struct graph *g, const struct graph_commit *c);
void graph_output(struct graph *g, uint32_t node); /* it made that; the result first */
void graph_log(struct graph *g, uint32_t node);	   /* leaves before the result */
void graph_input(struct graph *g, uint32_t node);  /* it read that */
void graph_code(struct graph *g, uint32_t node);   /* its function needs that */
uint32_t graph_find_commit(const struct graph *g, uint64_t seq);
uint32_t graph_commit_count(const struct graph *g);
const struct graph_commit *graph_commit_at(const struct graph *g, uint32_t commit);

/** graph_keep() - this commit and its bytes stay, come what may. @inputs: what it read, too. Also after
 * graph_settle(), unless its record is gone (then what is left of it is held). */
void graph_keep(struct graph *g, uint32_t commit, bool inputs);
/** graph_settle() - all is there. */
void graph_settle(struct graph *g);

enum graph_fate {
	GRAPH_KEPT,
	GRAPH_NO_BYTES,	 /* its bytes may go, its record stays */
	GRAPH_NO_RECORD, /* its record may go too */
};
enum graph_fate graph_fate(const struct graph *g, uint32_t commit);

struct graph_policy {
	bool all;
	uint64_t now_ms;    /* what expired before leaves */
	uint64_t before_ms; /* used before that: leaves; 0: none */
	bool has_max;
	uint64_t max_bytes; /* until so much is left; logs first */
};

struct graph_sums {
	uint64_t results;    /* commits whose bytes may go */
	uint64_t records;    /* and whose record may */
	uint64_t compute_ns; /* of @results whose bytes are there now */
	uint64_t bytes;	     /* that may go, those that nothing held before included */
	uint64_t objects;    /* blobs that may go */
	uint64_t left_bytes;
	uint64_t kept; /* would have gone, but something needs them */
};
/** graph_choose() - let go what the policy says: expired first, then the least recently used. */
void graph_choose(struct graph *g, const struct graph_policy *policy,
		  struct graph_sums *sums);
