/* dispatch.c - what arrives from the broker, and whose it is. */
#include "client/handle.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A private broker of another version gives way: it finishes what it runs, and the one that we start
 * when it is gone goes on with the rest. What was sent to it already is safe there. */
static void replace_old(struct cashet *c)
{
	if (!c->where.dir || !c->welcome.is_private ||
	    c->asked_to_leave == c->welcome.pid ||
	    strcmp(c->welcome.version, cashet_version()) == 0)
		return;
	c->asked_to_leave = c->welcome.pid;
	Cashet__DrainRequest drain = CASHET__DRAIN_REQUEST__INIT;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_DRAIN_REQUEST;
	envelope.drain_request = &drain;
	handle_say(c, &envelope);
}

static int take_welcome(struct cashet *c, const Cashet__Welcome *w, struct err *e)
{
	struct welcome *to = &c->welcome;
	if (w->protocol != WIRE_PROTOCOL)
		return err_set(e, ERR_NOT_ALLOWED,
			       "the broker at %s speaks protocol %u, this program %u: "
			       "version %s "
			       "against %s",
			       c->url, w->protocol, WIRE_PROTOCOL, w->version,
			       cashet_version());
	char *path = strdup(w->blob_path), *version = strdup(w->version),
	     *store = strdup(w->store_path);
	if (!path || !version || !store) {
		free(path);
		free(version);
		free(store);
		return handle_no_memory(e);
	}
	free(to->blob_path);
	free(to->store_path);
	free(to->version);
	to->known = true;
	to->blob_path = path;
	to->store_path = store;
	to->version = version;
	if (w->store.len == sizeof to->store)
		memcpy(to->store, w->store.data, sizeof to->store);
	to->boot = w->boot;
	to->pid = w->pid;
	to->blob_port = w->blob_port;
	to->inline_max = w->inline_max;
	to->message_max = w->message_max;
	snprintf(to->role, sizeof to->role, "%s", w->role);
	to->insecure = w->insecure;
	to->is_private = w->is_private;
	c->greeted = true;
	c->backoff_ns = 0;
	c->lost_ns = 0;
	c->handshakes_failed = 0;
	replace_old(c);
	return 0;
}

/* An Error that answers nothing of ours is about the session. */
static int take_session_error(struct cashet *c, const Cashet__Error *error, struct err *e)
{
	if (strstr(error->what, "Hello first")) {
		/* The messages behind the first one are refused too, before our new Hello is seen:
		 * until it is answered, those refusals are old. */
		if (c->greeted) {
			c->lost_ns = clock_mono_ns();
			handle_present(c);
		}
		return 0;
	}
	if (c->greeted)
		return 0; /* about a request that nobody waits for any more */
	return request_error(error, e);
}

/* A private broker that is about to end, for another version or because somebody asked, takes no new
 * work; who wants some waits for it to be gone and starts the next one. */
static bool take_draining(struct cashet *c, const Cashet__Error *error)
{
	if (!c->where.dir || !c->welcome.is_private ||
	    !strstr(error->what, "the broker is draining"))
		return false;
	c->broken = c->turned_away = true; /* all that is pending is said again then */
	return true;
}

static bool take_reply(struct cashet *c, Cashet__Envelope *envelope)
{
	struct list *at;
	list_for_each (at, &c->requests) {
		struct request *r = container_of(at, struct request, node);
		if (r->done || r->serial != envelope->serial)
			continue;
		struct wire_arena *arena = handle_take_arena(c);
		if (!arena)
			return false;
		r->arena = arena;
		r->reply = envelope;
		r->done = true;
		return true;
	}
	return false;
}

static void take_care_progress(struct cashet *c, const Cashet__Envelope *envelope)
{
	struct list *at;
	list_for_each (at, &c->requests) {
		struct request *r = container_of(at, struct request, node);
		if (!r->done && r->serial == envelope->serial && r->progress)
			r->progress(r->progress_arg, envelope->care_progress);
	}
}

int handle_dispatch(struct cashet *c, Cashet__Envelope *envelope, struct err *e)
{
	Cashet__Envelope answer = CASHET__ENVELOPE__INIT;
	Cashet__Pong pong = CASHET__PONG__INIT;
	switch ((int)envelope->body_case) {
	case CASHET__ENVELOPE__BODY_WELCOME:
		return take_welcome(c, envelope->welcome, e);
	case CASHET__ENVELOPE__BODY_PING:
		pong.sent = envelope->ping->sent;
		answer.body_case = CASHET__ENVELOPE__BODY_PONG;
		answer.pong = &pong;
		handle_say(c, &answer);
		return 0;
	case CASHET__ENVELOPE__BODY_PONG:
		return 0;
	case CASHET__ENVELOPE__BODY_BYE:
		c->broken = true;
		return 0;
	case CASHET__ENVELOPE__BODY_PROGRESS:
		watch_take_progress(c, envelope->progress);
		return 0;
	case CASHET__ENVELOPE__BODY_ERROR:
		if (strstr(envelope->error->what, "Hello first"))
			return take_session_error(c, envelope->error, e);
		if (take_draining(c, envelope->error) ||
		    submission_take_error(c, envelope->serial, envelope->error) ||
		    watch_take_error(c, envelope->serial, envelope->error) ||
		    take_reply(c, envelope))
			return 0;
		return take_session_error(c, envelope->error, e);
	case CASHET__ENVELOPE__BODY_SUBMIT_ACK:
		if (!submission_take_ack(c, envelope->submit_ack))
			take_reply(c, envelope);
		return 0;
	case CASHET__ENVELOPE__BODY_CARE_PROGRESS:
		take_care_progress(c, envelope);
		return 0;
	default:
		take_reply(c, envelope); /* else it is late, and nobody's */
		return 0;
	}
}
