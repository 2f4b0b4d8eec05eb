/* tasks.c - tasks that a program builds are the tasks that a file describes; bad ones are refused. */
#include "client/cashet.h"
#include "common/fs.h"
#include "proto/cashet.pb-c.h"
#include "tests/unit/client/fake_broker.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/cashet-test-XXXXXX";

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void remove_dir(void)
{
	cr_assert_eq(chdir("/"), 0);
	fs_remove_tree(dir);
}

TestSuite(tasks, .init = make_dir, .fini = remove_dir, .timeout = 240);

static struct cashet *open_handle(const struct fake *f)
{
	struct cashet *c;
	struct cashet_error e;
	struct cashet_options options = {.broker = f->url};
	cr_assert_eq(cashet_open(&c, &options, &e), 0, "%s", e.what);
	return c;
}

static bool same_bytes(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Everything that makes up identity, and what tasks depend on. */
static void check_same(const Cashet__SubmitChunk *a, const Cashet__SubmitChunk *b)
{
	cr_assert_eq(a->n_functions, b->n_functions);
	cr_assert_eq(a->n_tasks, b->n_tasks);
	cr_assert_eq(a->n_groups, b->n_groups);
	cr_assert_eq(a->n_options, b->n_options);
	for (size_t i = 0; i < a->n_functions; i++) {
		cr_assert(same_bytes(a->functions[i]->description,
				     b->functions[i]->description));
		cr_assert_str_eq(a->functions[i]->name, b->functions[i]->name);
	}
	for (size_t i = 0; i < a->n_tasks; i++) {
		const Cashet__TaskSpec *x = a->tasks[i], *y = b->tasks[i];
		cr_assert(same_bytes(x->args, y->args), "task %zu", i);
		cr_assert_eq(x->n_refs, y->n_refs);
		cr_assert_eq(x->n_needs, y->n_needs);
		for (size_t k = 0; k < x->n_refs; k++) {
			cr_assert_eq(x->refs[k]->offset, y->refs[k]->offset);
			cr_assert_eq(x->refs[k]->target, y->refs[k]->target);
			cr_assert_eq(x->refs[k]->slot, y->refs[k]->slot);
			cr_assert_eq(x->refs[k]->is_group, y->refs[k]->is_group);
		}
		for (size_t k = 0; k < x->n_needs; k++)
			cr_assert_eq(x->needs[k], y->needs[k]);
	}
	for (size_t i = 0; i < a->n_options; i++) {
		uint8_t x[4096], y[4096];
		size_t size = cashet__options__pack(a->options[i], x);
		cr_assert_eq(cashet__options__pack(b->options[i], y), size);
		cr_assert_eq(memcmp(x, y, size), 0, "options %zu", i);
	}
}

static const char *const file =
	"{\"version\": 1, \"tasks\": ["
	"{\"name\": \"prep\", \"run\": [\"prep\", \"${outputs.data}\", "
	"\"${outputs.log}\"],"
	" \"outputs\": {\"data\": \"out/data.bin\", \"log\": \"out/log\"},"
	" \"inputs\": {\"ext\": {\"path\": \"/data/x\", \"as\": \"v3\"}},"
	" \"env\": {\"B\": \"2\", \"A\": \"${p.n}\"}, \"params\": {\"z\": true, \"n\": "
	"-5}},"
	"{\"name\": \"train\", \"run\": \"train ${inputs.data} ${p.lr}\","
	" \"inputs\": {\"data\": {\"ref\": \"prep.data\"}},"
	" \"params\": {\"lr\": 0.001, \"opt\": \"adam\", \"big\": 18446744073709551615},"
	" \"metrics\": {\"from\": \"m.json\", \"best\": {\"loss\": \"min\"}},"
	" \"resources\": {\"cpus\": 2, \"memory\": \"1GiB\"}, \"retries\": 3, "
	"\"timeout\": \"10m\","
	" \"cache\": {\"salt\": \"s\", \"ttl\": \"1d\"}, \"secrets\": [\"B\", \"A\"]},"
	"{\"name\": \"report\", \"run\": [\"report\", \"${inputs.all}\"], \"needs\": "
	"[\"prep\"],"
	" \"inputs\": {\"all\": [{\"ref\": 1}, {\"ref\": \"prep.stdout\"}]}}"
	"]}";

static const struct cashet_source sources[] = {
	{.kind = CASHET_SOURCE_EXTERN, .path = "/data/x", .as = "v3"},
	{.kind = CASHET_SOURCE_REF, .ref = {.task = "prep", .output = "data"}},
	{.kind = CASHET_SOURCE_REF, .ref = {.index = 1}},
	{.kind = CASHET_SOURCE_REF, .ref = {.task = "prep", .output = "stdout"}},
};
static const struct cashet_input ext = {
	.name = "ext", .sources = sources, .source_count = 1};
static const struct cashet_input data = {
	.name = "data", .sources = sources + 1, .source_count = 1};
static const struct cashet_input all = {
	.name = "all", .sources = sources + 2, .source_count = 2, .is_list = true};
static const struct cashet_pair outputs[] = {{"log", "out/log"},
					     {"data", "out/data.bin"}};
static const struct cashet_pair env[] = {{"A", "${p.n}"}, {"B", "2"}};
static const struct cashet_param prep_params[] = {
	{"n", {.type = CASHET_INT, .i = -5}},
	{"z", {.type = CASHET_BOOL, .boolean = true}},
};
static const struct cashet_param train_params[] = {
	{"opt", {.type = CASHET_STRING, .text = "adam"}},
	{"lr", {.type = CASHET_DOUBLE, .d = 0.001}},
	{"big", {.type = CASHET_UINT, .u = UINT64_MAX}},
};
static const struct cashet_resource resources[] = {{"memory", 1 << 30}, {"cpus", 2}};
static const struct cashet_ref needs[] = {{.task = "prep"}};
static const char *const secrets[] = {"A", "B"};
static const char *const best[] = {"loss:min"};
static const char *const prep_argv[] = {"prep", "${outputs.data}", "${outputs.log}"};
static const char *const report_argv[] = {"report", "${inputs.all}"};

static void fill(struct cashet_task tasks[3])
{
	tasks[0] = (struct cashet_task){.name = "prep",
					.argv = prep_argv,
					.argc = 3,
					.outputs = outputs,
					.output_count = 2,
					.inputs = &ext,
					.input_count = 1,
					.env = env,
					.env_count = 2,
					.params = prep_params,
					.param_count = 2};
	tasks[1] = (struct cashet_task){.name = "train",
					.shell = "train ${inputs.data} ${p.lr}",
					.inputs = &data,
					.input_count = 1,
					.params = train_params,
					.param_count = 3,
					.metrics = "m.json",
					.best = best,
					.best_count = 1,
					.resources = resources,
					.resource_count = 2,
					.retries = 3,
					.timeout_ns = 600000000000ull,
					.salt = "s",
					.secrets = secrets,
					.secret_count = 2,
					.ttl_s = 86400};
	tasks[2] = (struct cashet_task){.name = "report",
					.argv = report_argv,
					.argc = 2,
					.inputs = &all,
					.input_count = 1,
					.needs = needs,
					.need_count = 1};
}

Test(tasks, a_program_and_a_file_make_the_same_batch)
{
	struct fake *a = fake_start("program"), *b = fake_start("file");
	struct cashet *c = open_handle(a), *d = open_handle(b);
	struct cashet_task tasks[3];
	struct cashet_error e;
	char batch[CASHET_HEX_SIZE];
	fill(tasks);
	cr_assert_eq(cashet_submit_many(c, tasks, 3, NULL, batch, &e), 0, "%s", e.what);
	FILE *f = fopen("batch.json", "w");
	cr_assert_not_null(f);
	fputs(file, f);
	fclose(f);
	cr_assert_eq(cashet_submit_file(d, "batch.json", NULL, batch, &e), 0, "%s",
		     e.what);
	check_same(fake_chunk(a, 0), fake_chunk(b, 0));
	cashet_close(c);
	cashet_close(d);
	fake_stop(a);
	fake_stop(b);
}

static int submit_one(struct fake *f, const struct cashet_task *task,
		      struct cashet_error *e)
{
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	int r = cashet_submit(c, task, NULL, batch, e);
	cashet_close(c);
	return r;
}

Test(tasks, bad_ones_are_refused_and_nothing_is_sent)
{
	struct fake *f = fake_start("bad");
	static const char *const argv[] = {"x", "${p.nope}"}, *const plain[] = {"x"},
				 *const secret[] = {"A", "A"}, *const path[] = {"../k"};
	static const struct cashet_param nan_param = {"n",
						      {.type = CASHET_DOUBLE, .d = NAN}};
	static const struct cashet_param twice[] = {{"n", {.i = 1, .type = CASHET_INT}},
						    {"n", {.i = 2, .type = CASHET_INT}}};
	static const struct cashet_pair outside = {"o", "../x"},
					inside_inputs = {"o", "inputs/x"};
	static const struct cashet_source self = {.kind = CASHET_SOURCE_REF},
					  far = {.kind = CASHET_SOURCE_REF,
						 .ref = {.index = 9}},
					  unknown = {.kind = CASHET_SOURCE_REF,
						     .ref = {.task = "nobody"}},
					  gone = {.kind = CASHET_SOURCE_FILE,
						  .path = "gone.txt"},
					  digest = {.kind = CASHET_SOURCE_BLOB,
						    .digest = "12"};
	static const struct cashet_input no_sources = {.name = "i", .source_count = 1};
	static const struct cashet_arg no_items[] = {{.type = CASHET_ARG_NULL},
						     {.type = CASHET_ARG_LIST,
						      .count = 1}},
				       no_bytes = {.name = "k",
						   .type = CASHET_ARG_BYTES,
						   .count = 1};
	const struct cashet_arg endless[] = {
		{.type = CASHET_ARG_LIST, .count = 2, .items = endless},
		{.type = CASHET_ARG_LIST, .count = 2, .items = endless}};
	const struct cashet_input inputs[] = {
		{.name = "i", .sources = &self, .source_count = 1},
		{.name = "i", .sources = &far, .source_count = 1},
		{.name = "i", .sources = &unknown, .source_count = 1},
		{.name = "i", .sources = &gone, .source_count = 1},
		{.name = "i", .sources = &digest, .source_count = 1},
		{.name = "i/j", .sources = &far, .source_count = 1},
		{.name = "i"},
	};
	const struct {
		struct cashet_task task;
		const char *what;
	} bad[] = {
		{{.name = "t"}, "needs argv, shell or call"},
		{{.argv = plain, .argc = 1, .shell = "x"}, "needs argv, shell or call"},
		{{.shell = "  "}, "shell is empty"},
		{{.call = "f.py:f", .shell = "x"}, "a command and a call"},
		{{.call = "f.py:f", .params = prep_params, .param_count = 1},
		 "use kwargs"},
		{{.call = "f.py:f", .metrics = "m"}, "no metrics"},
		{{.call = "f.py"}, "names no function"},
		{{.call = "f.txt:f"}, "names no function"},
		{{.call = "f.py:f", .cflags = plain, .cflag_count = 1}, "cflags"},
		{{.call = "f.c:f", .python = "python3"}, "python is for"},
		{{.argv = argv, .argc = 2}, "unknown ${p.nope}"},
		{{.argv = plain, .argc = 1, .params = &nan_param, .param_count = 1},
		 "finite"},
		{{.argv = plain, .argc = 1, .params = twice, .param_count = 2}, "twice"},
		{{.argv = plain, .argc = 1, .outputs = &outside, .output_count = 1},
		 "../x"},
		{{.argv = plain, .argc = 1, .outputs = &inside_inputs, .output_count = 1},
		 "inputs/x"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[0], .input_count = 1},
		 "itself"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[1], .input_count = 1},
		 "task 9 of 1"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[2], .input_count = 1},
		 "nobody"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[3], .input_count = 1},
		 "gone.txt"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[4], .input_count = 1},
		 "digest"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[5], .input_count = 1},
		 "i/j"},
		{{.argv = plain, .argc = 1, .inputs = &inputs[6], .input_count = 1},
		 "no source"},
		{{.argv = plain, .argc = 1, .params = NULL, .param_count = 3},
		 "params is NULL, and its count 3"},
		{{.argc = 2}, "argv is NULL"},
		{{.argv = plain, .argc = 1, .outputs = NULL, .output_count = 1},
		 "outputs is NULL"},
		{{.argv = plain, .argc = 1, .code_count = 1}, "code is NULL"},
		{{.argv = plain, .argc = 1, .inputs = &no_sources, .input_count = 1},
		 "sources of an input are NULL"},
		{{.call = "f.py:f", .args = no_items, .arg_count = 2},
		 "items of an argument are NULL"},
		{{.call = "f.py:f", .kwargs = &no_bytes, .kwarg_count = 1},
		 "bytes of an argument are NULL"},
		{{.call = "f.py:f", .args = endless, .arg_count = 1},
		 "inside each other"},
		{{.name = "a b", .argv = plain, .argc = 1}, "a b"},
		{{.argv = plain, .argc = 1, .salt = "\xff"}, "UTF-8"},
		{{.argv = plain, .argc = 1, .retries = 2000000000}, "retries"},
		{{.argv = plain, .argc = 1, .secrets = secret, .secret_count = 2},
		 "\"A\" is in secrets twice"},
		{{.argv = plain, .argc = 1, .secrets = path, .secret_count = 1},
		 "\"../k\" cannot be a secret"},
		{{.argv = plain, .argc = 1, .secrets = secret, .secret_count = 65},
		 "64 secrets at most"},
		{{.argv = plain,
		  .argc = 1,
		  .secrets = secret,
		  .secret_count = 1,
		  .env = env,
		  .env_count = 2,
		  .params = prep_params,
		  .param_count = 1},
		 "\"A\" is in env and in secrets"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct cashet_error e;
		cr_assert_eq(submit_one(f, &bad[i].task, &e), CASHET_USAGE, "%s",
			     bad[i].what);
		cr_assert_not_null(strstr(e.what, bad[i].what), "%s: %s", bad[i].what,
				   e.what);
	}
	struct cashet_error e;
	char *large = malloc((1 << 20) + 1);
	memset(large, 'x', 1 << 20);
	large[1 << 20] = '\0';
	cr_assert_eq(
		submit_one(f, &(struct cashet_task){.name = "big", .shell = large}, &e),
		CASHET_USAGE);
	cr_expect(strstr(e.what, "task 0 (\"big\"): its description has 10486"), "%s",
		  e.what);
	free(large);
	struct cashet *c = open_handle(f);
	char batch[CASHET_HEX_SIZE];
	cr_assert_eq(cashet_submit_many(c, NULL, 0, NULL, batch, &e), CASHET_USAGE);
	cashet_close(c);
	cr_assert_eq(f->chunks, 0);
	fake_stop(f);
}

Test(tasks, force_and_no_cache_draw_a_nonce_for_each)
{
	struct fake *f = fake_start("force");
	struct cashet *c = open_handle(f);
	static const char *const argv[] = {"x"};
	const struct cashet_task tasks[] = {{.argv = argv, .argc = 1},
					    {.argv = argv, .argc = 1}};
	const struct cashet_submit_options options = {.force = true};
	char batch[CASHET_HEX_SIZE];
	struct cashet_error e;
	cr_assert_eq(cashet_submit_many(c, tasks, 2, &options, batch, &e), 0, "%s",
		     e.what);
	const Cashet__SubmitChunk *chunk = fake_chunk(f, 0);
	cr_assert_eq(chunk->options[0]->cache, CASHET__OPTIONS__CACHE__FORCE);
	cr_assert_eq(chunk->tasks[0]->nonce.len, 16);
	cr_assert_neq(
		memcmp(chunk->tasks[0]->nonce.data, chunk->tasks[1]->nonce.data, 16), 0);
	cashet_close(c);
	fake_stop(f);
}
