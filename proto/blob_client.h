/* blob_client.h - moving blobs to and from a broker's store: the asker's side of the blob socket.
 *
 * One struct blob_client owns one DEALER socket and runs transfers on the calling thread, many
 * streams at once with credit, in bounded memory (WIRE_BLOB_WINDOW). It reconnects by itself and
 * repeats what is safe to repeat (everything: blobs are named by content) until @give_up_ns has
 * passed without progress. Thread: the owner's. */
#pragma once

#include "common/format/content.h"
#include "proto/endpoint.h"

struct blob_client;

struct blob_client_options {
	void *zmq_context;
	const char *url;	     /* of the blob socket */
	const struct key_pair *self; /* NULL without CURVE */
	const uint8_t *server;	     /* KEY_SIZE bytes, or NULL */
	const uint8_t *instance;     /* of the process */
	const char *name;
	uint64_t give_up_ns;	      /* without progress; 0: 30 s */
	bool (*cancelled)(void *arg); /* may be NULL; asked now and then */
	void *cancelled_arg;
};

int blob_client_new(struct blob_client **clientp,
		    const struct blob_client_options *options, struct err *e);
void blob_client_free(struct blob_client *client);

/** blob_client_missing() - which of @count digests the store lacks: missing[i] is set. */
int blob_client_missing(struct blob_client *client, const uint8_t (*digests)[DIGEST_SIZE],
			size_t count, bool *missing, struct err *e);
/** blob_client_put_fd() - stream @size bytes from @fd at @offset. Durable in the store on return.
 * The store's digest is in @digest; @want (or NULL): the one that it must have. */
int blob_client_put_fd(struct blob_client *client, int fd, uint64_t offset, uint64_t size,
		       const uint8_t *want, uint8_t digest[DIGEST_SIZE], struct err *e);
/** blob_client_put_many() - the same for many, several at a time: small ones cost less than a round
 * trip and a disk sync each. Ends at the first error; what was stored by then stays. */
#define BLOB_SIZE_UNKNOWN UINT64_MAX
/* The next bytes of a blob. */
struct blob_piece {
	const void *data; /* borrowed until the next call; NULL: they are in the file, */
	uint64_t from;	  /* there */
	uint32_t
		stored; /* bytes: one zstd frame of the content; 0: the content as it is */
	uint32_t size;	/* of content, at most BLOB_PIECE_MAX; 0: that was all */
};
#define BLOB_PIECE_MAX (1u << 20)
/** @max: bytes of content; @by_file: the broker reads the file of the item, so nobody else need to.
 * Return: 0; ERR_* in @e. */
typedef int blob_source(void *arg, size_t max, bool by_file, struct blob_piece *piece,
			struct err *e);
struct blob_put_item {
	int fd;		  /* -1: from @data */
	const void *data; /* borrowed until return */
	/* or from @source (@fd: its file, or -1), which can only be read once: if the connection breaks meanwhile, the put
	 * fails with ERR_UNREACHABLE. @size may be BLOB_SIZE_UNKNOWN. */
	blob_source *source;
	void *source_arg;
	uint64_t offset, size;
	const uint8_t *want;	     /* or NULL */
	uint8_t digest[DIGEST_SIZE]; /* out */
};
int blob_client_put_many(struct blob_client *client, struct blob_put_item *items,
			 size_t count, struct err *e);
int blob_client_put(struct blob_client *client, const void *data, size_t size,
		    uint8_t digest[DIGEST_SIZE], struct err *e);
/** blob_client_get() - give the bytes to @sink in order; verified: a return of 0 means that they
 * hashed to @digest. @sink returns 0 or negative errno, which ends the transfer.
 * Return: 0; ERR_NOT_FOUND if the store does not have it (or had it corrupt); other ERR_*. */
int blob_client_get(struct blob_client *client, const uint8_t digest[DIGEST_SIZE],
		    uint64_t offset, uint64_t max,
		    int (*sink)(void *arg, const void *data, size_t size), void *arg,
		    struct err *e);
/** blob_client_get_many() - whole blobs, several at a time; each sink gets its own in order. Ends at
 * the first error; *failedp (may be NULL) is then the number of the item. */
struct blob_get_item {
	const uint8_t *digest;
	int (*sink)(void *arg, const void *data, size_t size);
	void *arg;
};
int blob_client_get_many(struct blob_client *client, const struct blob_get_item *items,
			 size_t count, size_t *failedp, struct err *e);
int blob_client_get_buf(struct blob_client *client, const uint8_t digest[DIGEST_SIZE],
			size_t max, struct buf *out, struct err *e);
