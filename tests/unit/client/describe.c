/* describe.c - describers are asked once for all, believed only if all is as it must be, and what they
 * said holds as long as what they looked at is as it was. The describer here is a script that
 * answers with files of ours. */
#include "client/describe/describe.h"

#include "client/describe/recall.h"
#include "common/fs.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ENTRY                                                                            \
	"\"entry\":{\"path\":\"f.py\",\"module\":\"f\",\"function\":\"f\",\"name\":"     \
	"\"f.py:f\",\"kind\":\"function\",\"signature\":{\"exact\":true,\"parameters\":" \
	"[{\"name\":\"x\",\"kind\":\"any\",\"required\":true},{\"name\":\"y\",\"kind\":" \
	"\"keyword\",\"required\":false,\"default\":{\"list\":[{\"int\":\"-5\"},"        \
	"{\"map\":[[\"a\",{\"bytes\":\"00ff\"}]]},{\"float\":\"3fe0000000000000\"}]}}]}" \
	"}"
#define REST                                                                             \
	"\"hash\":\"" DIGEST "\",\"identity\":\"" DIGEST "\",\"packages\":[{\"name\":"   \
	"\"numpy\",\"version\":null,\"counts\":true}],\"closure\":[{\"path\":\"f.py\","  \
	"\"file\":\"/src/f.py\",\"size\":5,\"sha256\":\"" DIGEST "\"}],\"definitions\":" \
	"[{\"label\":\"f\",\"kind\":\"function\",\"path\":\"f.py\",\"line\":3,"          \
	"\"sha256\":\"" DIGEST "\"},{\"label\":\"effects\",\"kind\":\"effects\","        \
	"\"sha256\":\"" DIGEST "\"}],\"warnings\":[{\"name\":\"computed-name\","         \
	"\"subject\":\"getattr\",\"message\":\"by name\",\"file\":\"f.py\",\"line\":4,"  \
	"\"column\":2}]"
#define ROW "{\"ok\":true," ENTRY "," REST "}"

static char dir[64];
static struct describer *d;
static struct err e;

static void write_bytes(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "w");
	cr_assert(f, "%s", path);
	fwrite(data, 1, size, f);
	fclose(f);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

/* The describer: one row for each target, from rows/; how often it began is in calls. */
static const char script[] =
	"#!/bin/sh\n"
	"echo \"$@\" >> calls\n"
	"printf '{\"protocol\":1,\"python\":{\"version\":\"3.11.2\"},\"targets\":['\n"
	"comma=\n"
	"while read -r target; do printf %s \"$comma\"; comma=,; cat \"rows/$target\"; "
	"done\n"
	"printf ']}\\n'\n";

static void begin(void)
{
	strcpy(dir, "/tmp/cashet-describe-XXXXXX");
	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(fs_mkdir_p("bin", 0755), 0);
	cr_assert_eq(fs_mkdir_p("rows", 0755), 0);
	cr_assert_eq(setenv("CASHET_RUNNER_PATH", "bin", 1), 0);
	write_text("bin/cashet-runner-python", script);
	chmod("bin/cashet-runner-python", 0755);
	write_text("rows/f.py:f", ROW);
	const struct describe_options options = {.folder = dir, .memo_path = "memo"};
	cr_assert_eq(describer_new(&d, &options, &e), 0);
}

static void finish(void)
{
	describer_free(d);
	cr_assert_eq(chdir("/"), 0);
	fs_remove_tree(dir);
}

TestSuite(describe, .init = begin, .fini = finish, .timeout = 240);

static uint32_t want(const char *file, const char *function)
{
	const struct describe_target target = {.file = file, .function = function};
	uint32_t number = 1000;
	cr_assert_eq(describer_want(d, &target, &number, &e), 0, "%s", e.what);
	return number;
}

static const struct described *describe(const char *file, const char *function)
{
	uint32_t number = want(file, function);
	cr_assert_eq(describer_run(d, &e), 0, "%s", e.what);
	return describer_get(d, number);
}

