/* call_args.c - values differ exactly when their bytes do: a table of values by hand, pairs that are
 * made at random, and bytes that no encoder writes. */
#include "common/format/call_args.h"
#include "common/format/function.h"
#include "common/pure/hex.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS 200

/* ---- making values; all on the heap, as a decoder makes them */

static char *copy(const char *data, size_t size)
{
	char *out = malloc(size + 1);
	memcpy(out, data, size);
	out[size] = '\0';
	return out;
}

static struct arg text_n(enum arg_type type, const char *data, size_t size)
{
	struct arg a = {.type = type};
	a.data = copy(data, size);
	a.size = size;
	return a;
}

static struct arg text(const char *data)
{
	return text_n(ARG_TEXT, data, strlen(data));
}

static struct arg integer(int64_t i)
{
	return (struct arg){.type = ARG_INT, .i = i};
}

static struct arg real(double d)
{
	return (struct arg){.type = ARG_FLOAT, .d = d};
}

static struct arg named(const char *name, struct arg a)
{
	a.name = copy(name, strlen(name));
	a.name_size = strlen(name);
	return a;
}

static struct arg items(enum arg_type type, size_t count, const struct arg *from)
{
	struct arg a = {.type = type};
	a.items = calloc(count + 1, sizeof *a.items);
	if (count)
		memcpy(a.items, from, count * sizeof *from);
	a.count = count;
	return a;
}
#define LIST(...)                                                                        \
	items(ARG_LIST, sizeof((struct arg[]){__VA_ARGS__}) / sizeof(struct arg),        \
	      (struct arg[]){__VA_ARGS__})
#define MAP(...)                                                                         \
	items(ARG_MAP, sizeof((struct arg[]){__VA_ARGS__}) / sizeof(struct arg),         \
	      (struct arg[]){__VA_ARGS__})

static struct arg content(enum arg_type type, uint8_t kind, uint8_t first)
{
	struct arg a = {.type = type};
	if (type == ARG_FILE)
		a = text_n(type, "data.csv", 8);
	a.content.type = kind;
	memset(a.content.digest, first, DIGEST_SIZE);
	return a;
}

/* bytes_of() - the call of one value, by position. */
static void bytes_of(struct buf *out, struct arg *a)
{
	struct call_args call = {.positional = a, .positional_count = 1};
	cr_assert_eq(call_args_encode(out, &call), 0);
	cr_assert(!out->failed);
}

static bool same_bytes(struct arg *a, struct arg *b)
{
	CLEANUP_BUF struct buf x = {0}, y = {0};
	bytes_of(&x, a);
	bytes_of(&y, b);
	return x.size == y.size && !memcmp(x.data, y.data, x.size);
}

Test(call_args, values_that_people_may_take_for_each_other_are_all_different)
{
	double other_nan;
	memcpy(&other_nan, &(uint64_t){0xfff8000000000001}, sizeof other_nan);
	struct arg all[] = {
		{.type = ARG_NULL},
		{.type = ARG_BOOL, .boolean = true},
		{.type = ARG_BOOL, .boolean = false},
		integer(0),
		integer(1),
		integer(-1),
		integer(INT64_MAX),
		integer(INT64_MIN),
		real(0.0),
		real(-0.0),
		real(1.0),
		real(-1.0),
		real(nextafter(1.0, 2.0)),
		real(NAN),
		real(INFINITY),
		real(-INFINITY),
		real(4.9406564584124654e-324),
		real(9007199254740993.0),
		text(""),
		text("0"),
		text("1"),
		text("1.0"),
		text("true"),
		text("null"),
		text("e\xcc\x81"), /* e and an accent */
		text("\xc3\xa9"),  /* the letter with it */
		text_n(ARG_TEXT, "a\0b", 3),
		text("a"),
		text_n(ARG_BYTES, "", 0),
		text_n(ARG_BYTES, "1", 1),
		text_n(ARG_BYTES, "a\0b", 3),
		text_n(ARG_BYTES, "\0", 1),
		items(ARG_LIST, 0, NULL),
		items(ARG_MAP, 0, NULL),
		LIST(integer(1)),
		LIST(real(1.0)),
		LIST(text("1")),
		LIST(integer(1), integer(1)),
		LIST(LIST(integer(1)), integer(1)),
		LIST(LIST(integer(1), integer(1))),
		LIST(integer(2), items(ARG_MAP, 0, NULL)), /* as a map begins */
		LIST(integer(3),
		     text_n(ARG_BYTES, (char[CONTENT_SIZE]){1}, CONTENT_SIZE)),
		MAP(named("a", integer(1))),
		MAP(named("a", real(1.0))),
		MAP(named("b", integer(1))),
		MAP(named("", integer(1))),
		MAP(named("a", integer(1)), named("b", integer(1))),
		MAP(named("a", MAP(named("b", integer(1))))),
		LIST(text("a"), integer(1)),
		content(ARG_REF, CONTENT_FILE, 1),
		content(ARG_REF, CONTENT_JSON, 1),
		content(ARG_REF, CONTENT_PICKLE, 1),
		content(ARG_REF, CONTENT_FILE, 2),
		content(ARG_REF, CONTENT_EXTERN, 1),
		content(ARG_FILE, CONTENT_FILE, 1),
		content(ARG_FILE, CONTENT_EXEC, 1),
		text_n(ARG_BYTES, (char[CONTENT_SIZE]){1}, CONTENT_SIZE),
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (size_t k = 0; k < ARRAY_LEN(all); k++) {
			cr_expect_eq(same_bytes(&all[i], &all[k]), i == k, "%zu and %zu",
				     i, k);
			cr_expect_eq(arg_equal(&all[i], &all[k]), i == k, "%zu and %zu",
				     i, k);
		}
	struct arg nan = real(other_nan);
	cr_expect(same_bytes(&all[13], &nan), "there is one NaN");
	cr_expect(arg_equal(&all[13], &nan));
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		arg_fini(&all[i]);
}

/* ---- at random */

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed += 0x9e3779b97f4a7c15ull;
	uint64_t z = seed;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % below;
}

