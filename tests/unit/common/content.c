/* Trees, results, values: what their decoders accept and what they refuse. */
#include "common/format/content.h"
#include "common/format/value.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct content content_of(uint8_t type, uint8_t fill)
{
	struct content c = {.type = type};
	memset(c.digest, fill, DIGEST_SIZE);
	if (type == CONTENT_DIR)
		memcpy(c.digest, sha256_empty, DIGEST_SIZE);
	return c;
}

static void add(struct content_entries *e, const char *name, const char *path,
		uint8_t type)
{
	struct content c = content_of(type, 7);
	cr_assert_eq(content_entries_add(e, name, path, &c, type == CONTENT_DIR ? 0 : 5),
		     0);
}

Test(content, a_tree_reads_back_in_order)
{
	CLEANUP(content_entries_fini) struct content_entries e = {0}, back = {0};
	CLEANUP_BUF struct buf b = {0};
	add(&e, NULL, "z", CONTENT_FILE);
	add(&e, NULL, "a/run.sh", CONTENT_EXEC);
	add(&e, NULL, "empty", CONTENT_DIR);
	content_encode_tree(&b, &e);
	cr_assert_str_eq(e.items[0].path, "z", "the caller's order stays");
	cr_assert_eq(content_decode_tree(b.data, b.size, &back), 0);
	cr_assert_eq(back.count, 3);
	cr_assert_str_eq(back.items[0].path, "a/run.sh");
	cr_assert_eq(back.items[0].content.type, CONTENT_EXEC);
	cr_assert_eq(back.items[0].content.digest[31], 7);
	cr_assert_eq(back.items[0].size, 5);
	cr_assert_null(back.items[0].name);
	cr_assert_str_eq(back.items[1].path, "empty");
	cr_assert_str_eq(back.items[2].path, "z");
}

Test(content, a_result_reads_back_by_name)
{
	CLEANUP(content_entries_fini) struct content_entries e = {0}, back = {0};
	CLEANUP_BUF struct buf b = {0};
	add(&e, "weights", "out/w.bin", CONTENT_FILE);
	add(&e, "all", "out", CONTENT_TREE);
	content_encode_result(&b, &e);
	cr_assert_eq(content_decode_result(b.data, b.size, &back), 0);
	cr_assert_eq(back.count, 2);
	cr_assert_str_eq(back.items[0].name, "all");
	cr_assert_str_eq(back.items[0].path, "out");
	cr_assert_str_eq(back.items[1].name, "weights");
}

Test(content, empty_lists_are_fine)
{
	CLEANUP(content_entries_fini) struct content_entries e = {0}, back = {0};
	CLEANUP_BUF struct buf b = {0};
	content_encode_tree(&b, &e);
	cr_assert_eq(content_decode_tree(b.data, b.size, &back), 0);
	cr_assert_eq(content_decode_result(b.data, b.size, &back), 1,
		     "a tree is no result");
	buf_reset(&b);
	content_encode_result(&b, &e);
	cr_assert_eq(content_decode_result(b.data, b.size, &back), 0);
	cr_assert_eq(content_decode_tree(b.data, b.size, &back), 1);
	cr_assert_eq(back.count, 0);
}

/* A tree written row by row in the order given, as an attacker would. */
static int decode_rows(const char *const *paths, size_t count, uint8_t type,
		       uint64_t size)
{
	CLEANUP_BUF struct buf b = {0};
	struct content c = content_of(type, 1);
	cbor_add_array(&b, 3);
	cbor_add_text(&b, "cashet.tree");
	cbor_add_uint(&b, 1);
	cbor_add_array(&b, count);
	for (size_t i = 0; i < count; i++) {
		cbor_add_array(&b, 4);
		cbor_add_text(&b, paths[i]);
		cbor_add_uint(&b, type);
		cbor_add_uint(&b, size);
		cbor_add_bytes(&b, c.digest, DIGEST_SIZE);
	}
	CLEANUP(content_entries_fini) struct content_entries e = {0};
	int rc = content_decode_tree(b.data, b.size, &e);
	cr_assert(rc == 0 || e.items == NULL, "nothing is kept on failure");
	return rc;
}
#define ROWS(type, size, ...)                                                            \
	decode_rows((const char *const[]){__VA_ARGS__},                                  \
		    ARRAY_LEN(((const char *const[]){__VA_ARGS__})), type, size)

Test(content, a_tree_that_leaves_its_folder_is_refused)
{
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a"), 0);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "../a"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "/a"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a/../../b"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a/./b"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a//b"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, ""), 1);
}

Test(content, a_tree_out_of_order_is_refused)
{
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a", "b"), 0);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "b", "a"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a", "a"), 1);
}

Test(content, a_file_that_is_another_entrys_folder_is_refused)
{
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a", "a/b"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a", "a-b", "a/b"), 1, "not only next to it");
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a", "a-b", "a-b.c", "a.d", "ab"), 0);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a", "a!", "a!/x", "a/b/c"), 1);
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a/b", "a/b/c/d"), 1);
	cr_assert_eq(ROWS(CONTENT_DIR, 0, "a", "a/b"), 1,
		     "an empty folder has nothing inside");
	cr_assert_eq(ROWS(CONTENT_FILE, 1, "a/b", "a/c", "b"), 0);
}

