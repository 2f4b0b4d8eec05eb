/* Calls that fail, and runners that misbehave in every way: each is the failure of its own call. */
#include "tests/unit/worker/calls.h"

#include "common/format/c_tokens.h"
#include "common/format/source.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A neighbour runs as if nothing had happened. */
static void all_is_well(struct fake *f)
{
	cr_assert_str_eq(calls_result(f, calls_outcome(f, calls_run(f, "null"), "null")),
			 "null");
}

Test(calls, errors_have_a_short_line_and_a_traceback)
{
	struct fake f;
	calls_start(&f);
	Cashet__Outcome *o = calls_fail(&f, "fails", "ValueError: bad lr");
	cr_assert_str_eq(whole_out(&f, o), "said\n");
	cr_assert_str_eq(calls_err(&f, o),
			 "before\nTraceback\n  here\nValueError: bad lr\n");
	o = calls_fail(&f, "leaves", "exit 3 before it returned");
	cr_assert_eq(o->exit_code, 3);
	o = calls_fail(&f, "forked_and_died", "killed by signal 11 (Segmentation fault)");
	cr_assert_eq(o->term_signal, SIGSEGV);
	calls_fail(&f, "nothing", "there is no nothing");
	calls_fail(&f, "error_of_rubbish", "the runner reported an error without a text");
	all_is_well(&f);
	fake_stop(&f);
}

Test(calls, a_runner_that_dies_takes_one_call_with_it)
{
	struct fake f;
	calls_start(&f);
	Cashet__Outcome *o = calls_fail(&f, "dies", "exit 7 before it returned");
	cr_assert_eq(o->exit_code, 7);
	cr_assert_str_eq(whole_out(&f, o), "last words\n");
	o = calls_fail(&f, "crashes", "killed by signal 11 (Segmentation fault)");
	cr_assert_eq(o->term_signal, SIGSEGV);
	cr_assert_str_eq(calls_err(&f, o), "ouch\n");
	calls_fail(&f, "dies_well", "exit 0 before it returned");
	calls_fail(&f, "cut", "exit 0 before it returned");
	all_is_well(&f);
	fake_stop(&f);
}

Test(calls, a_runner_that_breaks_the_protocol_is_replaced)
{
	struct fake f;
	calls_start(&f);
	calls_fail(&f, "malformed", "the runner sent a malformed frame");
	calls_fail(&f, "unknown", "the runner answered a call that is not under way");
	calls_fail(&f, "floods", "the runner answered a ping that was not sent");
	calls_fail(&f, "worker_words", "the runner sent a frame that only workers send");
	calls_fail(&f, "closes",
		   "the function closed a descriptor that is not its own: the runner's "
		   "channel");
	calls_fail(&f, "closed_it",
		   "the function closed a descriptor that is not its own: the runner's "
		   "channel");
	Cashet__Outcome *o =
		calls_fail(&f, "understands_nothing",
			   "cashet-runner-fake does not understand the call");
	cr_assert_str_eq(calls_err(&f, o), "a frame of 3 bytes\n");
	calls_fail(&f, "lies_about_size",
		   "the runner's result is not the file that it said");
	calls_fail(&f, "link", "the runner's result is not the file that it said");
	calls_fail(&f, "no_file", "the runner's result is not the file that it said");
	cr_assert_str_eq(calls_result(&f, whole_outcome(&f, calls_run(&f, "twice"))),
			 "null");
	all_is_well(&f);
	fake_stop(&f);
}

static Cashet__Outcome *with_mode(struct fake *f, const char *name, char *mode)
{
	struct function_pair env = {"MODE", mode};
	struct function function = {.env = &env, .env_count = 1};
	return whole_outcome(
		f, calls_run_with(f, name, &(struct fake_task){.function = &function}));
}

Test(calls, a_runner_that_does_not_start_says_why)
{
	struct fake f;
	calls_start(&f);
	Cashet__Outcome *o = with_mode(&f, "null", "does_not_start");
	cr_assert_str_eq(o->error, "cashet-runner-fake did not start: exit 1");
	cr_assert_str_eq(calls_err(&f, o), "no such thing\n");
	o = with_mode(&f, "null", "other_protocol");
	cr_assert_str_eq(o->error, "the runner speaks another protocol than this worker");
	o = with_mode(&f, "null", "answers_first");
	cr_assert_str_eq(o->error, "the runner answered before it said that it is ready");
	setenv("CASHET_RUNNER_PATH", "/nowhere", 1);
	fake_stop(&f);
	whole_start(&f);
	calls_fail(&f, "null",
		   "this worker cannot run functions in fake: there is no "
		   "cashet-runner-fake in /nowhere ($CASHET_RUNNER_PATH)");
	fake_stop(&f);
}

