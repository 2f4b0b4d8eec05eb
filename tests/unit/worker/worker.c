/* A whole worker, its spawner and real tasks, against a broker that is played by the test: how
 * tasks run and what is reported of them. */
#include "tests/unit/worker/whole.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(worker, presents_what_it_has)
{
	struct fake f;
	whole_start(&f);
	cr_assert_eq(f.capacity_cpus, 2000);
	cr_assert_eq(f.capacity_gpus, 2000);
	cr_assert_eq(f.claims, 0);
	cr_assert_geq(f.credit, 1);
	fake_stop(&f);
}

Test(worker, runs_a_task_and_reports_it_once)
{
	struct fake f;
	whole_start(&f);
	uint64_t epoch = whole_run(&f, "echo out; echo err >&2");
	Cashet__Outcome *o = whole_outcome(&f, epoch);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_eq(o->exit_code, 0);
	cr_assert_str_eq(whole_out(&f, o), "out\n");
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
	whole_start(&f);
	char *missing[] = {"no-such-program"}, *here[] = {"./nothing"};
	struct function a = {.argv = missing, .argc = 1}, b = {.argv = here, .argc = 1};
	uint64_t exits = whole_run(&f, "exit 3"), dies = whole_run(&f, "kill -SEGV $$"),
		 unknown = fake_assign(&f, &(struct fake_task){.function = &a}),
		 local = fake_assign(&f, &(struct fake_task){.function = &b}),
		 template = whole_run(&f, "echo ${p.nope}");
	Cashet__Outcome *o = whole_outcome(&f, exits);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__FAILED);
	cr_assert_eq(o->exit_code, 3);
	cr_assert_str_eq(o->error, "exit 3");
	o = whole_outcome(&f, dies);
	cr_assert_eq(o->term_signal, SIGSEGV);
	cr_assert_eq(o->exit_code, -1);
	cr_assert_str_eq(o->error, "killed by SIGSEGV");
	o = whole_outcome(&f, unknown);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__FAILED);
	cr_assert_eq(strncmp(o->error, "no-such-program: not found in PATH (/", 37), 0,
		     "%s", o->error);
	o = whole_outcome(&f, local);
	cr_assert_str_eq(
		o->error,
		"./nothing: no such file in the task's directory: name it in code");
	o = whole_outcome(&f, template);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	cr_assert_str_eq(o->error, "unknown ${p.nope} in \"echo ${p.nope}\"");
	fake_stop(&f);
}

Test(worker, gives_a_task_the_documented_environment)
{
	struct fake f;
	setenv("SECRET_OF_THE_WORKER", "x", 1);
	setenv("HOME", "/home/worker", 1);
	whole_start(&f);
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
	Cashet__Outcome *o = whole_outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn,
							.args = &args,
							.options = &options}));
	const char *text = whole_out(&f, o);
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
	o = whole_outcome(&f, fake_assign(&f, &(struct fake_task){.function = &fn,
								  .args = &args,
								  .env = pairs,
								  .env_count = 2}));
	text = whole_out(&f, o);
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
	whole_start(&f);
	struct function fn = {.shell = "echo asked"};
	uint64_t epoch = fake_assign(
		&f, &(struct fake_task){.function = &fn, .withhold_function = true});
	Cashet__Outcome *o = whole_outcome(&f, epoch);
	cr_assert_str_eq(whole_out(&f, o), "asked\n");
	cr_assert_eq(f.function_queries, 1);
	fake_stop(&f);
}

Test(worker, rejects_arguments_that_are_not_those_of_the_lease)
{
	struct fake f;
	whole_start(&f);
	struct function fn = {.shell = "true"};
	Cashet__Outcome *o = whole_outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn,
							.wrong_args_hash = true}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	fake_stop(&f);
}
