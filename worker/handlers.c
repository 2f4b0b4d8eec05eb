/* handlers.c - what the broker says; see worker.h. The broker is trusted to be ours but not to be
 * right: malformed parts are logged and skipped.
 *
 * To handle another message: a function here and a row in the table. */
#include "worker/worker.h"

#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/logs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_READ_MAX (256u << 10)
#define GREET_LATER                                                                      \
	"another worker" /* how the broker's refusal of a doubled key begins */

/* ---- session */

static void handle_welcome(struct worker *w, const Cashet__Envelope *e)
{
	if (session_welcome(&w->session, e->welcome)) {
		log_error("the broker's Welcome is malformed", "url=%s", w->session.url);
		return;
	}
	jobs_set_url(w->jobs, w->session.blob_url);
	present_hello(w);
	w->beat_ns = w->now_ns; /* soon: claims are confirmed by it */
	struct list *at;
	list_for_each (at, &w->attempts.lists[ATTEMPT_UNKNOWN])
		container_of(at, struct attempt, link)->is_sent = false; /* ask again */
}

static void handle_error(struct worker *w, const Cashet__Envelope *e)
{
	const Cashet__Error *m = e->error;
	bool greeting = w->session.state == SESSION_GREETING;
	if (strstr(m->what, "Hello first")) {
		if (!greeting) {
			log_info("the broker was restarted", "url=%s", w->session.url);
			session_greet(&w->session, w->now_ns);
		}
		return;
	}
	if (m->code == ERR_NOT_ALLOWED &&
	    strncmp(m->what, GREET_LATER, sizeof GREET_LATER - 1) == 0) {
		log_warn("not taken by the broker", "why=%s next=%s", m->what, m->next);
		w->session.state = SESSION_GREETING;
		w->session.hello_ns = w->now_ns;
		return;
	}
	if (m->code == ERR_NOT_ALLOWED || (m->code == ERR_USAGE && greeting)) {
		struct err why = {0};
		err_set(&why, (enum err_code)m->code,
			"the broker refuses this worker: %s", m->what);
		err_next(&why, "%s", m->next);
		err_print(&why, "cashet-worker");
		w->exit_code = (int)m->code;
		w->done = true;
		return;
	}
	log_warn("the broker reports an error", "code=%u what=%s", m->code, m->what);
}

static void handle_ping(struct worker *w, const Cashet__Envelope *e)
{
	Cashet__Pong pong = CASHET__PONG__INIT;
	Cashet__Envelope reply = CASHET__ENVELOPE__INIT;
	pong.sent = e->ping->sent;
	reply.serial = e->serial;
	reply.body_case = CASHET__ENVELOPE__BODY_PONG;
	reply.pong = &pong;
	session_send(&w->session, &reply);
}

static void handle_nothing(struct worker *w, const Cashet__Envelope *e)
{
	(void)w;
	(void)e;
}

static void handle_bye(struct worker *w, const Cashet__Envelope *e)
{
	log_info("the broker says goodbye", "why=%s", e->bye->why);
	session_greet(&w->session, w->now_ns); /* until the next one is there */
}

/* ---- work */

/* Its function is known: check what can be checked before it waits for its turn. */
static void admit(struct worker *w, struct attempt *a)
{
	uint8_t hash[DIGEST_SIZE];
	if (a->function->bad) {
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__REJECTED, "%s",
				 a->function->bad);
		return;
	}
	sha256_digest(a->args, a->args_size, hash);
	if (memcmp(hash, a->lease.args_hash, DIGEST_SIZE)) {
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__REJECTED,
				 "its arguments do not hash to its fingerprint");
		return;
	}
	if (function_has_source(&a->function->f))
		calls_admit(w, a);
	else
		attempt_become(&w->attempts, a, ATTEMPT_WAITING);
}

