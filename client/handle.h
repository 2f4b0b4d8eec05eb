/* handle.h - the inside of struct cashet: one control connection, and what waits on it.
 *
 * The idea: everything that a client wants from a broker is kept as something that can be said
 * again - unacknowledged chunks, a watch, requests with their serial. A *session* is one socket
 * from its Hello on; whenever a new one begins (the first, after a broken connection, after the
 * broker said that it does not know us) Hello is sent and all of that is said again behind it,
 * without waiting for the Welcome. So a restart of the broker is invisible above this file.
 *
 * Nothing but handle_pump() reads the socket. Whoever waits calls it in a loop and looks at its
 * own state in between; messages for others are kept for them. */
#pragma once

#include "client/cashet.h"
#include "client/transport.h"
#include "client/where.h"
#include "common/pure/list.h"
#include "proto/blob_client.h"
#include "proto/wire.h"

/* How long to go on without a session. */
#define HANDLE_CONNECT_NS (10 * NS_PER_S) /* the first one, and for plain questions */
#define HANDLE_UNSEALED_NS                                                               \
	(60 * NS_PER_S) /* with a batch half sent; without end once sealed */

struct request { /* one question; its answer has the same serial */
	struct list node;
	uint64_t serial;
	struct buf packed; /* an Envelope, to be said again in a new session */
	bool done;
	bool reading; /* it can be answered from the store's files, see local.h, */
	bool local;   /* and will be */
	struct wire_arena *arena; /* of @reply */
	Cashet__Envelope *reply;
	/* What comes before the answer of one that takes long; may be NULL. */
	void (*progress)(void *arg, const Cashet__CareProgress *progress);
	void *progress_arg;
};

struct welcome {    /* what the last Welcome said */
	bool known; /* there has been one */
	uint8_t store[16];
	uint64_t boot, pid;
	uint32_t blob_port, inline_max, message_max;
	char *blob_path, *store_path, *version;
	char role[16];
	bool insecure, is_private;
};

struct submission;
struct watch;
struct local;
struct objects;

struct cashet {
	struct where where;
	char *url; /* of the control socket; changes when a private broker is started anew */
	char *name;
	bool insecure, must_exist;
	bool may_be_missing; /* the store: then there is nothing in it */
	uint64_t connect_ns;
	bool (*interrupted)(void *arg);
	void *interrupted_arg;
	uint8_t instance[KEY_SIZE];

	bool secured; /* CURVE, with: */
	struct key_pair self;
	uint8_t server[KEY_SIZE];

	void *zmq;		     /* context; NULL until something needs it */
	struct transport *transport; /* of this session; NULL between two */
	bool reading;	    /* what waits now needs no broker: none is started for it */
	bool broken;	    /* the transport is of no more use */
	bool turned_away;   /* by a private broker that is about to end */
	bool greeted;	    /* this session has its Welcome */
	uint64_t began_ns;  /* when this session began */
	uint64_t heard_ns;  /* anything, in this session */
	uint64_t pumped_ns; /* when we last looked */
	uint64_t ping_ns;   /* when the next is due */
	uint64_t
		lost_ns; /* since when a session has been wanted in vain; 0: not yet, greeted */
	uint64_t retry_ns; /* begin no session before */
	uint64_t backoff_ns;
	uint32_t
		short_lives; /* in a row: brokers that went soon after they had answered, or before */
	unsigned handshakes_failed; /* in a row, without saying why */
	struct welcome welcome;
	uint64_t asked_to_leave;  /* pid of an old private broker */
	struct wire_arena *arena; /* of the message being dispatched */
	uint64_t serial;

	struct list requests;
	struct submission
		*submission; /* the last one; NULL: none, or all was acknowledged */
	struct watch *watch; /* the last one */
	struct blob_client *blobs;
	uint64_t kept_up_ns; /* when the session was last looked after while blobs move */
	char *blobs_url;
	struct local *local;	 /* the store's files; NULL: not needed so far */
	struct objects *objects; /* its blobs, see local_object() */
	struct request
		*lent; /* whose reply a caller still reads (cashet_status() etc.) */
};

/** handle_open() - resolve, make the context, begin the first session. No wait for the Welcome. */
int handle_open(struct cashet **cp, const struct cashet_options *options, struct err *e);
void handle_close(struct cashet *c);

/** handle_pump() - send, receive and dispatch, until something arrived, a signal came, or
 * @until_ns. @patience_ns: how long to bear being without a broker (TIME_NEVER: for ever).
 * Return: 0, also when nothing happened; ERR_UNREACHABLE, ERR_NOT_ALLOWED, ERR_DETACHED, ... */
int handle_pump(struct cashet *c, uint64_t until_ns, uint64_t patience_ns, struct err *e);
/** handle_greeted() - pump until the broker has welcomed this session. */
int handle_greeted(struct cashet *c, struct err *e);
/** handle_send() - @packed: an Envelope. A session that cannot take it is given up; what is to
 * be said again will be. */
