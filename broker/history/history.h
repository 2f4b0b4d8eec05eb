/* history.h - the reading half of a broker: whoever has a store's ledger and blobs can answer every
 * question about what is recorded there.
 *
 * A question is a cashet.Envelope, and so is its answer. Two use this: a broker, on its query
 * thread, and libcashet in the process of whoever asks, for a store directory that no broker
 * serves (client/local.c). Neither writes anything, so both give the same answer.
 *
 * What only a broker's loop knows (batches that are in memory) comes along as struct history_live;
 * without it a question is about the ledger alone.
 *
 * To add a question:
 *   1. its messages in proto/cashet.proto (the question and its answer, two fields of
 *      Envelope.body) and their section in proto/PROTOCOL.md;
 *   2. a file of its own in this folder with one function, as commit.c has it: it reads, and appends
 *      the answer's field of the Envelope to @out, or returns an error with what, why, next;
 *   3. its declaration in parts.h, its row in the table of history.c, its line in meson.build;
 *   4. a row in broker/handlers/dispatch.c with handle_question, or with a handler of its own in
 *      broker/handlers/query.c if the loop has to add what it knows (a member of struct history_live);
 *   5. in the client request_ask() or ask(), as for any other question: which of the two answers is
 *      decided below that.
 * tests/unit/history sends each row a question without anything in it: it must not crash.
 *
 * Thread: a struct history belongs to one thread at a time. */
#pragma once

#include "broker/history/page.h"
#include "broker/ledger/ledger.h"
#include "broker/store/cas.h"
#include "proto/wire.h"

#define PAGE_TASKS_MAX 4096
#define PAGE_BYTES (1u << 20)
#define PAGE_COUNTED_MAX 65536 /* tasks behind one page of counts by name */

struct history;

/** history_open() - @reader, @cas: borrowed; @cas may be NULL where no question needs bytes. */
struct history *history_open(struct ledger_reader *reader, struct cas *cas);
/** history_open_dir() - of a store directory that we only read: nothing is made or changed there.
 * Return: 0; ERR_NOT_FOUND if there is no store; ERR_FAILED, ERR_NOT_ALLOWED. */
int history_open_dir(struct history **hp, const char *dir, struct err *e);
void history_close(struct history *h);

struct history_live_batch {
	uint64_t number;
	struct core_counts counts;
	bool paused;
	char *note; /* why it does not get on, or NULL; heap */
};

struct history_live_task {
	struct page_task task;
	uint8_t *args; /* resolved; NULL: not all is known. Heap */
	size_t args_size;
	char *note; /* what keeps it, or where it runs; NULL. Heap */
	uint8_t *
		statuses; /* of it that waits: of the first tasks of its batch; NULL. Heap */
	uint32_t status_count;
};

struct history_live { /* a snapshot of what only the loop knows; all of it is optional */
	bool has_row; /* the batch that is asked for was found already: */
	struct ledger_batch_row row;
	bool in_memory; /* it has not ended: counts of @row are the core's, and */
	struct page_task *tasks; /* of the tasks that history_page_range() gives */
	struct history_live_batch *batches; /* all that are in memory, by number */
	size_t batch_count;
	struct history_live_task *task; /* that is asked for; heap, or NULL */
	bool has_commit;		/* of the task that is asked for, 0: none */
	uint64_t commit;
	uint64_t cpus_milli; /* of all workers; 0: not known */
	struct buf status;   /* packed fields of cashet.Status */
};

/** history_answers() - is this a question that can be answered without a broker's loop? */
bool history_answers(Cashet__Envelope__BodyCase question);
/** history_answer() - @answer becomes a packed Envelope: what was asked for, or an Error; it has the
 * serial of @question. @live may be NULL. */
void history_answer(struct history *h, const Cashet__Envelope *question,
		    const struct history_live *live, struct buf *answer);
/** history_blob() - bytes of a blob from @offset on, at most @size (0: all), verified to its end.
 * Return: 0; ERR_NOT_FOUND; ERR_FAILED, also when @sink returned a negative errno. */
int history_blob(struct history *h, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
		 uint64_t size, int (*sink)(void *arg, const void *data, size_t size),
		 void *arg, struct err *e);

/** history_page_range() - the tasks that a ResultsQuery asks for, of @total. */
void history_page_range(const Cashet__ResultsQuery *query, uint32_t total,
			uint32_t *firstp, uint32_t *countp);
/** history_find_batch() - what a BatchRef means. Return: 0; ERR_NOT_FOUND, ERR_AMBIGUOUS
 * (candidates are named), ERR_USAGE, ERR_FAILED. */
int history_find_batch(struct ledger_reader *reader, const Cashet__BatchRef *ref,
		       struct ledger_batch_row *row, struct err *e);