static void ask_for_function(struct worker *w, struct attempt *a)
{
	Cashet__FunctionQuery m = CASHET__FUNCTION_QUERY__INIT;
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	m.func_hash = (ProtobufCBinaryData){DIGEST_SIZE, a->lease.func_hash};
	e.body_case = CASHET__ENVELOPE__BODY_FUNCTION_QUERY;
	e.function_query = &m;
	a->is_sent = session_send(&w->session, &e);
}

/* Attempts whose function may have come; those without ask for it, once per session. */
static void resolve_functions(struct worker *w)
{
	struct list *at, *next;
	list_for_each_safe (at, next, &w->attempts.lists[ATTEMPT_UNKNOWN]) {
		struct attempt *a = container_of(at, struct attempt, link);
		if (a->stop != STOP_NONE)
			continue;
		a->function = functions_find_ref(&w->functions, a->lease.func_hash);
		if (a->function)
			admit(w, a);
		else if (!a->is_sent)
			ask_for_function(w, a);
	}
}

static void take_assignment(struct worker *w, const Cashet__Assign *m,
			    const Cashet__Assignment *task,
			    struct attempt_options **options)
{
	if (!task->lease || attempts_find(&w->attempts, task->lease->epoch))
		return;
	if (task->options >= m->n_options && m->n_options) {
		log_warn("an assignment without options", "epoch=%" PRIu64,
			 task->lease->epoch);
		return;
	}
	struct attempt_options *o = options[m->n_options ? task->options : 0];
	struct attempt *a = attempt_new(&w->attempts, task, o, w->now_ns);
	if (!a) {
		log_warn("a malformed assignment", "epoch=%" PRIu64, task->lease->epoch);
		return;
	}
	a->function = functions_find_ref(&w->functions, a->lease.func_hash);
	/* Without the function, what it sets itself is not known; its values come first anyway. */
	static const struct function none;
	if (task->n_env)
		function_outer_env(a->function ? &a->function->f : &none, task->env,
				   task->n_env, &a->env, &a->env_count);
	if (a->function)
		admit(w, a);
}

static void handle_assign(struct worker *w, const Cashet__Envelope *e)
{
	const Cashet__Assign *m = e->assign;
	for (size_t i = 0; i < m->n_functions; i++)
		if (!functions_add(&w->functions, m->functions[i]))
			log_warn("a function that does not hash to its name", "name=%s",
				 m->functions[i]->name);
	size_t count = m->n_options ? m->n_options : 1;
	CLEANUP_FREE struct attempt_options **options =
		mem_alloc(count * sizeof *options);
	for (size_t i = 0; i < count; i++)
		options[i] = attempt_options_new(m->n_options ? m->options[i] : NULL);
	for (size_t i = 0; i < m->n_tasks; i++)
		take_assignment(w, m, m->tasks[i], options);
	for (size_t i = 0; i < count; i++)
		attempt_options_unref(options[i]);
	resolve_functions(w);
	if (worker_takes_nothing(w))
		schedule_hand_back(w, true);
}

static void handle_revoke(struct worker *w, const Cashet__Envelope *e)
{
	for (size_t i = 0; i < e->revoke->n_epochs; i++) {
		struct attempt *a = attempts_find(&w->attempts, e->revoke->epochs[i]);
		if (a)
			schedule_stop(w, a, STOP_REVOKED);
	}
}

static void take_ack(struct worker *w, const Cashet__ResultAck *m)
{
	struct attempt *a = attempts_find(&w->attempts, m->epoch);
	if (!a)
		return;
	if (a->state != ATTEMPT_DONE) { /* a claim was refused */
		if (m->verdict == CASHET__RESULT_ACK__VERDICT__STALE)
			schedule_stop(w, a, STOP_STALE);
		return;
	}
	switch (m->verdict) {
	case CASHET__RESULT_ACK__VERDICT__MALFORMED:
		log_error("the broker calls a result malformed", "task=%s epoch=%" PRIu64,
			  a->name, a->lease.epoch);
		finish_forget(w, a);
		return;
	case CASHET__RESULT_ACK__VERDICT__BLOB_MISSING:
		finish_upload_again(w, a, m);
		return;
	default: /* ACCEPTED, STALE, and what a newer broker may say: it is settled */
		finish_forget(w, a);
	}
}

