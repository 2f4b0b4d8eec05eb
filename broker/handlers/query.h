/* query.h - questions whose answers may take long to read, on a thread with its own reader.
 *
 * The loop resolves what is asked for and takes a snapshot of what only it knows; the thread has
 * history_answer() read the ledger and pack the answer; the loop sends it. A question is handed over when all that its
 * snapshot tells is durable. */
#pragma once

#include "broker/broker.h"
#include "broker/history/history.h"

struct job {
	struct list node;
	peer_handle peer;
	uint64_t serial;
	struct buf question, answer; /* packed Envelopes */
	struct history_live live;
};

/** job_new() - for the message that is being handled. */
struct job *job_new(struct broker *b, const struct peer *peer, uint64_t serial);
void job_free(void *job);
/** job_about() - a job about the batch that @ref means. NULL: there is none, the peer was told. */
struct job *job_about(struct broker *b, struct peer *peer, uint64_t serial,
		      const Cashet__BatchRef *ref, struct batch **batchp);
/** query_ask() - hand @job over once this turn is durable; takes it. */
void query_ask(struct broker *b, struct peer *peer, struct job *job);
