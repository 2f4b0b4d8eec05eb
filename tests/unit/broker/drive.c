/* drive.c - a whole broker and what peers see of it: a batch goes in, a worker works, results come
 * out; again, and it is all there already. */
#include "rig.h"

#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_start(&rig);
}

static void teardown(void)
{
	rig_end(&rig);
}

TestSuite(drive, .init = setup, .fini = teardown, .timeout = 240);

Test(drive, batch_is_executed_by_a_worker_and_ends_with_its_results)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 2, 8);
	struct plan *p = plan_three(&client);
	plan_send(p, true);
	worker_work(&worker, 3, "fine\n");
	Cashet__Progress *done = client_last_progress(&client);
	cr_assert(done->counts->total == 3);
	cr_assert(done->counts->executed == 3);
	cr_assert(done->results && done->results->n_tasks == 3);
	uint8_t digest[DIGEST_SIZE];
	sha256_digest("fine\n", 5, digest);
	for (int i = 0; i < 3; i++) {
		const Cashet__TaskResult *t = done->results->tasks[i];
		cr_assert(t->index == (uint32_t)i);
		cr_assert(t->state == CASHET__TASK_RESULT__STATE__COMPLETED);
		cr_assert(t->commit.len == DIGEST_SIZE);
		cr_assert(!memcmp(t->result->digest.data, digest, DIGEST_SIZE));
	}
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}

Test(drive, same_batch_again_is_all_cached_without_a_worker)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 1, 8);
	struct plan *p = plan_three(&client);
	plan_send(p, true);
	worker_work(&worker, 3, "fine\n");
	cr_assert(client_last_progress(&client)->counts->executed == 3);
	plan_free(p);
	p = plan_three(&client); /* another request */
	plan_send(p, true);
	Cashet__Progress *done = client_last_progress(&client);
	cr_assert(done->counts->cached == 3);
	cr_assert(done->counts->executed == 0);
	cr_assert(done->results->tasks[1]->cached);
	Cashet__Envelope *m = end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	cr_assert(m->submit_ack->sealed);
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}

Test(drive, repeated_chunk_gets_the_same_answer_also_after_the_end)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 1, 8);
	struct plan *p = plan_three(&client);
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	plan_send(p, false);
	Cashet__Envelope *m = end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	cr_assert(m->submit_ack->sealed && m->submit_ack->next == 1);
	plan_send(p, false);
	m = end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	cr_assert(m->submit_ack->sealed && m->submit_ack->next == 1);
	worker_work(&worker, 3, "x");
	for (int i = 0; i < 2; i++) {
		plan_send(p, false);
		m = end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
		cr_assert(m->submit_ack->sealed && m->submit_ack->next == 1);
		cr_assert(!memcmp(m->submit_ack->batch.data, id, DIGEST_SIZE));
		if (!i) {
			rig_stop(&rig);
			rig_again(&rig);
			end_reconnect(&client);
			end_say_hello(&client, false);
			end_recv(&client, CASHET__ENVELOPE__BODY_WELCOME);
		}
	}
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}

static void come_back(struct end *client)
{
	end_reconnect(client);
	end_say_hello(client, false);
	end_recv(client, CASHET__ENVELOPE__BODY_WELCOME);
}

/* Its acknowledgement, then the first Progress of a watch for which nothing else has asked. */
static Cashet__Progress *seal_again(struct end *client, struct plan *p)
{
	plan_send(p, true);
	Cashet__Envelope *m = end_recv(client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	cr_assert(m->submit_ack->sealed);
	return end_recv(client, CASHET__ENVELOPE__BODY_PROGRESS)->progress;
}

/* The client's only way to ask until it is acknowledged, so the batch must not go on in silence:
 * its tasks may run before it is on disk, and a broker that leaves then has not told the client. */
Test(drive, a_seal_that_comes_again_watches_again)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	struct plan *p = plan_three(&client);
	plan_send(p, true);
	end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK); /* let it be lost */
	come_back(&client);
	cr_assert(seal_again(&client, p)->counts->total == 3, "in another session");
	rig_stop(&rig);
	rig_again(&rig);
	come_back(&client);
	cr_assert(seal_again(&client, p)->counts->total == 3, "of another broker");
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 1, 8);
	worker_work(&worker, 3, "fine\n");
	cr_assert(client_last_progress(&client)->counts->executed == 3);
	for (int i = 0; i < 2; i++) {
		come_back(&client);
		Cashet__Progress *done = seal_again(&client, p);
		cr_assert(done->ended && done->counts->executed == 3, "after its end");
		cr_assert(done->results && done->results->n_tasks == 3);
		if (!i) {
			rig_stop(&rig);
			rig_again(&rig);
		}
	}
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}

