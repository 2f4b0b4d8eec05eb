/* CBOR: the examples of RFC 8949 Appendix A that are within our subset, both ways; and everything
 * that is well-formed there but not deterministic, or outside the subset, refused. */
#include "common/pure/cbor.h"
#include "common/pure/hex.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t size = strlen(hex) / 2;
	cr_assert_eq(hex_decode(out, size, hex), 0, "%s", hex);
	return size;
}

static void expect_written(struct buf *b, const char *want)
{
	char hex[256];
	cr_assert(!b->failed);
	cr_assert_str_eq(hex_encode(hex, b->data, b->size), want);
	buf_reset(b);
}

static struct cbor_item read_one(const char *hex)
{
	static uint8_t data[256];
	struct cbor_reader r;
	struct cbor_item item;
	cbor_reader_init(&r, data, from_hex(hex, data));
	cr_assert_eq(cbor_read(&r, &item), 0, "%s", hex);
	return item;
}

static void expect_refused(const char *hex)
{
	uint8_t data[256];
	struct cbor_reader r;
	struct cbor_item item;
	cbor_reader_init(&r, data, from_hex(hex, data));
	cr_assert_eq(cbor_read(&r, &item), 1, "%s was accepted", hex);
	cr_assert(r.failed);
	cr_assert(!cbor_done(&r));
	cr_assert_eq(cbor_read(&r, &item), 1, "failure sticks");
}

Test(cbor, writes_and_reads_whole_numbers)
{
	static const struct {
		uint64_t value;
		const char *hex;
	} rows[] = {
		{0, "00"},
		{1, "01"},
		{10, "0a"},
		{23, "17"},
		{24, "1818"},
		{25, "1819"},
		{100, "1864"},
		{255, "18ff"},
		{256, "190100"},
		{1000, "1903e8"},
		{65535, "19ffff"},
		{65536, "1a00010000"},
		{1000000, "1a000f4240"},
		{UINT32_MAX, "1affffffff"},
		{4294967296, "1b0000000100000000"},
		{1000000000000, "1b000000e8d4a51000"},
		{UINT64_MAX, "1bffffffffffffffff"},
	};
	CLEANUP_BUF struct buf b = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cbor_add_uint(&b, rows[i].value);
		expect_written(&b, rows[i].hex);
		struct cbor_item item = read_one(rows[i].hex);
		cr_assert_eq(item.type, CBOR_UINT);
		cr_assert_eq(item.u, rows[i].value);
	}
}

Test(cbor, writes_and_reads_negative_numbers)
{
	static const struct {
		int64_t value;
		const char *hex;
	} rows[] = {
		{-1, "20"},	  {-10, "29"},	     {-24, "37"},
		{-25, "3818"},	  {-100, "3863"},    {-256, "38ff"},
		{-257, "390100"}, {-1000, "3903e7"}, {INT64_MIN, "3b7fffffffffffffff"},
	};
	CLEANUP_BUF struct buf b = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cbor_add_int(&b, rows[i].value);
		expect_written(&b, rows[i].hex);
		struct cbor_item item = read_one(rows[i].hex);
		cr_assert_eq(item.type, CBOR_NEGINT);
		cr_assert_eq(item.i, rows[i].value);
	}
	cbor_add_int(&b, 5);
	expect_written(&b, "05");
	expect_refused("3b8000000000000000"); /* less than INT64_MIN */
	expect_refused("3bffffffffffffffff");
}

