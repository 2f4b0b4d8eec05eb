/* impl.h - what the files of the blob service share.
 *
 *   blobs.c        the loop, the sockets, the life of the service
 *   peer.c         peers, and saying something to them
 *   dispatch.c     the table of messages
 *   stream.c       streams: opening and ending them, whose turn it is, time-outs
 *   file.c         puts from a file that the broker reads itself
 *   put.c, get.c   the kinds of stream: what the loop and what a job does for each
 *   jobs.c         the threads that do the disk's work
 *
 * Ownership. Everything belongs to the loop's thread, but for the fields below "job's" of a stream:
 * they belong to a job thread from jobs_submit() until the stream comes back through jobs_take(),
 * and to the loop otherwise. A stream that ends while a job has it is only marked (@is_dying);
 * it is freed when it comes back. */
#pragma once

#include "broker/blobs/blobs.h"
#include "common/pure/list.h"
#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#define ROUTE_MAX 64
#define SMALL_MAX (1u << 20)	    /* streams up to this size need no turn */
#define DIGESTS_MAX 8192	    /* in one HAVE */
#define PROGRESS_NS (30 * NS_PER_S) /* a stream that moves nothing for so long ends */
#define CROWDED_NS (5 * NS_PER_S)   /* ... when others wait for its turn */
#define PEER_IDLE_NS (120 * NS_PER_S)
#define SIZE_UNKNOWN UINT64_MAX
#define FILE_WINDOW (16u << 20) /* credit of a put by file: it takes no memory */

struct blob_peer {
	struct list link; /* in the bucket, or in blobs->gone */
	bool is_gone;	  /* freed, with its streams, at the end of the loop's turn */
	struct list streams;
	unsigned stream_count, large_count; /* large: with a turn */
	unsigned refused;
	unsigned endpoint;
	uint8_t route[ROUTE_MAX];
	size_t route_size;
	bool has_key;
	uint8_t key[KEY_SIZE]; /* or, without CURVE, its instance */
	uint64_t heard_ns;
};

enum stream_kind { STREAM_PUT, STREAM_GET, STREAM_HAVE, STREAM_KINDS };

struct piece { /* bytes on their way; the payload of one DATA */
	struct list link;
	zmq_msg_t msg;
	uint64_t offset, size;
	/* put: */
	bool by_file;	 /* it has no bytes: they are in the file */
	uint64_t from;	 /* there */
	uint32_t stored; /* not 0: the bytes are a frame */
};

struct blob_file { /* see FileRef */
	uint64_t pid, fd, device, inode;
};

struct blob_stream {
	/* loop's */
	struct list link;	/* in the peer */
	struct list turn_link;	/* in blobs->waiting while it waits for a turn */
	struct list stall_link; /* in blobs->stalled while its peer's queue is full */
	uint64_t unsaid_credit; /* that could not be told yet */
	bool is_finished;	/* @last is what remains to be said, then it ends */
	Cashet__BlobMessage last;
	Cashet__Error error;
	struct blob_peer *peer; /* NULL: the peer was forgotten */
	enum stream_kind kind;
	uint64_t id;
	bool is_busy, is_dying;
	bool is_large, has_turn; /* a large one moves while it has a turn */
	bool has_ended;		 /* put: END came */
	uint64_t progress_ns;
	uint64_t credit; /* put: bytes that may still come; get: that may still be sent */
	uint64_t moved;	 /* bytes that came, or were sent */
	uint64_t size;	 /* put: announced, or SIZE_UNKNOWN; get: at most so many bytes */
	bool wants_file; /* put: the sender says where the file is */
	bool by_file;	 /* put: it is open here */
	struct list pieces; /* put: came, not given to a job; get: made, not sent */
	/* job's */
	struct list job_link;
	struct list job_pieces;
	uint64_t budget;   /* get: bytes to make */
	uint64_t consumed; /* put: bytes taken from job_pieces */
	bool do_commit, is_done;
	bool do_open; /* put: @from */
	struct blob_file from;
	int file;		 /* -1: none */
	uint8_t owner[KEY_SIZE]; /* key of the peer */
	int rc;			 /* positive cas_code, negative errno */
	struct cas_put *put;
	struct cas_get *get;
	struct buf
		found; /* get: bytes of a blob that is inline; have: digests that are missing */
	bool is_open, is_inline;
	bool has_want;
	uint8_t digest[DIGEST_SIZE]; /* put: wanted, then the store's; get: asked for */
	uint64_t offset;	     /* get: next byte of the blob to read */
	uint64_t skip;		     /* get: first byte to send */
	uint64_t blob_size;
	struct buf digests;	      /* have: asked for */
	ProtobufCBinaryData *missing; /* have: what the answer points to */
};

struct stream_ops {
	void (*job)(struct blobs *b, struct blob_stream *s); /* on a job thread */
	void (*back)(struct blobs *b,
		     struct blob_stream *s); /* on the loop, after a job */
	void (*pump)(struct blobs *b,
		     struct blob_stream *s); /* on the loop: go on if possible */
	bool is_put; /* takes a turn of the puts, else one of the gets */
};
extern const struct stream_ops *const stream_kinds[STREAM_KINDS];
extern const struct stream_ops blob_put_ops, blob_get_ops, blob_have_ops;

static inline const struct stream_ops *stream_ops(const struct blob_stream *s)
{
	return stream_kinds[s->kind];
}

