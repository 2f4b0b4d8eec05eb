/* fake_broker.h - a broker of one batch, on a thread of its own, that misbehaves on demand. Tasks
 * of a sealed batch are done at once, unless @hold. The test sets flags, the thread reads them. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct fake {
	char url[128];
	/* wishes; set at any time */
	_Atomic int mute;      /* take everything, say nothing */
	_Atomic int hold;      /* do not end the batch yet */
	_Atomic int hold_acks; /* record chunks, do not acknowledge */
	_Atomic int refuse;    /* the sealing chunk: Error 2 */
	_Atomic int lose;      /* chunks belong to a batch that is not known (any more) */
	_Atomic int page;      /* results per page; 0: all */
	_Atomic int no_inline; /* do not send results with the end */
	_Atomic int forget;    /* once: all peers, as a broker that was restarted */
	_Atomic int rebind;    /* once: close the socket, be away for 100 ms, come back */
	/* what was seen */
	_Atomic int hellos, chunks, repeated, watches, queries, acks;
	struct fake_inside *inside;
};

struct fake *fake_start(const char *name);
void fake_stop(struct fake *f);
/** fake_chunk() - the chunk @number that was recorded; borrowed. Only once it was acknowledged. */
const struct Cashet__SubmitChunk *fake_chunk(const struct fake *f, uint32_t number);