static int calls(void)
{
	int count = 0, c;
	FILE *f = fopen("calls", "r");
	while (f && (c = fgetc(f)) != EOF)
		count += c == '\n';
	if (f)
		fclose(f);
	return count;
}

Test(describe, an_answer_is_read_whole)
{
	const struct described *f = describe("f.py", "f");
	cr_assert(f->ok, "%s", f->error.message);
	cr_expect_str_eq(f->title, "f.py:f");
	cr_expect_str_eq(f->module, "f");
	cr_expect_str_eq(f->version, "3.11.2");
	cr_expect_str_eq(f->unit.language, "python");
	cr_expect_str_eq(f->unit.path, "f.py");
	cr_expect_str_eq(f->unit.name, "f");
	cr_expect_eq(f->unit.hash[1], 0x23);
	cr_assert_eq(f->unit.package_count, 1);
	cr_expect_null(f->unit.packages[0].version);
	cr_expect(f->unit.packages[0].counts);
	cr_assert_eq(f->unit.definition_count, 2);
	cr_expect_eq(f->unit.definitions[0].line, 3);
	cr_expect_str_eq(f->unit.definitions[1].path, "");
	cr_assert_eq(f->file_count, 1);
	cr_expect_str_eq(f->files[0].full_path, "/src/f.py");
	cr_expect_eq(f->files[0].size, 5);
	cr_assert_eq(f->warning_count, 1);
	cr_expect_str_eq(f->warnings[0].subject, "getattr");
	cr_assert_eq(f->parameter_count, 2);
	cr_expect(f->exact && f->parameters[0].required && !f->parameters[0].value);
	const struct arg *y = f->parameters[1].value;
	cr_assert(y && y->type == ARG_LIST && y->count == 3);
	cr_expect_eq(y->items[0].i, -5);
	cr_assert(y->items[1].type == ARG_MAP && y->items[1].count == 1);
	cr_expect_arr_eq(y->items[1].items[0].data, "\x00\xff", 2);
	cr_expect_eq(y->items[2].d, 0.5);
	cr_expect(!f->remembered);
}

Test(describe, one_process_answers_for_all_that_is_wanted)
{
	char name[32], path[64];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "f%d", i);
		snprintf(path, sizeof path, "rows/f.py:f%d", i);
		write_text(path, ROW);
		cr_expect_eq(want("f.py", name), (uint32_t)i);
	}
	for (int i = 0; i < 10000; i++)
		cr_assert_eq(want("f.py", "f7"), 7);
	cr_assert_eq(describer_run(d, &e), 0);
	for (uint32_t i = 0; i < 100; i++)
		cr_assert(describer_get(d, i)->ok);
	cr_expect_eq(calls(), 1);
	cr_assert_eq(describer_run(d, &e), 0);
	cr_expect_eq(calls(), 1);
}

Test(describe, what_cannot_be_described_says_so_and_the_others_are)
{
	write_text("rows/g.py:g",
		   "{\"ok\":false,\"error\":{\"name\":\"syntax\",\"message\":"
		   "\"bad\",\"file\":\"g.py\",\"line\":2,\"column\":7}}");
	uint32_t f = want("f.py", "f"), g = want("g.py", "g");
	cr_assert_eq(describer_run(d, &e), 0);
	cr_expect(describer_get(d, f)->ok);
	cr_assert_not(describer_get(d, g)->ok);
	cr_expect_not(describer_get(d, g)->no_program);
	cr_expect_eq(describe_fail(describer_get(d, g), &e), ERR_USAGE);
	cr_expect_str_eq(e.what, "g.py:2:7: bad");
}

