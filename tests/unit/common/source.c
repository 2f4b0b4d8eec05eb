/* source.c - the source blob: what is encoded is decoded, and nothing else is. */
#include "common/format/source.h"
#include "tests/unit/common/samples.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(source, what_is_encoded_is_decoded)
{
	CLEANUP_BUF struct buf bytes = {0}, twice = {0};
	struct source s;
	source_encode(&bytes, sample_source());
	cr_assert_eq(source_decode(bytes.data, bytes.size, &s), 0);
	cr_assert_eq(s.file_count, 3u);
	cr_expect_str_eq(s.files[0].path, "lib/util.py", "sorted by path");
	cr_expect(s.files[1].executable);
	cr_assert_eq(s.unit_count, 2u);
	const struct source_unit *u = &s.units[0];
	cr_expect_str_eq(u->language, "python");
	cr_expect_str_eq(u->name, "train");
	cr_expect_eq(u->package_count, 2u);
	cr_expect_null(u->packages[1].version);
	cr_expect(u->packages[0].counts);
	cr_expect_eq(u->definition_count, 2u);
	cr_expect_eq(u->definitions[1].line, 3u);
	cr_expect_null(s.units[1].name);
	cr_expect_str_eq(s.units[1].flags[1], "-DX=1");
	source_encode(&twice, &s);
	cr_expect_eq(twice.size, bytes.size);
	cr_expect(!memcmp(twice.data, bytes.data, bytes.size));
	source_fini(&s);
}

Test(source, every_truncation_and_every_flipped_bit_is_refused_or_decoded_whole)
{
	CLEANUP_BUF struct buf bytes = {0};
	struct source s;
	source_encode(&bytes, sample_source());
	for (size_t size = 0; size < bytes.size; size++)
		cr_expect_eq(source_decode(bytes.data, size, &s), 1, "%zu bytes", size);
	for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
		CLEANUP_BUF struct buf again = {0};
		bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (!source_decode(bytes.data, bytes.size, &s)) {
			source_encode(&again, &s);
			cr_expect(again.size == bytes.size &&
					  !memcmp(again.data, bytes.data, bytes.size),
				  "bit %zu", bit);
			source_fini(&s);
		}
		bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static int check(struct source *s)
{
	CLEANUP_BUF struct buf bytes = {0};
	struct source back;
	source_encode(&bytes, s);
	int r = source_decode(bytes.data, bytes.size, &back);
	if (!r)
		source_fini(&back);
	return r;
}

Test(source, paths_stay_inside_and_each_unit_has_its_file)
{
	static const char *const bad[] = {"/etc/passwd", "../x", "a/../../b", "",
					  "a//b",	 "a/"};
	struct source_file file = {.path = "a.py", .size = 3},
			   two[] = {{.path = "a.py"}, {.path = "a.py"}},
			   within[] = {{.path = "a.py"}, {.path = "a.py/b"}};
	struct source_unit unit = {.language = "python", .path = "a.py"};
	struct source s = {&file, &unit, 1, 1};
	cr_expect_eq(check(&s), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		file.path = unit.path = (char *)bad[i];
		cr_expect_eq(check(&s), 1, "%s", bad[i]);
	}
	file.path = "a.py";
	unit.path = "b.py";
	cr_expect_eq(check(&s), 1, "a unit without a file");
	unit.path = "a.py";
	s.files = two;
	s.file_count = 2;
	cr_expect_eq(check(&s), 1, "a path twice");
	s.files = within;
	cr_expect_eq(check(&s), 1, "a file in a file");
}
