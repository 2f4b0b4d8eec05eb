/* builder.c - what goes into a builder comes out of its chunks, in order and within bounds. */
#include "client/builder.h"
#include "common/pure/sha256.h"
#include "proto/wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct taken {
	Cashet__SubmitChunk *chunks[64];
	size_t count;
	int uploads;
	bool ended;
	size_t largest;
};

static int take_chunk(void *arg, const void *packed, size_t size, bool last,
		      struct err *e)
{
	struct taken *t = arg;
	cr_assert_not(t->ended);
	cr_assert_lt(t->count, 64);
	t->chunks[t->count] = cashet__submit_chunk__unpack(NULL, size, packed);
	cr_assert_not_null(t->chunks[t->count]);
	cr_assert_eq(t->chunks[t->count]->chunk, t->count);
	cr_assert_eq(t->chunks[t->count]->seal, last);
	t->count++;
	t->ended = last;
	t->largest = size > t->largest ? size : t->largest;
	return 0;
}

static int take_upload(void *arg, const struct builder_upload *upload, struct err *e)
{
	((struct taken *)arg)->uploads++;
	return 0;
}

static void taken_fini(struct taken *t)
{
	for (size_t i = 0; i < t->count; i++)
		cashet__submit_chunk__free_unpacked(t->chunks[i], NULL);
}

static struct builder *make(struct taken *t, const Cashet__BatchInfo *info)
{
	static const uint8_t request[16] = "0123456789abcdef";
	struct builder_sink sink = {.arg = t, .chunk = take_chunk, .upload = take_upload};
	struct builder *b = builder_new(request, info, &sink);
	cr_assert_not_null(b);
	return b;
}

Test(builder, one_of_each_arrives_as_it_was)
{
	struct taken t = {0};
	Cashet__BatchInfo info = CASHET__BATCH_INFO__INIT;
	info.name = (char *)"digits";
	struct builder *b = make(&t, &info);
	struct err e;
	uint32_t number;
	Cashet__Options options = CASHET__OPTIONS__INIT;
	options.retries = 3;
	cr_assert_eq(builder_add_options(b, &options, &number), 0);
	options.retries = 4;
	cr_assert_eq(builder_add_options(b, &options, &number), 0);
	cr_assert_eq(number, 1);
	Cashet__Function with = CASHET__FUNCTION__INIT;
	Cashet__Pair tag = CASHET__PAIR__INIT, env = CASHET__PAIR__INIT;
	Cashet__Pair *tags[] = {&tag}, *envs[] = {&env};
	tag.key = (char *)"experiment";
	tag.value = (char *)"v3";
	env.key = (char *)"PATH";
	env.value = (char *)""; /* an empty value is a value */
	char *params[] = {(char *)"lr", (char *)"opts.depth"};
	with.source = (ProtobufCBinaryData){.data = (uint8_t *)"source", .len = 6};
	with.params = params;
	with.n_params = 2;
	with.n_tags = with.n_env = 1;
	with.tags = tags;
	with.env = envs;
	struct buf description = {.data = (uint8_t *)"canonical", .size = 9};
	cr_assert_eq(
		builder_add_function(b, &description, "train", 1, &with, &number, &e), 0);
	cr_assert_eq(number, 0);
	Cashet__Group group = CASHET__GROUP__INIT;
	group.skip_failed = true;
	cr_assert_eq(builder_add_group(b, &group, &number, &e), 0);
	Cashet__TaskSpec task = CASHET__TASK_SPEC__INIT;
	task.args = (ProtobufCBinaryData){.data = (uint8_t *)"args", .len = 4};
	cr_assert_eq(builder_add_task(b, &task, NULL, &e), 0);
	cr_assert_eq(builder_task_count(b), 1);
	cr_assert_eq(builder_finish(b, true, &e), 0);
	builder_free(b);

	cr_assert_eq(t.count, 1);
	const Cashet__SubmitChunk *chunk = t.chunks[0];
	cr_assert(chunk->watch);
	cr_assert_eq(memcmp(chunk->request.data, "0123456789abcdef", 16), 0);
	cr_assert_str_eq(chunk->info->name, "digits");
	cr_assert_eq(chunk->n_options, 2);
	cr_assert_eq(chunk->options[1]->retries, 4);
	cr_assert_eq(chunk->n_functions, 1);
	cr_assert_str_eq(chunk->functions[0]->name, "train");
	cr_assert_eq(chunk->functions[0]->options, 1);
	cr_assert_eq(chunk->functions[0]->description.len, 9);
	cr_assert_str_eq(chunk->functions[0]->tags[0]->value, "v3");
	cr_assert_str_eq(chunk->functions[0]->env[0]->key, "PATH");
	cr_assert_str_eq(chunk->functions[0]->env[0]->value, "");
	cr_assert_eq(chunk->functions[0]->source.len, 6);
	cr_assert_eq(memcmp(chunk->functions[0]->source.data, "source", 6), 0);
	cr_assert_eq(chunk->functions[0]->n_params, 2);
	cr_assert_str_eq(chunk->functions[0]->params[1], "opts.depth");
	cr_assert(chunk->groups[0]->skip_failed);
	cr_assert_eq(chunk->tasks[0]->args.len, 4);
	taken_fini(&t);
}

