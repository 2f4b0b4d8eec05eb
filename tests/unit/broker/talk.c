/* talk.c - what peers may say, and what the broker answers to everything else. */
#include "rig.h"

#include "broker/handlers/dispatch.h"
#include "common/rand.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;

static void setup(void)
{
	rig_start(&rig);
}

static void teardown(void)
{
	rig_end(&rig);
}

TestSuite(talk, .init = setup, .fini = teardown, .timeout = 240);

static void expect_error(struct end *e, const char *part)
{
	Cashet__Envelope *m = end_recv(e, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert(strstr(m->error->what, part), "%s", m->error->what);
}

static void ping(struct end *e)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Ping body = CASHET__PING__INIT;
	body.sent = 7;
	m.body_case = CASHET__ENVELOPE__BODY_PING;
	m.ping = &body;
	end_send(e, &m);
}

static void expect_pong(struct end *e)
{
	cr_assert(end_recv(e, CASHET__ENVELOPE__BODY_PONG)->pong->sent == 7);
}

Test(talk, stranger_is_told_to_say_hello_first)
{
	struct end e;
	end_open(&e, &rig);
	ping(&e);
	expect_error(&e, "say Hello first");
	end_say_hello(&e, false);
	end_recv(&e, CASHET__ENVELOPE__BODY_WELCOME);
	ping(&e);
	expect_pong(&e);
	end_close(&e);
}

Test(talk, malformed_messages_are_refused_and_others_go_on)
{
	struct end bad, good;
	end_open(&bad, &rig);
	end_hello(&good, &rig, false);
	uint8_t noise[300];
	for (int i = 0; i < 200; i++) {
		rand_bytes(noise, sizeof noise);
		noise[0] = 0xff; /* never a field */
		end_send_bytes(&bad, noise, 1 + (size_t)i);
		expect_error(&bad, "malformed");
	}
	ping(&good);
	expect_pong(&good);
	end_close(&bad);
	end_close(&good);
}

static void hello_with(struct end *e, uint32_t protocol, size_t instance_size)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Hello hello = CASHET__HELLO__INIT;
	hello.protocol = protocol;
	hello.instance.data = e->instance;
	hello.instance.len = instance_size;
	m.body_case = CASHET__ENVELOPE__BODY_HELLO;
	m.hello = &hello;
	end_send(e, &m);
}

Test(talk, hello_of_another_protocol_or_without_instance_is_refused)
{
	struct end e;
	end_open(&e, &rig);
	hello_with(&e, 2, KEY_SIZE);
	expect_error(&e, "protocol 1");
	hello_with(&e, 1, 31);
	expect_error(&e, "instance");
	end_close(&e);
}

/* An empty message of each kind from each kind of peer: only rows of the table are taken. */
Test(talk, only_messages_of_the_table_are_taken_from_each_kind_of_peer)
{
	const ProtobufCMessageDescriptor *d = &cashet__envelope__descriptor;
	for (int is_worker = 0; is_worker < 2; is_worker++) {
		unsigned kind = is_worker ? PEER_WORKER : PEER_CLIENT;
		for (unsigned i = 0; i < d->n_fields; i++) {
			unsigned id = d->fields[i].id;
			if (id < 12)
				continue;
			const struct dispatch_row *row = NULL;
			for (size_t k = 0; k < dispatch_row_count; k++) {
				if ((unsigned)dispatch_rows[k].what == id)
					row = &dispatch_rows[k];
			}
			if (row && (row->kinds & kind) && !row->joined)
				continue;
			struct end e;
			end_hello(&e, &rig, is_worker);
			uint8_t bytes[] = {0x08, 5, 0, 0, 0};
			unsigned tag = id << 3 | 2;
			bytes[2] = (uint8_t)(tag | 0x80);
			bytes[3] = (uint8_t)(tag >> 7);
			if (tag < 128) {
				bytes[2] = (uint8_t)tag;
				bytes[3] = 0;
			}
			end_send_bytes(&e, bytes, tag < 128 ? 4 : 5);
			Cashet__Envelope *m = end_recv(&e, CASHET__ENVELOPE__BODY_ERROR);
			cr_assert(m->serial == 5, "message %u", id);
			end_close(&e);
		}
	}
}