static void ask_drain(struct end *client, const char *worker)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__DrainRequest drain = CASHET__DRAIN_REQUEST__INIT;
	drain.worker = (char *)worker;
	drain.deadline_ms = 3600000;
	m.body_case = CASHET__ENVELOPE__BODY_DRAIN_REQUEST;
	m.drain_request = &drain;
	end_send(client, &m);
	end_recv(client, CASHET__ENVELOPE__BODY_DONE);
}

Test(drive, a_worker_that_was_away_when_it_was_drained_is_told)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 1, 8);
	struct plan *p = plan_three(&client);
	plan_send(p, false);
	end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN); /* it is known by now */
	end_reconnect(&worker);
	ask_drain(&client, "w");
	end_say_hello(&worker, true);
	end_recv(&worker, CASHET__ENVELOPE__BODY_WELCOME);
	worker_hello(&worker, 1, 8);
	Cashet__Envelope *m = end_recv(&worker, CASHET__ENVELOPE__BODY_DRAIN);
	cr_expect(m->drain->deadline_ms > 3000000 && m->drain->deadline_ms <= 3600001);
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}

Test(drive, chain_passes_content_on_and_a_failure_skips_what_depends_on_it)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 1, 8);
	struct plan *p = plan_new(&client);
	uint32_t f = plan_command(p, "/bin/cat", NULL);
	plan_task(p, f, 1, -1);
	plan_task(p, f, 2, 0);
	plan_task(p, f, 3, 1);
	plan_send(p, true);
	Cashet__Envelope *m;
	for (int i = 0; i < 2; i++) {
		m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
		worker_result(&worker, m->assign->tasks[0], "passed on");
	}
	m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
	uint8_t digest[DIGEST_SIZE];
	sha256_digest("passed on", 9, digest);
	const Cashet__Assignment *a = m->assign->tasks[0];
	cr_assert(memmem(a->args.data, a->args.len, digest, DIGEST_SIZE));
	worker_result(&worker, a, NULL);
	Cashet__Progress *done = client_last_progress(&client);
	cr_assert(done->counts->failed == 1);
	cr_assert(done->counts->executed == 2);
	cr_assert_str_eq(done->results->tasks[2]->error, "exit 1");
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}

Test(drive, cycle_is_refused_and_names_its_tasks)
{
	struct end client;
	end_hello(&client, &rig, false);
	struct plan *p = plan_three(&client);
	plan_need(p, 0, 1);
	plan_need(p, 1, 0);
	plan_send(p, true);
	Cashet__Envelope *m = end_recv(&client, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert(m->error->code == ERR_USAGE);
	cr_assert(strstr(m->error->what, "cycle"), "%s", m->error->what);
	plan_free(p);
	end_close(&client);
}

Test(drive, broker_that_comes_back_goes_on_with_what_was_accepted)
{
	struct end client, worker;
	end_hello(&client, &rig, false);
	struct plan *p = plan_three(&client);
	plan_send(p, false);
	end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	rig_stop(&rig);
	rig_again(&rig);
	end_reconnect(&client);
	end_say_hello(&client, false);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Watch watch = CASHET__WATCH__INIT;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	ref.prefix.data = id;
	ref.prefix.len = DIGEST_SIZE;
	watch.batch = &ref;
	watch.inline_results = 64;
	m.body_case = CASHET__ENVELOPE__BODY_WATCH;
	m.watch = &watch;
	end_send(&client, &m);
	end_hello(&worker, &rig, true);
	worker_hello(&worker, 1, 8);
	worker_work(&worker, 3, "x");
	cr_assert(client_last_progress(&client)->counts->executed == 3);
	plan_free(p);
	end_close(&client);
	end_close(&worker);
}
