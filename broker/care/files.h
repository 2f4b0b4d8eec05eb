/* files.h - how many files objects/ has, and how large: counted in the ledger, never by a scan.
 *
 * The store counts what it puts in place and takes away (cas_take_counts()). Each turn hands that in
 * with the decisions that rest on it, so it becomes durable with them. What a kill loses is found by
 * counting anew in the background: after a start that was no orderly one, and after a blob was found
 * corrupt, which may have been counted otherwise while it was whole. fsck does the same.
 * All but care_recount(): the loop. */
#pragma once

#include "broker/store/cas.h"

struct broker;
struct care;

struct file_counts {
	struct cas_counts recorded; /* of the time when the store was opened */
	bool surely;		    /* that is so; else it has to be counted */
	bool counting;
	uint64_t quarantined; /* when they were counted last */
};

/** files_init() - Return: 0 or negative errno. */
int files_init(struct broker *b);
/** files_hand_in() - what has changed, with this turn. */
void files_hand_in(struct broker *b);
/** files_watch() - once a second: also what no turn was handed in with. */
void files_watch(struct broker *b);
/** files_correct() - so it was when the store was opened, see cas_recount(). */
void files_correct(struct broker *b, const struct cas_counts *found);
/** care_recount() - on the care thread; gives way to jobs that wait. */
void care_recount(struct care *care);
