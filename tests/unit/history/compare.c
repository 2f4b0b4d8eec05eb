/* Two fingerprints, component by component. */
#include "broker/history/compare.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sample {
	struct function function;
	struct args args;
	struct value values[2];
	struct args_input inputs[2];
	char *argv[3], *params[2], *input_names[2], *file_names[1];
	struct function_pair env[1];
	struct function_code code[1];
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	struct compare_side side;
};

/* train --lr LR on one input of digest @data; nothing of it is to be freed. */
static void make(struct sample *s, double lr, uint8_t data, uint8_t code)
{
	*s = (struct sample){.argv = {"python3", "train.py", "${p.lr}"},
			     .params = {"lr", "opt"},
			     .input_names = {"data", "labels"},
			     .file_names = {"data.npz"},
			     .env = {{"THREADS", "1"}},
			     .code = {{.path = "train.py"}}};
	s->function = (struct function){.argv = s->argv,
					.argc = 3,
					.env = s->env,
					.env_count = 1,
					.params = s->params,
					.param_count = 2,
					.inputs = s->input_names,
					.input_count = 2,
					.code = s->code,
					.code_count = 1};
	s->code[0].digest[0] = code;
	s->values[0] = (struct value){.type = VALUE_DOUBLE, .d = lr};
	s->values[1] = (struct value){.type = VALUE_STRING, .text = "adam"};
	for (int i = 0; i < 2; i++)
		s->inputs[i] = (struct args_input){.names = s->file_names,
						   .name_count = 1,
						   .content = {.type = CONTENT_FILE}};
	s->inputs[0].content.digest[0] = data;
	s->args = (struct args){.values = s->values,
				.value_count = 2,
				.inputs = s->inputs,
				.input_count = 2};
	s->func_hash[0] = code;
	s->args_hash[0] = data;
	s->side = (struct compare_side){.function = &s->function,
					.args = &s->args,
					.func_hash = s->func_hash,
					.args_hash = s->args_hash};
}

/* What differs, as "what/name/how ...". */
static const char *differs(const struct sample *old, const struct sample *now,
			   bool only_changed)
{
	static char text[1024];
	CLEANUP_BUF struct buf out = {0};
	struct compare_sink sink = {
		.out = &out, .field = 5, .only_changed = only_changed};
	compare_write(&sink, &old->side, &now->side);
	Cashet__WhyReply *reply = cashet__why_reply__unpack(NULL, out.size, out.data);
	cr_assert_not_null(reply);
	text[0] = '\0';
	for (size_t i = 0; i < reply->n_changes; i++) {
		const Cashet__Change *c = reply->changes[i];
		size_t size = strlen(text);
		snprintf(text + size, sizeof text - size, "%d/%s/%d[%s>%s] ",
			 (int)c->what, c->name, (int)c->how, c->before, c->after);
	}
	cashet__why_reply__free_unpacked(reply, NULL);
	return text;
}

Test(compare, equal_ones_do_not_differ_and_all_components_are_listed)
{
	struct sample a, b;
	make(&a, 0.1, 1, 1);
	make(&b, 0.1, 1, 1);
	cr_assert_eq(compare_distance(&a.side, &b.side, 100), 0);
	cr_assert_str_eq(differs(&a, &b, true), "");
	cr_assert_str_eq(differs(&a, &b, false),
			 "0//0[python3 train.py ${p.lr}>python3 train.py ${p.lr}] "
			 "5/train.py/0[>] 1/THREADS/0[1>1] 7/data/0[data.npz>data.npz] "
			 "7/labels/0[data.npz>data.npz] 6/lr/0[0.1>0.1] "
			 "6/opt/0[adam>adam] ");
}

