/* care_impl.h - what the jobs of the care thread share. */
#pragma once

#include "broker/care/care.h"
#include "broker/care/set64.h"

#include <pthread.h>
#include <string.h>

struct care_job {
	struct list node;
	peer_handle peer;
	uint64_t serial;
	bool is_recount;   /* nobody asked for it, nobody is answered */
	struct buf packed; /* the request, an Envelope */
	bool stop;	   /* atomic */
};

struct care_call { /* something for the loop to do */
	int (*fn)(struct broker *b, void *arg);
	void *arg;
	bool durable; /* not over before what it recorded is on disk */
	int rc;
	enum { CALL_WAITS, CALL_RUNS, CALL_OVER } state;
	bool abandoned; /* nobody waits for it: the loop frees it */
};

struct care {
	struct broker *b; /* beyond @b->cas and ledger only for calls and to wake it */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list jobs; /* the first one is at work */
	struct care_call *call;
	struct list answers; /* to be sent by the loop */
	unsigned for_loop;   /* atomic: calls and answers that wait */
	bool stopping;

	/* the thread's */
	struct ledger_reader *reader;
	struct care_job *job;
	uint64_t told_ns;
	struct wire_arena arena; /* of the request */
	struct wire_arena chunk_arena;
	struct set64
		freed; /* digests that rm left behind: nobody's grace protects them */
};

/** care_call() - have the loop run @fn(@arg). Return: its code; -ECANCELED when the broker ends. */
int care_call(struct care *care, int (*fn)(struct broker *b, void *arg), void *arg,
	      bool durable);
/** care_stopped() - the client does not want it any more, or the broker ends. */
bool care_stopped(const struct care *care);
/** care_progress() - told now and then. @total 0: not known. */
void care_progress(struct care *care, const char *phase, uint64_t done, uint64_t total);
/** care_report() - the last answer of a job. */
void care_report(struct care *care, const Cashet__CareReport *report);
/** care_broken() - an err for negative errno @rc of the store. Return: the code. */
int care_broken(struct err *e, int rc);

typedef int care_job_fn(struct care *care, const Cashet__Envelope *request,
			struct err *e);
care_job_fn care_gc, care_remove, care_fsck;

/** care_chunk() - unpack chunk @chunk of @batch into care->chunk_arena, which is emptied. Return: 0; 1
 * if it is not there or damaged. @data: where its bytes are. */
int care_chunk(struct care *care, uint64_t batch, uint32_t chunk, struct buf *data,
	       Cashet__SubmitChunk **chunkp);
static inline uint64_t care_word(const uint8_t *digest)
{
	uint64_t word;
	memcpy(&word, digest, sizeof word);
	return word;
}
