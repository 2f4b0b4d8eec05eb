/* broker.h - the daemon's state, and what its parts offer each other.
 *
 * One thread, the loop, owns everything here. A *turn* is one round of it: take what has come,
 * step the core for each event, let its effects become records of one ledger turn and messages,
 * hand the records in, go on. What waits for the disk is in the outbox, keyed by the number of
 * the turn (`step`); the loop itself never waits for the disk.
 *
 *   net/        sockets, keys, sessions, the outbox of messages that wait for the disk
 *   handlers/   a file per thing that peers ask for; dispatch.c: which message may come from whom
 *   blobs/      the service of blobs, on a thread of its own
 *   effects.c   what the core decided, carried out; commits.c: results become commits
 *   lookup.c    is it cached, is it whole; presence.c: which bytes are there
 *   assign.c    to workers; worker.c: what is known of them
 *   recover.c   the start, from the ledger; private.c: the life of a private broker
 *   history/, care/   questions about the store, on threads; what may go, and making it go
 *
 * Errors: what a peer does wrong is answered and counted; what fails here beyond repair goes to
 * broker_fail(), which ends the loop without letting anything out that is not on disk. */
#pragma once

#include "broker/batch.h"
#include "broker/blobs/blobs.h"
#include "broker/care/files.h"
#include "broker/core/core.h"
#include "broker/handlers/watch.h"
#include "broker/history/page.h"
#include "broker/ledger/ledger.h"
#include "broker/net/auth.h"
#include "broker/net/outbox.h"
#include "broker/net/peer.h"
#include "broker/options.h"
#include "broker/store/cas.h"
#include "broker/worker.h"

#include <sys/types.h>

#define SOCKET_MAX (LISTEN_MAX + 1)
#define FREE_BYTES_MIN (64ull << 20) /* below: the disk counts as full */
#define TURN_MESSAGES 4096
#define TURN_NS (2 * NS_PER_MS)

struct control {
	void *router;
	char *url; /* as bound */
	bool is_tcp, secured;
	uint32_t blob_port;	     /* TCP */
	char *blob_path;	     /* ipc */
	bool bound;		     /* false while admission is closed */
	int fd;			     /* ZMQ_FD: tells of changes, not of states, so: */
	bool hot;		     /* there may be messages though @fd is silent */
	struct strangers *strangers; /* TCP, or NULL */
};

struct lookup {
	core_exec_id exec;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool need_bytes, need_slots, parent_only;
};

struct lookups { /* asked by the core, not answered yet; answered oldest first */
	struct lookup *items;
	size_t first, count, capacity;
	struct content *slots; /* of the one that is being answered */
	size_t slot_room;
	uint64_t hits, misses;
};

struct presence;    /* presence.c: which blobs and commits were found whole lately */
struct known;	    /* known.c: ids of batches of the past */
struct query;	    /* query.c: the thread */
struct guard;	    /* care/guard.c: what must not be removed now */
struct care;	    /* care/care.c: the thread that looks after the store */
struct reports;	    /* report.c: results that are being taken */
struct checkpoints; /* checkpoint.c: what attempts left for the next one */
struct retries;	    /* retry.c */
struct relays;	    /* logs.c */
struct life;	    /* private.c */
struct import;	    /* import.c: the one that is going on, or was the last */

struct broker {
	const struct options *options;
	char *store; /* absolute path */
	char *run_dir;
	int lock_fd;
	void *zmq;
	struct control controls[SOCKET_MAX];
	unsigned control_count;
	bool has_tcp, insecure;
	struct key_pair keys;
	struct blobs *blobs;
	struct auth *auth;

	struct cas *cas;
	struct file_counts files;
	struct ledger *ledger;
	struct ledger_info info;
	struct ledger_reader *reader;
	struct pager pager;
	struct core *core;
	struct core_effects effects;
	struct query *query;

	/* the turn */
	uint64_t now;	       /* monotonic ns, read once per turn */
	uint64_t step;	       /* number of this turn */
	uint64_t counted_ns;   /* files were last counted then */
	uint64_t handed_step;  /* last turn that recorded anything */
	uint64_t durable;      /* all up to this turn is on disk */
	uint64_t durable_told; /* to the core */
	uint64_t commit_last,
		commit_durable; /* highest number given; all up to it are on disk */
	struct ledger_turn *turn;
	bool stepping;	      /* the core's effects are being carried out */
	bool turn_only_early; /* nothing was granted in it that waits for it */
	bool turn_small;      /* a batch of a few tasks was sealed in it */
	bool ledger_full;
	bool batch_was_large; /* one ended since memory was given back */
	unsigned idle_seconds;
	struct outbox outbox;
	struct wire_arena arena;	/* of the message that is being handled */
	const struct wire_frame *frame; /* it as it came */
	struct buf scratch, packed;
	struct reports *reports;
	struct checkpoints *checkpoints;