static struct arg any_value(unsigned depth);

static struct arg any_items(enum arg_type type, unsigned depth)
{
	struct arg from[5];
	size_t count = draw(5);
	for (size_t i = 0; i < count; i++) {
		char name[8];
		from[i] = any_value(depth + 1);
		snprintf(name, sizeof name, "%.*s%zu", (int)draw(4), "key", i);
		if (type == ARG_MAP)
			from[i] = named(name, from[i]);
	}
	return items(type, count, from);
}

static struct arg any_value(unsigned depth)
{
	static const double reals[] = {0.0, -0.0, 1.0, 0.1, -1.5, 1e300, INFINITY, NAN};
	static const char *const texts[] = {"",	 "1",	     "1.0", "true",
					    "x", "\xc3\xa9", "null"};
	switch (draw(depth < 4 ? 10 : 8)) {
	case 0:
		return (struct arg){.type = ARG_NULL};
	case 1:
		return (struct arg){.type = ARG_BOOL, .boolean = draw(2)};
	case 2:
		return integer((int64_t)draw(3) - 1);
	case 3:
		return integer((int64_t)(seed ^ draw(UINT64_MAX)));
	case 4:
		return real(reals[draw(ARRAY_LEN(reals))]);
	case 5:
		return text(texts[draw(ARRAY_LEN(texts))]);
	case 6: {
		const char *bytes = texts[draw(ARRAY_LEN(texts))];
		return text_n(ARG_BYTES, bytes, strlen(bytes));
	}
	case 7:
		return content(draw(2) ? ARG_REF : ARG_FILE, (uint8_t)(1 + draw(3)),
			       (uint8_t)draw(3));
	case 8:
		return any_items(ARG_LIST, depth);
	default:
		return any_items(ARG_MAP, depth);
	}
}

/* again() - the same value, made anew; maps in another order. */
static struct arg again(const struct arg *a)
{
	struct arg b = *a;
	if (a->name)
		b.name = copy(a->name, a->name_size);
	if (a->type == ARG_TEXT || a->type == ARG_BYTES || a->type == ARG_FILE)
		b.data = copy(a->data, a->size);
	if (a->type != ARG_LIST && a->type != ARG_MAP)
		return b;
	b.items = calloc(a->count + 1, sizeof *b.items);
	for (size_t i = 0; i < a->count; i++)
		b.items[a->type == ARG_MAP ? a->count - 1 - i : i] = again(&a->items[i]);
	return b;
}