Test(cbor, writes_and_reads_doubles_in_the_fewest_bytes)
{
	static const struct {
		double value;
		const char *hex;
	} rows[] = {
		{0.0, "f90000"},
		{-0.0, "f98000"},
		{1.0, "f93c00"},
		{1.1, "fb3ff199999999999a"},
		{1.5, "f93e00"},
		{3.0, "f94200"},
		{65504.0, "f97bff"},
		{65505.0, "fa477fe100"},
		{100000.0, "fa47c35000"},
		{3.4028234663852886e+38, "fa7f7fffff"},
		{1.0e+300, "fb7e37e43c8800759c"},
		{5.960464477539063e-8, "f90001"},
		{0.00006103515625, "f90400"},
		{-4.0, "f9c400"},
		{-4.1, "fbc010666666666666"},
		{5.9604644775390625e-8 / 2, "fa33000000"},
		{6.097555160522461e-05, "f903ff"},
		{1.401298464324817e-45, "fa00000001"},
		{5e-324, "fb0000000000000001"},
		{3.4028235677973366e+38, "fb47effffff0000000"},
		{INFINITY, "f97c00"},
		{-INFINITY, "f9fc00"},
	};
	CLEANUP_BUF struct buf b = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cbor_add_double(&b, rows[i].value);
		expect_written(&b, rows[i].hex);
		struct cbor_item item = read_one(rows[i].hex);
		cr_assert_eq(item.type, CBOR_DOUBLE);
		cr_assert_eq(memcmp(&item.d, &rows[i].value, 8), 0, "%s", rows[i].hex);
	}
	cbor_add_double(&b, (double)NAN);
	expect_written(&b, "f97e00");
	cr_assert(isnan(read_one("f97e00").d));
}

Test(cbor, refuses_doubles_that_are_longer_than_needed)
{
	expect_refused("fa3fc00000");	      /* 1.5 as 32 bits */
	expect_refused("fb3ff8000000000000"); /* 1.5 as 64 bits */
	expect_refused("fb40f86a0000000000"); /* 100000.0 as 64 bits */
	expect_refused("fa7f800000");	      /* infinity */
	expect_refused("fb7ff0000000000000");
	expect_refused("fbfff0000000000000");
	expect_refused("fa00000000"); /* zero */
	expect_refused("fb8000000000000000");
	expect_refused("fa7fc00000"); /* NaN */
	expect_refused("fb7ff8000000000000");
	expect_refused("f97e01");
	expect_refused("f9fe00");
	expect_refused("fa33800000"); /* the smallest half */
}

Test(cbor, every_half_reads_and_writes_as_itself)
{
	CLEANUP_BUF struct buf b = {0};
	for (uint32_t half = 0; half <= 0xffff; half++) {
		uint8_t data[3] = {0xf9, (uint8_t)(half >> 8), (uint8_t)half};
		struct cbor_reader r;
		struct cbor_item item;
		cbor_reader_init(&r, data, 3);
		bool is_nan = (half & 0x7c00) == 0x7c00 && half & 0x3ff;
		cr_assert_eq(cbor_read(&r, &item), is_nan && half != 0x7e00, "%x", half);
		if (r.failed)
			continue;
		cbor_add_double(&b, item.d);
		cr_assert_eq(b.size, 3);
		cr_assert_arr_eq(b.data, data, 3, "%x", half);
		buf_reset(&b);
	}
}

Test(cbor, writes_and_reads_simple_values)
{
	CLEANUP_BUF struct buf b = {0};
	cbor_add_bool(&b, false);
	expect_written(&b, "f4");
	cbor_add_bool(&b, true);
	expect_written(&b, "f5");
	cbor_add_null(&b);
	expect_written(&b, "f6");
	cr_assert_eq(read_one("f4").boolean, false);
	cr_assert_eq(read_one("f5").boolean, true);
	cr_assert_eq(read_one("f6").type, CBOR_NULL);
}

Test(cbor, writes_and_reads_strings)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{"", "60"},
		{"a", "6161"},
		{"IETF", "6449455446"},
		{"\"\\", "62225c"},
		{"\u00fc", "62c3bc"},
		{"\u6c34", "63e6b0b4"},
		{"\xf0\x90\x85\x91", "64f0908591"},
	};
	CLEANUP_BUF struct buf b = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cbor_add_text(&b, rows[i].text);
		expect_written(&b, rows[i].hex);
		struct cbor_item item = read_one(rows[i].hex);
		cr_assert_eq(item.type, CBOR_TEXT);
		cr_assert_eq(item.size, strlen(rows[i].text));
		cr_assert_arr_eq(item.data, rows[i].text, item.size);
	}
	cbor_add_bytes(&b, "\1\2\3\4", 4);
	expect_written(&b, "4401020304");
	cr_assert_eq(read_one("4401020304").type, CBOR_BYTES);
	cr_assert_eq(read_one("40").size, 0);
}