/* Every row that a peer may send, with an empty body: an answer or silence, never an end. */
Test(talk, empty_messages_of_every_kind_do_no_harm)
{
	for (int is_worker = 0; is_worker < 2; is_worker++) {
		struct end e;
		for (size_t k = 0; k < dispatch_row_count; k++) {
			const struct dispatch_row *row = &dispatch_rows[k];
			if (row->what == CASHET__ENVELOPE__BODY_DRAIN_REQUEST ||
			    row->what == CASHET__ENVELOPE__BODY_BYE)
				continue;
			end_hello(&e, &rig, is_worker);
			if (is_worker)
				worker_hello(&e, 1, 1);
			unsigned tag = (unsigned)row->what << 3 | 2;
			uint8_t bytes[] = {(uint8_t)(tag | 0x80), (uint8_t)(tag >> 7), 0};
			uint8_t small[] = {(uint8_t)tag, 0};
			if (tag < 128)
				end_send_bytes(&e, small, sizeof small);
			else
				end_send_bytes(&e, bytes, sizeof bytes);
			ping(&e);
			for (;;) {
				Cashet__Envelope *m = end_recv_any(&e, RIG_WAIT_MS);
				cr_assert(m, "no answer after %s", row->name);
				if (m->body_case == CASHET__ENVELOPE__BODY_PONG)
					break;
			}
			end_close(&e);
		}
	}
}

Test(talk, questions_about_nothing_say_so)
{
	struct end e;
	end_hello(&e, &rig, false);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Watch watch = CASHET__WATCH__INIT;
	m.body_case = CASHET__ENVELOPE__BODY_WATCH;
	m.watch = &watch;
	end_send(&e, &m);
	Cashet__Envelope *answer = end_recv(&e, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert(answer->error->code == ERR_NOT_FOUND);
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	ref.prefix.data = e.instance;
	ref.prefix.len = 2;
	watch.batch = &ref;
	m.serial = 0;
	end_send(&e, &m);
	answer = end_recv(&e, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert(answer->error->code == ERR_NOT_FOUND);
	ref.prefix.len = 1;
	m.serial = 0;
	end_send(&e, &m);
	answer = end_recv(&e, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert(answer->error->code == ERR_USAGE);
	end_close(&e);
}

Test(talk, status_and_workers_are_told)
{
	struct end e, w;
	end_hello(&e, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 3, 1);
	ping(&w);
	expect_pong(&w);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__StatusQuery status = CASHET__STATUS_QUERY__INIT;
	m.body_case = CASHET__ENVELOPE__BODY_STATUS_QUERY;
	m.status_query = &status;
	end_send(&e, &m);
	Cashet__Envelope *answer = end_recv(&e, CASHET__ENVELOPE__BODY_STATUS);
	cr_assert(answer->status->workers == 1);
	cr_assert(answer->status->clients == 1);
	cr_assert(answer->status->rss_bytes > 0);
	cr_assert_str_eq(answer->status->store, rig.b->store);
	Cashet__WorkersQuery workers = CASHET__WORKERS_QUERY__INIT;
	m.serial = 0;
	m.body_case = CASHET__ENVELOPE__BODY_WORKERS_QUERY;
	m.workers_query = &workers;
	end_send(&e, &m);
	answer = end_recv(&e, CASHET__ENVELOPE__BODY_WORKERS);
	cr_assert(answer->workers->n_rows == 1);
	cr_assert_str_eq(answer->workers->rows[0]->name, "w");
	cr_assert_str_eq(answer->workers->rows[0]->state, "ready");
	cr_assert(answer->workers->rows[0]->capacity[0]->milli == 3000);
	end_close(&e);
	end_close(&w);
}

Test(talk, second_broker_is_refused_and_names_the_first)
{
	struct broker *second = NULL;
	struct err e = {0};
	cr_assert(broker_open(&second, &rig.options, &e) == ERR_FAILED);
	char pid[32];
	snprintf(pid, sizeof pid, "pid %d", (int)getpid());
	cr_assert(strstr(e.what, pid), "%s", e.what);
}

Test(talk, tcp_without_keys_is_refused_and_the_fix_printed, .init = NULL, .fini = NULL)
{
	struct rig r = {0};
	strcpy(r.dir, "/tmp/cashet-unit-XXXXXX");
	cr_assert(mkdtemp(r.dir));
	setenv("CASHET_CONFIG", r.dir, 1);
	r.options = (struct options){.store = r.dir,
				     .drain_timeout_ns = TIME_NEVER,
				     .quiet = true,
				     .listen = {"tcp://127.0.0.1:*"},
				     .listen_count = 1};
	struct err e = {0};
	struct broker *b = NULL;
	cr_assert(broker_open(&b, &r.options, &e) == ERR_NOT_ALLOWED);
	cr_assert(strstr(e.next, "cashet key new"), "%s", e.next);
	cr_assert(strstr(e.next, "--insecure"), "%s", e.next);
}
