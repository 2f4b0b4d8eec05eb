/* A whole worker: limits, what waits, brokers that go away, and the end. */
#include "tests/unit/worker/whole.h"

#include "common/clock.h"
#include "common/fs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- time */

Test(worker, a_time_limit_kills_the_whole_tree)
{
	struct fake f;
	whole_start(&f);
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.timeout_ns = 300 * NS_PER_MS;
	options.grace_ns = 300 * NS_PER_MS;
	const char *shell = whole_telling(
		&f, "begun",
		"trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000'"
		"& echo started; sleep 1000; sleep 1000");
	uint64_t epoch = whole_run_with(&f, shell, &options);
	Cashet__Outcome *o = whole_outcome(&f, epoch);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__TIMED_OUT);
	cr_assert_eq(strncmp(o->error, "timed out after ", 16), 0, "%s", o->error);
	cr_assert_str_eq(whole_out(&f, o), "started\n");
	cr_assert_not(whole_is_alive(whole_wait_for_pid(&f, "begun")));
	fake_stop(&f);
}

Test(worker, a_revoked_attempt_is_stopped_and_answered)
{
	struct fake f;
	whole_start(&f);
	uint64_t running = whole_run(&f, whole_telling(&f, "begun", "sleep 1000"));
	pid_t pid = whole_wait_for_pid(&f, "begun");
	uint64_t second = whole_run(&f, "sleep 1000"),
		 waiting = whole_run(&f, "echo never");
	fake_revoke(&f, waiting);
	fake_revoke(&f, running);
	fake_revoke(&f, 4711);
	cr_assert_eq(whole_outcome(&f, waiting)->kind, CASHET__OUTCOME__KIND__STOPPED);
	cr_assert_eq(whole_outcome(&f, running)->kind, CASHET__OUTCOME__KIND__STOPPED);
	cr_assert_not(whole_is_alive(pid));
	fake_revoke(&f, second);
	cr_assert_eq(whole_outcome(&f, second)->kind, CASHET__OUTCOME__KIND__STOPPED);
	fake_stop(&f);
}

/* What would wait for long on a busy machine goes back. Return: NULL then. */
static Cashet__Outcome *outcome_unless_handed_back(struct fake *f, uint64_t epoch)
{
	for (int i = 0; i < LONG_MS / 20; i++) {
		Cashet__Outcome *o = fake_outcome(f, epoch, 20);
		if (o)
			return o;
		for (size_t k = 0; k < f->handback_count; k++)
			if (f->handed_back[k] == epoch)
				return NULL;
	}
	cr_assert_fail("neither run nor handed back");
	return NULL;
}

Test(worker, does_not_run_more_than_fits)
{
	struct fake f;
	whole_start(&f);
	char shell[400];
	snprintf(shell, sizeof shell,
		 "cd %s; mkdir r.$CASHET_INDEX; ls -d r.* | wc -l; sleep 0.1; rmdir "
		 "r.$CASHET_INDEX",
		 f.dir);
	uint64_t first = whole_run(&f, shell), last = first;
	for (int i = 0; i < 9; i++)
		last = whole_run(&f, shell);
	bool saw_two = false;
	for (uint64_t epoch = first; epoch <= last; epoch++) {
		Cashet__Outcome *o = outcome_unless_handed_back(&f, epoch);
		if (!o)
			continue;
		int at_once = atoi(whole_out(&f, o));
		cr_assert_leq(at_once, 2);
		saw_two = saw_two || at_once == 2;
	}
	cr_assert(saw_two);
	fake_stop(&f);
}

Test(worker, hands_back_what_would_wait_too_long)
{
	struct fake f;
	whole_start(&f);
	for (int i = 0; i < 2; i++)
		whole_run(&f, "sleep 1000");
	uint64_t third = whole_run(&f, "echo third");
	for (int i = 0; i < LONG_MS / 20 && !f.handback_count; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.handback_count, 1);
	cr_assert_eq(f.handed_back[0], third);
	cr_assert_eq(f.credit, 0);
	fake_stop(&f);
}

Test(worker, hands_back_what_is_prepared_but_cannot_start)
{
	struct fake f;
	whole_start(&f);
	struct function_pair outputs[] = {{"o", "o"}};
	struct function fn = {
		.shell = "sleep 1000", .outputs = outputs, .output_count = 1};
	for (int i = 0; i < 3; i++)
		fake_assign(&f, &(struct fake_task){.function = &fn});
	for (int i = 0; i < LONG_MS / 20 && !f.handback_count; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.handback_count, 1);
	fake_stop(&f);
}

