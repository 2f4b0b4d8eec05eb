/* page.h - pages of results, encoded straight from the ledger's records.
 *
 * Used by the loop (the last Progress of a small batch) and by the query thread (ResultsQuery),
 * each with its own reader. What a task's state is comes as struct page_task: a snapshot of the
 * core for batches that are in memory, the ledger's ends for the others. */
#pragma once

#include "broker/core/core.h"
#include "broker/ledger/ledger.h"
#include "proto/wire.h"

struct page_task { /* what is known of one task without its commit */
	uint32_t index;
	uint8_t status; /* enum core_task_status */
	bool cached, deduplicated, has_fingerprint;
	bool upstream_cancelled; /* CORE_SKIPPED: @upstream did not fail */
	uint32_t attempts, upstream;
	uint64_t commit;
	uint8_t fingerprint[2 * DIGEST_SIZE];
};

struct page_spec { /* with specs: fields for the task; borrowed */
	bool present;
	uint32_t function; /* number in the page's functions */
	const uint8_t *args, *nonce;
	size_t args_size, nonce_size;
};

#define PAGER_RECENT 256
#define PAGER_RECENT_BODY 4096 /* larger ones are read each time */

struct pager { /* scratch, reused; and commits that were read lately, since they never change */
	struct ledger_reader *reader;
	struct buf body, arena;
	struct pager_commit *recent[PAGER_RECENT];
	uint64_t changes; /* of the ledger, when they were read */
};
void pager_fini(struct pager *p);
/** pager_commit() - read and decode commit @seq. @c and @hash (may be NULL) are valid until the
 * next call. Return: 0; 1 if it cannot be read. */
int pager_commit(struct pager *p, uint64_t seq, struct commit *c,
		 uint8_t hash[DIGEST_SIZE]);

/** page_add_task() - append field `tasks` of a ResultsPage to @out. */
void page_add_task(struct buf *out, struct pager *p, const struct page_task *task,
		   const struct page_spec *spec);
void page_add_counts(struct buf *out, unsigned field, const struct core_counts *counts);
void page_from_end(struct page_task *task, const struct ledger_end *end);
void page_from_view(struct page_task *task, uint32_t index,
		    const struct core_task_view *view);
