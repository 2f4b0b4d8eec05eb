/* Arguments of calls as parameters of rows. */
#include "client/results.h"

#include "common/format/call_args.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* train("out", REF, lr=0.5, n=128, opt="a\"b", net={"act": null, "layers": [64, [1, 2]]}, raw=b"..") */
static void encode(struct buf *out)
{
	struct arg pair[] = {{.type = ARG_INT, .i = 1}, {.type = ARG_INT, .i = 2}};
	struct arg layers[] = {{.type = ARG_INT, .i = 64},
			       {.type = ARG_LIST, .items = pair, .count = 2}};
	struct arg net[] = {{.type = ARG_NULL, .name = "act", .name_size = 3},
			    {.type = ARG_LIST,
			     .name = "layers",
			     .name_size = 6,
			     .items = layers,
			     .count = 2}};
	struct arg keywords[] = {
		{.type = ARG_FLOAT, .name = "lr", .name_size = 2, .d = 0.5},
		{.type = ARG_INT, .name = "n", .name_size = 1, .i = 128},
		{.type = ARG_INT, .name = "low", .name_size = 3, .i = -7},
		{.type = ARG_TEXT,
		 .name = "opt",
		 .name_size = 3,
		 .data = "a\"b",
		 .size = 3},
		{.type = ARG_MAP,
		 .name = "net",
		 .name_size = 3,
		 .items = net,
		 .count = 2},
		{.type = ARG_BOOL, .name = "fast", .name_size = 4, .boolean = true},
	};
	struct arg positional[] = {
		{.type = ARG_TEXT, .data = "out", .size = 3},
		{.type = ARG_REF, .content.type = CONTENT_PICKLE},
	};
	struct call_args call = {.positional = positional,
				 .positional_count = 2,
				 .keywords = keywords,
				 .keyword_count = ARRAY_LEN(keywords)};
	cr_assert_eq(call_args_encode(out, &call), 0);
}

/* "lr=d0.5 opt=s..." */
static const char *text_of(const struct cashet_result *r)
{
	static char text[1024];
	text[0] = '\0';
	for (size_t i = 0; i < r->param_count; i++) {
		const struct cashet_value *v = &r->params[i].value;
		size_t at = strlen(text);
		at += (size_t)snprintf(text + at, sizeof text - at,
				       "%s=", r->params[i].name);
		if (v->type == CASHET_STRING)
			snprintf(text + at, sizeof text - at, "%c%s ",
				 v->is_written ? 'w' : 's', v->text);
		else if (v->type == CASHET_DOUBLE)
			snprintf(text + at, sizeof text - at, "d%g ", v->d);
		else if (v->type == CASHET_BOOL)
			snprintf(text + at, sizeof text - at, "b%d ", v->boolean);
		else
			snprintf(text + at, sizeof text - at, "i%lld ", (long long)v->i);
	}
	return text;
}

Test(result_call, labels_lead_to_values_wherever_they_stand)
{
	CLEANUP_BUF struct buf args = {0};
	struct row row = {0};
	char *labels[] = {"opt",     "lr",	   "net.layers[1][0]",
			  "net.act", "0",	   "net.layers[1]",
			  "n",	     "low",	   "fast",
			  "1",	     "net.layers", "missing"};
	encode(&args);
	for (int i = 0; i < 2; i++) { /* rows are filled again and again */
		cr_assert_eq(row_fill_labels(&row, args.data, args.size, labels,
					     ARRAY_LEN(labels)),
			     0);
		cr_assert_str_eq(text_of(&row.result),
				 "opt=sa\"b lr=d0.5 net.layers[1][0]=i1 net.act=wnull "
				 "0=sout net.layers[1]=w[1, 2] n=i128 low=i-7 fast=b1 "
				 "1=w(result of a task) net.layers=w[64, [1, 2]] ");
	}
	row_fini(&row);
}

Test(result_call, labels_that_lead_nowhere_are_left_out)
{
	CLEANUP_BUF struct buf args = {0};
	struct row row = {0};
	char *labels[] = {"",
			  "l",
			  "lr.x",
			  "lr[0]",
			  "net.layers[2]",
			  "net.",
			  "net.layers",
			  "net.layers[1]x",
			  "net.layers[",
			  "7",
			  "0x",
			  "net.layers[-1]"};
	encode(&args);
	cr_assert_eq(
		row_fill_labels(&row, args.data, args.size, labels, ARRAY_LEN(labels)),
		0);
	cr_assert_str_eq(text_of(&row.result), "net.layers=w[64, [1, 2]] ");
	/* what is cut, or no arguments of a call, has none */
	for (size_t size = 0; size < args.size; size++)
		cr_assert_eq(
			row_fill_labels(&row, args.data, size, labels, ARRAY_LEN(labels)),
			0);
	row.result.param_count = 0;
	cr_assert_eq(row_fill_labels(&row, "\x83\x01\x80\x80", 4, labels, 1), 0);
	cr_assert_eq(row.result.param_count, 0);
	row_fini(&row);
}

Test(result_call, all_of_them_but_references)
{
	CLEANUP_BUF struct buf args = {0};
	struct row row = {0};
	encode(&args);
	cr_assert_eq(row_fill_all(&row, args.data, args.size), 0);
	cr_assert_str_eq(text_of(&row.result),
			 "0=sout n=i128 lr=d0.5 low=i-7 net=w{\"act\": null, \"layers\": "
			 "[64, [1, 2]]} opt=sa\"b fast=b1 ");
	row_fini(&row);
}
