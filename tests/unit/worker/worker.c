/* A whole worker, its spawner and real tasks, against a broker that is played by the test. */
#include "fake_broker.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_MS 15000

static void set_up(struct fake *f)
{
	fake_start(f);
	fake_run_worker(f);
	cr_assert(fake_wait(f, &f->joined, LONG_MS), "the worker joins");
}

/* A shell command as a task. */
static uint64_t run(struct fake *f, const char *shell)
{
	struct function fn = {.shell = (char *)(uintptr_t)shell};
	return fake_assign(f, &(struct fake_task){.function = &fn});
}

static uint64_t run_with(struct fake *f, const char *shell,
			 const Cashet__Options *options)
{
	struct function fn = {.shell = (char *)(uintptr_t)shell};
	return fake_assign(f, &(struct fake_task){.function = &fn, .options = options});
}

static Cashet__Outcome *outcome(struct fake *f, uint64_t epoch)
{
	Cashet__Outcome *o = fake_outcome(f, epoch, LONG_MS);
	cr_assert_not_null(o, "no outcome");
	return o;
}

static const char *out_of(struct fake *f, const Cashet__Outcome *o)
{
	static char text[4096];
	size_t size;
	const char *data = fake_content(f, o, o->stdout_content, &size);
	size = size < sizeof text ? size : sizeof text - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static const char *in_dir(struct fake *f, const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	return path;
}

/* "sh" for a task that tells by @name in the test's directory that it has begun. */
static const char *telling(struct fake *f, const char *name, const char *then)
{
	static char text[2][600];
	static int turn;
	char *out = text[turn++ % 2];
	snprintf(out, 600, "echo $$ >%s/%s.tmp; mv %s/%s.tmp %s/%s; %s", f->dir, name,
		 f->dir, name, f->dir, name, then);
	return out;
}

static pid_t wait_for_pid(struct fake *f, const char *name)
{
	for (int i = 0; i < LONG_MS / 20; i++) {
		FILE *file = fopen(in_dir(f, name), "r");
		int pid = 0;
		if (file) {
			cr_assert_eq(fscanf(file, "%d", &pid), 1);
			fclose(file);
			return pid;
		}
		fake_serve(f, 20);
	}
	cr_assert_fail("%s did not begin", name);
	return 0;
}

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0;
}

Test(worker, presents_what_it_has)
{
	struct fake f;
	set_up(&f);
	cr_assert_eq(f.capacity_cpus, 2000);
	cr_assert_eq(f.capacity_gpus, 2000);
	cr_assert_eq(f.claims, 0);
	cr_assert_geq(f.credit, 1);
	fake_stop(&f);
}

Test(worker, runs_a_task_and_reports_it_once)
{
	struct fake f;
	set_up(&f);
	uint64_t epoch = run(&f, "echo out; echo err >&2");
	Cashet__Outcome *o = outcome(&f, epoch);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_eq(o->exit_code, 0);
	cr_assert_str_eq(out_of(&f, o), "out\n");
	cr_assert_eq(o->stderr_content->size, 4);
	cr_assert_gt(o->duration_ns, 0);
	for (int i = 0; i < 10; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.outcomes->times, 1);
	fake_stop(&f);
}

Test(worker, says_how_a_task_failed)
{
	struct fake f;
	set_up(&f);
	char *missing[] = {"no-such-program"}, *here[] = {"./nothing"};
	struct function a = {.argv = missing, .argc = 1}, b = {.argv = here, .argc = 1};
	uint64_t exits = run(&f, "exit 3"), dies = run(&f, "kill -SEGV $$"),
		 unknown = fake_assign(&f, &(struct fake_task){.function = &a}),
		 local = fake_assign(&f, &(struct fake_task){.function = &b}),
		 template = run(&f, "echo ${p.nope}");
	Cashet__Outcome *o = outcome(&f, exits);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__FAILED);
	cr_assert_eq(o->exit_code, 3);
	cr_assert_str_eq(o->error, "exit 3");
	o = outcome(&f, dies);
	cr_assert_eq(o->term_signal, SIGSEGV);
	cr_assert_eq(o->exit_code, -1);
	cr_assert_str_eq(o->error, "killed by SIGSEGV");
	o = outcome(&f, unknown);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__FAILED);
	cr_assert_eq(strncmp(o->error, "no-such-program: not found in PATH (/", 37), 0,
		     "%s", o->error);
	o = outcome(&f, local);
	cr_assert_str_eq(o->error, "./nothing: no such file in the task's directory");
	o = outcome(&f, template);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	cr_assert_str_eq(o->error, "unknown ${p.nope} in \"echo ${p.nope}\"");
	fake_stop(&f);
}

