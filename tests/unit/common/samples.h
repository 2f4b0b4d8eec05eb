/* samples.h - one function, arguments and commit with every field in use, for tests of formats. All
 * strings are literals: never give these to *_fini(). */
#pragma once

#include "common/format/commit.h"
#include "common/format/function.h"
#include "common/format/source.h"

#include <string.h>

static inline void sample_digest(uint8_t out[DIGEST_SIZE], uint8_t first)
{
	for (int i = 0; i < DIGEST_SIZE; i++)
		out[i] = (uint8_t)(first + i);
}

static inline struct function *sample_function(void)
{
	static char *argv[] = {"python3", "train.py", "--lr", "${p.lr}"};
	static struct function_pair env[] = {
		{"ZZ", "1"}, {"OMP_NUM_THREADS", "1"}, {"A", ""}};
	static struct function_pair outputs[] = {{"weights", "out/w.bin"},
						 {"log", "train.log"}};
	static char *params[] = {"seed", "lr"}, *inputs[] = {"data", "base"};
	static struct function_code code[] = {{.path = "train.py"},
					      {.path = "lib/run.sh", .executable = true}};
	static struct function f = {
		.argv = argv,
		.argc = ARRAY_LEN(argv),
		.env = env,
		.outputs = outputs,
		.env_count = ARRAY_LEN(env),
		.output_count = ARRAY_LEN(outputs),
		.params = params,
		.inputs = inputs,
		.param_count = ARRAY_LEN(params),
		.input_count = ARRAY_LEN(inputs),
		.metrics = "metrics.json",
		.salt = "a",
		.code = code,
		.code_count = ARRAY_LEN(code),
	};
	for (size_t i = 0; i < f.code_count; i++)
		sample_digest(code[i].digest, code[i].executable ? 0x10 : 0x20);
	return &f;
}

/* A function by source, beside which a file lies. */
static inline struct function *sample_call(void)
{
	static struct function_pair env[] = {{"OMP_NUM_THREADS", "1"}};
	static struct function_code code[] = {{.path = "data.json"}};
	static struct function f = {
		.language = "python",
		.version = "3.11",
		.env = env,
		.env_count = ARRAY_LEN(env),
		.salt = "a",
		.code = code,
		.code_count = ARRAY_LEN(code),
	};
	sample_digest(f.identity, 0x30);
	sample_digest(code[0].digest, 0x20);
	return &f;
}

/* Every kind of value, by position; by name in no order. */
static inline struct call_args *sample_call_args(void)
{
	static struct arg
		list[] = {{.type = ARG_INT, .i = 1}, {.type = ARG_LIST}},
		map[] = {{.type = ARG_MAP, .name = "bb", .name_size = 2},
			 {.type = ARG_NULL, .name = "a", .name_size = 1}},
		keywords[] = {{.type = ARG_LIST, .name = "xs", .name_size = 2},
			      {.type = ARG_FLOAT, .name = "lr", .name_size = 2, .d = 0.1},
			      {.type = ARG_MAP, .name = "opts", .name_size = 4}},
		positional[] = {
			{.type = ARG_NULL},	    {.type = ARG_BOOL, .boolean = true},
			{.type = ARG_INT, .i = -2}, {.type = ARG_FLOAT, .d = -0.0},
			{.type = ARG_TEXT},	    {.type = ARG_BYTES},
			{.type = ARG_REF},	    {.type = ARG_FILE}};
	static struct call_args a = {positional, keywords, ARRAY_LEN(positional),
				     ARRAY_LEN(keywords)};
	static bool filled; /* encoding sorts */
	if (filled)
		return &a;
	filled = true;
	keywords[0].items = list;
	keywords[0].count = 2;
	keywords[2].items = map;
	keywords[2].count = 2;
	positional[4].data = "\xc3\xa9";
	positional[4].size = 2;
	positional[5].data = "\0\1";
	positional[5].size = 2;
	positional[6].content.type = CONTENT_JSON;
	sample_digest(positional[6].content.digest, 0x40);
	positional[7].data = "a.csv";
	positional[7].size = 5;
	positional[7].content.type = CONTENT_FILE;
	sample_digest(positional[7].content.digest, 0x50);
	return &a;
}