static void handle_result_acks(struct worker *w, const Cashet__Envelope *e)
{
	for (size_t i = 0; i < e->result_acks->n_acks; i++)
		take_ack(w, e->result_acks->acks[i]);
}

static void handle_drain(struct worker *w, const Cashet__Envelope *e)
{
	uint64_t ms = e->drain->deadline_ms;
	uint64_t deadline_ns =
		ms && ms < 1000000000 ? w->now_ns + ms * NS_PER_MS : TIME_NEVER;
	worker_drain(w, DRAIN_SOFT, deadline_ns, "the broker asked for it");
}

/* ---- logs of what runs */

static void read_log(struct attempt *a, const Cashet__LogRead *m, Cashet__LogData *reply,
		     struct buf *data)
{
	uint64_t size = 0;
	bool is_err = m->is_stderr;
	size_t max = m->max && m->max < LOG_READ_MAX ? m->max : LOG_READ_MAX;
	int rc = log_read(attempt_log_dir(a)->paths[is_err ? DIR_ERR : DIR_OUT],
			  &reply->offset, a->punched[is_err], max, data, &size);
	if (rc < 0)
		reply->note = (char *)(uintptr_t)strerror(-rc);
	reply->size = size;
	reply->data = (ProtobufCBinaryData){data->size, data->data};
}

static void handle_log_read(struct worker *w, const Cashet__Envelope *e)
{
	static char none[] = "this worker does not run it",
		    waits[] = "it has not started yet";
	const Cashet__LogRead *m = e->log_read;
	CLEANUP_BUF struct buf data = {0};
	Cashet__LogData reply = CASHET__LOG_DATA__INIT;
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	struct attempt *a = attempts_find_task(&w->attempts, m);
	reply.offset = m->offset;
	reply.epoch = m->epoch;
	reply.running = a && a->state != ATTEMPT_DONE;
	if (!a)
		reply.note = none;
	else if (a->state < ATTEMPT_RUNNING)
		reply.note = waits;
	else if (attempt_log_dir(a))
		read_log(a, m, &reply, &data);
	out.serial = e->serial;
	out.body_case = CASHET__ENVELOPE__BODY_LOG_DATA;
	out.log_data = &reply;
	session_send(&w->session, &out);
}

/* ---- the table */

static const struct {
	Cashet__Envelope__BodyCase body;
	void (*handle)(struct worker *w, const Cashet__Envelope *e);
	bool only_up; /* what comes before Welcome belongs to an older session */
} rows[] = {
	{CASHET__ENVELOPE__BODY_WELCOME, handle_welcome, false},
	{CASHET__ENVELOPE__BODY_ERROR, handle_error, false},
	{CASHET__ENVELOPE__BODY_PING, handle_ping, true},
	{CASHET__ENVELOPE__BODY_PONG, handle_nothing, false},
	{CASHET__ENVELOPE__BODY_BYE, handle_bye, true},
	{CASHET__ENVELOPE__BODY_ASSIGN, handle_assign, true},
	{CASHET__ENVELOPE__BODY_REVOKE, handle_revoke, true},
	{CASHET__ENVELOPE__BODY_RESULT_ACKS, handle_result_acks, true},
	{CASHET__ENVELOPE__BODY_DRAIN, handle_drain, true},
	{CASHET__ENVELOPE__BODY_LOG_READ, handle_log_read, true},
};

void worker_handle(struct worker *w, const Cashet__Envelope *e)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].body != e->body_case)
			continue;
		if (!rows[i].only_up || w->session.state == SESSION_UP)
			rows[i].handle(w, e);
		return;
	}
	log_warn("a message that workers do not take", "body=%d", (int)e->body_case);
}