Test(cbor, writes_arrays_and_maps)
{
	CLEANUP_BUF struct buf b = {0};
	cbor_add_array(&b, 3);
	cbor_add_uint(&b, 1);
	cbor_add_array(&b, 2);
	cbor_add_uint(&b, 2);
	cbor_add_uint(&b, 3);
	cbor_add_array(&b, 0);
	expect_written(&b, "830182020380");
	cbor_add_map(&b, 2);
	cbor_add_text(&b, "a");
	cbor_add_uint(&b, 1);
	cbor_add_text(&b, "b");
	cbor_add_array(&b, 1);
	cbor_add_uint(&b, 2);
	expect_written(&b, "a26161016162"
			   "8102");
	cr_assert_eq(read_one("830182020380").u, 3);
	cr_assert_eq(read_one("a26161016162"
			      "8102")
			     .u,
		     2);
}

/* As an empty field of a message is. */
Test(cbor, nothing_needs_no_address)
{
	struct cbor_reader r;
	struct cbor_item item;
	cbor_reader_init(&r, NULL, 0);
	cr_expect(cbor_done(&r));
	cr_expect_eq(cbor_read(&r, &item), 1);
}

Test(cbor, refuses_numbers_that_are_longer_than_needed)
{
	expect_refused("1817");
	expect_refused("1900ff");
	expect_refused("1a0000ffff");
	expect_refused("1b00000000ffffffff");
	expect_refused("3817");
	expect_refused("580161");
	expect_refused("780161");
	expect_refused("980100");
	expect_refused("b8016161"
		       "01");
}

Test(cbor, refuses_what_is_outside_the_subset)
{
	expect_refused("");
	expect_refused("5f4101ff"); /* lengths not known beforehand */
	expect_refused("7f6161ff");
	expect_refused("9fff");
	expect_refused("bfff");
	expect_refused("ff");
	expect_refused("c074"); /* tags */
	expect_refused("d9d9f7"
		       "00");
	expect_refused("f7"); /* undefined, other simple values */
	expect_refused("e0");
	expect_refused("f0");
	expect_refused("f818");
	expect_refused("f8ff");
	expect_refused("1c"); /* reserved */
	expect_refused("5d");
	expect_refused("fe");
}

Test(cbor, refuses_what_is_cut_off)
{
	expect_refused("18");
	expect_refused("19ff");
	expect_refused("1affffff");
	expect_refused("1bffffffffffffff");
	expect_refused("f93c");
	expect_refused("4401");
	expect_refused("6261");
	expect_refused("5bffffffffffffffff");
	expect_refused("7bffffffffffffffff");
}

Test(cbor, refuses_counts_that_the_input_has_no_room_for)
{
	expect_refused("81");
	expect_refused("8201");
	expect_refused("9bffffffffffffffff00");
	expect_refused("a1");
	expect_refused("a161");
	expect_refused("bbffffffffffffffff0000");
	expect_refused("bb80000000000000000000");
}

Test(cbor, refuses_text_that_is_not_utf8)
{
	expect_refused("6180");
	expect_refused("61ff");
	expect_refused("62c080");     /* longer than needed */
	expect_refused("63eda080");   /* surrogate */
	expect_refused("64f4908080"); /* beyond U+10FFFF */
	expect_refused("62e282");     /* cut off */
}