Test(content, a_tree_has_files_and_empty_folders_only)
{
	cr_assert_eq(ROWS(CONTENT_EXEC, 1, "a"), 0);
	cr_assert_eq(ROWS(CONTENT_DIR, 0, "a"), 0);
	cr_assert_eq(ROWS(CONTENT_DIR, 1, "a"), 1);
	cr_assert_eq(ROWS(CONTENT_NONE, 1, "a"), 1);
	cr_assert_eq(ROWS(CONTENT_TREE, 1, "a"), 1);
	cr_assert_eq(ROWS(CONTENT_LIST, 1, "a"), 1);
	cr_assert_eq(ROWS(CONTENT_RESULT, 1, "a"), 1);
	cr_assert_eq(ROWS(CONTENT_EXTERN, 1, "a"), 1);
	cr_assert_eq(ROWS(8, 1, "a"), 1);
	cr_assert_eq(ROWS(200, 1, "a"), 1);
}

Test(content, every_prefix_and_every_flipped_bit_is_refused_or_whole)
{
	CLEANUP(content_entries_fini) struct content_entries e = {0};
	CLEANUP_BUF struct buf b = {0};
	add(&e, NULL, "a/run.sh", CONTENT_EXEC);
	add(&e, NULL, "empty", CONTENT_DIR);
	content_encode_tree(&b, &e);
	for (size_t size = 0; size < b.size; size++) {
		CLEANUP(content_entries_fini) struct content_entries back = {0};
		cr_assert_eq(content_decode_tree(b.data, size, &back), 1, "%zu", size);
	}
	for (size_t bit = 0; bit < 8 * b.size; bit++) {
		CLEANUP(content_entries_fini) struct content_entries back = {0};
		CLEANUP_BUF struct buf again = {0};
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (!content_decode_tree(b.data, b.size, &back)) {
			content_encode_tree(&again, &back);
			cr_assert_eq(again.size, b.size);
			cr_assert_arr_eq(again.data, b.data, b.size,
					 "one content, one form");
		}
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void expect_value(const struct value *v, const char *hex, const char *text)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP_BUF struct buf formatted = {0};
	char got[256];
	value_encode(&b, v);
	cr_assert_str_eq(hex_encode(got, b.data, b.size), hex);
	value_format(&formatted, v);
	cr_assert_str_eq(buf_cstr(&formatted), text);
	struct cbor_reader r;
	CLEANUP(value_fini) struct value back = {0};
	cbor_reader_init(&r, b.data, b.size);
	cr_assert_eq(value_decode(&r, &back), 0);
	cr_assert(cbor_done(&r));
	cr_assert(value_equal(v, &back));
}

Test(value, keeps_type_and_text)
{
	char text[] = "1.20", empty[] = "";
	expect_value(&(struct value){VALUE_BOOL, .boolean = true}, "f5", "true");
	expect_value(&(struct value){VALUE_BOOL, .boolean = false}, "f4", "false");
	expect_value(&(struct value){VALUE_INT, .i = 3}, "03", "3");
	expect_value(&(struct value){VALUE_INT, .i = -3}, "22", "-3");
	expect_value(&(struct value){VALUE_INT, .i = INT64_MAX}, "1b7fffffffffffffff",
		     "9223372036854775807");
	expect_value(&(struct value){VALUE_INT, .i = INT64_MIN}, "3b7fffffffffffffff",
		     "-9223372036854775808");
	expect_value(&(struct value){VALUE_UINT, .u = UINT64_MAX}, "1bffffffffffffffff",
		     "18446744073709551615");
	expect_value(&(struct value){VALUE_DOUBLE, .d = 3.0}, "f94200", "3.0");
	expect_value(&(struct value){VALUE_DOUBLE, .d = 0.1}, "fb3fb999999999999a",
		     "0.1");
	expect_value(&(struct value){VALUE_DOUBLE, .d = 1e-5}, "fb3ee4f8b588e368f1",
		     "1e-05");
	expect_value(&(struct value){VALUE_STRING, .text = text}, "64312e3230", "1.20");
	expect_value(&(struct value){VALUE_STRING, .text = empty}, "60", "");
}

Test(value, equality_is_that_of_the_bytes)
{
	struct value three = {VALUE_INT, .i = 3}, float_three = {VALUE_DOUBLE, .d = 3.0};
	struct value zero = {VALUE_DOUBLE, .d = 0.0},
		     minus_zero = {VALUE_DOUBLE, .d = -0.0};
	cr_assert(!value_equal(&three, &float_three));
	cr_assert(!value_equal(&zero, &minus_zero));
}

Test(value, refuses_what_is_no_value)
{
	static const char *const hexes[] = {"f6",   "f97e00", "80", "a0",
					    "4101", "6100",   "",   "1817"};
	for (size_t i = 0; i < ARRAY_LEN(hexes); i++) {
		uint8_t data[16];
		struct cbor_reader r;
		struct value v;
		size_t size = strlen(hexes[i]) / 2;
		hex_decode(data, size, hexes[i]);
		cbor_reader_init(&r, data, size);
		cr_assert_eq(value_decode(&r, &v), 1, "%s", hexes[i]);
	}
}
