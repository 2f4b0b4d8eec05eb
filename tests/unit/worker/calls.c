/* Calls, of a whole worker with a runner that behaves. */
#include "tests/unit/worker/calls.h"

#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(calls, run_and_their_results_are_reported)
{
	struct fake f;
	calls_start(&f);
	Cashet__Outcome *o = whole_outcome(&f, calls_run(&f, "null"));
	cr_assert_str_eq(calls_result(&f, o), "null");
	cr_assert_eq(o->result->type, CONTENT_JSON);
	cr_assert_eq(o->result->size, 4);
	cr_assert_eq(o->exit_code, 0);
	cr_assert_eq(o->duration_ns, 1000);
	cr_assert_eq(o->cpu_user_ns, 900);
	cr_assert_eq(o->stdout_content->size, 0);
	cr_assert_eq(o->stderr_content->size, 0);
	cr_assert_eq(o->n_metrics, 0);
	o = whole_outcome(&f, calls_run(&f, "prints"));
	cr_assert_str_eq(whole_out(&f, o), "out\n");
	cr_assert_str_eq(calls_err(&f, o), "err\n");
	o = whole_outcome(&f, calls_run(&f, "metrics"));
	cr_assert_eq(o->n_metrics, 3, "what is no number or text is left out");
	cr_assert_str_eq(o->metrics[0]->name, "loss");
	cr_assert_eq(o->metrics[0]->number, 0.5);
	cr_assert_str_eq(o->metrics[2]->text, "x");
	o = whole_outcome(&f, calls_run(&f, "about"));
	int index;
	char args[20], directory[200];
	cr_assert_eq(sscanf(calls_result(&f, o), "task %d 1 - %19s %199s", &index, args,
			    directory),
		     3, "%s", calls_result(&f, o));
	cr_assert_str_eq(args, "830280a0");
	fake_stop(&f);
}

Test(calls, large_parts_are_uploaded)
{
	struct fake f;
	calls_start(&f);
	Cashet__Outcome *o = whole_outcome(&f, calls_run(&f, "files"));
	const char *text = calls_result(&f, o);
	cr_assert_eq(o->result->size, 200000);
	cr_assert_eq(o->result->type, CONTENT_FILE);
	cr_assert_eq(strspn(text, "R"), 200000);
	cr_assert_eq(o->stdout_content->size, 100000);
	cr_assert_eq(strspn(calls_err(&f, o), "E"), 70000);
	o = whole_outcome(&f, calls_run(&f, "medium"));
	cr_assert_eq(strspn(calls_result(&f, o), "M"), 5000);
	fake_stop(&f);
}