Test(describe, interpreters_and_flags_are_asked_apart)
{
	write_text("bin/cashet-runner-c", script);
	chmod("bin/cashet-runner-c", 0755);
	write_text("rows/f.c:f", ROW);
	const char *const flags[] = {"-O3", "-DX=1 2"};
	const struct describe_target targets[] = {
		{.file = "f.py", .function = "f"},
		{.file = "f.py", .function = "f", .python = "sh"},
		{.file = "f.c", .function = "f"},
		{.file = "f.c", .function = "f", .flags = flags, .flag_count = 2}};
	uint32_t numbers[4];
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(describer_want(d, &targets[i], &numbers[i], &e), 0);
	cr_assert_eq(describer_run(d, &e), 0);
	for (size_t i = 0; i < 4; i++)
		cr_expect(describer_get(d, numbers[i])->ok, "%zu", i);
	cr_expect_eq(calls(), 4);
	CLEANUP_BUF struct buf text = {0};
	cr_assert_eq(fs_read_file("calls", 4096, &text), 0);
	cr_expect(strstr(buf_cstr(&text), "/sh describe --root"));
	cr_expect(strstr(buf_cstr(&text), "--flag -O3 --flag -DX=1 2 -\n"));
	const struct source_unit *u = &describer_get(d, numbers[3])->unit;
	cr_assert_eq(u->flag_count, 2);
	cr_expect_str_eq(u->flags[1], "-DX=1 2");
}

/* fails_with() - the describer went wrong, which is said of each target. */
static void fails_with(const char *with, const char *part)
{
	write_text("bin/cashet-runner-python", with);
	const struct described *f = describe("f.py", "f");
	cr_assert_not(f->ok);
	cr_expect(f->no_program);
	cr_expect_eq(describe_fail(f, &e), ERR_FAILED);
	cr_expect(strstr(e.what, part), "%s", e.what);
	cr_expect(*e.next);
}

Test(describe, a_describer_that_is_not_there_is_named)
{
	unlink("bin/cashet-runner-python");
	const struct described *f = describe("f.py", "f");
	cr_assert_not(f->ok);
	cr_expect(f->no_program);
	describe_fail(f, &e);
	cr_expect(strstr(e.what, "cashet-runner-python"));
	cr_expect(strstr(e.next, "install cashet-runner-python"));
}

Test(describe, an_interpreter_that_is_not_there_is_named)
{
	const struct describe_target t = {
		.file = "f.py", .function = "f", .python = "no-such-python"};
	uint32_t number;
	cr_assert_eq(describer_want(d, &t, &number, &e), 0);
	cr_assert_eq(describer_run(d, &e), 0);
	cr_expect_eq(describe_fail(describer_get(d, number), &e), ERR_FAILED);
	cr_expect(strstr(e.what, "no-such-python"));
}

Test(describe, one_that_dies_says_what_it_said)
{
	fails_with("#!/bin/sh\necho 'needs Python 3.9' >&2; exit 1\n",
		   "needs Python 3.9");
}

Test(describe, one_that_refuses_the_call_says_why)
{
	const char *const flags[] = {"-fplugin=x"};
	const struct describe_target t = {
		.file = "f.c", .function = "f", .flags = flags, .flag_count = 1};
	uint32_t number;
	write_text(
		"bin/cashet-runner-c",
		"#!/bin/sh\necho 'cashet-runner-c: not this flag; cashet-runner-c help "
		"says more' >&2; exit 2\n");
	chmod("bin/cashet-runner-c", 0755);
	cr_assert_eq(describer_want(d, &t, &number, &e), 0);
	cr_assert_eq(describer_run(d, &e), 0);
	cr_expect_eq(describe_fail(describer_get(d, number), &e), ERR_USAGE);
	cr_expect_str_eq(e.what, "f.c:f: not this flag");
	cr_expect_str_eq(e.next, "");
}

Test(describe, one_that_is_killed)
{
	fails_with("#!/bin/sh\nkill -9 $$\n", "signal 9");
}

Test(describe, another_protocol)
{
	fails_with("#!/bin/sh\necho '{\"protocol\":2,\"targets\":[]}'\n", "protocol 2");
}

Test(describe, an_answer_about_something_else)
{
	fails_with("#!/bin/sh\necho '{\"protocol\":1,\"targets\":[]}'\n", "not about");
}