void handle_send(struct cashet *c, const void *packed, size_t size);
void handle_say(struct cashet *c, const Cashet__Envelope *envelope);
/** handle_present() - Hello, and everything that we want from the broker, from the start. */
void handle_present(struct cashet *c);
/** handle_dispatch() - give @envelope, which lives in c->arena, to whom it is for. Return: 0, or
 * ERR_* if the broker cannot be talked to. */
int handle_dispatch(struct cashet *c, Cashet__Envelope *envelope, struct err *e);
uint64_t handle_serial(struct cashet *c);
/** handle_identity() - KEY_SIZE bytes: who we are to the broker. */
const uint8_t *handle_identity(const struct cashet *c);
/** handle_zmq() - ZeroMQ's context, made on first use. */
int handle_zmq(struct cashet *c, struct err *e);
/** handle_blobs() - the blob client, made on first use. */
int handle_blobs(struct cashet *c, struct blob_client **blobsp, struct err *e);
/** handle_get_blob() - bytes of a blob from @offset on, from whoever has them; as blob_client_get(). */
int handle_get_blob(struct cashet *c, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
		    cashet_sink sink, void *arg, struct err *e);
/** handle_take_arena() - whoever keeps the message being dispatched takes its arena. */
struct wire_arena *handle_take_arena(struct cashet *c);
void handle_arena_free(struct wire_arena *arena);
int handle_no_memory(struct err *e);
/** handle_memo_path() - where digests of local files are remembered; heap, or NULL. */
char *handle_memo_path(const struct cashet *c);

/* ---- requests ---- */

/** request_send() - ask; @envelope's serial is set here. Return: NULL without memory. */
struct request *request_send(struct cashet *c, Cashet__Envelope *envelope);
/** request_wait() - Return: 0 with @r->reply of the body @want; an Error reply as ERR_*. */
int request_wait(struct cashet *c, struct request *r, Cashet__Envelope__BodyCase want,
		 uint64_t patience_ns, struct err *e);
void request_free(struct request *r);
/** request_ask() - both. *rp: to be freed; set on success only. */
int request_ask(struct cashet *c, Cashet__Envelope *envelope,
		Cashet__Envelope__BodyCase want, struct request **rp, struct err *e);
/** request_error() - an Error message as an err. */
int request_error(const Cashet__Error *error, struct err *e);

/* ---- what sessions say again, and what arrives (submit.c, watch.c) ---- */

void submission_resume(struct cashet *c);
bool submission_take_ack(struct cashet *c, const Cashet__SubmitAck *ack);
bool submission_take_error(struct cashet *c, uint64_t serial, const Cashet__Error *error);
void submission_free(struct submission *s);
/** submission_sync() - wait for the seal to be acknowledged; then, or refused, it is gone. */
int submission_sync(struct cashet *c, struct err *e);
/** submission_check() - ERR_* if the batch was refused. Forgets an acknowledged one. */
int submission_check(struct cashet *c, struct err *e);
/** submission_is() - true if @batch (full id) is the last one and not acknowledged yet. */
bool submission_is_open(const struct cashet *c);

void watch_resume(struct cashet *c, bool seal_follows);
bool watch_take_progress(struct cashet *c, Cashet__Progress *progress);
bool watch_take_error(struct cashet *c, uint64_t serial, const Cashet__Error *error);
void watch_free(struct watch *w);
/** watch_expect() - the sealing chunk of @batch (full id) asks to watch. @packed: that SubmitChunk
 * if it is the only one, else NULL: the broker need not tell us what we told it.
 * Return: 0 or ERR_FAILED. */
int watch_expect(struct cashet *c, const uint8_t batch[DIGEST_SIZE], const void *packed,
		 size_t size);
struct watch_page { /* all results of a batch, and what they live in */
	Cashet__ResultsPage *page;
	struct wire_arena *arena;
	Cashet__SubmitChunk
		*chunk; /* that the batch was made of; NULL: the page has all */
	bool paused;
};
/** watch_take_page() - the results of @batch that came with its end. Return: false if none did, or
 * not with all that results consist of. */
bool watch_take_page(struct cashet *c, const Cashet__BatchRef *batch,
		     struct watch_page *page);

/** batch_ref_parse() - hexadecimal text to a BatchRef whose bytes are in @bytes. 0 or ERR_USAGE. */
int batch_ref_parse(const char *text, Cashet__BatchRef *ref, uint8_t bytes[DIGEST_SIZE],
		    struct err *e);
void counts_from(struct cashet_counts *out, const Cashet__Counts *in);

/** error_give() - what public functions end with. Return: @code. */
int error_give(struct cashet_error *out, const struct err *e, int code);
