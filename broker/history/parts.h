/* parts.h - what the files of this folder share: the state of one who answers, and the questions. */
#pragma once

#include "broker/history/history.h"
#include "broker/history/specs.h"
#include "proto/pb.h"

struct ends { /* of the ended batch that was asked for last, by index */
	uint64_t number;
	struct ledger_end *items;
	uint32_t count;
};

struct history {
	struct pager pager; /* has the reader */
	struct cas *cas;
	bool owned; /* the reader and @cas are ours */
	struct specs *specs;
	struct ends ends;
	struct buf blob; /* scratch of history_blob() */
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
	history_status, history_why;

history_question history_fsck, history_pins;

/* ---- find.c ---- */

/** history_row() - the batch that @ref means: the snapshot's, if the loop has found it. */
int history_row(struct history *h, const Cashet__BatchRef *ref,
		const struct history_live *live, struct ledger_batch_row *row,
		struct err *e);
/** history_find_commit() - by prefix. *@seqp: its number. Return: as history_find_batch(). */
int history_find_commit(struct history *h, const uint8_t *prefix, unsigned nibbles,
			uint64_t *seqp, struct err *e);
/** history_ends() - how the tasks of an ended batch ended, by index; borrowed until the next one is
 * asked for. Those of a batch that has not ended: what the ledger has so far, never kept. */
const struct ends *history_ends(struct history *h, const struct ledger_batch_row *row);
/** history_count() - counts of a batch that has not ended and that no broker has in memory. */
void history_count(struct history *h, struct ledger_batch_row *row);
/** history_add_info() - field @field, the BatchInfo of batch @number. */
void history_add_info(struct history *h, struct buf *out, unsigned field,
		      uint64_t number);

/* ---- describe.c ---- */

/** history_description() - append the canonical description of a function to @out.
 * @batch, @index: a task that ran it (NULL: none is known)
 * @packed: its cashet.Function, with the tags of that batch, if the batch is there; may be NULL
 * Return: 0; 1 if the store does not have it. */
int history_description(struct history *h, const uint8_t func_hash[DIGEST_SIZE],
			const uint8_t batch[DIGEST_SIZE], uint32_t index, struct buf *out,
			struct buf *packed);
