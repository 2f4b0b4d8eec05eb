/* report.h - the Outcome that is being stepped; private to report.c and its tests. */
#pragma once

#include "broker/broker.h"

struct report {
	const Cashet__Outcome *o; /* in the arena of its message; NULL: none */
	uint32_t worker;
	struct content *slots; /* COMPLETED */
	uint32_t slot_count;
	size_t slot_room;
	uint8_t (*missing)[DIGEST_SIZE];
	size_t missing_count, missing_room;
	uint8_t (*blob_digests)[DIGEST_SIZE]; /* of o->blobs */
	size_t blob_room;
	struct buf manifest; /* size 0: the function declares no outputs */
};

/** report_error_text() - what went wrong, for people. */
void report_error_text(struct buf *out, const Cashet__Outcome *o);