static inline struct source *sample_source(void)
{
	static struct source_file files[] = {
		{.path = "train.py", .size = 314},
		{.path = "lib/util.py", .size = 1},
		{.path = "run.c", .executable = true, .size = 9}};
	static struct source_package packages[] = {{"numpy", "2.1.0", true},
						   {"odd", NULL, false}};
	static struct source_definition definitions[] = {
		{.label = "train", .kind = "function", .path = "train.py", .line = 15},
		{.label = "LIMIT", .kind = "variable", .path = "lib/util.py", .line = 3}};
	static char *flags[] = {"-O3", "-DX=1"};
	static struct source_unit units[] = {
		{.language = "python",
		 .path = "train.py",
		 .name = "train",
		 .packages = packages,
		 .package_count = 2,
		 .definitions = definitions,
		 .definition_count = 2},
		{.language = "c", .path = "run.c", .flags = flags, .flag_count = 2}};
	static struct source s = {files, units, ARRAY_LEN(files), ARRAY_LEN(units)};
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		sample_digest(files[i].digest, (uint8_t)files[i].size);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		sample_digest(units[i].hash, 0x60);
		sample_digest(units[i].identity, 0x70);
	}
	for (size_t i = 0; i < ARRAY_LEN(definitions); i++)
		sample_digest(definitions[i].digest, 0x80);
	return &s;
}

static inline struct args *sample_args(void)
{
	static struct value values[] = {
		{VALUE_DOUBLE, .d = 0.001},    {VALUE_INT, .i = -2},
		{VALUE_UINT, .u = UINT64_MAX}, {VALUE_STRING, .text = "adam"},
		{VALUE_BOOL, .boolean = true},
	};
	static char *one[] = {"data.npz"}, *many[] = {"w0.bin", "w1.bin"};
	static struct args_input inputs[] = {
		{.names = one, .name_count = 1, .content = {.type = CONTENT_FILE}},
		{.names = many,
		 .name_count = 2,
		 .name_is_array = true,
		 .content = {.type = CONTENT_NONE}},
	};
	static struct args a = {
		.values = values,
		.value_count = ARRAY_LEN(values),
		.inputs = inputs,
		.input_count = ARRAY_LEN(inputs),
	};
	sample_digest(inputs[0].content.digest, 0x40);
	return &a;
}

static inline struct commit *sample_commit(void)
{
	static struct commit_output outputs[] = {
		{.name = "log",
		 .path = "train.log",
		 .content = {CONTENT_FILE, {1}},
		 .size = 12},
		{.name = "w",
		 .path = "out",
		 .content = {CONTENT_TREE, {2}},
		 .size = 3456},
	};
	static struct commit_metric metrics[] = {
		{.name = "opt", .is_text = true, .text = "adam"},
		{.name = "val_loss", .number = 0.2141},
	};
	static struct commit c = {
		.status = COMMIT_COMPLETED,
		.name = "train",
		.args = (const uint8_t *)"\x83\x01\x80\x80",
		.args_size = 4,
		.has_nonce = true,
		.has_parent = true,
		.result = {.type = CONTENT_RESULT},
		.result_size = 77,
		.has_stdout = true,
		.stdout_size = 1000,
		.outputs = outputs,
		.output_count = ARRAY_LEN(outputs),
		.metrics = metrics,
		.metric_count = ARRAY_LEN(metrics),
		.exit_code = -1,
		.term_signal = 9,
		.error = "",
		.ended_wall_ms = 1767225600000,
		.duration_ns = 1234567890,
		.cpu_user_ns = 1000000000,
		.cpu_system_ns = 5,
		.max_rss_bytes = 1 << 30,
		.attempts = 2,
		.worker_name = "node-2",
		.epoch = 3ull << 32 | 17,
		.index = 12,
		.ttl_s = 86400,
		.options = (const uint8_t *)"\x08\x01",
		.options_size = 2,
	};
	sample_digest(c.func_hash, 0x01);
	memset(c.nonce, 0x55, NONCE_SIZE);
	sample_digest(c.parent, 0x60);
	sample_digest(c.result.digest, 0x70);
	sample_digest(c.stdout_digest, 0x80);
	memset(c.worker_key, 0xaa, KEY_SIZE);
	sample_digest(c.batch, 0x90);
	return &c;
}
