/* session.c - a handle against a broker that goes away, forgets, refuses and keeps silent. */
#include "client/cashet.h"
#include "common/fs.h"
#include "proto/endpoint.h"
#include "tests/unit/client/fake_broker.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull

TestSuite(session, .timeout = 120);

static struct cashet *open_handle(const struct fake *f)
{
	struct cashet *c;
	struct cashet_error e;
	struct cashet_options options = {.broker = f->url, .no_wait = true};
	cr_assert_eq(cashet_open(&c, &options, &e), 0, "%s", e.what);
	return c;
}

/* A JSONL file of @count tasks with a parameter i. */
static char *make_file(const char *name, int count)
{
	char *path = NULL;
	cr_assert_gt(asprintf(&path, "/tmp/cashet-test-%d-%s.jsonl", (int)getpid(), name),
		     0);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	for (int i = 0; i < count; i++)
		fprintf(file,
			"{\"name\": \"t\", \"run\": [\"echo\", \"${p.i}\", \"${p.s}\"], "
			"\"params\": {\"s\": \"x\", \"i\": %d}}\n",
			i);
	fclose(file);
	return path;
}

static int submit(struct cashet *c, const char *name, int count, bool no_sync,
		  char batch[CASHET_HEX_SIZE], struct cashet_error *e)
{
	char *path = make_file(name, count);
	struct cashet_submit_options options = {.no_sync = no_sync};
	int r = cashet_submit_file(c, path, &options, batch, e);
	unlink(path);
	free(path);
	return r;
}

static void check_results(struct cashet *c, const char *batch, uint32_t count)
{
	struct cashet_error e;
	struct cashet_results *results;
	const struct cashet_result *r;
	cr_assert_eq(cashet_results_open(c, batch, &results, &e), 0, "%s", e.what);
	cr_assert_eq(cashet_results_batch(results)->counts.total, count);
	for (uint32_t i = 0; i < count; i++) {
		cr_assert_eq(cashet_results_next(results, &r, &e), 0, "%s", e.what);
		cr_assert_not_null(r);
		cr_assert_eq(r->index, i);
		cr_assert_str_eq(r->name, "t");
		cr_assert_eq(r->param_count, 2);
		/* in the order of the file, which is not that of the arguments */
		cr_assert_str_eq(r->params[0].name, "s");
		cr_assert_str_eq(r->params[0].value.text, "x");
		cr_assert_str_eq(r->params[1].name, "i");
		cr_assert_eq(r->params[1].value.type, CASHET_INT);
		cr_assert_eq(r->params[1].value.i, i);
	}
	cr_assert_eq(cashet_results_next(results, &r, &e), 0);
	cr_assert_null(r);
	cashet_results_close(results);
}

Test(session, a_batch_of_hits_ends_with_its_results_at_hand)
{
	struct fake *f = fake_start("hits");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	struct cashet_counts counts;
	cr_assert_eq(submit(c, "hits", 3, true, batch, &e), 0, "%s", e.what);
	cr_assert_eq(cashet_wait(c, batch, NULL, &counts, &e), 0, "%s", e.what);
	cr_assert_eq(counts.total, 3);
	check_results(c, batch, 3);
	cr_assert_eq(f->queries, 0, "the results came with the end");
	cr_assert_eq(cashet_sync(c, &e), 0, "%s", e.what);
	check_results(c, batch, 3);
	cashet_close(c);
	fake_stop(f);
}

Test(session, results_come_in_pages)
{
	struct fake *f = fake_start("pages");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->no_inline = 1;
	f->page = 7;
	cr_assert_eq(submit(c, "pages", 50, false, batch, &e), 0, "%s", e.what);
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), 0, "%s", e.what);
	check_results(c, batch, 50);
	cr_assert_eq(f->queries, 8);
	const struct cashet_result *r;
	struct cashet_results *one;
	cr_assert_eq(cashet_result_one(c, batch, 31, &one, &r, &e), 0, "%s", e.what);
	cr_assert_eq(r->index, 31);
	cashet_results_close(one);
	cr_assert_eq(cashet_result_one(c, batch, 50, &one, &r, &e), CASHET_NOT_FOUND);
	cashet_close(c);
	fake_stop(f);
}