Test(worker, gives_a_task_the_documented_environment)
{
	struct fake f;
	setenv("SECRET_OF_THE_WORKER", "x", 1);
	setenv("HOME", "/home/worker", 1);
	set_up(&f);
	struct function_pair env[] = {{"LANG", "mine"}, {"OMP", "${p.n}"}};
	struct value n = {.type = VALUE_INT, .i = 4};
	char *params[] = {"n"};
	struct args args = {.values = &n, .value_count = 1};
	struct function fn = {
		.shell = "env | sort | grep -v -e ^PWD= -e ^_= -e SHLVL -e OLDPWD",
		.env = env,
		.env_count = 2,
		.params = params,
		.param_count = 1};
	Cashet__Resource gpu = CASHET__RESOURCE__INIT, *resources[1] = {&gpu};
	gpu.name = "gpus";
	gpu.milli = 2000;
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.resources = resources;
	options.n_resources = 1;
	Cashet__Outcome *o =
		outcome(&f, fake_assign(&f, &(struct fake_task){.function = &fn,
								.args = &args,
								.options = &options}));
	const char *text = out_of(&f, o);
	static const char *const wanted[] = {
		"CASHET_ATTEMPT=1\n",
		"CASHET_BATCH=ba0000",
		"CASHET_CHECKPOINT=/",
		"CASHET_INDEX=1\n",
		"CASHET_TASK=task\n",
		"CUDA_VISIBLE_DEVICES=3,5\n",
		"HOME=/home/worker\n",
		"LANG=mine\n",
		"OMP=4\n",
		"PATH=/",
		"TMPDIR=/",
	};
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		cr_assert_not_null(strstr(text, wanted[i]), "%s in\n%s", wanted[i], text);
	cr_assert_null(strstr(text, "SECRET"));
	size_t lines = 0;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	cr_assert_leq(lines, ARRAY_LEN(wanted) + 1, "%s", text); /* VIRTUAL_ENV perhaps */

	/* Of a private broker: what the submitter had, and nothing of the worker's. */
	Cashet__Pair path = CASHET__PAIR__INIT, lang = CASHET__PAIR__INIT,
		     *pairs[2] = {&path, &lang};
	path.key = "PATH";
	path.value = "/usr/bin:/bin:/of/the/submitter";
	lang.key = "LANG";
	lang.value = "theirs";
	o = outcome(&f, fake_assign(&f, &(struct fake_task){.function = &fn,
							    .args = &args,
							    .env = pairs,
							    .env_count = 2}));
	text = out_of(&f, o);
	cr_assert_not_null(strstr(text, "PATH=/usr/bin:/bin:/of/the/submitter\n"));
	cr_assert_not_null(strstr(text, "LANG=mine\n"),
			   "the function's own value counts");
	cr_assert_null(strstr(text, "HOME="));
	cr_assert_null(strstr(text, "CUDA"));
	fake_stop(&f);
}

Test(worker, asks_for_a_function_that_it_does_not_know)
{
	struct fake f;
	set_up(&f);
	struct function fn = {.shell = "echo asked"};
	uint64_t epoch = fake_assign(
		&f, &(struct fake_task){.function = &fn, .withhold_function = true});
	Cashet__Outcome *o = outcome(&f, epoch);
	cr_assert_str_eq(out_of(&f, o), "asked\n");
	cr_assert_eq(f.function_queries, 1);
	fake_stop(&f);
}

