/* watch.h - telling clients how their batches go.
 *
 * At most one Progress per watch is unacknowledged, and one per 100 ms leaves unless the batch is
 * small; the first and the last leave at once. What changes meanwhile is merged, so a slow client
 * costs nothing. The last one may carry the results. */
#pragma once

#include "broker/batch.h"
#include "broker/core/core.h"
#include "broker/history/page.h"

#define WATCH_NOTICES_MAX 100
#define WATCH_INLINE_MAX 64
#define WATCH_INTERVAL_NS (100 * NS_PER_MS)
#define WATCH_PER_PEER_MAX 4096

struct watch_notice {
	uint32_t index, attempt, attempts;
	bool final;
	char *name, *worker, *error;
};

struct watch {
	struct list by_batch, by_peer;
	peer_handle peer;
	struct peer *owner; /* it removes its watches before it goes */
	struct batch *batch;
	uint64_t serial; /* of the last Watch; 0: its submission asked for it */
	uint32_t inline_results;
	bool unacknowledged, first, due;
	/* It was told of a pause while leases were there. That they are back ends no task, so
	 * nothing says so: it is told again until they are. */
	bool holds;
	uint64_t sent_ns;
	struct watch_notice *notices;
	uint32_t notice_count, notice_capacity;
	uint64_t left_out;
};

/** watch_add() - @peer watches @batch from now on; again: only @serial and @inline_results change. */
void watch_add(struct broker *b, struct peer *peer, struct batch *batch, uint64_t serial,
	       uint32_t inline_results);
/** watch_begin() - the same of any batch that was sealed: @batch, or, NULL, that of @row, which has
 * ended. One that is over is told by its last Progress, with @serial, when that is durable. */
void watch_begin(struct broker *b, struct peer *peer, struct batch *batch,
		 const struct ledger_batch_row *row, uint64_t serial,
		 uint32_t inline_results);
void watch_remove(struct watch *w);
void watch_remove_peer(struct peer *peer);
void watch_remove_batch(struct batch *batch);
void watch_notice(struct broker *b, struct batch *batch,
		  const struct watch_notice *notice);
/** watch_ended() - CORE_FX_BATCH_ENDED: the last Progress to everybody. */
void watch_ended(struct broker *b, struct batch *batch, const struct core_counts *counts);
/** watch_given_up() - @batch goes without having been sealed: whoever watches it is told. */
void watch_given_up(struct broker *b, struct batch *batch);
/** watch_flush() - at the end of a turn: progress of batches that changed. */
void watch_flush(struct broker *b);
/** watch_deadline() - when watch_flush() has something that was put off; TIME_NEVER if nothing. */
uint64_t watch_deadline(struct broker *b);

void handle_watch(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_progress_ack(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