Test(session, counts_by_name_are_the_sums_of_pages)
{
	struct fake *f = fake_start("names");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	struct cashet_by_name *by;
	f->no_inline = 1;
	f->page = 7;
	cr_assert_eq(submit(c, "names", 50, false, batch, &e), 0, "%s", e.what);
	cr_assert_eq(cashet_by_name(c, batch, 2, &by, &e), 0, "%s", e.what);
	cr_assert(by->count == 2 && !by->too_many);
	cr_expect_str_eq(by->items[0].name, "first");
	cr_expect_eq(by->items[0].counts.total, 7);
	cr_expect_str_eq(by->items[1].name, "other");
	cr_expect_eq(by->items[1].counts.executed, 43);
	cr_expect_eq(f->queries, 8);
	cashet_by_name_free(by);
	cr_assert_eq(cashet_by_name(c, batch, 1, &by, &e), 0, "%s", e.what);
	cr_expect(by->too_many);
	cashet_by_name_free(by);
	batch[0] = batch[0] == 'f' ? '0' : 'f';
	cr_expect_eq(cashet_by_name(c, batch, 1, &by, &e), CASHET_NOT_FOUND);
	cr_expect_eq(cashet_by_name(c, "x", 1, &by, &e), CASHET_USAGE);
	cashet_close(c);
	fake_stop(f);
}

/* Results that were given up half way leave nothing behind. */
Test(session, reading_results_may_stop_anywhere)
{
	struct fake *f = fake_start("stop");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->no_inline = 1;
	f->page = 4;
	cr_assert_eq(submit(c, "stop", 20, false, batch, &e), 0, "%s", e.what);
	for (int stop = 0; stop < 10; stop++) {
		struct cashet_results *results;
		const struct cashet_result *r;
		cr_assert_eq(cashet_results_open(c, batch, &results, &e), 0, "%s",
			     e.what);
		for (int i = 0; i < stop; i++)
			cr_assert_eq(cashet_results_next(results, &r, &e), 0);
		cashet_results_close(results);
	}
	check_results(c, batch, 20);
	cashet_close(c);
	fake_stop(f);
}

Test(session, chunks_that_were_not_acknowledged_are_sent_again_after_a_restart)
{
	struct fake *f = fake_start("restart");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->hold_acks = f->hold = 1;
	cr_assert_eq(submit(c, "restart", 10, true, batch, &e), 0, "%s", e.what);
	struct cashet_wait_options options = {.timeout_ns = 200 * MS};
	cr_assert_eq(cashet_wait(c, batch, &options, NULL, &e), CASHET_TIMED_OUT);
	f->hold_acks = 0;
	f->rebind = 1;
	cr_assert_eq(cashet_sync(c, &e), 0, "%s", e.what);
	cr_assert_geq(f->hellos, 2);
	cr_assert_geq(f->repeated, 1);
	f->hold = 0;
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), 0, "%s", e.what);
	check_results(c, batch, 10);
	cashet_close(c);
	fake_stop(f);
}

Test(session, a_broker_that_knows_nobody_is_greeted_again)
{
	struct fake *f = fake_start("forget");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->hold = 1;
	cr_assert_eq(submit(c, "forget", 10, false, batch, &e), 0, "%s", e.what);
	int before = f->hellos;
	f->forget = 1;
	f->hold = 0;
	/* Nothing of ours is under way, so it is the next ping that finds out. */
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), 0, "%s", e.what);
	check_results(c, batch, 10);
	cr_assert_leq(f->hellos, before + 1);
	cashet_close(c);
	fake_stop(f);
}

Test(session, a_watch_goes_on_after_a_restart)
{
	struct fake *f = fake_start("watch");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->hold = 1;
	cr_assert_eq(submit(c, "watch", 5, false, batch, &e), 0, "%s", e.what);
	struct cashet_wait_options options = {.timeout_ns = 100 * MS};
	cr_assert_eq(cashet_wait(c, batch, &options, NULL, &e), CASHET_TIMED_OUT);
	f->rebind = 1;
	while (f->rebind)
		usleep(1000);
	f->hold = 0;
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), 0, "%s", e.what);
	cr_assert_geq(f->watches, 1);
	cashet_close(c);
	fake_stop(f);
}

Test(session, a_large_batch_keeps_its_window_and_its_order)
{
	struct fake *f = fake_start("window");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->page = 1000;
	cr_assert_eq(submit(c, "window", 100000, false, batch, &e), 0, "%s", e.what);
	cr_assert_geq(f->chunks, 2);
	cr_assert_eq(f->repeated, 0);
	check_results(c, batch, 100000);
	cashet_close(c);
	fake_stop(f);
}

Test(session, a_refused_batch_is_an_error_of_the_submit)
{
	struct fake *f = fake_start("refuse");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->refuse = 1;
	cr_assert_eq(submit(c, "refuse", 2, false, batch, &e), CASHET_USAGE);
	cr_assert_str_eq(e.what, "cycle: a -> b -> a");
	f->refuse = 0;
	cashet_close(c);
	fake_stop(f);
}

Test(session, a_refused_batch_is_an_error_of_the_wait_too)
{
	struct fake *f = fake_start("refuse2");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->refuse = 1;
	cr_assert_eq(submit(c, "refuse2", 2, true, batch, &e), 0);
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), CASHET_USAGE);
	cashet_close(c);
	fake_stop(f);
}