Test(worker, rejects_arguments_that_are_not_those_of_the_lease)
{
	struct fake f;
	set_up(&f);
	struct function fn = {.shell = "true"};
	Cashet__Outcome *o = outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn,
							.wrong_args_hash = true}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	fake_stop(&f);
}

/* ---- data */

Test(worker, brings_inputs_and_uploads_outputs)
{
	struct fake f;
	set_up(&f);
	static char large[300000];
	for (size_t i = 0; i < sizeof large; i++)
		large[i] = (char)('a' + i % 26);
	struct function_code code[] = {{"tool.sh", true, {0}}};
	fake_store(&f, "#!/bin/sh\ncat $1 $1 >$2; ls >>/dev/stderr\n", 43,
		   code[0].digest);
	char *inputs[] = {"data"}, *names[] = {"digits.csv"};
	struct args_input input = {
		.names = names, .name_count = 1, .content = {.type = CONTENT_FILE}};
	fake_store(&f, large, sizeof large, input.content.digest);
	char *argv[] = {"./tool.sh", "${inputs.data}", "${outputs.twice}"};
	struct function_pair outputs[] = {{"twice", "out/twice.csv"}};
	struct function fn = {.argv = argv,
			      .argc = 3,
			      .code = code,
			      .code_count = 1,
			      .inputs = inputs,
			      .input_count = 1,
			      .outputs = outputs,
			      .output_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	Cashet__Outcome *o = outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn, .args = &args}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_eq(o->n_outputs, 1);
	size_t size;
	const char *data = fake_content(&f, o, o->outputs[0]->content, &size);
	cr_assert_eq(size, 2 * sizeof large);
	cr_assert_eq(memcmp(data, large, sizeof large), 0);
	cr_assert_eq(memcmp(data + sizeof large, large, sizeof large), 0);
	cr_assert_eq(f.puts, 1);

	/* Once more: the store has the blob already. */
	o = outcome(&f,
		    fake_assign(&f, &(struct fake_task){.function = &fn, .args = &args}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED);
	cr_assert_eq(f.puts, 1);
	fake_stop(&f);
}

Test(worker, names_the_input_that_the_store_does_not_have)
{
	struct fake f;
	set_up(&f);
	char *inputs[] = {"data"}, *names[] = {"x"};
	struct args_input input = {
		.names = names,
		.name_count = 1,
		.content = {.type = CONTENT_FILE, .digest = {1, 2, 3}}};
	struct function fn = {.shell = "true", .inputs = inputs, .input_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	Cashet__Outcome *o = outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn, .args = &args}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__INPUT_MISSING);
	cr_assert_eq(o->missing.len, DIGEST_SIZE);
	cr_assert_arr_eq(o->missing.data, input.content.digest, DIGEST_SIZE);
	fake_stop(&f);
}