Test(builder, chunks_are_cut_near_the_target_and_lose_nothing)
{
	struct taken t = {0};
	struct builder *b = make(&t, NULL);
	struct err e;
	uint8_t args[1000];
	for (uint32_t i = 0; i < 5000; i++) {
		Cashet__TaskSpec task = CASHET__TASK_SPEC__INIT;
		memset(args, (int)i, sizeof args);
		task.function = i;
		task.args = (ProtobufCBinaryData){.data = args, .len = sizeof args};
		uint32_t index;
		cr_assert_eq(builder_add_task(b, &task, &index, &e), 0);
		cr_assert_eq(index, i);
	}
	cr_assert_eq(builder_finish(b, false, &e), 0);
	builder_free(b);
	cr_assert_geq(t.count, 5);
	cr_assert_leq(t.largest, WIRE_CHUNK_TARGET + 1024);
	uint32_t i = 0;
	for (size_t k = 0; k < t.count; k++)
		for (size_t n = 0; n < t.chunks[k]->n_tasks; n++, i++) {
			cr_assert_eq(t.chunks[k]->tasks[n]->function, i);
			cr_assert_eq(t.chunks[k]->tasks[n]->args.data[7], (uint8_t)i);
		}
	cr_assert_eq(i, 5000);
	taken_fini(&t);
}

Test(builder, what_no_message_can_hold_is_refused)
{
	struct taken t = {0};
	struct builder *b = make(&t, NULL);
	struct err e;
	Cashet__TaskSpec task = CASHET__TASK_SPEC__INIT;
	uint8_t *args = calloc(1, WIRE_MESSAGE_MAX);
	task.args = (ProtobufCBinaryData){.data = args, .len = WIRE_MESSAGE_MAX};
	cr_assert_eq(builder_add_task(b, &task, NULL, &e), ERR_USAGE);
	cr_assert_not_null(strstr(e.what, "task 0"));
	builder_free(b);
	free(args);
}

Test(builder, an_upload_is_given_once_however_often_it_is_named)
{
	struct taken t = {0};
	struct builder *b = make(&t, NULL);
	struct err e;
	for (int round = 0; round < 3; round++)
		for (uint32_t i = 0; i < 1000; i++) {
			struct builder_upload upload = {.data = &i, .size = sizeof i};
			sha256_digest(&i, sizeof i, upload.digest);
			cr_assert_eq(builder_upload(b, &upload, &e), 0);
		}
	cr_assert_eq(t.uploads, 1000);
	cr_assert_eq(builder_finish(b, false, &e), 0);
	builder_free(b);
	taken_fini(&t);
}