Test(worker, a_short_task_does_not_wait_for_the_next_message)
{
	struct fake f;
	whole_start(&f);
	for (int i = 0; i < 50; i++)
		whole_run(&f, "true");
	cr_assert_not_null(fake_outcome(&f, 50, LONG_MS));
	for (int i = 0; i < LONG_MS / 20 && f.outcome_count < 50; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.outcome_count, 50);
	cr_assert_gt(f.credit, 8, "it asks for work ahead");
	fake_stop(&f);
}

/* ---- a broker that goes away */

Test(worker, keeps_running_tasks_and_results_over_a_restart_of_the_broker)
{
	struct fake f;
	whole_start(&f);
	uint64_t running = whole_run(
		&f,
		whole_telling(&f, "begun",
			      "while [ ! -e go ]; do sleep 0.05; done; echo survived"));
	pid_t pid = whole_wait_for_pid(&f, "begun");
	f.hold_acks = true;
	uint64_t ended = whole_run(&f, "echo kept");
	whole_outcome(&f, ended);
	fake_restart(&f);
	f.hold_acks = false;
	cr_assert(fake_wait(&f, &f.joined, LONG_MS), "it comes back by itself");
	cr_assert_eq(f.claims, 2);
	cr_assert_eq(f.claims_started, 2);
	cr_assert_eq(f.claims_finished, 1);
	for (int i = 0; i < LONG_MS / 20 && f.outcomes->times < 2; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.outcomes->epoch, ended);
	cr_assert_eq(f.outcomes->times, 2, "the result is said again");
	cr_assert(whole_is_alive(pid));
	char path[100], go[120];
	snprintf(path, sizeof path, "/proc/%d/cwd", pid);
	ssize_t n = readlink(path, go, sizeof go - 8);
	cr_assert_gt(n, 0);
	strcpy(go + n, "/go");
	fclose(fopen(go, "w"));
	Cashet__Outcome *o = whole_outcome(&f, running);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_str_eq(whole_out(&f, o), "survived\n");
	fake_stop(&f);
}

Test(worker, a_silent_broker_is_left_and_greeted_anew)
{
	struct fake f;
	whole_start(&f);
	unsigned hellos = f.hellos;
	f.mute = true;
	uint64_t until_ns = clock_mono_ns() + 7 * NS_PER_S;
	while (clock_mono_ns() < until_ns)
		fake_serve(&f, 100);
	f.mute = false;
	f.greeted = f.joined = false;
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	cr_assert_gt(f.hellos, hellos);
	fake_stop(&f);
}

Test(worker, a_refused_claim_is_killed_without_a_word)
{
	struct fake f;
	whole_start(&f);
	uint64_t epoch = whole_run(&f, whole_telling(&f, "begun", "sleep 1000"));
	pid_t pid = whole_wait_for_pid(&f, "begun");
	Cashet__ResultAck ack = CASHET__RESULT_ACK__INIT, *list[1] = {&ack};
	Cashet__ResultAcks m = CASHET__RESULT_ACKS__INIT;
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	ack.epoch = epoch;
	ack.verdict = CASHET__RESULT_ACK__VERDICT__STALE;
	m.acks = list;
	m.n_acks = 1;
	e.body_case = CASHET__ENVELOPE__BODY_RESULT_ACKS;
	e.result_acks = &m;
	int error;
	wire_send(f.control, f.route, f.route_size, &e, &error);
	for (int i = 0; i < LONG_MS / 20 && whole_is_alive(pid); i++)
		fake_serve(&f, 20);
	cr_assert_not(whole_is_alive(pid));
	cr_assert_eq(f.outcome_count, 0);
	unsigned beats = f.heartbeats;
	for (int i = 0; i < LONG_MS / 20 && f.heartbeats < beats + 2; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.epoch_count, 0);
	fake_stop(&f);
}

/* ---- the end */

Test(worker, drains_on_sigterm)
{
	struct fake f;
	whole_start(&f);
	uint64_t a = whole_run(&f, whole_telling(&f, "one", "sleep 0.5; echo done")),
		 b = whole_run(&f, whole_telling(&f, "two", "sleep 0.5; echo done"));
	whole_wait_for_pid(&f, "one");
	whole_wait_for_pid(&f, "two");
	uint64_t waiting = whole_run(&f, "echo never");
	fake_serve(&f, 50);
	kill(f.worker, SIGTERM);
	cr_assert_str_eq(whole_out(&f, whole_outcome(&f, a)), "done\n");
	cr_assert_str_eq(whole_out(&f, whole_outcome(&f, b)), "done\n");
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	cr_assert(f.said_bye);
	cr_assert_eq(f.handback_count, 1);
	cr_assert_eq(f.handed_back[0], waiting);
	cr_assert_neq(access(whole_path(&f, "work/attempts"), F_OK), 0,
		      "nothing is left");
	fake_stop(&f);
}