Test(worker, a_task_that_changes_its_input_harms_nobody)
{
	struct fake f;
	set_up(&f);
	char *inputs[] = {"data"}, *names[] = {"x"};
	struct args_input input = {
		.names = names, .name_count = 1, .content = {.type = CONTENT_FILE}};
	fake_store(&f, "pristine", 8, input.content.digest);
	struct function spoil = {.shell = "cat inputs/data/x; echo spoilt >inputs/data/x",
				 .inputs = inputs,
				 .input_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	for (int i = 0; i < 3; i++) {
		Cashet__Outcome *o = outcome(
			&f, fake_assign(&f, &(struct fake_task){.function = &spoil,
								.args = &args}));
		cr_assert_str_eq(out_of(&f, o), "pristine");
	}
	fake_stop(&f);
}

Test(worker, uploads_again_what_the_store_lost)
{
	struct fake f;
	set_up(&f);
	struct function_pair outputs[] = {{"o", "o"}};
	struct function fn = {.shell = "head -c 5000 /dev/zero >o; echo made >>count",
			      .outputs = outputs,
			      .output_count = 1};
	f.forget_blobs = true;
	uint64_t epoch = fake_assign(&f, &(struct fake_task){.function = &fn});
	outcome(&f, epoch);
	for (int i = 0; i < LONG_MS / 20 && f.outcomes->times < 2; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.outcomes->times, 2);
	cr_assert_eq(f.puts, 2);
	size_t size;
	fake_content(&f, f.outcomes->m, f.outcomes->m->outputs[0]->content, &size);
	cr_assert_eq(size, 5000);
	fake_stop(&f);
}

Test(worker, a_gigabyte_of_output_costs_neither_memory_nor_disk)
{
	struct fake f;
	set_up(&f);
	uint64_t epoch =
		run(&f, "head -c 300000000 /dev/zero | tr '\\0' x; sleep 0.6; echo end");
	Cashet__Outcome *o = fake_outcome(&f, epoch, 60000);
	cr_assert_not_null(o);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_geq(o->stdout_content->size, 16 << 20);
	cr_assert_lt(o->stdout_content->size, (16 << 20) + 200);
	size_t size;
	const char *data = fake_content(&f, o, o->stdout_content, &size);
	cr_assert_eq(size, o->stdout_content->size);
	cr_assert_eq(memcmp(data + size - 5, "xend\n", 5), 0);
	cr_assert_not_null(strstr(data + (8 << 20), "bytes left out here]\n"));
	fake_stop(&f);
}

Test(worker, shows_the_log_of_what_runs)
{
	struct fake f;
	set_up(&f);
	uint64_t epoch =
		run(&f, telling(&f, "begun", "echo first; echo err >&2; sleep 1000"));
	wait_for_pid(&f, "begun");
	for (int i = 0; i < 100 && f.log.size == 0; i++) {
		fake_ask_log(&f, epoch, false, 2);
		cr_assert(fake_wait(&f, &f.has_log, LONG_MS));
	}
	cr_assert_str_eq(buf_cstr(&f.log), "rst\n");
	cr_assert(f.log_running);
	fake_ask_log(&f, epoch + 50, false, 0);
	cr_assert(fake_wait(&f, &f.has_log, LONG_MS));
	cr_assert_not(f.log_running);
	fake_stop(&f);
}

Test(worker, a_full_disk_costs_the_task_nothing_and_is_got_over)
{
	struct fake f;
	fake_start(&f);
	char work[120], filler[140];
	snprintf(work, sizeof work, "%s/small", f.dir);
	snprintf(filler, sizeof filler, "%s/filler", work);
	cr_assert_eq(mkdir(work, 0700), 0);
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", work, "tmpfs", 0, "size=12m") < 0) {
		fake_stop(&f);
		cr_skip_test("needs to mount a small file system");
	}
	struct options o = {.work_dir = work, .work_dir_given = true};
	fake_run_worker_on(&f, &o);
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	static char large[4 << 20];
	char *inputs[] = {"data"}, *names[] = {"x"};
	struct args_input input = {
		.names = names, .name_count = 1, .content = {.type = CONTENT_FILE}};
	fake_store(&f, large, 3 << 20, input.content.digest);
	struct function fn = {
		.shell = "wc -c <${inputs.data}", .inputs = inputs, .input_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	struct fake_task task = {.function = &fn, .args = &args};
	FILE *file = fopen(filler, "w");
	while (fwrite(large, 1 << 16, 1, file) == 1)
		;
	fclose(file);
	Cashet__Outcome *full = outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(full->kind, CASHET__OUTCOME__KIND__LOST, "%s", full->error);
	cr_assert_not_null(strstr(full->error, "No space left"), "%s", full->error);
	for (int i = 0; i < LONG_MS / 20 && !f.draining; i++)
		fake_serve(&f, 20);
	cr_assert(f.draining, "it takes nothing meanwhile");
	unsigned joins = f.joins;
	uint64_t back = fake_assign(&f, &task); /* sent before the broker heard of it */
	for (int i = 0; i < LONG_MS / 20 && !f.handback_count; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.handed_back[0], back);
	cr_assert_eq(unlink(filler), 0);
	for (int i = 0; i < LONG_MS / 20 && f.joins == joins; i++)
		fake_serve(&f, 20);
	cr_assert_gt(f.joins, joins, "it comes back by itself");
	cr_assert_str_eq(out_of(&f, outcome(&f, fake_assign(&f, &task))), "3145728\n");
	kill(f.worker, SIGTERM);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	umount2(work, MNT_DETACH);
	fake_stop(&f);
}

/* ---- time */

Test(worker, a_time_limit_kills_the_whole_tree)
{
	struct fake f;
	set_up(&f);
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.timeout_ns = 300 * NS_PER_MS;
	options.grace_ns = 300 * NS_PER_MS;
	const char *shell = telling(
		&f, "begun",
		"trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000'"
		"& echo started; sleep 1000; sleep 1000");
	uint64_t begin_ns = clock_mono_ns();
	uint64_t epoch = run_with(&f, shell, &options);
	Cashet__Outcome *o = outcome(&f, epoch);
	cr_assert_lt(clock_mono_ns() - begin_ns, 2500 * NS_PER_MS);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__TIMED_OUT);
	cr_assert_eq(strncmp(o->error, "timed out after ", 16), 0, "%s", o->error);
	cr_assert_str_eq(out_of(&f, o), "started\n");
	cr_assert_not(is_alive(wait_for_pid(&f, "begun")));
	fake_stop(&f);
}