/* change() - one thing in it is another. */
static void change(struct arg *a)
{
	bool has_items = (a->type == ARG_LIST || a->type == ARG_MAP) && a->count;
	struct arg other = {.type = ARG_NULL};
	if (has_items && draw(3)) {
		change(&a->items[draw(a->count)]);
		return;
	}
	if (has_items && a->type == ARG_LIST && draw(2)) {
		arg_fini(&a->items[--a->count]); /* one fewer */
		return;
	}
	if (a->type == ARG_INT && draw(2))
		other = real((double)a->i);
	else if (a->type == ARG_TEXT && draw(2))
		other = text_n(ARG_BYTES, a->data, a->size);
	else if (a->type == ARG_FILE && draw(2))
		other = content(ARG_REF, a->content.type, a->content.digest[0]);
	else if (a->type == ARG_NULL)
		other = integer(0);
	else if (a->type == ARG_BOOL)
		other = integer(a->boolean);
	else if (a->type == ARG_FLOAT && a->d == 0)
		other = real(-a->d);
	other.name = a->name;
	other.name_size = a->name_size;
	a->name = NULL;
	arg_fini(a);
	*a = other;
}

Test(call_args, two_hundred_pairs_differ_or_are_equal_in_their_bytes_as_in_their_values)
{
	unsigned differ = 0;
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		seed = pair;
		struct arg a = any_value(0), b = again(&a);
		cr_expect(same_bytes(&a, &b), "pair %u: equal values", pair);
		cr_expect(arg_equal(&a, &b), "pair %u",
			  pair); /* encoding has sorted both */
		change(&b);
		bool same = same_bytes(&a, &b);
		cr_expect(!same, "pair %u: different values", pair);
		cr_expect(!arg_equal(&a, &b), "pair %u", pair);
		differ += !same;
		arg_fini(&a);
		arg_fini(&b);
	}
	cr_expect_eq(differ, (unsigned)PAIRS);
}

Test(call_args, what_is_encoded_is_decoded)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		seed = 1000 + i;
		CLEANUP_BUF struct buf bytes = {0}, twice = {0};
		struct arg a = any_items(ARG_LIST, 0), k = any_items(ARG_MAP, 0);
		struct call_args call = {a.items, k.items, a.count, k.count}, back;
		cr_assert_eq(call_args_encode(&bytes, &call), 0);
		cr_assert(call_args_begin(bytes.data, bytes.size));
		cr_assert_eq(call_args_decode(bytes.data, bytes.size, &back), 0, "%u", i);
		cr_assert_eq(call_args_encode(&twice, &back), 0);
		cr_expect_eq(twice.size, bytes.size);
		cr_expect(!memcmp(twice.data, bytes.data, bytes.size), "%u", i);
		call_args_fini(&back);
		arg_fini(&a);
		arg_fini(&k);
	}
}

/* ---- what is refused */

static int decode_hex(const char *hex)
{
	uint8_t bytes[200];
	struct call_args a;
	size_t size = strlen(hex) / 2;
	cr_assert(size <= sizeof bytes && !hex_decode(bytes, size, hex));
	int r = call_args_decode(bytes, size, &a);
	if (!r)
		call_args_fini(&a);
	return r;
}