	struct peers peers;
	struct batches batches;
	struct workers workers;
	struct lookups lookups;
	struct presence *presence;
	struct guard *guard;
	struct care *care;
	struct known *known;
	struct retries *retries;
	struct relays *relays;
	struct life *life;
	struct import *import;

	uint64_t started_ns, next_second_ns;
	uint64_t refused_messages, auth_refused_seen, free_bytes;
	uint64_t fd_limit, client_max;
	bool recovering, holding; /* holding: no room on the disk */
	bool admission_closed;
	bool unreachable; /* was said: a control socket cannot be made anew */
	bool draining;
	uint64_t drain_deadline_ns; /* TIME_NEVER: none */
	unsigned terms;		    /* SIGTERMs so far */
	int signal_fd, wake_fd;
	bool signalled, ledger_moved; /* what the last poll said */
	bool stop;		      /* leave the loop */
	bool stop_asked;	      /* by another thread; atomic */
	int store_error; /* errno of a failed sync in the blob service; atomic */
	uint64_t connections_refused;
	int exit_code;
};

/** broker_open() - store, lock, ledger, keys, sockets, recovery; ready for broker_run().
 * Return: 0; ERR_* in @e; BROKER_LOST_RACE: a private broker is there already. */
#define BROKER_LOST_RACE 1000
int broker_open(struct broker **bp, const struct options *options, struct err *e);
/** broker_run() - until it is drained, told to stop, or broken. Return: the exit code. */
int broker_run(struct broker *b);
void broker_free(struct broker *b);
/** broker_wake() - make the loop look around; broker_stop() - end it. Thread: any. */
void broker_wake(struct broker *b);
void broker_stop(struct broker *b);

/* ---- store.c: the directory, its lock and its sockets' names ---- */
int store_open(struct broker *b, struct err *e);
/** store_mark_end() - while its sockets are still there: this broker ends because it was meant to. */
void store_mark_end(struct broker *b);
void store_close(struct broker *b);
/** store_socket() - heap: path of the control socket in run/, or where it had to move. */
char *store_socket(struct broker *b, struct err *e);
/** store_tells_socket() - false if run/socket is missing. */
bool store_tells_socket(struct broker *b);
bool store_vanished(struct broker *b);

/* ---- listen.c ---- */
int listen_open(struct broker *b, struct err *e);
void listen_close(struct broker *b);
/** listen_admit() - take new connections, or stop taking them. */
void listen_admit(struct broker *b, bool admit);
/** listen_restore() - files of control sockets, and run/socket, that somebody removed are made anew.
 * Once a second. */
void listen_restore(struct broker *b);
/** listen_watch_descriptors() - say that connections were refused, see accept.h. */
void listen_watch_descriptors(struct broker *b);
/** listen_raise_limits() - as many open files as we are allowed. Return: 0, or ERR_FAILED: too few to
 * work with. */
int listen_raise_limits(struct broker *b, struct err *e);

/* ---- the turn: broker.c, effects.c ---- */
void broker_fail(struct broker *b, const char *what, const struct err *e);
/** broker_step() - step the core with @event (now and step are filled in), carry out effects. */
void broker_step(struct broker *b, struct core_event *event);
void broker_drain(struct broker *b, uint64_t deadline_ns, const char *why);
void effects_apply(struct broker *b);

/** broker_socket() - control socket @i to send on. Sending may swallow the signal that a message has
 * come, so it is looked at before the next wait. */
static inline void *broker_socket(struct broker *b, unsigned i)
{
	b->controls[i].hot = true;
	return b->controls[i].router;
}

/* ---- dispatch.c ---- */
void dispatch(struct broker *b, unsigned socket, struct wire_frame *frame);

/* ---- submit.c, chunk.c, retry.c, recover.c ---- */
/** A checked chunk as the core takes it; arrays live in b's chunk scratch until the next one. */
struct chunk_view {
	struct core_event event;
	struct function_def **defs; /* counted for the caller, one per function */
	size_t def_count;
	const char *wrong; /* NULL, or what is malformed */
};
int chunk_check(struct broker *b, const Cashet__SubmitChunk *chunk,
		uint32_t functions_before, uint32_t options_before,
		struct chunk_view *view);
void chunk_view_drop(struct broker *b, struct chunk_view *view);
void chunk_scratch_free(void);

struct submission {	  /* one chunk, from a client or from a retry */
	peer_handle peer; /* 0: nobody is told */
	uint64_t serial;
	const uint8_t *client_key;
	const Cashet__SubmitChunk *chunk;
	const uint8_t *packed; /* of the SubmitChunk */
	size_t packed_size;
	bool quiet; /* acknowledge only the seal */
};
/** submit_chunk() - Return: 0 taken or answered; ERR_* refused (the peer was told). */
int submit_chunk(struct broker *b, const struct submission *s);
void submit_sealed(struct broker *b, const struct core_effect *fx);
void submit_refused(struct broker *b, const struct core_effect *fx);
void submit_discarded(struct broker *b, const struct core_effect *fx);
/** submit_replay() - a recorded chunk, into the core only. Return: 0; 1 malformed. */
int submit_replay(struct broker *b, struct batch *batch,
		  const Cashet__SubmitChunk *chunk);