Test(worker, a_revoked_attempt_is_stopped_and_answered)
{
	struct fake f;
	set_up(&f);
	uint64_t running = run(&f, telling(&f, "begun", "sleep 1000"));
	pid_t pid = wait_for_pid(&f, "begun");
	uint64_t second = run(&f, "sleep 1000"), waiting = run(&f, "echo never");
	fake_revoke(&f, waiting);
	fake_revoke(&f, running);
	fake_revoke(&f, 4711);
	cr_assert_eq(outcome(&f, waiting)->kind, CASHET__OUTCOME__KIND__STOPPED);
	cr_assert_eq(outcome(&f, running)->kind, CASHET__OUTCOME__KIND__STOPPED);
	cr_assert_not(is_alive(pid));
	fake_revoke(&f, second);
	cr_assert_eq(outcome(&f, second)->kind, CASHET__OUTCOME__KIND__STOPPED);
	fake_stop(&f);
}

Test(worker, does_not_run_more_than_fits)
{
	struct fake f;
	set_up(&f);
	char shell[400];
	snprintf(shell, sizeof shell,
		 "cd %s; mkdir r.$CASHET_INDEX; ls -d r.* | wc -l; sleep 0.1; rmdir "
		 "r.$CASHET_INDEX",
		 f.dir);
	uint64_t first = run(&f, shell), last = first;
	for (int i = 0; i < 9; i++)
		last = run(&f, shell);
	bool saw_two = false;
	for (uint64_t epoch = first; epoch <= last; epoch++) {
		int at_once = atoi(out_of(&f, outcome(&f, epoch)));
		cr_assert_leq(at_once, 2);
		saw_two = saw_two || at_once == 2;
	}
	cr_assert(saw_two);
	fake_stop(&f);
}

Test(worker, hands_back_what_would_wait_too_long)
{
	struct fake f;
	set_up(&f);
	for (int i = 0; i < 2; i++)
		run(&f, "sleep 1000");
	uint64_t third = run(&f, "echo third");
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
	set_up(&f);
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
	set_up(&f);
	for (int i = 0; i < 50; i++)
		run(&f, "true");
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
	set_up(&f);
	uint64_t running =
		run(&f, telling(&f, "begun",
				"while [ ! -e go ]; do sleep 0.05; done; echo survived"));
	pid_t pid = wait_for_pid(&f, "begun");
	f.hold_acks = true;
	uint64_t ended = run(&f, "echo kept");
	outcome(&f, ended);
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
	cr_assert(is_alive(pid));
	char path[100], go[120];
	snprintf(path, sizeof path, "/proc/%d/cwd", pid);
	ssize_t n = readlink(path, go, sizeof go - 8);
	cr_assert_gt(n, 0);
	strcpy(go + n, "/go");
	fclose(fopen(go, "w"));
	Cashet__Outcome *o = outcome(&f, running);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_str_eq(out_of(&f, o), "survived\n");
	fake_stop(&f);
}

