/* dispatch.c - which message may come from whom, and who takes it.
 *
 * A stranger may say Hello and nothing else. What is not in the table, or not allowed by its row,
 * is answered with an Error, counted, and touches nobody else.
 *
 * A question that is answered from the ledger alone needs no handler: handle_question; see
 * broker/history/history.h. To add any other message: its field in proto/cashet.proto (Envelope.body), its section in PROTOCOL.md,
 * a handler in a file of its own or beside its relatives, and a row here. The table test of
 * tests/unit/broker/dispatch.c sends it from every kind and role that the row does not name. */
#include "broker/broker.h"

#include "broker/care/care.h"
#include "broker/handlers/dispatch.h"
#include "broker/handlers/import.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

static void handle_ping(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	Cashet__Pong pong = CASHET__PONG__INIT;
	pong.sent = e->ping->sent;
	out.serial = e->serial;
	out.body_case = CASHET__ENVELOPE__BODY_PONG;
	out.pong = &pong;
	peer_send(b, peer, &out);
}

static void handle_nothing(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	(void)b, (void)peer, (void)e; /* that it came is all there is to know */
}

void handle_bye(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	(void)e;
	if (peer->worker) {
		struct core_event event = {.type = CORE_EV_WORKER_BYE,
					   .worker = peer->worker->number};
		broker_step(b, &event);
	}
	peer_drop(b, peer, "said goodbye");
}

enum { ANY_PEER = PEER_CLIENT | PEER_WORKER };
enum {
	READ = 1 << ROLE_OBSERVER | 1 << ROLE_CLIENT | 1 << ROLE_ADMIN,
	WRITE = 1 << ROLE_CLIENT | 1 << ROLE_ADMIN,
	ADMIN = 1 << ROLE_ADMIN,
	WORK = 1 << ROLE_WORKER | 1 << ROLE_ADMIN,
	ALL = READ | WORK
};

#define ROW(NAME, kinds, roles, joined, handler)                                         \
	{                                                                                \
		CASHET__ENVELOPE__BODY_##NAME, #NAME, kinds, roles, joined, handler      \
	}