Test(cbor, typed_reads_refuse_another_type)
{
	const uint8_t data[] = {0xf5};
	struct cbor_reader r;
	uint64_t u;
	int64_t i;
	bool boolean;
	const uint8_t *bytes;
	const char *text;
	size_t size;
	uint8_t digest[DIGEST_SIZE];
#define REFUSES(call)                                                                    \
	cbor_reader_init(&r, data, 1);                                                   \
	cr_assert_eq(call, 1);                                                           \
	cr_assert(r.failed)
	REFUSES(cbor_read_uint(&r, &u));
	REFUSES(cbor_read_int(&r, &i));
	REFUSES(cbor_read_bytes(&r, &bytes, &size));
	REFUSES(cbor_read_text(&r, &text, &size));
	REFUSES(cbor_read_digest(&r, digest));
	REFUSES(cbor_read_array(&r, &u));
	REFUSES(cbor_read_map(&r, &u));
#undef REFUSES
	cbor_reader_init(&r, data, 1);
	cr_assert_eq(cbor_read_bool(&r, &boolean), 0);
	cr_assert(boolean && cbor_done(&r));
}

Test(cbor, read_int_takes_both_signs_and_no_more_than_64_bits)
{
	const uint8_t data[] = {0x05, 0x24, 0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0};
	struct cbor_reader r;
	int64_t value;
	cbor_reader_init(&r, data, sizeof data);
	cr_assert_eq(cbor_read_int(&r, &value), 0);
	cr_assert_eq(value, 5);
	cr_assert_eq(cbor_read_int(&r, &value), 0);
	cr_assert_eq(value, -5);
	cr_assert_eq(cbor_read_int(&r, &value), 1);
}

Test(cbor, read_text_refuses_a_nul_inside)
{
	const uint8_t data[] = {0x63, 'a', 0, 'b'};
	struct cbor_reader r;
	const char *text;
	size_t size;
	cbor_reader_init(&r, data, sizeof data);
	cr_assert_eq(cbor_read_text(&r, &text, &size), 1);
}

Test(cbor, peek_does_not_move)
{
	const uint8_t data[] = {0x01};
	struct cbor_reader r;
	enum cbor_type type;
	cbor_reader_init(&r, data, 1);
	cr_assert_eq(cbor_peek_type(&r, &type), 0);
	cr_assert_eq(type, CBOR_UINT);
	cr_assert(!cbor_done(&r));
	uint64_t value;
	cr_assert_eq(cbor_read_uint(&r, &value), 0);
	cr_assert_eq(cbor_peek_type(&r, &type), 1);
	cr_assert(cbor_done(&r), "a look at the end is no failure");
}

static int skip(const char *hex)
{
	uint8_t data[256];
	struct cbor_reader r;
	cbor_reader_init(&r, data, from_hex(hex, data));
	return cbor_skip(&r) || !cbor_done(&r);
}

Test(cbor, skip_passes_one_whole_item)
{
	cr_assert_eq(skip("00"), 0);
	cr_assert_eq(skip("80"), 0);
	cr_assert_eq(skip("a0"), 0);
	cr_assert_eq(skip("830182020380"), 0);
	cr_assert_eq(skip("a26161016162820203"), 0);
	cr_assert_eq(skip("826161a161626163"), 0);
	cr_assert_eq(skip("8101"
			  "00"),
		     1, "a second item stays");
	cr_assert_eq(skip("8201"), 1);
}

Test(cbor, skip_checks_the_order_of_keys)
{
	cr_assert_eq(skip("a2616101616202"), 0);
	cr_assert_eq(skip("a2616201616102"), 1, "descending");
	cr_assert_eq(skip("a2616101616102"), 1, "twice");
	cr_assert_eq(skip("a2617a0162616102"), 0, "shorter first");
	cr_assert_eq(skip("a262616101617a02"), 1);
	cr_assert_eq(skip("a10102"), 1, "keys are text");
}

Test(cbor, skip_refuses_bottomless_nesting)
{
	uint8_t data[200];
	struct cbor_reader r;
	for (size_t depth = 1; depth < 150; depth++) {
		memset(data, 0x81, depth);
		data[depth] = 0x00;
		cbor_reader_init(&r, data, depth + 1);
		cr_assert_eq(cbor_skip(&r), depth > CBOR_DEPTH_MAX, "%zu", depth);
	}
}