/* Its first chunks are with the broker only, so that nothing else than an error can come of it. */
Test(session, a_batch_that_the_broker_has_forgotten_is_an_error_of_the_submit)
{
	struct fake *f = fake_start("lose");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->lose = 1;
	cr_assert_eq(submit(c, "lose", 100000, false, batch, &e), CASHET_FAILED);
	cr_assert_not_null(strstr(e.what, "forgotten"), "%s", e.what);
	cr_assert_str_eq(e.next, "submit it again");
	cashet_close(c);
	fake_stop(f);
}

Test(session, nobody_there_is_unreachable_and_says_what_was_tried)
{
	struct cashet *c;
	struct cashet_error e;
	struct cashet_options options = {.broker = "ipc:///tmp/cashet-test-nobody.sock",
					 .connect_ns = 200 * MS};
	cr_assert_eq(cashet_open(&c, &options, &e), CASHET_UNREACHABLE);
	cr_assert_not_null(strstr(e.what, "/tmp/cashet-test-nobody.sock"));
	cr_assert_not_null(strstr(e.next, "cashet-broker"));
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

static int no_batch(void *arg, const struct cashet_batch *batch)
{
	return 0;
}

/* A batch may take long to read before anybody is to be connected to. */
Test(session, the_time_to_connect_counts_from_the_first_attempt)
{
	struct cashet *c;
	struct cashet_error e;
	struct cashet_options options = {.broker = "ipc:///tmp/cashet-test-nobody.sock",
					 .connect_ns = 300 * MS,
					 .no_wait = true};
	cr_assert_eq(cashet_open(&c, &options, &e), 0, "%s", e.what);
	for (uint64_t opened = now_ns(); now_ns() - opened < options.connect_ns;)
		usleep(10000);
	uint64_t began = now_ns();
	cr_assert_eq(cashet_batches(c, true, 0, no_batch, NULL, NULL, &e),
		     CASHET_UNREACHABLE);
	cr_assert_geq(now_ns() - began, options.connect_ns);
	cashet_close(c);
}

Test(session, a_broker_that_says_nothing_is_unreachable)
{
	struct fake *f = fake_start("mute");
	struct cashet *c;
	struct cashet_error e;
	struct cashet_options options = {.broker = f->url, .connect_ns = 300 * MS};
	f->mute = 1;
	cr_assert_eq(cashet_open(&c, &options, &e), CASHET_UNREACHABLE);
	fake_stop(f);
}

Test(session, a_broker_that_falls_silent_is_left_and_found_again)
{
	struct fake *f = fake_start("silent");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	f->hold = 1;
	cr_assert_eq(submit(c, "silent", 2, false, batch, &e), 0, "%s", e.what);
	f->mute = 1;
	struct cashet_wait_options options = {.timeout_ns = 500 * MS};
	for (int tries = 0; tries < 200 && f->hellos < 2; tries++)
		cr_assert_eq(cashet_wait(c, batch, &options, NULL, &e), CASHET_TIMED_OUT);
	cr_assert_geq(f->hellos, 2);
	f->mute = 0;
	f->hold = 0;
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), 0, "%s", e.what);
	cashet_close(c);
	fake_stop(f);
}

/* ---- a private broker that goes again and again ---- */

struct mortal {
	struct fake *fake;
	char dir[64], lock[96];
	int lock_fd, deaths, deaths_max;
};

