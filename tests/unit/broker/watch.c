/* watch.c - what a client that watches is told of a batch that pauses while leases are there: again
 * and again until they are back, and a client that went away meanwhile harms nobody. And what others are
 * told of a batch before all of it has come. */
#include "rig.h"

#include <criterion/criterion.h>
#include <string.h>

#define LEASES_MAX 64

static struct rig rig;
static struct end client, worker;

/* The leases that the worker has not answered. */
static struct held {
	Cashet__Lease *lease; /* owned */
	bool revoked;
} held[LEASES_MAX];
static unsigned held_count, revoked_count;

static void setup(void)
{
	rig_start(&rig);
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
}

static void teardown(void)
{
	for (unsigned i = 0; i < held_count; i++)
		cashet__lease__free_unpacked(held[i].lease, NULL);
	end_close(&worker);
	rig_end(&rig);
}

TestSuite(watch, .init = setup, .fini = teardown, .timeout = 240);

static void hold(const Cashet__Assignment *a)
{
	cr_assert(held_count < LEASES_MAX);
	uint8_t packed[1024];
	cr_assert(cashet__lease__get_packed_size(a->lease) <= sizeof packed);
	size_t size = cashet__lease__pack(a->lease, packed);
	held[held_count++].lease = cashet__lease__unpack(NULL, size, packed);
}

static void mark_revoked(uint64_t epoch)
{
	for (unsigned i = 0; i < held_count; i++) {
		if (held[i].lease->epoch == epoch && !held[i].revoked) {
			held[i].revoked = true;
			revoked_count++;
		}
	}
}

/* Fails the first @fail tasks, and holds the others until leases are taken back. */
static void fail_first(unsigned fail)
{
	unsigned failed = 0;
	while (!revoked_count) {
		Cashet__Envelope *m = end_recv_any(&worker, RIG_WAIT_MS);
		cr_assert(m, "nothing was taken back");
		if (m->body_case == CASHET__ENVELOPE__BODY_REVOKE)
			for (size_t i = 0; i < m->revoke->n_epochs; i++)
				mark_revoked(m->revoke->epochs[i]);
		if (m->body_case != CASHET__ENVELOPE__BODY_ASSIGN)
			continue;
		for (size_t i = 0; i < m->assign->n_tasks; i++) {
			if (failed++ < fail)
				worker_result(&worker, m->assign->tasks[i], NULL);
			else
				hold(m->assign->tasks[i]);
		}
	}
}

static void expect_paused(uint64_t failed, bool running)
{
	for (;;) {
		Cashet__Envelope *m = end_recv(&client, CASHET__ENVELOPE__BODY_PROGRESS);
		const Cashet__Counts *c = m->progress->counts;
		bool found = m->progress->paused && c->failed == failed &&
			     !!c->running == running;
		client_acknowledge(&client, m->progress);
		if (found)
			return;
	}
}

/* A batch that paused, with leases that were taken back and that the worker has not answered;
 * what ran has ended, and the client knows. */
static struct plan *pause_with_leases(void)
{
	worker_hello(&worker, 1, 8);
	struct plan *p = plan_new(&client);
	uint32_t f = plan_command(p, "/bin/false", NULL);
	for (int i = 0; i < 60; i++)
		plan_task(p, f, i, -1);
	plan_send(p, true);
	fail_first(CORE_PAUSE_AFTER);
	unsigned failed = CORE_PAUSE_AFTER;
	for (unsigned i = 0; i < held_count; i++) {
		if (held[i].revoked)
			continue;
		Cashet__Assignment a = CASHET__ASSIGNMENT__INIT;
		a.lease = held[i].lease;
		worker_result(&worker, &a, NULL);
		failed++;
	}
	expect_paused(failed, true);
	return p;
}

Test(watch, a_pause_is_told_until_its_last_lease_came_back)
{
	struct plan *p = pause_with_leases();
	unsigned failed = CORE_PAUSE_AFTER + held_count - revoked_count;
	for (unsigned i = 0; i < held_count; i++)
		if (held[i].revoked)
			worker_stopped(&worker, held[i].lease);
	expect_paused(failed, false);
	plan_free(p);
	end_close(&client);
}

