/* Removal against a naive model, through restarts, lost and outdated indexes, and kill -9. */
#include "tests/unit/ledger/support.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/mem.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXAMPLES 7
#define COMMITS_MAX 4000

static struct store s;

static void setup(void)
{
	store_init(&s);
}

static void teardown(void)
{
	store_fini(&s);
}

TestSuite(ledger_removal, .init = setup, .fini = teardown);

static void put(struct ledger_turn *t, uint64_t seq, uint64_t example, bool good)
{
	static const char *const names[] = {"a", "f.py:b", "c"};
	struct sample sample;
	sample_commit(&sample, example);
	sample.commit.name = names[seq % 3];
	sample.commit.epoch = seq;
	if (!good) {
		sample.commit.status = COMMIT_FAILED;
		sample.commit.result.type = CONTENT_NONE;
		sample.commit.error = "no";
	}
	ledger_add_commit(t, seq, 0, good, &sample.commit);
}

static int keep_seq(void *arg, const struct ledger_commit_row *row)
{
	buf_printf(arg, " %llu", (unsigned long long)row->seq);
	return 0;
}

/* tell() - all that look-ups say, as text: two stores that are alike say the same. */
static void tell(struct ledger_reader *r, struct buf *out)
{
	static const char *const names[] = {"a", "b", "c"};
	struct ledger_counters c;
	buf_reset(out);
	for (uint64_t n = 0; n < EXAMPLES; n++) {
		struct sample sample;
		struct ledger_hit hit;
		sample_commit(&sample, n);
		bool found = !sample_find(r, n, &hit);
		buf_printf(out, "%llu: %llu, runs", (unsigned long long)n,
			   (unsigned long long)(found ? hit.seq : 0));
		cr_assert_eq(ledger_each_run(r, sample.commit.func_hash, sample.args_hash,
					     keep_seq, out),
			     0);
		buf_add_str(out, "\n");
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		buf_printf(out, "%s:", names[i]);
		cr_assert_eq(ledger_each_called(r, names[i], 0, keep_seq, out), 0);
		buf_add_str(out, "\n");
	}
	cr_assert_eq(ledger_read_counters(r, &c), 0);
	buf_printf(out,
		   "%llu completed, %llu failed\nall:", (unsigned long long)c.completed,
		   (unsigned long long)c.failed);
	cr_assert_eq(ledger_each_commit(r, 0, 0, keep_seq, out), 0);
}

/* ---- the model ---- */

static struct {
	struct model_commit {
		uint64_t example;
		bool there, good;
	} commits[COMMITS_MAX];
	uint64_t last, current[EXAMPLES];
} model;

static void model_tell(struct buf *out)
{
	uint64_t counts[2] = {0};
	buf_reset(out);
	for (uint64_t n = 0; n < EXAMPLES; n++) {
		buf_printf(out, "%llu: %llu, runs", (unsigned long long)n,
			   (unsigned long long)model.current[n]);
		for (uint64_t seq = model.last; seq > 0; seq--)
			if (model.commits[seq].there && model.commits[seq].example == n)
				buf_printf(out, " %llu", (unsigned long long)seq);
		buf_add_str(out, "\n");
	}
	for (uint64_t i = 0; i < 3; i++) {
		buf_printf(out, "%c:", (char)('a' + i));
		for (uint64_t seq = model.last; seq > 0; seq--)
			if (model.commits[seq].there && seq % 3 == i)
				buf_printf(out, " %llu", (unsigned long long)seq);
		buf_add_str(out, "\n");
	}
	for (uint64_t seq = 1; seq <= model.last; seq++)
		if (model.commits[seq].there)
			counts[model.commits[seq].good]++;
	buf_printf(out,
		   "%llu completed, %llu failed\nall:", (unsigned long long)counts[1],
		   (unsigned long long)counts[0]);
	for (uint64_t seq = model.last; seq > 0; seq--)
		if (model.commits[seq].there)
			buf_printf(out, " %llu", (unsigned long long)seq);
}

static unsigned seed;