void handle_submit_chunk(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_retry(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
bool retries_pending(const struct broker *b);
void retries_run(struct broker *b); /* one chunk of each */
void retries_fini(struct broker *b);
int recover(struct broker *b, struct err *e);

/* ---- known.c ---- */
void known_init(struct broker *b);
void known_fini(struct broker *b);
void known_add(struct known *k, const uint8_t id[DIGEST_SIZE]); /* thread: any */
/** known_perhaps() - false: there never was a sealed batch with this id. */
bool known_perhaps(const struct known *k, const uint8_t id[DIGEST_SIZE]);
/** known_fill() - all batches of the past; on the thread of @reader. */
void known_fill(struct known *k, struct ledger_reader *reader);

/* ---- lookup.c ---- */
void lookup_fini(struct broker *b);
void lookup_add(struct broker *b, const struct core_effect *fx);
bool lookup_pending(const struct broker *b);
void lookups_run(struct broker *b, uint64_t until_ns);
/** lookup_slots() - slots of a completed commit: result, stdout, outputs. */
uint32_t lookup_slots(const struct commit *c, struct content *slots, uint32_t max);

/* ---- presence.c ---- */
void presence_init(struct broker *b);
void presence_fini(struct broker *b);
void presence_forget(struct broker *b); /* some blob went missing: nothing is known */
void presence_check(struct broker *b);	/* forget if the store lost anything */
/** presence_has() - is the blob there? Remembers that it was; presence_noted() only remembers. */
bool presence_has(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
bool presence_noted(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
void presence_note(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
/** presence_tree() - call @file for the files in a tree blob until it returns false. @data: the
 * blob, or NULL to read it from the store. Return: 0; 1 not there; 2 it is no tree. */
int presence_tree(struct broker *b, const uint8_t digest[DIGEST_SIZE], const void *data,
		  size_t size, bool (*file)(void *arg, const uint8_t digest[DIGEST_SIZE]),
		  void *arg);
/** presence_source() - the same for the files of a source (common/format/source.h). */
int presence_source(struct broker *b, const uint8_t digest[DIGEST_SIZE],
		    bool (*file)(void *arg, const uint8_t digest[DIGEST_SIZE]),
		    void *arg);
/** presence_is_whole() - is all of it there, the files of a folder included? */
bool presence_is_whole(struct broker *b, const struct content *content);
/** presence_drop(), presence_drop_commit() - what was known of this one is not believed any more. */
void presence_drop(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
void presence_drop_commit(struct broker *b, uint64_t seq);
void presence_note_commit(struct broker *b, uint64_t seq); /* all its bytes are there */
bool presence_commit(struct broker *b, uint64_t seq);

/* ---- report.c, commits.c ---- */
#define INLINE_MAX                                                                       \
	1024 /* bytes of a blob that travels in a message and lives in the journal */
void report_init(struct broker *b);
void report_fini(struct broker *b);
void reports_guard(struct broker *b);  /* parked ones rely on what they brought */
void reports_settle(struct broker *b); /* after a step: forget those with a verdict */
void handle_results(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void report_commit(struct broker *b, const struct core_effect *fx);
void report_failed(struct broker *b, const struct core_effect *fx);
void report_verdict(struct broker *b, const struct core_effect *fx);

/* ---- handlers of the other messages ---- */
void handle_worker_hello(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_heartbeat(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_handback(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_function_query(struct broker *b, struct peer *peer,
			   const Cashet__Envelope *e);
void handle_bye(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_cancel(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_status(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_workers(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_drain(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_results_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_batches_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
/** handle_question() - any that history_answer() answers without knowing what the loop knows. */
void handle_question(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_why_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_dry_run_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_log_read(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_log_data(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void relays_sweep(struct broker *b);
void relays_fini(struct broker *b);

/** resolve_batch() - which one a BatchRef means: *@livep if it is in memory, else *@row.
 * Return: 0; ERR_NOT_FOUND, ERR_AMBIGUOUS (candidates are named), ERR_USAGE in @e. */
int resolve_batch(struct broker *b, const Cashet__BatchRef *ref, struct batch **livep,
		  struct ledger_batch_row *row, struct err *e);

/* ---- query.c ---- */
int query_start(struct broker *b, struct err *e);
void query_stop(struct broker *b);
void query_take_answers(struct broker *b); /* send what the thread has finished */

/* ---- private.c ---- */
int life_start(struct broker *b, struct err *e);
void life_check(struct broker *b); /* once per turn, cheap */
uint64_t life_deadline(struct broker *b);
void life_fini(struct broker *b);
/** life_last_death() - how the local worker with this key ended last ("signal 9"), or NULL. */
const char *life_last_death(struct broker *b, const uint8_t key[KEY_SIZE]);
