/* blob_client_internal.h - what blob_client.c (the session) and blob_transfer.c (what is moved) share.
 *
 * A transfer is opened as a stream of the session under a number that was never used before, so
 * that answers to an earlier try are told apart. When the session is lost all open transfers go
 * back to the start of the line; a get then asks only for what it has not had. */
#pragma once

#include "common/pure/sha256.h"
#include "proto/blob_client.h"
#include "proto/wire.h"
#include <zmq.h>

#define OPEN_MAX 16 /* streams at a time */

enum transfer_kind { TRANSFER_PUT, TRANSFER_GET, TRANSFER_HAVE };

struct transfer {
	enum transfer_kind kind;
	bool is_open, is_done;
	bool has_failed; /* the one that ended everything */
	uint64_t stream;
	uint64_t heard_ns, nudged_ns; /* of this stream */
	uint64_t retry_ns;	      /* not opened before */
	/* put */
	int fd;
	const uint8_t *data;
	blob_source *source;
	void *source_arg;
	bool source_used;	 /* what it gave is gone */
	bool by_file;		 /* the broker reads the file */
	struct blob_piece piece; /* in @unsent */
	uint64_t base, size, sent, credit;
	bool end_sent, has_unsent, lacks_credit;
	zmq_msg_t unsent;
	const uint8_t *want;
	uint8_t *digest;
	/* get */
	const uint8_t *asked;
	uint64_t start, max, received, window, unreported;
	bool is_verified; /* the whole blob is asked for, so its digest can be checked here */
	struct sha256 sha;
	int (*sink)(void *arg, const void *data, size_t size);
	void *sink_arg;
	/* have */
	const uint8_t (*digests)[DIGEST_SIZE];
	size_t count;
	bool *missing;
};

enum session { SESSION_NONE, SESSION_HELLO, SESSION_OPEN };

struct blob_client {
	struct blob_client_options o;
	char *url, *name;
	struct key_pair self;
	uint8_t server[KEY_SIZE], instance[KEY_SIZE];
	void *socket;
	enum session session;
	uint64_t hello_stream, next_stream;
	uint64_t now_ns, heard_ns, hello_ns, progress_ns;
	struct wire_arena arena;
	bool is_blocked; /* the socket takes no more for now */
};

/* All: 0, or ERR_* in @e which ends everything. */
int transfer_open(struct blob_client *c, struct transfer *t, unsigned open_count,
		  struct err *e);
int transfer_pump(struct blob_client *c, struct transfer *t, struct err *e);
int transfer_on_message(struct blob_client *c, struct transfer *t,
			const Cashet__BlobMessage *m, const struct wire_frame *frame,
			struct err *e);
/** transfer_restart() - it is not open any more; try again from @retry_ns. */
void transfer_restart(struct transfer *t, uint64_t retry_ns);
void transfer_fini(struct transfer *t);
/** blob_client_say() - Return: 0; 1 if the socket takes no more for now. */
int blob_client_say(struct blob_client *c, Cashet__BlobMessage *m);