Test(calls, behind_one_that_dies_run_elsewhere)
{
	struct fake f;
	enum { COUNT = 40 };
	static uint64_t epochs[COUNT];
	const char *names[COUNT];
	calls_start(&f);
	whole_outcome(&f, calls_run(&f, "stale")); /* they are known to be short: */
	all_is_well(&f);			   /* several are queued ahead */
	for (int i = 0; i < COUNT; i++) {
		names[i] = i % 16 == 12 ? "dies" : i % 8 == 4 ? "stale" : "null";
		epochs[i] = calls_run(&f, names[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		Cashet__Outcome *o = calls_outcome(&f, epochs[i], names[i]);
		bool dies = !strcmp(names[i], "dies");
		cr_assert_eq(o->kind,
			     dies ? CASHET__OUTCOME__KIND__FAILED
				  : CASHET__OUTCOME__KIND__COMPLETED,
			     "%d: %s", i, o->error);
	}
	fake_stop(&f);
}

/* ---- the source */

Test(calls, a_full_disk_is_not_the_fault_of_a_source)
{
	struct fake f;
	calls_start(&f);
	uint64_t epoch = calls_run(&f, "full");
	for (int i = 0; i < LONG_MS / 20 && !f.handback_count; i++)
		cr_assert_null(fake_outcome(&f, epoch, 20));
	cr_assert_eq(f.handed_back[0], epoch, "another worker may have room");
	fake_stop(&f);
}

Test(calls, a_source_that_is_not_as_described_is_refused)
{
	struct fake f;
	calls_start(&f);
	Cashet__Outcome *o = whole_outcome(&f, calls_run(&f, "mismatch"));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	cr_assert_str_eq(o->error, "it has the hash aa, not bb");
	o = calls_fail(&f, "compile", "x.c:1: error: no");
	cr_assert_str_eq(calls_err(&f, o), "x.c:1: error: no\n  1 | no\n");
	calls_fail(
		&f, "babble",
		"cashet-runner-fake did not say what it thinks of the source (exit 0)");
	o = calls_fail(&f, "prepare_dies",
		       "cashet-runner-fake died while it checked the source: signal 9 "
		       "(Killed)");
	cr_assert_not_null(strstr(calls_err(&f, o), "\nwhy\n"));

	struct made m;
	struct call_args none = {.positional = NULL};
	struct fake_task task = {.function = &m.f, .call = &none};
	calls_make(&f, &m, "null");
	m.f.salt = "another"; /* the broker says but once what it is */
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED, "without a source");
	task.source = m.source;
	m.f.identity[0] ^= 1;
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED, "of another function");
	cr_assert_not_null(strstr(o->error, "is not what the task names"), "%s",
			   o->error);
	uint8_t nowhere[DIGEST_SIZE] = {1};
	m.f.identity[1] ^= 1;
	task.source = nowhere;
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__INPUT_MISSING, "%s", o->error);
	cr_assert_eq(o->missing.data[0], 1);
	m.f.identity[1] ^= 2;
	task.source = m.source;
	task.call = NULL;
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED, "arguments of a command");
	all_is_well(&f);
	fake_stop(&f);
}

