/* report.h - an Outcome with what was made of it; private to report.c, commits.c. */
#pragma once

#include "broker/broker.h"

struct report {
	struct list node; /* parked */
	uint64_t token;
	const Cashet__Outcome *o; /* in the arena of its message, or @copy; NULL: none */
	Cashet__Outcome *copy;	  /* of a parked one */
	uint32_t worker;
	bool answered; /* its verdict was given: nothing names it after this step */
	uint64_t since_ns;
	struct content *slots; /* COMPLETED */
	uint32_t slot_count;
	size_t slot_room;
	uint8_t (*missing)[DIGEST_SIZE];
	size_t missing_count, missing_room;
	uint8_t (*blob_digests)[DIGEST_SIZE]; /* of o->blobs */
	size_t blob_room;
	struct buf manifest; /* size 0: the function declares no outputs */
};

struct reports {
	struct report *now; /* the one that is being stepped */
	struct list parked;
	unsigned parked_count;
	bool answered; /* some parked one was */
	uint64_t tokens, next_look_ns;
};

/** report_find() - NULL if there is none (any more). */
struct report *report_find(struct broker *b, uint64_t token);