Test(worker, a_silent_broker_is_left_and_greeted_anew)
{
	struct fake f;
	set_up(&f);
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
	set_up(&f);
	uint64_t epoch = run(&f, telling(&f, "begun", "sleep 1000"));
	pid_t pid = wait_for_pid(&f, "begun");
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
	for (int i = 0; i < LONG_MS / 20 && is_alive(pid); i++)
		fake_serve(&f, 20);
	cr_assert_not(is_alive(pid));
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
	set_up(&f);
	uint64_t a = run(&f, telling(&f, "one", "sleep 0.5; echo done")),
		 b = run(&f, telling(&f, "two", "sleep 0.5; echo done"));
	wait_for_pid(&f, "one");
	wait_for_pid(&f, "two");
	uint64_t waiting = run(&f, "echo never");
	fake_serve(&f, 50);
	kill(f.worker, SIGTERM);
	cr_assert_str_eq(out_of(&f, outcome(&f, a)), "done\n");
	cr_assert_str_eq(out_of(&f, outcome(&f, b)), "done\n");
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	cr_assert(f.said_bye);
	cr_assert_eq(f.handback_count, 1);
	cr_assert_eq(f.handed_back[0], waiting);
	cr_assert_neq(access(in_dir(&f, "work/attempts"), F_OK), 0, "nothing is left");
	fake_stop(&f);
}

Test(worker, a_second_sigterm_stops_tasks_and_reports_them_lost)
{
	struct fake f;
	set_up(&f);
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.grace_ns = 200 * NS_PER_MS;
	uint64_t epoch = run_with(
		&f, telling(&f, "begun", "trap '' TERM; while :; do sleep 1; done"),
		&options);
	pid_t pid = wait_for_pid(&f, "begun");
	kill(f.worker, SIGTERM);
	fake_serve(&f, 100);
	cr_assert(is_alive(pid));
	kill(f.worker, SIGTERM);
	cr_assert_eq(outcome(&f, epoch)->kind, CASHET__OUTCOME__KIND__LOST);
	cr_assert_not(is_alive(pid));
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	fake_stop(&f);
}

Test(worker, a_drain_deadline_does_the_same)
{
	struct fake f;
	set_up(&f);
	uint64_t epoch = run(&f, telling(&f, "begun", "exec sleep 1000"));
	wait_for_pid(&f, "begun");
	fake_drain(&f, 300);
	cr_assert_eq(outcome(&f, epoch)->kind, CASHET__OUTCOME__KIND__LOST);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	fake_stop(&f);
}

Test(worker, killed_it_takes_its_tasks_along)
{
	struct fake f;
	set_up(&f);
	run(&f,
	    telling(&f, "begun", "trap '' TERM; setsid sleep 1000 & wait; sleep 1000"));
	pid_t pid = wait_for_pid(&f, "begun");
	kill(f.worker, SIGKILL);
	for (int i = 0; i < 250 && is_alive(pid); i++)
		usleep(20000);
	cr_assert_not(is_alive(pid));
	fake_stop(&f);
}

Test(worker, a_task_that_kills_its_slot_is_reported_lost_and_the_next_one_runs)
{
	struct fake f;
	set_up(&f);
	Cashet__Outcome *o =
		outcome(&f, run(&f, "setsid sleep 1000 & kill -9 $PPID; sleep 1000"));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__LOST, "%s", o->error);
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(out_of(&f, outcome(&f, run(&f, "echo well"))), "well\n");
	fake_stop(&f);
}

Test(worker, refuses_a_work_directory_in_use)
{
	struct fake f;
	fake_start(&f);
	fake_run_worker(&f);
	pid_t first = f.worker;
	for (int i = 0; i < LONG_MS / 20 && access(in_dir(&f, "work/cache"), F_OK); i++)
		usleep(20000);
	fake_run_worker(&f);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), ERR_FAILED);
	f.worker = first;
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	cr_assert_str_eq(out_of(&f, outcome(&f, run(&f, "echo well"))), "well\n");
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
	usleep(11000000); /* a folder that is brand new may belong to a worker that is starting */
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
