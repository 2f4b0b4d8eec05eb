/* query.h - questions whose answers may take long to read, on a thread with its own reader.
 *
 * The loop resolves what is asked for and takes a snapshot of what only it knows; the thread reads
 * the ledger and packs the answer; the loop sends it. A question is handed over when all that its
 * snapshot tells is durable. */
#pragma once

#include "broker/broker.h"

#define PAGE_TASKS_MAX 4096
#define PAGE_BYTES (1u << 20)

enum question {
	ASK_RESULTS, /* ResultsQuery */
	ASK_BATCHES, /* BatchesQuery */
	ASK_COMMIT,  /* CommitQuery */
	ASK_LOG,     /* LogRead of an ended task */
	ASK_STATUS,  /* StatusQuery: counts of the ledger are added to what is packed */
};

struct live_batch {
	uint64_t number;
	struct core_counts counts;
	bool paused;
};

struct job {
	struct list node;
	enum question what;
	peer_handle peer;
	uint64_t serial;
	struct buf answer; /* a packed Envelope */

	struct ledger_batch_row row; /* RESULTS; of a live batch with the core's counts */
	uint32_t first, count;
	bool specs;
	bool live; /* @tasks is a snapshot of @count tasks from @first */
	struct page_task *tasks;

	bool all, one; /* BATCHES; @row is the one */
	uint32_t max;
	struct live_batch *batches;
	size_t batch_count;

	uint8_t prefix[DIGEST_SIZE]; /* COMMIT */
	unsigned nibbles;

	/* LOG; 0 and @in_row: look for task @first of the ended batch @row */
	uint64_t commit;
	bool in_row;
	bool is_stderr;
	uint64_t offset;

	struct buf packed; /* STATUS: fields of the Status */
};

struct job *job_new(enum question what, const struct peer *peer, uint64_t serial);
void job_free(void *job);
/** query_ask() - hand @job over once this turn is durable; takes it. */
void query_ask(struct broker *b, struct peer *peer, struct job *job);

/* ---- on the thread: answer.c ---- */

struct specs; /* of the batch that was asked for last */

struct ends { /* of the ended batch that was asked for last, by index */
	uint64_t number;
	struct ledger_end *items;
	uint32_t count;
};

struct answerer {
	struct pager pager;
	struct specs *specs;
	struct ends ends;
};
void answer(struct answerer *a, struct job *job);
void answerer_fini(struct answerer *a);

/* ---- specs.c: what tasks of a batch are, from its recorded chunks ---- */

struct specs_task {
	uint32_t function; /* number within the batch */
	const uint8_t *args, *nonce;
	size_t args_size, nonce_size;
};
/** specs_get() - the specs of batch @number; kept until another one is asked for. NULL: gone. */
struct specs *specs_get(struct specs **cachep, struct ledger_reader *r, uint64_t number,
			uint32_t chunk_count);
void specs_free(struct specs *s);
/** specs_task() - borrowed until the next call. Return: 0; 1 if there is none. */
int specs_task(struct specs *s, struct ledger_reader *r, uint32_t index,
	       struct specs_task *out);
/** specs_function(), specs_options() - packed; *numberp: number of the function's options. */
const uint8_t *specs_function(const struct specs *s, uint32_t number, size_t *sizep,
			      uint32_t *optionsp);
const uint8_t *specs_options(const struct specs *s, uint32_t number, size_t *sizep);
/** specs_info() - append the packed BatchInfo of a recorded chunk 0. */
void specs_info(struct buf *out, const struct buf *chunk);