struct blob_jobs {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list todo, done;
	bool is_stopping;
	pthread_t threads[BLOBS_JOBS];
	unsigned started;
};

#define PEER_BUCKETS 1024
struct blobs {
	struct blobs_options o;
	struct blobs_endpoint endpoints[BLOBS_ENDPOINTS];
	char *urls[BLOBS_ENDPOINTS];
	void *sockets[BLOBS_ENDPOINTS];
	int stop, wake; /* eventfds */
	pthread_t thread;
	struct blob_jobs jobs;
	struct list peers[PEER_BUCKETS];
	unsigned peer_count;
	struct list waiting, stalled; /* streams */
	struct list gone;	      /* peers */
	unsigned turns[2];	      /* taken: of gets, of puts */
	uint64_t now_ns, next_tick_ns;
	struct wire_arena arena;
	atomic_uint_fast64_t refused, puts, files, gets, bytes_in, bytes_out, peers_now,
		streams_now;
};

/* ---- dispatch.c ---- */
void blobs_handle(struct blobs *b, unsigned endpoint, struct wire_frame *frame);

/* ---- peer.c ---- */
struct blob_peer *blobs_find_peer(struct blobs *b, unsigned endpoint,
				  const struct wire_frame *frame);
struct blob_peer *blobs_add_peer(struct blobs *b, unsigned endpoint,
				 const struct wire_frame *frame);
void blobs_end_streams(struct blobs *b, struct blob_peer *peer);
void blobs_free_gone(struct blobs *b);
/** blobs_say_error() - to somebody who may have no session or no stream. */
void blobs_say_error(struct blobs *b, unsigned endpoint, const struct wire_frame *frame,
		     uint64_t stream, enum err_code code, const char *what);
/* A peer that is gone is forgotten; with one whose queue is full, what is to be said waits. */
/** blobs_credit() - the peer may send @credit more; 0: the stream is alive. */
void blobs_credit(struct blobs *b, struct blob_stream *s, uint64_t credit);
/** blobs_finish() - say the last word of the stream and end it. What @m points to is the stream's. */
void blobs_finish(struct blobs *b, struct blob_stream *s, const Cashet__BlobMessage *m);
/** blobs_fail() - the last word is an error. @what: a literal. The stream may be with a job. */
void blobs_fail(struct blobs *b, struct blob_stream *s, enum err_code code,
		const char *what);
/** blobs_fail_rc() - the last word is what the store answered, and what to do where it has no room. */
void blobs_fail_rc(struct blobs *b, struct blob_stream *s, int rc);
/** blobs_retry() - say what waits. */
void blobs_retry(struct blobs *b, struct blob_stream *s);
/** blobs_refuse() - count a message that breaks the rules; a peer with many is forgotten. */
void blobs_refuse(struct blobs *b, struct blob_peer *peer, const char *why);
/** blobs_forget_peer() - nothing more is said to it or heard from it. Its memory and its streams
 * stay until the end of the loop's turn, so that nobody up the stack holds a dead pointer. */
void blobs_forget_peer(struct blobs *b, struct blob_peer *peer);

/* ---- stream.c ---- */
struct blob_stream *stream_find(struct blob_peer *peer, uint64_t id);
/** stream_open() - NULL if the peer has too many (it was told). */
struct blob_stream *stream_open(struct blobs *b, struct blob_peer *peer,
				enum stream_kind kind, uint64_t id);
void stream_end(struct blobs *b,
		struct blob_stream *s); /* now, or when its job is back */
/** stream_set_large() - from now on @s needs a turn to move. */
void stream_set_large(struct blobs *b, struct blob_stream *s);
/** stream_stall() - the queue of its peer is full: it is tried again soon. */
void stream_stall(struct blobs *b, struct blob_stream *s);
bool stream_may_move(const struct blob_stream *s);
void stream_submit(struct blobs *b, struct blob_stream *s); /* give it to a job */
void stream_give_turns(struct blobs *b); /* at the end of the loop's turn */
void stream_moved(struct blobs *b, struct blob_stream *s); /* it made progress */
void stream_check_times(struct blobs *b, struct blob_peer *peer);
uint64_t stream_window(const struct blobs *b, const struct blob_stream *s);
/** stream_explain() - what a job's code means to the asker. */
enum err_code stream_explain(int rc, const char **what);
void piece_free(struct piece *piece);

/* ---- file.c ---- */
bool blob_file_may(const struct blobs *b, const struct blob_peer *peer);
/** blob_file_open() - Return: a descriptor; -1: it cannot be read, or is another one. Thread: any. */
int blob_file_open(const struct blob_file *file);

/* ---- put.c, get.c: a row of the table of messages each ---- */
typedef void blob_on(struct blobs *b, struct blob_peer *peer,
		     const Cashet__BlobMessage *m, struct wire_frame *frame);
blob_on blob_on_put, blob_on_data, blob_on_end, blob_on_get, blob_on_have;
/** blob_get_credit() - the asker may be sent @credit more bytes. */
void blob_get_credit(struct blobs *b, struct blob_stream *s, uint64_t credit);

/* ---- jobs.c ---- */
int jobs_start(struct blobs *b);
void jobs_stop(struct blobs *b); /* streams that they have come back first */
void jobs_submit(struct blobs *b, struct blob_stream *s);
struct blob_stream *jobs_take(struct blobs *b); /* one that is back, or NULL */
