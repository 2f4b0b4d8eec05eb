/* kill -9 at any instant: what was acknowledged is there after opening again, whole and in order. */
#include "tests/unit/ledger/support.h"

#include "common/fs.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 12

/* Each turn: one batch and, in the same turn, its end and a commit of the same number; so a turn
 * that is there by halves shows. Durable steps are told through the pipe. */
static void child(const char *dir, int out)
{
	struct ledger *l;
	struct ledger_info info;
	if (ledger_open(&l, dir, &info, NULL))
		_exit(1);
	uint64_t next = info.next_commit, first = next, told = 0;
	for (uint64_t step = 1;; step++, next++) {
		struct sample sample;
		struct ledger_batch b = sample_batch(next);
		struct ledger_end end = {
			.index = 0, .status = CORE_COMPLETED, .commit = next};
		struct ledger_turn *t = ledger_turn_new(l);
		sample_commit(&sample, next);
		ledger_add_batch(t, &b);
		ledger_add_sealed(t, next, 1);
		ledger_add_end(t, next, &end);
		ledger_add_commit(t, next, 0, true, &sample.commit);
		ledger_hand_in(l, t, step);
		while (step - ledger_durable(l) > 50)
			poll(&(struct pollfd){.fd = ledger_fd(l), .events = POLLIN}, 1,
			     1000);
		uint64_t durable = ledger_durable(l), seq = first + durable - 1;
		if (durable > told && write(out, &seq, sizeof seq) != sizeof seq)
			_exit(1);
		told = durable;
	}
}

static int one_end(void *arg, const struct ledger_end *end)
{
	*(uint64_t *)arg += end->commit;
	return 0;
}

static void check(struct store *s, uint64_t acknowledged)
{
	uint64_t last = s->info.next_commit - 1;
	cr_assert_geq(last, acknowledged);
	cr_assert_eq(s->info.next_batch, s->info.next_commit);
	for (uint64_t n = 1; n <= last; n++) {
		struct ledger_hit hit;
		struct ledger_batch_row row;
		struct ledger_batch b = sample_batch(n);
		size_t count;
		uint64_t sum = 0;
		cr_assert_eq(sample_find(s->reader, n, &hit), 0);
		cr_assert_eq(hit.seq, n);
		cr_assert_eq(ledger_find_batch(s->reader, b.id, 64, &row, 1, &count), 0);
		cr_assert(row.sealed);
		cr_assert_eq(ledger_each_end(s->reader, n, one_end, &sum), 0);
		cr_assert_eq(sum, n);
	}
	struct ledger_stats stats;
	cr_assert_eq(ledger_read_stats(s->reader, &stats), 0);
	cr_assert_eq(stats.commits, last);
	cr_assert_eq(stats.batches, last);
}

Test(ledger_kill, what_was_acknowledged_survives_kill_9_at_any_instant)
{
	struct store s;
	uint64_t boot = 1;
	unsigned seed = (unsigned)getpid();
	store_init(&s);
	for (int round = 0; round < ROUNDS; round++) {
		int pipes[2];
		uint64_t acknowledged = 0, seq;
		store_close(&s);
		cr_assert_eq(pipe(pipes), 0);
		pid_t pid = fork();
		if (pid == 0) {
			close(pipes[0]);
			child(s.dir, pipes[1]);
		}
		close(pipes[1]);
		usleep((useconds_t)(10000 +
				    rand_r(&seed) % (round % 3 ? 60000 : 400000)));
		cr_assert_eq(kill(pid, SIGKILL), 0);
		while (read(pipes[0], &seq, sizeof seq) == sizeof seq)
			acknowledged = seq;
		close(pipes[0]);
		int status;
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFSIGNALED(status), "the child ended by itself: %d", status);
		store_open(&s);
		cr_assert_gt(s.info.boot, boot);
		boot = s.info.boot;
		check(&s, acknowledged);
	}
	cr_assert_gt(s.info.next_commit, 100, "the children did nothing");
	store_fini(&s);
}
