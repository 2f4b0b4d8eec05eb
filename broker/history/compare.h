/* compare.h - two fingerprints, component by component: what a function and its arguments consist of,
 * and which of it differs. Knows nothing of a store. */
#pragma once

#include "common/format/function.h"
#include "proto/cashet.pb-c.h"

#define COMPARE_TEXT_MAX                                                                 \
	(64u << 10) /* bytes of a text that is given; longer ones are cut */

struct compare_side {
	const struct function *function; /* NULL: its description is not known */
	const struct args *args;	 /* NULL: not known */
	const uint8_t *func_hash, *args_hash;
	const uint8_t *source;	    /* digest of what code it is, or NULL */
	const uint8_t *description; /* or NULL */
	size_t description_size;
};

/** compare_distance() - how far two are from being the same work: what differs, weighted; 0: nothing
 * that is known. Stops counting at @limit. */
unsigned compare_distance(const struct compare_side *old, const struct compare_side *now,
			  unsigned limit);

struct compare_sink {
	struct buf *out; /* a cashet.Change is appended for each component */
	unsigned field;
	bool only_changed;
	/** appends fields of the Change for input @input (number in now's args); may be NULL */
	void (*input)(void *arg, struct buf *out, size_t input);
	void *arg;
};
void compare_write(const struct compare_sink *sink, const struct compare_side *old,
		   const struct compare_side *now);
/** compare_options() - packed cashet.Options: what differs, though it is never a cause. */
void compare_options(const struct compare_sink *sink, const uint8_t *old, size_t old_size,
		     const uint8_t *now, size_t now_size);
/** compare_pairs() - tags, sorted by key: what differs. */
void compare_tags(const struct compare_sink *sink, Cashet__Pair *const *old,
		  size_t old_count, Cashet__Pair *const *now, size_t now_count);