Test(calls, share_a_runner_that_is_warm)
{
	struct fake f;
	calls_start(&f);
	char first[40];
	snprintf(first, sizeof first, "%s",
		 calls_result(&f, whole_outcome(&f, calls_run(&f, "pid"))));
	for (int i = 0; i < 3; i++)
		cr_assert_str_eq(
			calls_result(&f, whole_outcome(&f, calls_run(&f, "pid"))), first);
	whole_outcome(&f, calls_run(&f, "null"));
	whole_outcome(&f, calls_run(&f, "null"));
	cr_assert_str_eq(calls_noted(&f), "prepare pid\nprepare null\n",
			 "a source is checked once");
	struct function_pair env = {"LR", "$${x}"};
	struct function with_env = {.env = &env, .env_count = 1};
	Cashet__Outcome *o = whole_outcome(
		&f,
		calls_run_with(&f, "pid", &(struct fake_task){.function = &with_env}));
	cr_assert_str_neq(calls_result(&f, o), first, "another environment");
	o = whole_outcome(&f, calls_run_with(&f, "env",
					     &(struct fake_task){.function = &with_env}));
	cr_assert_not_null(strstr(calls_result(&f, o), "\nLR=${x}\n"));
	cr_assert_not_null(strstr(calls_result(&f, o), "TMPDIR=/"));
	env.value = "${p.x}";
	o = whole_outcome(&f, calls_run_with(&f, "env",
					     &(struct fake_task){.function = &with_env}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__REJECTED);
	fake_stop(&f);
}

Test(calls, many_small_ones_are_queued_ahead_and_each_is_answered_once)
{
	struct fake f;
	enum { COUNT = 400 };
	static uint64_t epochs[COUNT];
	char want[20];
	calls_start(&f);
	for (int i = 0; i < COUNT; i++)
		epochs[i] = calls_run(&f, "count");
	for (int i = 0; i < COUNT; i++) {
		Cashet__Outcome *o = calls_outcome(&f, epochs[i], "count");
		snprintf(want, sizeof want, "%u", o->lease->index);
		cr_assert_str_eq(calls_result(&f, o), want);
	}
	cr_assert_eq(f.outcome_count, COUNT);
	for (const struct fake_outcome *o = f.outcomes; o; o = o->next)
		cr_assert_eq(o->times, 1);
	fake_stop(&f);
}

Test(calls, get_devices_and_secrets_as_commands_do)
{
	struct fake f;
	setenv("TOKEN_OF_TEST", "hush", 1);
	calls_start(&f);
	Cashet__Resource gpu = CASHET__RESOURCE__INIT, *resources[1] = {&gpu};
	char *secrets[] = {"TOKEN_OF_TEST"};
	Cashet__Options options = CASHET__OPTIONS__INIT;
	gpu.name = "gpus";
	gpu.milli = 2000;
	options.resources = resources;
	options.n_resources = 1;
	options.secrets = secrets;
	options.n_secrets = 1;
	const struct fake_task task = {.options = &options};
	for (int i = 0; i < 2; i++) {
		Cashet__Outcome *o = whole_outcome(&f, calls_run_with(&f, "env", &task));
		const char *text = calls_result(&f, o);
		cr_assert_not_null(strstr(text, "CUDA_VISIBLE_DEVICES=3,5\n"), "%s",
				   text);
		cr_assert_not_null(strstr(text, "TOKEN_OF_TEST=hush\n"), "%s", text);
	}
	secrets[0] = "NO_SUCH_SECRET";
	Cashet__Outcome *o = whole_outcome(&f, calls_run_with(&f, "env", &task));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__FAILED);
	cr_assert_eq(strncmp(o->error, "secret NO_SUCH_SECRET on worker tester: ", 40), 0,
		     "%s", o->error);
	o = whole_outcome(&f, calls_run(&f, "env"));
	cr_assert_null(strstr(calls_result(&f, o), "TOKEN_OF_TEST"));
	cr_assert_null(strstr(calls_result(&f, o), "CUDA"));
	fake_stop(&f);
}

Test(calls, an_interpreter_is_a_path_or_a_name_that_the_worker_maps)
{
	struct fake f;
	char *pythons[] = {"old=/no/such", "old=/opt/old/python", "new=/opt/new/python"};
	struct options o = {.drain_timeout_ns = TIME_NEVER,
			    .pythons = pythons,
			    .python_count = ARRAY_LEN(pythons)};
	setenv("CASHET_RUNNER_PATH", FAKE_RUNNER_DIR, 1);
	fake_start(&f);
	fake_run_worker_on(&f, &o);
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	static char *const names[] = {"old", "python3.9", "/usr/bin/python3", ""};
	static const char *const paths[] = {"/opt/old/python", "python3.9",
					    "/usr/bin/python3", ""};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		Cashet__Options options = CASHET__OPTIONS__INIT;
		options.interpreter = names[i];
		Cashet__Outcome *outcome = whole_outcome(
			&f, calls_run_with(&f, "interpreter",
					   &(struct fake_task){.options = &options}));
		cr_assert_str_eq(calls_result(&f, outcome), paths[i]);
	}
	free(o.work_dir);
	fake_stop(&f);
}

/* ---- arguments */

static void refer(struct arg *a, enum content_type type, const uint8_t *digest)
{
	*a = (struct arg){.type = ARG_REF, .content = {.type = type}};
	memcpy(a->content.digest, digest, DIGEST_SIZE);
}