Test(call_args, bytes_that_no_encoder_writes_are_refused)
{
	static const char *const good[] = {"830280a0",	     "830281f6a0",
					   "830280a16161f6", "8302818101a0",
					   "8302818202a0a0", "830281f93c00a0"};
	static const char *const bad[] = {
		"",
		"83",
		"830180a0",		      /* scheme of commands */
		"830380a0",		      /* none that we know */
		"820280",		      /* no keywords */
		"830280a000",		      /* more behind it */
		"830280a2616101616102",	      /* a name twice */
		"830280a2616201616101",	      /* names not in order */
		"83028180a0",		      /* an array without a number in front */
		"8302818100a0",		      /* 0 is none */
		"8302818105a0",		      /* 5 neither */
		"8302818103a0",		      /* a reference to nothing */
		"83028182034101a0",	      /* a placeholder that is too short */
		"8302818302a0f6a0",	      /* more in a map than a map */
		"830281a0a0",		      /* a bare map */
		"8302811bffffffffffffffffa0", /* over 63 bits */
		"830281180aa0",		      /* not the shortest form */
		"830281fb3ff0000000000000a0", /* a float of another size */
		"83028161ffa0",		      /* no UTF-8 */
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_expect_eq(decode_hex(good[i]), 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(decode_hex(bad[i]), 1, "%s", bad[i]);
}

static struct arg nested(unsigned depth)
{
	return depth ? LIST(nested(depth - 1)) : integer(1);
}

Test(call_args, depth_number_and_names_are_bounded)
{
	struct arg deep[] = {nested(ARG_DEPTH_MAX), nested(ARG_DEPTH_MAX + 1)};
	for (unsigned i = 0; i < ARRAY_LEN(deep); i++) {
		CLEANUP_BUF struct buf bytes = {0};
		struct call_args call = {.positional = &deep[i], .positional_count = 1};
		cr_expect_eq(call_args_encode(&bytes, &call), (int)i);
		arg_fini(&deep[i]);
	}
	struct arg *many = calloc(ARG_COUNT_MAX + 1, sizeof *many);
	for (unsigned over = 0; over < 2; over++) {
		CLEANUP_BUF struct buf bytes = {0};
		struct call_args call = {.positional = many,
					 .positional_count = ARG_COUNT_MAX + over},
				 back;
		cr_expect_eq(call_args_encode(&bytes, &call), (int)over);
		if (over)
			continue;
		cr_expect_eq(call_args_decode(bytes.data, bytes.size, &back), 0);
		call_args_fini(&back);
	}
	free(many);
	struct arg twice[] = {named("a", integer(1)), named("a", integer(1))};
	struct call_args call = {.keywords = twice, .keyword_count = 2};
	CLEANUP_BUF struct buf bytes = {0};
	cr_expect_eq(call_args_encode(&bytes, &call), 1);
	arg_fini(&twice[0]);
	arg_fini(&twice[1]);
}

/* ---- references within */

static int note(void *arg, const char *label, struct arg *value)
{
	buf_printf(arg, "%s:%02x ", label, value->content.digest[0]);
	return 0;
}

Test(call_args, references_are_found_where_they_stand)
{
	CLEANUP_BUF struct buf bytes = {0}, labels = {0};
	struct arg by_position[] = {
		content(ARG_REF, CONTENT_JSON, 1),
		LIST(integer(1), LIST(content(ARG_FILE, CONTENT_FILE, 2)))};
	struct arg by_name[] = {
		named("z", content(ARG_REF, CONTENT_NONE, 0)),
		named("opts",
		      MAP(named("deep",
				MAP(named("x", content(ARG_REF, CONTENT_TREE, 3)))))),
	};
	struct call_args call = {by_position, by_name, 2, 2};
	cr_assert_eq(call_args_encode(&bytes, &call), 0);
	call_args_each(&call, note, &labels);
	cr_expect_str_eq(buf_cstr(&labels), "0:01 1[1][0]:02 z:00 opts.deep.x:03 ");

	struct args a = {0};
	cr_assert_eq(args_decode(bytes.data, bytes.size, &a), 0);
	cr_assert(a.call);
	cr_assert_eq(a.value_count, 0u);
	cr_assert_eq(a.input_count, 4u);
	static const char *const names[] = {"value", "data.csv", "value", "value"};
	static const uint8_t types[] = {CONTENT_JSON, CONTENT_FILE, CONTENT_NONE,
					CONTENT_TREE};
	for (size_t i = 0; i < a.input_count; i++) {
		const struct args_input *in = &a.inputs[i];
		cr_expect_str_eq(in->names[0], names[i]);
		cr_expect_eq(in->content.type, types[i]);
		cr_expect(!memcmp(bytes.data + in->offset, &in->content, CONTENT_SIZE),
			  "%zu: the offset is that of the placeholder", i);
	}
	cr_expect_str_eq(a.inputs[3].label, "opts.deep.x");
	args_fini(&a);
	for (size_t i = 0; i < 2; i++) {
		arg_fini(&by_position[i]);
		arg_fini(&by_name[i]);
	}
}

Test(call_args, people_are_shown_them_on_one_line)
{
	CLEANUP_BUF struct buf out = {0};
	struct arg a = LIST({.type = ARG_NULL}, {.type = ARG_BOOL, .boolean = true},
			    integer(-3), real(0.5), real(-0.0), text("a \"b\"\n"),
			    text_n(ARG_BYTES, "\0\xff", 2),
			    text_n(ARG_BYTES, "0123456789abcdefg", 17),
			    MAP(named("k", LIST(integer(1)))), content(ARG_REF, 1, 0xab),
			    content(ARG_REF, 0, 0), content(ARG_FILE, 1, 0xcd));
	arg_format(&out, &a);
	cr_expect_str_eq(
		buf_cstr(&out),
		"[null, true, -3, 0.5, -0.0, \"a \\\"b\\\"\\n\", <00ff>, <17 bytes>, "
		"{\"k\": [1]}, (abababababab), (result of a task), data.csv "
		"(cdcdcdcdcdcd)]");
	arg_fini(&a);
}
