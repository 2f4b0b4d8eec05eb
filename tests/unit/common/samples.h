/* samples.h - one function, arguments and commit with every field in use, for tests of formats. All
 * strings are literals: never give these to *_fini(). */
#pragma once

#include "common/format/commit.h"
#include "common/format/function.h"

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
