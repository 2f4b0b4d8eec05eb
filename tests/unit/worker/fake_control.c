/* fake_control.c - the control socket of the fake broker: what the worker says. */
#include "tests/unit/worker/fake_internal.h"

#include "common/pure/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

void fake_say(struct fake *f, Cashet__Envelope__BodyCase body, void *message,
	      uint64_t serial)
{
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	int error;
	e.serial = serial;
	e.body_case = body;
	e.hello = message;
	wire_send(f->control, f->route, f->route_size, &e, &error);
}

static void refuse(struct fake *f, const struct wire_frame *frame)
{
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Error m = CASHET__ERROR__INIT;
	int error;
	m.code = ERR_USAGE;
	m.what = (char *)(uintptr_t) "say Hello first";
	e.body_case = CASHET__ENVELOPE__BODY_ERROR;
	e.error = &m;
	wire_send(f->control, frame->route, frame->route_size, &e, &error);
}

static void welcome(struct fake *f, const struct wire_frame *frame,
		    const Cashet__Hello *m)
{
	static uint8_t store[16] = {7};
	Cashet__Welcome w = CASHET__WELCOME__INIT;
	memcpy(f->route, frame->route, frame->route_size);
	f->route_size = frame->route_size;
	memcpy(f->worker_key, m->instance.data, KEY_SIZE);
	f->greeted = true;
	f->hellos++;
	w.protocol = WIRE_PROTOCOL;
	w.version = (char *)(uintptr_t) "test";
	w.store = (ProtobufCBinaryData){sizeof store, store};
	w.boot = 1;
	w.blob_path = f->blob_path;
	w.inline_max = FAKE_INLINE_MAX;
	w.message_max = WIRE_MESSAGE_MAX;
	fake_say(f, CASHET__ENVELOPE__BODY_WELCOME, &w, 0);
}

static void take_worker_hello(struct fake *f, const Cashet__WorkerHello *m)
{
	f->joined = true;
	f->joins++;
	f->credit = m->credit;
	f->claims = m->n_claims;
	f->claims_started = f->claims_finished = 0;
	for (size_t i = 0; i < m->n_claims; i++) {
		f->claims_started += m->claims[i]->started;
		f->claims_finished += m->claims[i]->finished;
	}
	for (size_t i = 0; i < m->n_capacity; i++) {
		if (!strcmp(m->capacity[i]->name, "cpus"))
			f->capacity_cpus = m->capacity[i]->milli;
		if (!strcmp(m->capacity[i]->name, "gpus"))
			f->capacity_gpus = m->capacity[i]->milli;
	}
}

static void keep_outcome(struct fake *f, const Cashet__Outcome *m)
{
	struct fake_outcome *o = f->outcomes;
	while (o && o->epoch != m->lease->epoch)
		o = o->next;
	if (!o) {
		o = mem_alloc(sizeof *o);
		o->epoch = m->lease->epoch;
		o->next = f->outcomes;
		f->outcomes = o;
		f->outcome_count++;
	} else {
		cashet__outcome__free_unpacked(o->m, NULL);
		buf_reset(&o->packed);
	}
	o->times++;
	size_t size = cashet__outcome__get_packed_size(m);
	cashet__outcome__pack(m, buf_reserve(&o->packed, size));
	o->packed.size = size;
	o->m = cashet__outcome__unpack(NULL, size, o->packed.data);
}