Test(compare, each_component_is_named)
{
	struct sample a, b;
	make(&a, 0.1, 1, 1);
	make(&b, 0.2, 1, 1);
	cr_assert_str_eq(differs(&a, &b, true), "6/lr/1[0.1>0.2] ");
	make(&b, 0.1, 2, 1);
	cr_assert_str_eq(differs(&a, &b, true), "7/data/1[data.npz>data.npz] ");
	make(&b, 0.1, 1, 2);
	cr_assert_str_eq(differs(&a, &b, true), "5/train.py/1[>] ");
	make(&b, 0.1, 1, 1);
	b.env[0].value = "2";
	b.function.salt = "s";
	cr_assert_str_eq(differs(&a, &b, true), "1/THREADS/1[1>2] 4//2[>s] ");
	make(&b, 0.1, 1, 1);
	b.argv[2] = "--lr=${p.lr}";
	cr_assert_str_eq(differs(&a, &b, true), "0/argv[2]/1[${p.lr}>--lr=${p.lr}] ");
	b.function.argc = 2;
	cr_assert_str_eq(differs(&a, &b, true),
			 "0//1[python3 train.py ${p.lr}>python3 train.py] ");
}

Test(compare, what_is_only_on_one_side_is_added_or_removed)
{
	struct sample a, b;
	make(&a, 0.1, 1, 1);
	make(&b, 0.1, 1, 1);
	b.function.param_count = b.args.value_count = 1;
	b.function.input_count = b.args.input_count = 1;
	b.code[0].path = "other.py";
	cr_assert_str_eq(differs(&a, &b, true),
			 "5/other.py/2[>] 5/train.py/3[>] 7/labels/3[data.npz>] "
			 "6/opt/3[adam>] ");
}

Test(compare, a_parameter_weighs_more_than_code_or_an_input)
{
	struct sample a, b;
	make(&a, 0.1, 1, 1);
	make(&b, 0.2, 1, 1);
	unsigned param = compare_distance(&a.side, &b.side, 100);
	make(&b, 0.1, 2, 2);
	cr_assert_lt(compare_distance(&a.side, &b.side, 100), param);
}

Test(compare, what_is_not_known_is_compared_as_a_whole)
{
	struct sample a, b;
	make(&a, 0.1, 1, 1);
	make(&b, 0.2, 1, 2);
	a.side.function = NULL;
	cr_assert_str_eq(differs(&a, &b, true), "8/description/1[>] ");
	b.args_hash[0] = 9;
	cr_assert_str_eq(differs(&a, &b, true), "8/description/1[>] 8/arguments/1[>] ");
}

Test(compare, options_and_tags_are_told_only_where_they_differ)
{
	CLEANUP_BUF struct buf out = {0};
	struct compare_sink sink = {.out = &out, .field = 5};
	Cashet__Options a = CASHET__OPTIONS__INIT, b = CASHET__OPTIONS__INIT;
	uint8_t old[64], now[64];
	b.retries = 2;
	b.timeout_ns = 600 * NS_PER_S;
	size_t old_size = cashet__options__pack(&a, old),
	       now_size = cashet__options__pack(&b, now);
	compare_options(&sink, old, old_size, now, now_size);
	Cashet__Pair x = CASHET__PAIR__INIT, y = CASHET__PAIR__INIT,
		     z = CASHET__PAIR__INIT;
	x.key = "a", x.value = "1", y.key = "a", y.value = "2", z.key = "b",
	z.value = "3";
	compare_tags(&sink, (Cashet__Pair *[]){&x, &z}, 2, (Cashet__Pair *[]){&y, &z}, 2);
	Cashet__WhyReply *reply = cashet__why_reply__unpack(NULL, out.size, out.data);
	cr_assert_eq(reply->n_changes, 3);
	cr_assert_str_eq(reply->changes[0]->name, "retries");
	cr_assert_str_eq(reply->changes[1]->name, "timeout");
	cr_assert_str_eq(reply->changes[1]->after, "10m");
	cr_assert_str_eq(reply->changes[2]->name, "a");
	cashet__why_reply__free_unpacked(reply, NULL);
}

/* ---- calls ---- */