static uint64_t count_clients(struct end *asks)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__StatusQuery query = CASHET__STATUS_QUERY__INIT;
	m.body_case = CASHET__ENVELOPE__BODY_STATUS_QUERY;
	m.status_query = &query;
	end_send(asks, &m);
	return end_recv(asks, CASHET__ENVELOPE__BODY_STATUS)->status->clients;
}

Test(watch, who_goes_away_while_it_is_told_again_harms_nobody)
{
	struct plan *p = pause_with_leases();
	plan_free(p);
	end_close(&client);
	struct end other;
	end_hello(&other, &rig, false);
	while (count_clients(&other) > 1)
		;
	for (unsigned i = 0; i < held_count; i++)
		if (held[i].revoked)
			worker_stopped(&worker, held[i].lease);
	cr_assert(count_clients(&other) == 1);
	end_close(&other);
}

/* Two others watch a batch of which one chunk has come. */
static struct plan *watch_unsealed(struct end others[2])
{
	struct plan *p = plan_new(&client);
	plan_task(p, plan_command(p, "/bin/true", NULL), 1, -1);
	plan_chunk(p, 0, false);
	end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	for (int i = 0; i < 2; i++) {
		Cashet__Envelope m = CASHET__ENVELOPE__INIT;
		Cashet__Watch watch = CASHET__WATCH__INIT;
		Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
		ref.prefix.data = id;
		ref.prefix.len = DIGEST_SIZE;
		watch.batch = &ref;
		m.body_case = CASHET__ENVELOPE__BODY_WATCH;
		m.watch = &watch;
		end_hello(&others[i], &rig, false);
		end_send(&others[i], &m);
		count_clients(&others[i]); /* so it has been taken */
	}
	return p;
}

/* What a Watch is answered with has its serial; count_clients() drew the next one. */
static void expect_given_up(struct end *e)
{
	Cashet__Envelope *m = end_recv(e, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert_eq(m->error->code, ERR_NOT_FOUND);
	cr_assert_eq(m->serial + 1, e->serial);
}

Test(watch, whoever_watches_a_batch_that_is_given_up_is_told)
{
	struct end others[2];
	struct plan *p = watch_unsealed(others);
	plan_discard(p);
	end_recv(&client, CASHET__ENVELOPE__BODY_DONE);
	for (int i = 0; i < 2; i++) {
		expect_given_up(&others[i]);
		end_close(&others[i]);
	}
	plan_free(p);
	end_close(&client);
}

Test(watch,
     whoever_watches_a_batch_that_is_refused_is_told_and_who_went_away_harms_nobody)
{
	struct end others[2];
	struct plan *p = watch_unsealed(others);
	end_close(&others[0]);
	plan_task(p, 0, 2, 1); /* it reads itself */
	plan_chunk(p, 1, true);
	Cashet__Envelope *m = end_recv(&client, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert_eq(m->error->code, ERR_USAGE, "%s", m->error->what);
	expect_given_up(&others[1]);
	end_close(&others[1]);
	plan_free(p);
	end_close(&client);
}

Test(watch, a_batch_that_is_being_submitted_is_not_cancelled_and_nobody_says_so)
{
	struct end others[2];
	struct plan *p = watch_unsealed(others);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Cancel cancel = CASHET__CANCEL__INIT;
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	ref.prefix.data = id;
	ref.prefix.len = DIGEST_SIZE;
	cancel.batch = &ref;
	m.body_case = CASHET__ENVELOPE__BODY_CANCEL;
	m.cancel = &cancel;
	end_send(&others[0], &m);
	Cashet__Envelope *answer = end_recv(&others[0], CASHET__ENVELOPE__BODY_ERROR);
	cr_assert_eq(answer->error->code, ERR_FAILED);
	cr_assert(strstr(answer->error->what, "still being submitted"));
	for (int i = 0; i < 2; i++)
		end_close(&others[i]);
	plan_free(p);
	end_close(&client);
}