Test(calls, code_of_a_command_that_is_known_by_its_tokens_is_checked)
{
	struct fake f;
	calls_start(&f);
	static const char text[] = "int x; /* bytes do not count */\n";
	struct source_file file = {.path = "lib/a.c", .size = sizeof text - 1};
	struct source source = {.files = &file, .file_count = 1};
	struct function_code code = {.path = "lib/a.c", .scheme = CODE_C};
	struct function fn = {.shell = "cat lib/a.c", .code = &code, .code_count = 1};
	uint8_t digest[DIGEST_SIZE];
	CLEANUP_BUF struct buf blob = {0};
	struct fake_task task = {.function = &fn, .source = digest};
	fake_store(&f, text, sizeof text - 1, file.digest);
	source_encode(&blob, &source);
	fake_store(&f, blob.data, blob.size, digest);
	cr_assert_eq(c_tokens_digest("int x ;", 7, code.digest, NULL), 0);
	Cashet__Outcome *o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_str_eq(whole_out(&f, o), text);
	cr_assert_eq(c_tokens_digest("int y;", 6, code.digest, NULL), 0);
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED, "%s", o->error);
	cr_assert_not_null(strstr(o->error, "is not what the client described"), "%s",
			   o->error);
	code.scheme = CODE_PYTHON;
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	cr_assert_str_eq(o->error, "the client did not say what lib/a.c is");
	/* a file more, which no identity is of */
	struct source_file files[] = {file, {.path = "lib/b", .size = file.size}};
	memcpy(files[1].digest, file.digest, DIGEST_SIZE);
	source = (struct source){.files = files, .file_count = 2};
	buf_reset(&blob);
	source_encode(&blob, &source);
	fake_store(&f, blob.data, blob.size, digest);
	code.scheme = CODE_C;
	fn.shell = "cat lib/a.c lib/b";
	cr_assert_eq(c_tokens_digest("int x ;", 7, code.digest, NULL), 0);
	o = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED, "%s", o->error);
	cr_assert_str_eq(o->error, "the client did not say what lib/b is");
	fake_stop(&f);
}

/* ---- stopping */

Test(calls, a_time_limit_is_that_of_the_call)
{
	struct fake f;
	calls_start(&f);
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.timeout_ns = 300 * NS_PER_MS;
	options.grace_ns = 300 * NS_PER_MS;
	const struct fake_task task = {.options = &options};
	uint64_t sleeps = calls_run_with(&f, "sleeps", &task);
	uint64_t stubborn = calls_run_with(&f, "stubborn", &task);
	Cashet__Outcome *o = whole_outcome(&f, sleeps);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__TIMED_OUT, "%s", o->error);
	cr_assert_str_eq(whole_out(&f, o), "sleeping\n");
	o = whole_outcome(&f, stubborn);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__TIMED_OUT);
	cr_assert_str_eq(calls_err(&f, o), "no\n");
	o = whole_outcome(&f, calls_run_with(&f, "finishes_when_told", &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__TIMED_OUT);
	all_is_well(&f);
	fake_stop(&f);
}

Test(calls, a_revoked_one_is_stopped_and_its_logs_can_be_read)
{
	struct fake f;
	calls_start(&f);
	uint64_t epoch = calls_run(&f, "sleeps");
	pid_t pid = atoi(calls_wait_noted(&f));
	fake_ask_log(&f, epoch, false, 0);
	cr_assert(fake_wait(&f, &f.has_log, LONG_MS));
	cr_assert_str_eq(buf_cstr(&f.log), "sleeping\n");
	cr_assert(f.log_running);
	fake_revoke(&f, epoch);
	cr_assert_eq(whole_outcome(&f, epoch)->kind, CASHET__OUTCOME__KIND__STOPPED);
	cr_assert_not(whole_is_alive(pid));
	all_is_well(&f);
	fake_stop(&f);
}

Test(calls, memory_is_limited)
{
	struct fake f;
	calls_start(&f);
	Cashet__Options options = CASHET__OPTIONS__INIT;
	Cashet__Resource memory = CASHET__RESOURCE__INIT, *list[] = {&memory};
	memory.name = "memory";
	memory.milli = 100 << 20;
	options.resources = list;
	options.n_resources = 1;
	struct options o = {.drain_timeout_ns = TIME_NEVER};
	fake_stop(&f);
	fake_start(&f);
	capacity_add(&o.capacity, "cpus", 2000);
	capacity_add(&o.capacity, "memory", 1 << 30);
	fake_run_worker_on(&f, &o);
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	Cashet__Outcome *outcome = whole_outcome(
		&f, calls_run_with(&f, "eats", &(struct fake_task){.options = &options}));
	cr_assert_eq(outcome->kind, CASHET__OUTCOME__KIND__FAILED);
	free(o.work_dir);
	cr_assert_not_null(strstr(outcome->error, "it asked for (resources.memory)"),
			   "%s", outcome->error);
	fake_stop(&f);
}

Test(calls, a_worker_that_drains_finishes_them)
{
	struct fake f;
	calls_start(&f);
	all_is_well(&f);
	uint64_t told = calls_run(&f, "sleeps");
	calls_wait_noted(&f);
	fake_drain(&f, 500);
	Cashet__Outcome *o = whole_outcome(&f, told);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__LOST, "%s", o->error);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	fake_stop(&f);
}
