/* impl.h - struct ledger: the loop's thread, the writer's and the index's meet here.
 *
 *   loop --hand_in--> queue --writer--> meta.db --> gap --index thread--> index.db
 *
 * @lock guards the queue and the states; the journal belongs to the writer, the index to the index
 * thread. Lock order: @lock is never held together with the gap's. */
#pragma once

#include "broker/ledger/index.h"
#include "broker/ledger/journal.h"
#include "broker/ledger/older.h"
#include "broker/ledger/turn.h"

enum ledger_part { PART_JOURNAL, PART_INDEX, PARTS };

struct ledger {
	char *dir;
	struct turn_pool pool;
	struct gap gap;
	struct journal journal;
	struct index index;
	struct older older;

	pthread_mutex_t lock;
	pthread_cond_t work; /* for the writer */
	struct ledger_turn *first, **last;
	bool closing, writer_idle;
	bool full[PARTS]; /* which part waits for room */
	bool broken;
	struct err why[PARTS];

	pthread_mutex_t
		readers_lock; /* of the list; then the reader's own, nothing within */
	struct ledger_reader *readers;
	_Atomic uint64_t
		version; /* counts transactions of the journal: old snapshots are noticed */

	_Atomic uint64_t durable, queued_bytes;
	_Atomic uint64_t changes; /* the last one that is durable, see ledger_changes() */
	_Atomic uint64_t
		changes_safe; /* up to this one index.db itself has all changes */
	atomic_bool signalled;
	int event_fd;
	pthread_t writer, indexer;
	bool writer_started, indexer_started;
};

void *ledger_writer_main(void *ledger);
void *ledger_index_main(void *ledger);
/** ledger_signal() - make ledger_fd() readable. */
void ledger_signal(struct ledger *l);
/** ledger_set_full() - a part waits for room (@why), or goes on (NULL). */
void ledger_set_full(struct ledger *l, enum ledger_part part, const struct err *why);
/** ledger_set_broken() - for good; the first reason stays. */
void ledger_set_broken(struct ledger *l, const struct err *why);
/** ledger_release_readers() - end the snapshots that readers keep, see reader.h. */
void ledger_release_readers(struct ledger *l, bool meta, bool index);
/** ledger_condemn_index() - index.db was found damaged while in use: moved aside, so that the next
 * start makes it anew; BROKEN now. Any thread. */
void ledger_condemn_index(struct ledger *l, const char *why);