Test(describe, an_answer_that_is_cut_off)
{
	fails_with("#!/bin/sh\nprintf '{\"protocol\":1,\"targets\":[{\"ok\"'\n", "ends");
}

Test(describe, one_that_hangs_is_ended)
{
	describer_free(d);
	const struct describe_options options = {.folder = dir,
						 .time_ns = 100 * NS_PER_MS};
	cr_assert_eq(describer_new(&d, &options, &e), 0);
	fails_with("#!/bin/sh\nexec sleep 1000\n", "in time");
}

/* Whatever is left out of a row, or something else: it is unreadable, and nothing worse. */
Test(describe, a_row_that_is_not_whole_is_refused)
{
	static const char *const keys[] = {"ok",      "entry",	"path",	   "name",
					   "kind",    "hash",	"closure", "file",
					   "size",    "sha256", "counts",  "label",
					   "message", "exact",	"required"};
	char row[sizeof ROW];
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		char quoted[32], function[8], path[32];
		snprintf(quoted, sizeof quoted, "\"%s\":", keys[i]);
		snprintf(function, sizeof function, "f%zu", i);
		snprintf(path, sizeof path, "rows/f.py:f%zu", i);
		strcpy(row, ROW);
		char *at = strstr(row, quoted);
		cr_assert(at, "%s", keys[i]);
		at[1] = '_'; /* as if it were not there */
		write_text(path, row);
		const struct described *f = describe("f.py", function);
		cr_expect_not(f->ok, "%s", keys[i]);
		cr_expect(strstr(f->error.message, "cannot be read"), "%s: %s", keys[i],
			  f->error.message);
	}
}

static void refused(const char *what, const char *with)
{
	CLEANUP_BUF struct buf row = {0};
	const char *at = strstr(ROW, what);
	cr_assert(at, "%s", what);
	buf_add(&row, ROW, (size_t)(at - ROW));
	buf_add_str(&row, with);
	buf_add_str(&row, at + strlen(what));
	write_text("rows/f.py:f", buf_cstr(&row));
	const struct describe_options options = {.folder = dir};
	describer_free(d);
	cr_assert_eq(describer_new(&d, &options, &e), 0);
	cr_expect_not(describe("f.py", "f")->ok, "%s for %s", with, what);
}

Test(describe, values_that_are_none_of_ours_are_refused)
{
	refused("\"path\":\"f.py\",\"file\"", "\"path\":\"../f.py\",\"file\"");
	refused("\"path\":\"f.py\",\"file\"", "\"path\":\"/f.py\",\"file\"");
	refused("\"path\":\"f.py\",\"file\"", "\"path\":\"g.py\",\"file\"");
	refused("\"/src/f.py\"", "\"src/f.py\"");
	refused("\"size\":5", "\"size\":-5");
	refused("\"size\":5", "\"size\":\"5\"");
	refused("\"line\":3", "\"line\":4294967296");
	refused("\"hash\":\"01", "\"hash\":\"0");
	refused("\"hash\":\"01", "\"hash\":\"zz");
	refused("\"kind\":\"any\"", "\"kind\":\"some\"");
	refused("{\"int\":\"-5\"}", "{\"int\":\"5x\"}");
	refused("{\"int\":\"-5\"}", "{\"int\":\"9223372036854775808\"}");
	refused("{\"int\":\"-5\"}", "{\"int\":\"5\",\"bool\":true}");
	refused("{\"int\":\"-5\"}", "{\"tuple\":[]}");
	refused("\"00ff\"", "\"00f\"");
	refused("\"3fe0000000000000\"", "\"3fe0\"");
	refused("[\"a\",", "[1,");
	refused("\"warnings\":[{", "\"warnings\":[3,{");
}

/* ---- targets */