Test(worker, a_second_sigterm_stops_tasks_and_reports_them_lost)
{
	struct fake f;
	whole_start(&f);
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.grace_ns = 200 * NS_PER_MS;
	uint64_t epoch = whole_run_with(
		&f, whole_telling(&f, "begun", "trap '' TERM; while :; do sleep 1; done"),
		&options);
	pid_t pid = whole_wait_for_pid(&f, "begun");
	kill(f.worker, SIGTERM);
	cr_assert(fake_wait(&f, &f.draining, LONG_MS)); /* else both may be one signal */
	cr_assert(whole_is_alive(pid));
	kill(f.worker, SIGTERM);
	cr_assert_eq(whole_outcome(&f, epoch)->kind, CASHET__OUTCOME__KIND__LOST);
	cr_assert_not(whole_is_alive(pid));
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	fake_stop(&f);
}

Test(worker, a_drain_deadline_does_the_same)
{
	struct fake f;
	whole_start(&f);
	uint64_t epoch = whole_run(&f, whole_telling(&f, "begun", "exec sleep 1000"));
	whole_wait_for_pid(&f, "begun");
	fake_drain(&f, 300);
	cr_assert_eq(whole_outcome(&f, epoch)->kind, CASHET__OUTCOME__KIND__LOST);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	fake_stop(&f);
}

Test(worker, killed_it_takes_its_tasks_along)
{
	struct fake f;
	whole_start(&f);
	whole_run(&f,
		  whole_telling(&f, "begun",
				"trap '' TERM; setsid sleep 1000 & wait; sleep 1000"));
	pid_t pid = whole_wait_for_pid(&f, "begun");
	kill(f.worker, SIGKILL);
	for (int i = 0; i < LONG_MS / 20 && whole_is_alive(pid); i++)
		usleep(20000);
	cr_assert_not(whole_is_alive(pid));
	fake_stop(&f);
}

Test(worker, a_task_that_kills_its_slot_is_reported_lost_and_the_next_one_runs)
{
	struct fake f;
	whole_start(&f);
	Cashet__Outcome *o = whole_outcome(
		&f, whole_run(&f, "setsid sleep 1000 & kill -9 $PPID; sleep 1000"));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__LOST, "%s", o->error);
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(
			whole_out(&f, whole_outcome(&f, whole_run(&f, "echo well"))),
			"well\n");
	fake_stop(&f);
}

Test(worker, refuses_a_work_directory_in_use)
{
	struct fake f;
	fake_start(&f);
	fake_run_worker(&f);
	pid_t first = f.worker;
	for (int i = 0; i < LONG_MS / 20 && access(whole_path(&f, "work/cache"), F_OK);
	     i++)
		usleep(20000);
	fake_run_worker(&f);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), ERR_FAILED);
	f.worker = first;
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	cr_assert_str_eq(whole_out(&f, whole_outcome(&f, whole_run(&f, "echo well"))),
			 "well\n");
	fake_stop(&f);
}

Test(worker, removes_what_dead_workers_left)
{
	struct fake f;
	fake_start(&f);
	char root[100], dead[120], mine[140], file[160];
	snprintf(root, sizeof root, "%s/cashet-0", f.dir);
	snprintf(dead, sizeof dead, "%s/old-4194000",
		 root); /* above any pid_max of a test machine */
	snprintf(file, sizeof file, "%s/attempts/1/task", dead);
	cr_assert_eq(fs_mkdir_p(file, 0700), 0);
	snprintf(mine, sizeof mine, "%s/new-%d", root, getpid());
	struct options o = {.work_dir = mine};
	/* One that is brand new may belong to a worker that is starting. */
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	cr_assert_eq(utimensat(AT_FDCWD, dead, old, 0), 0);
	fake_run_worker_on(&f, &o);
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	for (int i = 0; i < LONG_MS / 20 && access(dead, F_OK) == 0; i++)
		fake_serve(&f, 20);
	cr_assert_neq(access(dead, F_OK), 0);
	cr_assert_eq(access(mine, F_OK), 0);
	kill(f.worker, SIGTERM);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	cr_assert_neq(access(mine, F_OK), 0);
	fake_stop(&f);
}
