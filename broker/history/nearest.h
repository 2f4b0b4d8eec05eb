/* nearest.h - the earlier commit that a run is best compared with, without a scan.
 *
 * A sample of what ran under the same name is read once: the newest ones, then ever wider apart, so
 * that a batch of 100,000 alike does not hide what was before it. From the sample come the versions of
 * the function and the inputs that there were. Then, best first:
 *   - the same arguments under another version of the function, by its fingerprint;
 *   - the same parameters with other inputs, by their fingerprint; both together;
 *   - what stood at the same index in the batches of the sample; the sample itself.
 * The one with the least difference counts; one of the same batch only if there is no other, since
 * what changed changed for the whole batch; the newest of equals. */
#pragma once

#include "broker/history/compare.h"
#include "broker/history/parts.h"

struct nearest;

struct print { /* a run that has a fingerprint; all borrowed */
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	const struct function *function; /* NULL: not known */
	const struct args *args;	 /* NULL: malformed */
	const uint8_t *batch;		 /* id, or NULL */
	const uint8_t *source;		 /* what code it is, or NULL */
	uint32_t index;
};

/** nearest_load() - sample commits called @name with numbers below @before (0: all). */
struct nearest *nearest_load(struct history *h, const char *name, uint64_t before);
void nearest_free(struct nearest *n);
/** nearest_is_empty() - nothing of this name ran before. */
bool nearest_is_empty(const struct nearest *n);
/** nearest_find() - @deep: also look into batches, which takes some ms. *@seqp: its number.
 * Return: 0; 1 there is none. */
int nearest_find(struct nearest *n, const struct print *p, bool deep, uint64_t *seqp);
/** nearest_function() - decoded; NULL: its description is not in the store any more. Borrowed. */
const struct function *nearest_function(struct nearest *n,
					const uint8_t hash[DIGEST_SIZE],
					const uint8_t batch[DIGEST_SIZE], uint32_t index);
/** nearest_duration() - mean duration of the newest successes of the sample, ns; 0: none. */
uint64_t nearest_duration(const struct nearest *n);
