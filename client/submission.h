/* submission.h - sending one batch: a window of chunks that are kept until they are acknowledged,
 * and files that go to the store before the seal.
 *
 * Invariants: chunks leave in order; at most 8 are unacknowledged; the sealing chunk is kept until
 * the broker says that the batch is accepted. A new session says all kept chunks again: the
 * broker ignores what it has. At most one submission of a handle is open: the next one first
 * waits for it. */
#pragma once

#include "client/builder.h"
#include "client/handle.h"

/** submission_begin() - waits for the one before, draws the request id.
 * @sink: for builder_new(); valid until the submission is finished or discarded. */
int submission_begin(struct cashet *c, struct builder_sink *sink,
		     uint8_t request[NONCE_SIZE], struct err *e);
/** submission_end() - after builder_finish(): @batch is set; with @sync, wait until it is accepted.
 * @failed: what the builder or its caller returned; not 0: the batch is discarded. */
int submission_end(struct cashet *c, int failed, bool sync, char batch[CASHET_HEX_SIZE],
		   struct err *e);