static unsigned draw(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

static void random_turn(void)
{
	struct ledger_turn *t = store_turn(&s);
	uint64_t durable = model.last;
	for (unsigned ops = 1 + draw(6); ops > 0; ops--) {
		/* Half of the time one of the newest, which are current. */
		uint64_t range = draw(2) && durable > 8 ? 8 : durable;
		uint64_t old = durable ? durable - draw((unsigned)range) : 0;
		struct model_commit *c = &model.commits[old];
		switch (draw(4)) {
		case 0: /* only what is durable is removed */
			ledger_add_commit_removed(t, old);
			if (c->there && model.current[c->example] == old)
				model.current[c->example] = 0;
			c->there = false;
			break;
		case 1:
			if (draw(2))
				break;
			ledger_add_demoted(t, old);
			if (c->there && model.current[c->example] == old)
				model.current[c->example] = 0;
			break;
		default: {
			uint64_t seq = ++model.last;
			struct model_commit *new = &model.commits[seq];
			*new = (struct model_commit){draw(EXAMPLES), true, draw(4) > 0};
			put(t, seq, new->example, new->good);
			if (new->good)
				model.current[new->example] = seq;
		}
		}
	}
	store_put(&s, t);
}

static void agree(struct ledger_reader *r, const char *what)
{
	CLEANUP_BUF struct buf said = {0}, expected = {0};
	tell(r, &said);
	model_tell(&expected);
	cr_assert_str_eq(buf_cstr(&said), buf_cstr(&expected),
			 "%s, seed %u\n--- said\n%s\n--- expected\n%s", what,
			 (unsigned)getpid(), buf_cstr(&said), buf_cstr(&expected));
}

Test(ledger_removal, whatever_is_removed_when_the_model_says_the_same)
{
	struct ledger_reader *other;
	seed = (unsigned)getpid();
	cr_assert_eq(ledger_reader_open(&other, NULL, s.dir, NULL), 0);
	for (int round = 0; round < 150; round++) {
		for (unsigned turns = draw(5); turns > 0; turns--)
			random_turn();
		agree(s.reader, "now");
		switch (draw(8)) {
		case 0:
			store_close(&s);
			store_open(&s);
			cr_assert_not(s.info.index_rebuilt);
			agree(s.reader, "opened again");
			break;
		case 1:
			store_close(&s);
			unlink(store_path(&s, "index.db"));
			store_open(&s);
			agree(s.reader, "index made anew");
			ledger_reader_close(other); /* it has the old one */
			cr_assert_eq(ledger_reader_open(&other, NULL, s.dir, NULL), 0);
			break;
		case 2:
			if (model.last)
				store_wait_index(&s, 1);
			break;
		default:
			break;
		}
		agree(other, "another program");
	}
	ledger_reader_close(other);
}

/* ---- outdated indexes ---- */

static void take_file(const char *name, struct buf *out)
{
	buf_reset(out);
	cr_assert_eq(fs_read_file(store_path(&s, name), 1u << 30, out), 0);
}

static void put_file(const char *name, const struct buf *data)
{
	cr_assert_eq(fs_write_atomic(store_path(&s, name), data->data, data->size, 0600),
		     0);
}

static uint64_t current(uint64_t example)
{
	struct ledger_hit hit;
	return sample_find(s.reader, example, &hit) ? 0 : hit.seq;
}

Test(ledger_removal, an_index_that_was_not_told_and_cannot_be_is_made_anew)
{
	CLEANUP_BUF struct buf old = {0};
	struct ledger_turn *t = store_turn(&s);
	put(t, 1, 1, true);
	put(t, 2, 2, true);
	store_put(&s, t);
	store_close(&s);
	take_file("index.db", &old);
	store_open(&s);
	t = store_turn(&s);
	ledger_add_commit_removed(t, 1);
	store_put(&s, t);
	store_close(&s); /* in order: the index has heard of it, the journal forgets it */
	put_file("index.db", &old);
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(current(1), 0);
	cr_assert_eq(current(2), 2);
}

static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* remove_and_die() - as soon as it is durable: before the index hears of it. */
static void remove_and_die(void)
{
	struct ledger_info info;
	struct ledger *l;
	uint64_t until = clock_mono_ns() + 60 * NS_PER_S;
	if (ledger_open(&l, s.dir, &info, NULL))
		_exit(1);
	struct ledger_turn *t = ledger_turn_new(l);
	ledger_add_commit_removed(t, 1);
	ledger_add_demoted(t, 2);
	ledger_hand_in(l, t, 1);
	while (ledger_durable(l) < 1 && clock_mono_ns() < until)
		poll(&(struct pollfd){.fd = ledger_fd(l), .events = POLLIN}, 1, 10);
	_exit(clock_mono_ns() < until ? 0 : 1);
}

Test(ledger_removal, an_index_that_was_not_told_in_time_is_told_again)
{
	struct ledger_turn *t = store_turn(&s);
	put(t, 1, 1, true);
	put(t, 2, 2, true);
	put(t, 3, 3, true);
	store_put(&s, t);
	store_close(&s);
	in_child(remove_and_die);
	store_open(&s);
	cr_assert_not(s.info.index_rebuilt);
	cr_assert_eq(current(1), 0);
	cr_assert_eq(current(2), 0);
	cr_assert_eq(current(3), 3);
	CLEANUP_BUF struct buf before = {0}, after = {0};
	tell(s.reader, &before);
	store_close(&s);
	cr_assert_eq(unlink(store_path(&s, "index.db")), 0);
	store_open(&s);
	tell(s.reader, &after);
	cr_assert_str_eq(buf_cstr(&before), buf_cstr(&after));
}

/* ---- kill -9 ---- */

/* Commit n of example n % EXAMPLES; with each turn the one of 20 turns ago goes, so that of what is
 * left all is known. */
#define KEPT 20

static void churn(int out)
{
	struct ledger *l;
	struct ledger_info info;
	if (ledger_open(&l, s.dir, &info, NULL))
		_exit(1);
	uint64_t next = info.next_commit, first = next;
	for (uint64_t step = 1;; step++, next++) {
		struct ledger_turn *t = ledger_turn_new(l);
		put(t, next, next % EXAMPLES, true);
		if (next > KEPT)
			ledger_add_commit_removed(t, next - KEPT);
		ledger_hand_in(l, t, step);
		while (step - ledger_durable(l) > KEPT / 2)
			poll(&(struct pollfd){.fd = ledger_fd(l), .events = POLLIN}, 1,
			     1000);
		uint64_t seq = first + ledger_durable(l) - 1;
		if (write(out, &seq, sizeof seq) != sizeof seq)
			_exit(1);
	}
}

static void check_churn(uint64_t acknowledged)
{
	uint64_t last = s.info.next_commit - 1;
	struct ledger_hit hit;
	CLEANUP_BUF struct buf body = {0};
	cr_assert_geq(last, acknowledged);
	for (uint64_t n = 1; n <= last; n++)
		cr_assert_eq(ledger_read_commit(s.reader, n, &body, NULL),
			     n + KEPT <= last);
	for (uint64_t n = last; n > 0 && n + EXAMPLES > last; n--) {
		cr_assert_eq(sample_find(s.reader, n % EXAMPLES, &hit), 0);
		cr_assert_eq(hit.seq, n);
	}
}

Test(ledger_removal, what_was_removed_stays_so_after_kill_9_at_any_instant)
{
	CLEANUP_BUF struct buf before = {0}, after = {0};
	unsigned random = (unsigned)getpid();
	for (int round = 0; round < 10; round++) {
		int pipes[2];
		uint64_t acknowledged = 0, seq;
		store_close(&s);
		cr_assert_eq(pipe(pipes), 0);
		pid_t pid = fork();
		if (pid == 0) {
			close(pipes[0]);
			churn(pipes[1]);
		}
		close(pipes[1]);
		usleep((useconds_t)(10000 + (unsigned)rand_r(&random) %
						    (round % 3 ? 60000 : 700000)));
		cr_assert_eq(kill(pid, SIGKILL), 0);
		while (read(pipes[0], &seq, sizeof seq) == sizeof seq)
			acknowledged = seq;
		close(pipes[0]);
		int status;
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFSIGNALED(status), "the child ended by itself: %d", status);
		store_open(&s);
		check_churn(acknowledged);
		tell(s.reader, &before);
		store_close(&s);
		cr_assert_eq(unlink(store_path(&s, "index.db")), 0);
		store_open(&s);
		tell(s.reader, &after);
		cr_assert_str_eq(buf_cstr(&before), buf_cstr(&after));
	}
	cr_assert_gt(s.info.next_commit, 50, "the children did nothing");
}