Test(calls, what_arguments_refer_to_is_brought_to_them)
{
	struct fake f;
	static char large[300000];
	uint8_t small_digest[DIGEST_SIZE], large_digest[DIGEST_SIZE];
	uint8_t list_digest[DIGEST_SIZE], tree_digest[DIGEST_SIZE];
	struct content list[2] = {{.type = CONTENT_FILE}, {.type = CONTENT_PICKLE}};
	CLEANUP_BUF struct buf tree = {0};
	CLEANUP(content_entries_fini) struct content_entries entries = {0};
	calls_start(&f);
	memset(large, 'L', sizeof large);
	fake_store(&f, "small", 5, small_digest);
	fake_store(&f, large, sizeof large, large_digest);
	memcpy(list[0].digest, small_digest, DIGEST_SIZE);
	memcpy(list[1].digest, large_digest, DIGEST_SIZE);
	fake_store(&f, list, sizeof list, list_digest);
	content_entries_add(&entries, NULL, "in/tree", &list[0], 5);
	content_encode_tree(&tree, &entries);
	fake_store(&f, tree.data, tree.size, tree_digest);
	struct arg args[4];
	refer(&args[0], CONTENT_LIST, list_digest);
	refer(&args[1], CONTENT_FILE, small_digest);
	refer(&args[2], CONTENT_TREE, tree_digest);
	refer(&args[3], CONTENT_FILE, small_digest);
	args[3].type = ARG_FILE;
	args[3].data = "data.csv";
	args[3].size = 8;
	struct call_args call = {.positional = args, .positional_count = 4};
	Cashet__Outcome *o = whole_outcome(
		&f, calls_run_with(&f, "blobs", &(struct fake_task){.call = &call}));
	const char *text = calls_result(&f, o);
	cr_assert_not_null(strstr(text, "1 0 5 small\n"), "%s", text);
	cr_assert_not_null(strstr(text, "9 1 300000 LLL"), "%s", text);
	cr_assert_not_null(strstr(text, "/folder:in\n"), "%s", text);
	cr_assert_not_null(strstr(text, "/data.csv:small"), "%s", text);
	cr_assert_null(strstr(strstr(text, "1 0 5 small") + 1, "1 0 5 small"),
		       "each once: %s", text);
	memset(small_digest, 7, sizeof small_digest);
	refer(&args[1], CONTENT_FILE, small_digest);
	o = whole_outcome(
		&f, calls_run_with(&f, "blobs", &(struct fake_task){.call = &call}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__INPUT_MISSING, "%s", o->error);
	cr_assert_eq(o->missing.data[0], 7);
	fake_stop(&f);
}

Test(calls, more_blobs_than_descriptors_are_packed)
{
	struct fake f;
	enum { COUNT = 70 };
	static char large[COUNT][70000];
	static struct arg args[COUNT];
	struct call_args call = {.positional = args, .positional_count = COUNT};
	uint8_t digest[DIGEST_SIZE];
	calls_start(&f);
	for (int i = 0; i < COUNT; i++) {
		memset(large[i], 'a' + i % 26, sizeof large[i]);
		large[i][0] = (char)i;
		fake_store(&f, large[i], sizeof large[i], digest);
		refer(&args[i], CONTENT_FILE, digest);
	}
	/* ends of 200 bytes each are more than go inside a message */
	Cashet__Outcome *o = whole_outcome(
		&f, calls_run_with(&f, "blobs", &(struct fake_task){.call = &call}));
	const char *text = calls_result(&f, o);
	for (int i = 0; i < COUNT; i++) {
		char want[40];
		int n = snprintf(want, sizeof want, "1 1 70000 %c", i);
		if (i == 0)
			n--; /* a text ends there */
		want[n] = '\0';
		cr_assert_not_null(memmem(text, o->result->size, want, (size_t)n), "%d",
				   i);
	}
	fake_stop(&f);
}
