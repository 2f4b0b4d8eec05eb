/* blobs.h - the blob service: bytes of any size in and out of the store, beside the broker's loop.
 *
 * One thread owns the ROUTER sockets and all bookkeeping; BLOBS_JOBS threads do the disk's work. A stream
 * is one transfer. What keeps the service bounded, whoever calls:
 *   - bytes flow only within credit; of large streams only BLOBS_LARGE puts and gets move at once,
 *     the others wait their turn, fair by peer; a stream without progress is ended;
 *   - a peer has at most BLOBS_STREAMS streams, a queue of bounded length, and is forgotten when
 *     that is full of answers that it does not read;
 *   - a message that breaks the rules is refused and counted; a peer that goes on is forgotten.
 * The rules of the conversation: proto/PROTOCOL.md. */
#pragma once

#include "broker/store/cas.h"
#include "common/pure/buf.h"
#include "proto/endpoint.h"
#include "proto/wire.h"

/* What to do when the store has no room. gc works then: the last FREE_BYTES_MIN are kept for records. */
#define BLOBS_FULL_NEXT                                                                  \
	"make room: cashet gc --max-size SIZE removes what was used least recently "     \
	"(cashet stats shows how much there is), or free space on the broker's disk; "   \
	"what was accepted then goes on by itself, the rest is submitted again"

#define BLOBS_JOBS 4
#define BLOBS_LARGE 8	 /* large puts, and as many gets, that move at the same time */
#define BLOBS_STREAMS 64 /* per peer */
#define BLOBS_PEERS 4096
#define BLOBS_ENDPOINTS 32

struct blobs;

struct blobs_endpoint {
	const char *url;	      /* tcp://..., also with port *, or ipc://... */
	const struct key_pair *curve; /* NULL: without CURVE */
};

struct blobs_options {
	void *zmq_context;
	struct cas *cas;
	const struct blobs_endpoint *endpoints;
	size_t endpoint_count;
	/* What every peer is told; its role is filled in. Strings stay the caller's, for the life of
	 * the service. */
	Cashet__Welcome welcome;
	/* Those below are called on the service's threads, several at once. */
	/* Append the bytes of a blob that is not in @cas to @out. Return: 0; 1 if there is none. NULL: none. */
	int (*find_inline)(void *arg, const uint8_t digest[DIGEST_SIZE], struct buf *out);
	/* Before the peer with @key is told that a blob is there. NULL: nobody cares. */
	void (*claim)(void *arg, const uint8_t key[KEY_SIZE],
		      const uint8_t digest[DIGEST_SIZE]);
	/* Role of an authenticated key; not asked about peers without CURVE, who may do all. */
	enum key_role (*role)(void *arg, const uint8_t key[KEY_SIZE]);
	/* The store failed for good (a sync did): nothing that comes is acknowledged any more. NULL: log only. */
	void (*broken)(void *arg, int error);
	void *arg;
};

struct blobs_counters {
	uint64_t refused_messages, puts, gets, bytes_in, bytes_out;
	uint64_t files;		 /* puts that were read from the sender's file */
	uint64_t peers, streams; /* now */
};

/** blobs_start() - bind and serve. Return: 0; ERR_* in @e (an address in use, ...). */
int blobs_start(struct blobs **blobsp, const struct blobs_options *options,
		struct err *e);
void blobs_stop(struct blobs *blobs); /* NULL is fine; open transfers are dropped */
/** blobs_url() - where endpoint @i is bound, with its real port; borrowed. */
const char *blobs_url(const struct blobs *blobs, size_t i);
void blobs_count(struct blobs *blobs, struct blobs_counters *out); /* thread: any */
