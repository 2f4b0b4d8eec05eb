/* orphans.c - unsealed batches of clients that have left are forgotten, many at a time. The broker runs in
 * the rig's thread until it has the batches; then it is stopped, and its clock is the test's. */
#include "rig.h"

#include "broker/batch.h"
#include "common/clock.h"

#include <criterion/criterion.h>

enum { BATCHES = 600, AT_ONCE = 256 };

static struct rig rig;
static struct end client;

static void setup(void)
{
	rig_start(&rig);
	end_hello(&client, &rig, false);
}

/* The broker has been stopped by stop_running(). */
static void teardown(void)
{
	broker_free(rig.b);
	rig.b = NULL;
	end_close(&client);
	rig_end(&rig);
}

TestSuite(orphans, .init = setup, .fini = teardown, .timeout = 120);

/* First chunks of batches that are never sealed; acknowledged, so that the broker has them. */
static void begin(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct plan *p = plan_new(&client);
		plan_task(p, plan_command(p, "/bin/true", NULL), i, -1);
		plan_chunk(p, 0, false);
		end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
		plan_free(p);
	}
}

static void stop_running(void)
{
	broker_stop(rig.b);
	pthread_join(rig.thread, NULL);
	rig.running = false;
}

static void forget_clients(void)
{
	struct list *at;
	list_for_each (at, &rig.b->peers.all)
		container_of(at, struct peer, node)->kind = PEER_WORKER;
}

static unsigned count_unsealed(void)
{
	unsigned count = 0;
	struct list *at;
	list_for_each (at, &rig.b->batches.unsealed)
		count++;
	return count;
}

Test(orphans, many_are_forgotten_at_a_time_and_none_of_a_client_that_is_here)
{
	begin(BATCHES);
	stop_running();
	struct broker *b = rig.b;
	cr_assert_eq(count_unsealed(), BATCHES);
	b->now += 61 * NS_PER_S;
	batches_orphans(b);
	cr_assert_eq(count_unsealed(), BATCHES, "their client is here");
	forget_clients();
	b->now += 59 * NS_PER_S;
	batches_orphans(b);
	cr_assert_eq(count_unsealed(), BATCHES, "it has been gone for a moment only");
	b->now += 2 * NS_PER_S;
	for (unsigned left = BATCHES; left;) {
		left = left > AT_ONCE ? left - AT_ONCE : 0;
		batches_orphans(b);
		cr_assert_eq(count_unsealed(), left);
	}
}
