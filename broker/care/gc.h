/* gc.h - what the files of gc share: mark.c builds the graph, sweep.c removes. */
#pragma once

#include "broker/care/care_impl.h"
#include "broker/care/graph.h"

#define INLINE_OVERHEAD 48  /* bytes of a row beside the blob; about */
#define COMMIT_OVERHEAD 160 /* and of a commit with what the index has of it */

struct gc_root { /* a digest whose content has to be looked into */
	uint32_t node;
	uint8_t type; /* enum content_type, or: */
	bool hold;
	uint8_t digest[DIGEST_SIZE];
};
#define GC_FUNCTION 255
#define GC_SOURCE 254

struct gc {
	struct care *care;
	struct ledger_reader *reader;
	struct graph *graph;
	uint64_t now_ms;
	uint64_t last; /* highest commit that is looked at */
	struct gc_root *roots;
	size_t root_count, root_capacity;
	struct set64 live_batches; /* by id */
	struct set64 live_commits, pinned;
	struct set64
		live_prints; /* fingerprints of live commits: what was made again for them */
	struct set64 functions; /* whose description was seen, or will be looked into */
	struct set64 sources;	/* the same of sources that commits name */
	struct buf arena;	/* of a commit */
	uint64_t batches;	/* of the store, about */

	bool all;
	uint64_t batch_before_ms; /* batches that ended before may go */
	struct set64 removed;	  /* commits whose record went */
	Cashet__CareReport *report;
};

/** gc_mark() - the graph of everything that is there now. Return: 0; 1 stopped; negative errno. */
int gc_mark(struct gc *gc);
/** gc_sweep() - remove what nothing needs. Return as gc_mark(). */
int gc_sweep(struct gc *gc);
/** gc_commit_refs() - call @fn for each digest that a commit names: results, logs, inputs; not its function
 * and source. @kind: 'o' output, 'l' log, 'i' input. */
void gc_commit_refs(const struct commit *c,
		    void (*fn)(void *arg, char kind, const struct content *content),
		    void *arg);