const struct dispatch_row dispatch_rows[] = {
	/* message, kinds, roles, after WorkerHello only, handler */
	ROW(PING, ANY_PEER, ALL, false, handle_ping),
	ROW(PONG, ANY_PEER, ALL, false, handle_nothing),
	ROW(BYE, ANY_PEER, ALL, false, handle_bye),

	ROW(SUBMIT_CHUNK, PEER_CLIENT, WRITE, false, handle_submit_chunk),
	ROW(WATCH, PEER_CLIENT, READ, false, handle_watch),
	ROW(PROGRESS_ACK, PEER_CLIENT, READ, false, handle_progress_ack),
	ROW(RESULTS_QUERY, PEER_CLIENT, READ, false, handle_results_query),
	ROW(CANCEL, PEER_CLIENT, WRITE, false, handle_cancel),
	ROW(RETRY, PEER_CLIENT, WRITE, false, handle_retry),
	ROW(BATCHES_QUERY, PEER_CLIENT, READ, false, handle_batches_query),
	ROW(COMMIT_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(WHY_QUERY, PEER_CLIENT, READ, false, handle_why_query),
	ROW(COMMITS_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(RUNS_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(SHOW_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(GRAPH_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(STATS_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(BLOB_QUERY, PEER_CLIENT, READ, false, handle_question),
	ROW(DRY_RUN_QUERY, PEER_CLIENT, WRITE, false, handle_dry_run_query),
	ROW(LOG_READ, PEER_CLIENT, READ, false, handle_log_read),
	ROW(STATUS_QUERY, PEER_CLIENT, READ, false, handle_status),
	ROW(WORKERS_QUERY, PEER_CLIENT, READ, false, handle_workers),
	ROW(DRAIN_REQUEST, PEER_CLIENT, ADMIN, false, handle_drain),

	ROW(GC_REQUEST, PEER_CLIENT, ADMIN, false, handle_care),
	ROW(REMOVE_REQUEST, PEER_CLIENT, ADMIN, false, handle_care),
	ROW(FSCK_REQUEST, PEER_CLIENT, READ, false, handle_fsck),
	ROW(CARE_STOP, PEER_CLIENT, READ, false, handle_care_stop),
	ROW(PIN_REQUEST, PEER_CLIENT, WRITE, false, handle_pin),
	ROW(PINS_QUERY, PEER_CLIENT, READ, false, handle_question),
	/* who imports says what tasks gave that nobody here has run */
	ROW(IMPORT_CHUNK, PEER_CLIENT, ADMIN, false, handle_import_chunk),

	ROW(WORKER_HELLO, PEER_WORKER, WORK, false, handle_worker_hello),
	ROW(RESULTS, PEER_WORKER, WORK, true, handle_results),
	ROW(HEARTBEAT, PEER_WORKER, WORK, true, handle_heartbeat),
	ROW(HANDBACK, PEER_WORKER, WORK, true, handle_handback),
	ROW(FUNCTION_QUERY, PEER_WORKER, WORK, true, handle_function_query),
	ROW(LOG_DATA, PEER_WORKER, WORK, true, handle_log_data),
};
const size_t dispatch_row_count = ARRAY_LEN(dispatch_rows);

static const struct dispatch_row *find_row(Cashet__Envelope__BodyCase what)
{
	static const struct dispatch_row *by_case[128];
	static bool ready;
	if (!ready) {
		for (size_t i = 0; i < dispatch_row_count; i++)
			by_case[dispatch_rows[i].what] = &dispatch_rows[i];
		ready = true;
	}
	return (unsigned)what < ARRAY_LEN(by_case) ? by_case[what] : NULL;
}

static void refuse(struct broker *b, struct peer *peer, uint64_t serial,
		   enum err_code code, const char *what, const char *next)
{
	b->refused_messages++;
	log_warn("message refused", "peer=%s why=%s", peer->name, what);
	struct err e = {0};
	err_set(&e, code, "%s", what);
	if (next)
		err_next(&e, "%s", next);
	peer_error(b, peer, serial, &e);
}

/* say_role() - which role would do, and how to get it. */
static const char *say_role(const struct dispatch_row *row, const struct peer *peer,
			    char next[160])
{
	const char *role = row->roles & 1 << ROLE_OBSERVER ? "observer"
			   : row->roles & 1 << ROLE_CLIENT ? "client"
			   : row->roles & 1 << ROLE_WORKER ? "worker"
							   : "admin";
	char key[41];
	key_z85(key, peer->key);
	snprintf(next, 160,
		 "it needs the role %s; on the broker's machine: cashet key trust '%s' "
		 "--role %s",
		 role, key, role);
	return next;
}

static const char *not_allowed(const struct dispatch_row *row, const struct peer *peer)
{
	if (!row)
		return "this message is not one that a broker takes";
	if (!(row->kinds & peer->kind))
		return peer->kind == PEER_CLIENT ? "this message is for workers"
						 : "this message is for clients";
	if (!(row->roles & 1 << peer->role))
		return "the role of your key does not allow this";
	if (row->joined && !peer->worker)
		return "say WorkerHello first";
	return NULL;
}

void dispatch(struct broker *b, unsigned socket, struct wire_frame *frame)
{
	Cashet__Envelope *e = NULL;
	if (!frame->payload)
		e = wire_unpack(&b->arena, frame->data, frame->size);
	struct peer *peer = peer_find(b, socket, frame);
	if (!e) {
		peer_refuse(b, socket, frame, 0, ERR_USAGE, "a malformed message",
			    "both sides need the same version of cashet");
		return;
	}
	if (e->body_case == CASHET__ENVELOPE__BODY_HELLO) {
		peer_hello(b, socket, frame, e);
		return;
	}
	if (!peer) {
		peer_refuse(b, socket, frame, e->serial, ERR_USAGE, "say Hello first",
			    NULL);
		return;
	}
	peer_heard(b, peer);
	const struct dispatch_row *row = find_row(e->body_case);
	const char *why = not_allowed(row, peer);
	if (why) {
		char next[160];
		bool by_role =
			row && row->kinds & peer->kind && !(row->roles & 1 << peer->role);
		refuse(b, peer, e->serial, row ? ERR_NOT_ALLOWED : ERR_USAGE, why,
		       by_role ? say_role(row, peer, next) : NULL);
		return;
	}
	b->frame = frame;
	row->handler(b, peer, e);
	b->frame = NULL;
}
