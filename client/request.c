/* request.c - questions to the broker: one Envelope there, the one with the same serial back. A
 * question is repeated in every new session until it is answered; the broker gives a repeated
 * one the same answer. About a store that no broker serves, the answer is read from its files. */
#include "client/handle.h"

#include "client/local.h"

#include <inttypes.h>
#include <stdlib.h>

struct request *request_send(struct cashet *c, Cashet__Envelope *envelope)
{
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	list_init(&r->node);
	r->serial = envelope->serial = handle_serial(c);
	wire_pack(&r->packed, envelope);
	if (r->packed.failed) {
		request_free(r);
		return NULL;
	}
	list_add_tail(&c->requests, &r->node);
	r->reading = local_answers(envelope->body_case);
	r->local = r->reading && local_may(c);
	if (!r->local)
		handle_send(c, r->packed.data, r->packed.size);
	return r;
}

void request_free(struct request *r)
{
	if (!r)
		return;
	list_del(&r->node);
	handle_arena_free(r->arena);
	buf_fini(&r->packed);
	free(r);
}

int request_error(const Cashet__Error *error, struct err *e)
{
	int code = error->code >= ERR_FAILED && error->code <= ERR_TIMED_OUT
			   ? (int)error->code
			   : ERR_FAILED;
	err_set(e, code, "%s", error->what);
	if (error->next && *error->next)
		err_next(e, "%s", error->next);
	return code;
}

int request_wait(struct cashet *c, struct request *r, Cashet__Envelope__BodyCase want,
		 uint64_t patience_ns, struct err *e)
{
	int failed = 0;
	/* A broker may come or go at any time; none is started for what can be read without. */
	c->reading = r->reading && !c->submission;
	while (!r->done && !failed) {
		if (r->reading && !r->local)
			r->local = local_may(c);
		failed = r->local ? local_answer(c, r, e)
				  : handle_pump(c, TIME_NEVER, patience_ns, e);
		if (failed == LOCAL_SERVED)
			r->local = false; /* the session that begins now says it */
		if (failed == LOCAL_SERVED ||
		    (failed == ERR_UNREACHABLE && r->reading && local_may(c)))
			failed = 0;
	}
	c->reading = false;
	if (failed)
		return failed;
	if (r->reply->body_case == want)
		return 0;
	if (r->reply->body_case == CASHET__ENVELOPE__BODY_ERROR)
		return request_error(r->reply->error, e);
	return err_set(e, ERR_FAILED,
		       "the broker answered with an unexpected message (%d)",
		       (int)r->reply->body_case);
}

int request_ask(struct cashet *c, Cashet__Envelope *envelope,
		Cashet__Envelope__BodyCase want, struct request **rp, struct err *e)
{
	struct request *r = request_send(c, envelope);
	if (!r)
		return handle_no_memory(e);
	int failed = request_wait(c, r, want, c->connect_ns, e);
	if (failed)
		request_free(r);
	else
		*rp = r;
	return failed;
}
