/* Turns that may wait share a sync with what follows; others do not wait. */
#include "tests/unit/ledger/support.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <unistd.h>

static struct store s;

static void setup(void)
{
	store_init(&s);
}

static void teardown(void)
{
	store_fini(&s);
}

TestSuite(ledger_group, .init = setup, .fini = teardown);

#define FOR_EVER (600 * NS_PER_S) /* longer than this test may take */

static void hand_in(uint64_t seq, uint64_t wait_ns)
{
	struct sample sample;
	struct ledger_turn *t = store_turn(&s);
	sample_commit(&sample, seq);
	ledger_add_commit(t, seq, 0, true, &sample.commit);
	ledger_turn_may_wait(t, wait_ns);
	store_hand_in(&s, t);
}

Test(ledger_group, a_turn_that_may_wait_waits_for_the_next_one)
{
	hand_in(1, FOR_EVER);
	usleep(50000);
	cr_assert_eq(ledger_durable(s.ledger), 0);
	hand_in(2, 0);
	store_sync(&s);
	struct ledger_hit hit;
	cr_assert_eq(sample_find(s.reader, 1, &hit), 0);
}

Test(ledger_group, a_turn_that_may_wait_is_durable_when_its_time_is_over)
{
	uint64_t began = clock_mono_ns();
	hand_in(1, 30 * NS_PER_MS);
	store_sync(&s);
	cr_assert_geq(clock_mono_ns() - began, 30 * NS_PER_MS);
}

Test(ledger_group, the_shortest_wait_of_a_group_counts)
{
	hand_in(1, FOR_EVER);
	hand_in(2, 20 * NS_PER_MS);
	store_sync(&s);
}

Test(ledger_group, an_empty_turn_does_not_end_the_wait)
{
	hand_in(1, FOR_EVER);
	store_hand_in(&s, store_turn(&s));
	usleep(50000);
	cr_assert_eq(ledger_durable(s.ledger), 0);
	hand_in(2, 0);
	store_sync(&s);
}

Test(ledger_group, closing_does_not_wait)
{
	uint64_t began = clock_mono_ns();
	hand_in(1, FOR_EVER);
	usleep(20000);
	store_close(&s);
	cr_assert_lt(clock_mono_ns() - began, FOR_EVER);
	store_open(&s);
	cr_assert_eq(s.info.next_commit, 2);
}