Test(describe, targets_are_split_at_the_last_colon_before_a_name)
{
	static const struct {
		const char *text;
		size_t size;
		const char *name;
	} rows[] = {{"a.py:f", 4, "f"},
		    {"a:b.py:_f1", 6, "_f1"},
		    {"a.py", 4, NULL},
		    {"a.py:", 5, NULL},
		    {"a.py:1f", 7, NULL},
		    {":f", 2, NULL},
		    {"C:\\a.py", 7, NULL},
		    {"a.py:\xc3\xa9t\xc3\xa9", 4, "\xc3\xa9t\xc3\xa9"},
		    {"x/a.c:train", 5, "train"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name;
		cr_expect_eq(describe_split(rows[i].text, &name), rows[i].size, "%s",
			     rows[i].text);
		if (rows[i].name)
			cr_expect_str_eq(name, rows[i].name);
		else
			cr_expect_null(name);
	}
	const struct describe_target t = {.file = "a.txt", .function = "f"};
	uint32_t number;
	cr_expect_eq(describer_want(d, &t, &number, &e), ERR_USAGE);
}

/* ---- sources */

Test(describe, the_files_of_several_units_are_one_source)
{
	uint8_t digest[DIGEST_SIZE], again[DIGEST_SIZE];
	CLEANUP_BUF struct buf blob = {0};
	CLEANUP(source_fini) struct source s = {0};
	const struct described *f = describe("f.py", "f"), *units[] = {f, f};
	const char *const prefixes[] = {"", "lib/"};
	struct source_file more[2] = {{.path = "f.py", .executable = true, .size = 5},
				      {.path = "a.h", .size = 1}};
	memcpy(more[0].digest, f->files[0].digest, DIGEST_SIZE);
	const struct describe_source from = {.units = units,
					     .unit_count = 2,
					     .prefixes = prefixes,
					     .files = more,
					     .file_count = 2};
	cr_assert_eq(describe_source(&blob, digest, &from, &e), 0, "%s", e.what);
	sha256_digest(blob.data, blob.size, again);
	cr_expect_arr_eq(digest, again, DIGEST_SIZE);
	cr_assert_eq(source_decode(blob.data, blob.size, &s), 0);
	cr_assert_eq(s.file_count, 3);
	cr_expect_str_eq(s.files[0].path, "a.h");
	cr_expect_str_eq(s.files[1].path, "f.py");
	cr_expect(s.files[1].executable);
	cr_expect_str_eq(s.files[2].path, "lib/f.py");
	cr_assert_eq(s.unit_count, 2);
	cr_expect_str_eq(s.units[1].path, "lib/f.py");
	cr_expect_str_eq(s.units[1].definitions[0].path, "lib/f.py");
	more[0].digest[0]++;
	cr_expect_eq(describe_source(&blob, digest, &from, &e), ERR_USAGE);
	cr_expect(strstr(e.what, "f.py"));
}

/* ---- what is remembered */

static void remember(struct recall *r, const uint8_t key[DIGEST_SIZE])
{
	CLEANUP_BUF struct buf row = {0};
	char looked[512];
	struct stat file, folder;
	cr_assert(stat("f.py", &file) == 0 && stat("rows", &folder) == 0);
	snprintf(
		looked, sizeof looked,
		"{\"files\":[[\"%s/f.py\",%lld,%lld%09ld,%lu]],\"folders\":[[\"%s/rows\","
		"%lld%09ld,%lu]],\"absent\":[\"%s/nothing\"]}",
		dir, (long long)file.st_size, (long long)file.st_mtim.tv_sec,
		file.st_mtim.tv_nsec, (unsigned long)file.st_ino, dir,
		(long long)folder.st_mtim.tv_sec, folder.st_mtim.tv_nsec,
		(unsigned long)folder.st_ino, dir);
	buf_add_str(&row, "{\"row\":\"1\"}");
	recall_put(r, key, "3.11", &row, looked, strlen(looked));
}

static bool remembers(const uint8_t key[DIGEST_SIZE])
{
	CLEANUP(recall_fini) struct recall r;
	const char *version, *row;
	size_t size;
	cr_assert_eq(recall_init(&r, "answers"), 0);
	bool found = recall_find(&r, key, &version, &row, &size);
	if (found) {
		cr_expect_str_eq(version, "3.11");
		cr_expect_eq(size, 11);
		cr_expect_arr_eq(row, "{\"row\":\"1\"}", 11);
	}
	return found;
}

static const uint8_t key[DIGEST_SIZE] = {1}, other[DIGEST_SIZE] = {2};

static void remember_in_file(void)
{
	CLEANUP(recall_fini) struct recall r;
	write_text("f.py", "text");
	cr_assert_eq(recall_init(&r, "answers"), 0);
	r.settle_ns = 0; /* else a test would have to wait */
	remember(&r, key);
	recall_save(&r);
	cr_assert(remembers(key));
	cr_expect_not(remembers(other));
}

Test(describe, a_file_that_changed_is_noticed)
{
	remember_in_file();
	write_text("f.py", "more");
	cr_expect_not(remembers(key));
}

Test(describe, so_is_one_of_the_same_size_with_its_old_times)
{
	struct stat st;
	remember_in_file();
	stat("f.py", &st);
	write_text("f.py", "TEXT");
	const struct timespec times[] = {st.st_atim, st.st_mtim};
	cr_assert_eq(utimensat(AT_FDCWD, "f.py", times, 0), 0);
	cr_expect_not(remembers(key));
}

Test(describe, so_is_one_that_is_gone)
{
	remember_in_file();
	unlink("f.py");
	cr_expect_not(remembers(key));
}

Test(describe, so_is_a_new_file_in_a_folder_that_was_searched)
{
	remember_in_file();
	write_text("rows/new", "");
	cr_expect_not(remembers(key));
}

Test(describe, so_is_what_was_not_there)
{
	remember_in_file();
	write_text("nothing", "");
	cr_expect_not(remembers(key));
}

Test(describe, what_was_touched_just_now_is_not_remembered)
{
	CLEANUP(recall_fini) struct recall r;
	write_text("f.py", "text");
	cr_assert_eq(recall_init(&r, "answers"), 0);
	remember(&r, key);
	recall_save(&r);
	cr_expect(access("answers", F_OK) < 0);
}

Test(describe, nor_what_changed_since_the_describer_looked)
{
	CLEANUP(recall_fini) struct recall r;
	CLEANUP_BUF struct buf row = {0};
	const char looked[] = "{\"files\":[[\"/etc/passwd\",1,1,1]],\"folders\":[]}";
	cr_assert_eq(recall_init(&r, "answers"), 0);
	buf_add_str(&row, "{}");
	recall_put(&r, key, "", &row, looked, strlen(looked));
	recall_put(&r, key, "", &row, "null", 4);
	recall_put(&r, key, "", &row, "{}", 2);
	recall_save(&r);
	cr_expect(access("answers", F_OK) < 0);
}

Test(describe, a_damaged_memory_is_none)
{
	CLEANUP_BUF struct buf file = {0};
	remember_in_file();
	cr_assert_eq(fs_read_file("answers", 1 << 20, &file), 0);
	for (size_t i = 0; i < file.size; i++) {
		file.data[i] ^= 1;
		write_bytes("answers", file.data, file.size);
		cr_expect_not(remembers(key), "byte %zu", i);
		file.data[i] ^= 1;
	}
	for (size_t size = 0; size < file.size; size++) {
		write_bytes("answers", file.data, size);
		cr_expect_not(remembers(key), "%zu bytes", size);
	}
}

Test(describe, what_others_remembered_stays)
{
	CLEANUP(recall_fini) struct recall r;
	const char *version, *row;
	size_t size;
	remember_in_file();
	cr_assert_eq(recall_init(&r, "answers"), 0);
	r.settle_ns = 0;
	cr_assert(recall_find(&r, key, &version, &row, &size));
	remember(&r, other);
	recall_save(&r);
	cr_expect(remembers(key) && remembers(other));
}