/* A store whose broker is the fake one: it holds run/lock, and run/socket says where it listens. */
static void mortal_start(struct mortal *m, const char *name)
{
	char path[96];
	*m = (struct mortal){.fake = fake_start(name), .dir = "/tmp/cashet-unit-XXXXXX"};
	m->fake->hold = 1;
	cr_assert_not_null(mkdtemp(m->dir));
	snprintf(path, sizeof path, "%s/run", m->dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	snprintf(m->lock, sizeof m->lock, "%s/run/lock", m->dir);
	m->lock_fd = fs_lock(m->lock, NULL);
	cr_assert_geq(m->lock_fd, 0);
	snprintf(path, sizeof path, "%s/run/socket", m->dir);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fprintf(file, "%s\n", m->fake->url + strlen("ipc://"));
	fclose(file);
}

/* Whenever there is a session, it breaks; after the last time the batch ends. */
static int die(void *arg, const struct cashet_progress *p)
{
	struct mortal *m = arg;
	if (!p->connected || m->fake->rebind)
		return 0;
	if (m->deaths++ < m->deaths_max)
		m->fake->rebind = 1;
	else
		m->fake->hold = 0;
	return 0;
}

static int outlive(struct mortal *m, int deaths_max, struct cashet_error *e)
{
	struct cashet *c;
	char batch[CASHET_HEX_SIZE];
	struct cashet_options options = {.store = m->dir};
	struct cashet_wait_options wait = {
		.progress = die, .arg = m, .interval_ns = 10 * MS};
	m->deaths_max = deaths_max;
	cr_assert_eq(cashet_open(&c, &options, e), 0, "%s", e->what);
	cr_assert_eq(submit(c, "mortal", 2, false, batch, e), 0, "%s", e->what);
	int r = cashet_wait(c, batch, &wait, NULL, e);
	cashet_close(c);
	fake_stop(m->fake);
	close(m->lock_fd);
	fs_remove_tree(m->dir);
	return r;
}

Test(session, a_private_broker_that_dies_again_and_again_is_given_up)
{
	struct mortal m;
	struct cashet_error e;
	mortal_start(&m, "dies");
	cr_assert_eq(outlive(&m, 1000, &e), CASHET_UNREACHABLE);
	cr_assert_not_null(strstr(e.what, "right after it had been started"), "%s",
			   e.what);
	cr_assert_not_null(strstr(e.next, "run/broker.log"), "%s", e.next);
	cr_assert_geq(m.deaths, 20);
}

/* Clients of two versions at work ask each other's brokers to end as often as they like. */
Test(session, a_private_broker_that_ends_as_it_should_is_not)
{
	struct mortal m;
	struct cashet_error e;
	mortal_start(&m, "ends");
	cr_assert_eq(fs_write_all(m.lock_fd, STORE_END_MARK "\n",
				  sizeof STORE_END_MARK "\n" - 1),
		     0);
	cr_assert_eq(outlive(&m, 25, &e), 0, "%s", e.what);
	cr_assert_geq(m.deaths, 25);
}

Test(session, a_handle_that_was_not_used_for_long_still_works)
{
	struct fake *f = fake_start("idle");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	cr_assert_eq(submit(c, "idle", 2, false, batch, &e), 0, "%s", e.what);
	cr_assert_eq(cashet_wait(c, batch, NULL, NULL, &e), 0, "%s", e.what);
	usleep(7000000);
	check_results(c, batch, 2);
	cashet_close(c);
	fake_stop(f);
}

static bool always(void *arg)
{
	return ++*(int *)arg > 3;
}

Test(session, whoever_is_interrupted_detaches)
{
	struct fake *f = fake_start("interrupt");
	int asked = 0;
	struct cashet *c;
	struct cashet_error e;
	struct cashet_options options = {.broker = f->url,
					 .no_wait = true,
					 .interrupted = always,
					 .interrupted_arg = &asked};
	f->mute = 1;
	cr_assert_eq(cashet_open(&c, &options, &e), 0);
	cr_assert_eq(cashet_wait(c, "", NULL, NULL, &e), CASHET_DETACHED);
	cashet_close(c);
	fake_stop(f);
}

struct seen {
	int calls, notices;
	struct cashet *c;
};

static int on_progress(void *arg, const struct cashet_progress *p)
{
	struct seen *seen = arg;
	seen->calls++;
	return p->known && seen->calls >= 3;
}

Test(session, progress_is_told_at_least_every_interval_and_can_end_the_wait)
{
	struct fake *f = fake_start("progress");
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	struct seen seen = {0};
	struct cashet_wait_options options = {
		.progress = on_progress, .arg = &seen, .interval_ns = 20 * MS};
	f->hold = 1;
	cr_assert_eq(submit(c, "progress", 2, false, batch, &e), 0, "%s", e.what);
	cr_assert_eq(cashet_wait(c, batch, &options, NULL, &e), CASHET_DETACHED);
	cr_assert_geq(seen.calls, 3);
	cashet_close(c);
	fake_stop(f);
}

Test(session, an_unknown_batch_is_not_found)
{
	struct fake *f = fake_start("unknown");
	struct cashet *c = open_handle(f);
	struct cashet_results *results;
	struct cashet_error e;
	cr_assert_eq(cashet_results_open(c, "abcd", &results, &e), CASHET_NOT_FOUND);
	cr_assert_eq(cashet_results_open(c, "abc", &results, &e), CASHET_USAGE);
	cr_assert_eq(cashet_results_open(c, "wxyz", &results, &e), CASHET_USAGE);
	cashet_close(c);
	fake_stop(f);
}

static void *one_client(void *arg)
{
	struct fake *f = arg;
	struct cashet_error e;
	for (int i = 0; i < 20; i++) {
		struct cashet *c;
		struct cashet_options options = {.broker = f->url};
		cr_assert_eq(cashet_open(&c, &options, &e), 0, "%s", e.what);
		cashet_close(c);
	}
	return NULL;
}

Test(session, handles_of_different_threads_are_independent)
{
	struct fake *f = fake_start("threads");
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, one_client, f), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	cr_assert_geq(f->hellos, 60);
	fake_stop(f);
}
