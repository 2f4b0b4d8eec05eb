/* credit.h - how many leases a worker asks for beyond those that it can run at once: about
 * CREDIT_AHEAD_NS of work, so that short tasks never wait for the broker and long ones are not
 * hoarded. While attempts fail nothing is leased ahead: a batch of failures is likely to be stopped
 * (max_failures, the first 20 of a sweep), and what was leased would run nevertheless. Pure: the
 * loop tells the time. */
#pragma once

#include "common/pure/base.h"

#define CREDIT_MAX 2048
#define CREDIT_AHEAD_NS (100 * NS_PER_MS)

struct credit {
	uint64_t mean_ns; /* moving mean of durations; 0: nothing has ended yet */
	bool failing;	  /* the last attempt that ended was a failure */
};

/** credit_ended() - an attempt took @duration_ns. */
void credit_ended(struct credit *c, uint64_t duration_ns, bool failed);
/** credit_mean() - of what ended, corrected by what runs: @running attempts, together @age_ns old. A
 * worker whose short tasks turned into long ones learns it before the first of them ends. */
uint64_t credit_mean(const struct credit *c, uint64_t running, uint64_t age_ns);
/** credit_wanted() - leases to hold beyond the running ones. */
uint32_t credit_wanted(const struct credit *c, uint64_t slots, uint64_t running,
		       uint64_t age_ns);