/* train(PATH, data=REF, lr=LR, net={layers: [64, LAST], act: ACT}) */
static void make_call(struct sample *s, uint8_t identity, double lr, int64_t last,
		      uint8_t data)
{
	static uint8_t source[2][DIGEST_SIZE];
	*s = (struct sample){.func_hash = {identity}, .args_hash = {data}};
	s->function =
		(struct function){.language = (char *)"python", .identity = {identity}};
	struct arg layers[] = {{.type = ARG_INT, .i = 64}, {.type = ARG_INT, .i = last}};
	struct arg net[] = {{.type = ARG_TEXT,
			     .name = "act",
			     .name_size = 3,
			     .data = "relu",
			     .size = 4},
			    {.type = ARG_LIST,
			     .name = "layers",
			     .name_size = 6,
			     .items = layers,
			     .count = 2}};
	struct arg keywords[] = {
		{.type = ARG_REF,
		 .name = "data",
		 .name_size = 4,
		 .content = {CONTENT_PICKLE, {data}}},
		{.type = ARG_FLOAT, .name = "lr", .name_size = 2, .d = lr},
		{.type = ARG_MAP,
		 .name = "net",
		 .name_size = 3,
		 .items = net,
		 .count = 2}};
	struct arg path = {.type = ARG_TEXT, .data = "out", .size = 3};
	struct call_args call = {.positional = &path,
				 .positional_count = 1,
				 .keywords = keywords,
				 .keyword_count = 3};
	CLEANUP_BUF struct buf b = {0};
	cr_assert(!call_args_encode(&b, &call) && !args_decode(b.data, b.size, &s->args));
	source[identity % 2][0] = identity;
	s->side = (struct compare_side){.function = &s->function,
					.args = &s->args,
					.func_hash = s->func_hash,
					.args_hash = s->args_hash,
					.source = source[identity % 2]};
}

Test(compare, arguments_of_calls_are_named_by_their_labels)
{
	struct sample a, b;
	make_call(&a, 2, 0.1, 10, 7);
	make_call(&b, 2, 0.1, 10, 7);
	cr_assert_eq(compare_distance(&a.side, &b.side, 100), 0);
	cr_assert_str_eq(differs(&a, &b, false),
			 "11//0[>] 6/0/0[\"out\">\"out\"] 6/lr/0[0.1>0.1] "
			 "6/net/0[{\"act\": \"relu\", \"layers\": [64, 10]}>"
			 "{\"act\": \"relu\", \"layers\": [64, 10]}] 7/data/0[>] ");
	args_fini(&b.args);
	make_call(&b, 2, 0.2, 12, 8);
	cr_assert_str_eq(differs(&a, &b, true), "11//0[>] 6/lr/1[0.1>0.2] "
						"6/net.layers[1]/1[10>12] 7/data/1[>] ");
	args_fini(&b.args);
	make_call(&b, 3, 0.1, 10, 7);
	cr_assert_str_eq(differs(&a, &b, true), "11//1[>] ");
	b.function.version = (char *)"3.11";
	cr_assert_str_eq(differs(&a, &b, true), "11//1[>] 12//2[>3.11] ");
	args_fini(&b.args);
	args_fini(&a.args);
}

Test(compare, a_value_that_becomes_a_reference_and_a_command_that_becomes_a_call)
{
	struct sample a, b;
	make_call(&a, 2, 0.1, 10, 7);
	make_call(&b, 2, 0.1, 10, 7);
	for (size_t i = 0; i < b.args.call->keyword_count; i++)
		if (!strcmp(b.args.call->keywords[i].name, "data"))
			b.args.call->keywords[i].type = ARG_NULL;
	cr_assert_str_eq(differs(&a, &b, true), "11//0[>] 6/data/1[>null] ");
	cr_assert_str_eq(differs(&b, &a, true), "11//0[>] 7/data/1[null>] ");
	struct sample command;
	make(&command, 0.1, 1, 1);
	cr_assert_str_eq(differs(&command, &a, true),
			 "0//1[python3 train.py ${p.lr}>a call of a function in python] "
			 "5/train.py/3[>] 1/THREADS/3[1>] 8/arguments/1[>] ");
	cr_assert_gt(compare_distance(&command.side, &a.side, 100), 0);
	args_fini(&b.args);
	args_fini(&a.args);
}