static void take_results(struct fake *f, const Cashet__Results *m)
{
	Cashet__ResultAcks acks = CASHET__RESULT_ACKS__INIT;
	Cashet__ResultAck *list = mem_alloc(m->n_outcomes * sizeof *list);
	Cashet__ResultAck **pointers = mem_alloc(m->n_outcomes * sizeof *pointers);
	ProtobufCBinaryData missing[1];
	f->credit = m->credit;
	for (size_t i = 0; i < m->n_outcomes; i++) {
		const Cashet__Outcome *o = m->outcomes[i];
		keep_outcome(f, o);
		cashet__result_ack__init(&list[i]);
		list[i].epoch = o->lease->epoch;
		if (f->forget_blobs && o->n_outputs) {
			missing[0] = o->outputs[0]->content->digest;
			list[i].verdict = CASHET__RESULT_ACK__VERDICT__BLOB_MISSING;
			list[i].missing = missing;
			list[i].n_missing = 1;
			f->forget_blobs = false;
			while (f->store) {
				struct fake_blob *b = f->store;
				f->store = b->next;
				buf_fini(&b->data);
				free(b);
			}
		}
		pointers[i] = &list[i];
	}
	acks.acks = pointers;
	acks.n_acks = m->n_outcomes;
	if (!f->hold_acks)
		fake_say(f, CASHET__ENVELOPE__BODY_RESULT_ACKS, &acks, 0);
	free(list);
	free(pointers);
}

static void take_heartbeat(struct fake *f, const Cashet__Heartbeat *m)
{
	f->heartbeats++;
	f->credit = m->credit;
	f->draining = m->draining;
	f->epoch_count = m->n_epochs < 64 ? m->n_epochs : 64;
	if (f->epoch_count)
		memcpy(f->epochs, m->epochs, f->epoch_count * sizeof *m->epochs);
}

static void answer_query(struct fake *f, const Cashet__FunctionQuery *m)
{
	Cashet__Assign assign = CASHET__ASSIGN__INIT;
	Cashet__AssignedFunction af = CASHET__ASSIGNED_FUNCTION__INIT, *list[1] = {&af};
	f->function_queries++;
	af.func_hash = m->func_hash;
	af.description = (ProtobufCBinaryData){f->asked.size, f->asked.data};
	assign.functions = list;
	assign.n_functions = 1;
	fake_say(f, CASHET__ENVELOPE__BODY_ASSIGN, &assign, 0);
}

static void take(struct fake *f, const Cashet__Envelope *e)
{
	Cashet__Pong pong = CASHET__PONG__INIT;
	switch (e->body_case) {
	case CASHET__ENVELOPE__BODY_PING:
		fake_say(f, CASHET__ENVELOPE__BODY_PONG, &pong, e->serial);
		break;
	case CASHET__ENVELOPE__BODY_WORKER_HELLO:
		take_worker_hello(f, e->worker_hello);
		break;
	case CASHET__ENVELOPE__BODY_RESULTS:
		take_results(f, e->results);
		break;
	case CASHET__ENVELOPE__BODY_HEARTBEAT:
		take_heartbeat(f, e->heartbeat);
		break;
	case CASHET__ENVELOPE__BODY_HANDBACK:
		for (size_t i = 0; i < e->handback->n_leases &&
				   f->handback_count < ARRAY_LEN(f->handed_back);
		     i++)
			f->handed_back[f->handback_count++] =
				e->handback->leases[i]->epoch;
		break;
	case CASHET__ENVELOPE__BODY_LOG_DATA:
		buf_reset(&f->log);
		buf_add(&f->log, e->log_data->data.data, e->log_data->data.len);
		f->log_running = e->log_data->running;
		f->has_log = true;
		break;
	case CASHET__ENVELOPE__BODY_FUNCTION_QUERY:
		answer_query(f, e->function_query);
		break;
	case CASHET__ENVELOPE__BODY_BYE:
		f->said_bye = true;
		break;
	default:
		break;
	}
}

void fake_serve_control(struct fake *f)
{
	struct wire_frame frame;
	while (wire_recv(f->control, true, &frame) == 0) {
		wire_arena_reset(&f->arena);
		Cashet__Envelope *e = wire_unpack(&f->arena, frame.data, frame.size);
		if (e && !f->mute) {
			bool is_peer = f->greeted && frame.route_size == f->route_size &&
				       !memcmp(frame.route, f->route, f->route_size);
			if (e->body_case == CASHET__ENVELOPE__BODY_HELLO)
				welcome(f, &frame, e->hello);
			else if (is_peer)
				take(f, e);
			else
				refuse(f, &frame);
		}
		wire_frame_fini(&frame);
	}
}
