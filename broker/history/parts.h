/* parts.h - what the files of this folder share: the state of one who answers, and the questions. */
#pragma once

#include "broker/history/history.h"
#include "broker/history/specs.h"
#include "proto/pb.h"

struct ends { /* of a batch's tasks, by index */
	struct ledger_end *items;
	uint32_t count;
	bool kept; /* it has ended: they will not change */
};

#define HISTORY_BATCHES 4
struct history_batch {	 /* one that was looked into lately */
	uint64_t number; /* 0: none */
	uint64_t used;
	struct specs *specs;
	struct ends ends;
};

#define HISTORY_DESCRIPTIONS 16
struct history_description { /* of a function that was asked for lately */
	uint8_t hash[DIGEST_SIZE];
	struct buf text;
};

struct history {
	struct pager pager; /* has the reader */
	struct cas *cas;
	bool owned; /* the reader and @cas are ours */
	struct history_batch batches[HISTORY_BATCHES];
	uint64_t uses;
	struct history_description descriptions[HISTORY_DESCRIPTIONS];
	unsigned next_description;   /* whose place is taken next */
	struct buf blob;	     /* scratch of history_blob() */
	struct found *found;	     /* commits.c: what the next page goes on with */
	struct dry_run *dry_runs[2]; /* that are going on, see dry_run.h */
};

static inline struct ledger_reader *history_reader(const struct history *h)
{
	return h->pager.reader;
}

/** A question: append the answer to @out, which is the rest of an Envelope. @live is never NULL.
 * Return: 0; ERR_* in @e: that is answered, and what was appended is dropped. */
typedef int history_question(struct history *h, const Cashet__Envelope *question,
			     const struct history_live *live, struct buf *out,
			     struct err *e);

history_question history_results, history_batches, history_commit, history_log,
	history_status, history_why, history_fsck, history_pins, history_commits,
	history_runs, history_show, history_graph, history_stats, history_dry_run,
	history_small_blob;

/* ---- rows.c: commits as rows, and the tags of tasks ---- */

struct history_commit { /* one that was read; history_commit_fini() it */
	struct ledger_commit_row row;
	struct commit c;
	struct buf body, arena;
};
/** history_read() - Return: 0; 1 if it is not there or cannot be read. */
int history_read(struct history *h, uint64_t seq, struct history_commit *out);
void history_commit_fini(struct history_commit *c);
/** history_has() - is there a commit of this number? What a batch's record names may be removed. */
bool history_has(struct history *h, uint64_t seq);

struct history_via { /* a task by which a commit was found; batch.batch 0: none */
	struct ledger_batch_row batch;
	uint32_t index;
};
enum {
	HISTORY_ROW_CURRENT = 1,  /* say whether it is */
	HISTORY_ROW_BODY = 2,	  /* with its canonical bytes */
	HISTORY_ROW_FUNCTION = 4, /* and those of its function */
};
/** history_is_current() - would a task with the fingerprint of @c be a hit on it? */
bool history_is_current(struct history *h, const struct history_commit *c);
/** history_add_row() - field @field, a CommitRow. @via may be NULL. */
void history_add_row(struct history *h, struct buf *out, unsigned field,
		     const struct history_commit *c, const struct history_via *via,
		     unsigned flags);
/** history_batch_of() - the batch with this full id. Return: 0; 1 if there is no record of it. */
int history_batch_of(struct history *h, const uint8_t id[DIGEST_SIZE],
		     struct ledger_batch_row *row);
/** history_size() - bytes of what a commit resulted in. */
uint64_t history_size(const struct commit *c);

/* ---- tags.c ---- */

struct history_tags { /* conditions: all must hold */
	size_t count;
	Cashet__Pair *const *pairs;
	const uint32_t *any_value; /* numbers of pairs */
	size_t any_value_count;
};
/** tags_value() - of condition @i; NULL if any value will do. */
const char *tags_value(const struct history_tags *t, size_t i);
/** tags_fit() - do the packed messages @function and @info (a Function and a BatchInfo, NULL: none),
 * which have their tags as field 4, fulfil @t together? */
bool tags_fit(const struct history_tags *t, const uint8_t *function, size_t function_size,
	      const uint8_t *info, size_t info_size);
/** tags_add() - append the tags of a task as field @field. */
void tags_add(struct history *h, struct buf *out, unsigned field,
	      const struct ledger_batch_row *row, uint32_t index);

/* ---- inputs.c ---- */

struct history_sources { /* commits, each once, in order of appearance */
	uint64_t *seqs;
	uint32_t count, room, max;
	uint32_t *slots; /* hash table: number + 1 */
	uint32_t slot_count;
	bool cut;
};
void sources_fini(struct history_sources *s);
/** sources_number() - of commit @seq, which is added if it is new. UINT32_MAX: there are too many. */
uint32_t sources_number(struct history_sources *s, uint64_t seq);
/** history_add_inputs() - field @field, a GraphInput for each input of @c. */
void history_add_inputs(struct history *h, struct buf *out, unsigned field,
			const struct history_commit *c, struct history_sources *s);

/* ---- commits.c ---- */
void found_free(struct found *found);

/* ---- find.c ---- */

/** history_row() - the batch that @ref means: the snapshot's, if the loop has found it. */
int history_row(struct history *h, const Cashet__BatchRef *ref,
		const struct history_live *live, struct ledger_batch_row *row,
		struct err *e);
/** history_find_commit() - by prefix. *@seqp: its number. Return: as history_find_batch(). */
int history_find_commit(struct history *h, const uint8_t *prefix, unsigned nibbles,
			uint64_t *seqp, struct err *e);
/** history_find_target() - the commit that people name: by prefix, as a pin, or as what task
 * BATCH:INDEX ended with. *@seqp: its number. Return: as history_find_batch(). */
int history_find_target(struct history *h, const Cashet__Target *target, uint64_t *seqp,
			struct err *e);
/** history_find_hash() - the number of the commit with this hash. Return: 0; 1 if it is not there. */
int history_find_hash(struct history *h, const uint8_t hash[DIGEST_SIZE], uint64_t *seqp);
/** history_ends() - how the tasks of a batch ended, by index; borrowed until HISTORY_BATCHES others
 * were asked for. Of a batch that has not ended: what the ledger has so far. */
const struct ends *history_ends(struct history *h, const struct ledger_batch_row *row);
/** history_count() - counts of a batch that has not ended and that no broker has in memory. */
void history_count(struct history *h, struct ledger_batch_row *row);
/** history_specs() - what the tasks of a batch are; borrowed as those. NULL: its chunks are gone. */
struct specs *history_specs(struct history *h, const struct ledger_batch_row *row);
void history_forget_batches(struct history *h);
/** history_add_info() - field @field, the BatchInfo of batch @number. */
void history_add_info(struct history *h, struct buf *out, unsigned field,
		      uint64_t number);

/* ---- dry_run.c ---- */

/** history_forget_dry_runs() - those that nobody has asked about for a minute; UINT64_MAX: all. */
void history_forget_dry_runs(struct history *h, uint64_t now_ns);

/* ---- describe.c ---- */

/** history_description() - append the canonical description of a function to @out.
 * @batch, @index: a task that ran it (NULL: none is known)
 * @packed: its cashet.Function, with the tags of that batch, if the batch is there; may be NULL
 * Return: 0; 1 if the store does not have it. */
int history_description(struct history *h, const uint8_t func_hash[DIGEST_SIZE],
			const uint8_t batch[DIGEST_SIZE], uint32_t index, struct buf *out,
			struct buf *packed);
