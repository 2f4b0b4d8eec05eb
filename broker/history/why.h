/* why.h - what the parts of WhyQuery share: the task or commit that is asked about. */
#pragma once

#include "broker/history/deps.h"
#include "broker/history/nearest.h"

struct subject {
	bool has_row; /* its batch's record is there */
	struct ledger_batch_row row;
	uint8_t batch[DIGEST_SIZE];
	bool has_batch; /* its id is known */
	uint32_t index;
	struct page_task task; /* how it stands; of a commit: how it ended */
	uint64_t seq;	       /* of its commit; 0: none */
	uint8_t hash[DIGEST_SIZE];
	struct buf body, arena; /* @commit points into them */
	struct commit commit;	/* with @seq only */
	char *name;
	struct buf description,
		packed; /* @packed: cashet.Function, if its batch is there */
	struct function function;
	bool has_function;
	struct buf args_bytes;
	struct args args;
	bool has_args, has_print; /* has_print: the fingerprint is known */
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool has_source;
	uint8_t source[DIGEST_SIZE]; /* what code it is */
	bool has_spec;
	struct buf spec; /* packed cashet.TaskSpec */
	struct buf options;
	bool has_nonce;
};

/** subject_load() - what @target means. Return: 0 (subject_fini() it in any case); ERR_*. */
int subject_load(struct history *h, const Cashet__Target *target,
		 const struct history_live *live, struct subject *s, struct err *e);
/** subject_load_commit() - by number. */
int subject_load_commit(struct history *h, uint64_t seq, struct subject *s,
			struct err *e);
void subject_fini(struct subject *s);
/** subject_name() - heap: the name of task @index of the same batch; "" if it is not known. */
char *subject_name(struct history *h, const struct subject *s, uint32_t index);

/** why_reason() - why it ran, or will. *@earlierp: number of the commit that says so, 0: none. */
Cashet__WhyReply__Reason why_reason(struct history *h, const struct subject *s,
				    uint64_t now_ms, uint64_t *earlierp);
/** why_same_work() - the same, as far as earlier runs of the same fingerprint tell; CHANGED if there
 * were none. What dry runs use too. @cache: of the task that runs or is to run. @ran_ms: when. */
struct same_work {
	const uint8_t *func_hash, *args_hash;
	uint64_t before;     /* number of its own commit, 0: it has none */
	uint64_t started_ms; /* when it ran; now, if it has not */
	Cashet__Options__Cache cache;
	const uint8_t *parent; /* of its commit, or NULL */
};
Cashet__WhyReply__Reason why_same_work(struct history *h, const struct same_work *w,
				       uint64_t *earlierp);
