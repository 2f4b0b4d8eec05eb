/* files.c - local files and folders: found, hashed, remembered. */
#include "client/batch/files.h"
#include "sample.h"

#include "common/fs.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct files files;
static struct err e;

static void begin(void)
{
	sample_begin();
	cr_assert_eq(files_init(&files, "b.yaml", NULL, &e), 0);
}

static void end(void)
{
	files_fini(&files);
	sample_end();
}

#define FILES .init = begin, .fini = end

static const struct files_member *member(const struct files_item *item, const char *path)
{
	for (uint32_t i = 0; i < item->count; i++)
		if (!strcmp(item->members[i].path, path))
			return &item->members[i];
	return NULL;
}

Test(batch_files, a_folder_is_a_tree_blob_that_a_worker_accepts, FILES)
{
	struct files_item *item;
	struct content_entries entries = {0};
	sample_write("d/b/x", "1");
	sample_write("d/a", "22");
	sample_write("d/a.b", "");
	sample_write("d/.hidden", "h");
	sample_write("d/.cashet/meta.db", "the store itself");
	sample_write("d/__pycache__/c.pyc", "p");
	fs_mkdir_p("d/empty/below", 0755);
	chmod("d/a", 0755);
	cr_assert_eq(files_get(&files, "d", FILES_INPUT, &item, &e), 0, "%s", e.what);
	cr_expect_eq(item->content.type, CONTENT_TREE);
	cr_assert_eq(content_decode_tree(item->tree, item->tree_size, &entries), 0);
	static const char *const paths[] = {".hidden", "__pycache__/c.pyc", "a", "a.b",
					    "b/x",     "empty/below"};
	cr_assert_eq(entries.count, ARRAY_LEN(paths));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		cr_expect_str_eq(entries.items[i].path, paths[i]);
	cr_expect_eq(entries.items[2].content.type, CONTENT_EXEC);
	cr_expect_eq(entries.items[4].content.type, CONTENT_FILE);
	cr_expect_eq(entries.items[5].content.type, CONTENT_DIR);
	content_entries_fini(&entries);
}

Test(batch_files, code_leaves_out_what_changes_by_itself, FILES)
{
	struct files_item *item;
	sample_write("d/a.py", "1");
	sample_write("d/a.pyc", "1");
	sample_write("d/__pycache__/a.py", "1");
	sample_write("d/.git/HEAD", "1");
	cr_assert_eq(files_get(&files, "d", FILES_CODE, &item, &e), 0, "%s", e.what);
	cr_expect_eq(item->count, 1);
	cr_expect(member(item, "a.py"));
}

Test(batch_files, links_are_followed_inside_of_a_folder_only, FILES)
{
	struct files_item *item;
	sample_write("d/a", "content");
	sample_write("outside", "o");
	cr_assert_eq(symlink("a", "d/link"), 0);
	cr_assert_eq(files_get(&files, "d", FILES_INPUT, &item, &e), 0, "%s", e.what);
	cr_assert(member(item, "link"));
	cr_expect_arr_eq(member(item, "link")->content.digest,
			 member(item, "a")->content.digest, DIGEST_SIZE);
	fs_mkdir_p("out", 0755);
	cr_assert_eq(symlink("../outside", "out/link"), 0);
	cr_expect_eq(files_get(&files, "out", FILES_INPUT, &item, &e), ERR_USAGE);
	cr_expect(strstr(e.what, "link \"link\" in \"out\" leads outside"), "%s", e.what);
	fs_mkdir_p("loop/sub", 0755);
	cr_assert_eq(symlink("..", "loop/sub/up"), 0);
	cr_expect_eq(files_get(&files, "loop", FILES_INPUT, &item, &e), ERR_USAGE);
	cr_expect_str_eq(e.what,
			 "link \"sub/up\" in \"loop\" leads to a folder that it is in");
	cr_assert_eq(symlink("nowhere", "loop/sub/dangling"), 0);
	unlink("loop/sub/up");
	cr_expect_eq(files_get(&files, "loop/.", FILES_INPUT, &item, &e), ERR_USAGE);
	cr_expect(strstr(e.what, "leads nowhere"), "%s", e.what);
}

Test(batch_files, what_is_no_file_is_refused_without_waiting, FILES)
{
	struct files_item *item;
	cr_assert_eq(mkfifo("pipe", 0600), 0);
	cr_expect_eq(files_get(&files, "pipe", FILES_INPUT, &item, &e), ERR_USAGE);
	cr_expect_str_eq(e.what, "\"pipe\" is neither a file nor a folder");
	fs_mkdir_p("d", 0755);
	cr_assert_eq(mkfifo("d/pipe", 0600), 0);
	cr_expect_eq(files_get(&files, "d", FILES_INPUT, &item, &e), ERR_USAGE);
	cr_expect_str_eq(e.what, "\"pipe\" in \"d\" is neither a file nor a folder");
}

/* ---- the memo */

static void age(const char *path)
{
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static char path[4200];
static const char *absolute(const char *name)
{
	char here[4096];
	snprintf(path, sizeof path, "%s/%s", getcwd(here, sizeof here), name);
	return path;
}

/* The change time cannot be set, so a stat is made up, as of a file that was left alone. */
static struct stat old_stat(const char *name)
{
	struct stat st;
	cr_assert_eq(stat(name, &st), 0);
	st.st_ctim = st.st_mtim;
	return st;
}

Test(batch_memo, remembers_while_nothing_of_the_file_changes, .init = sample_begin,
     .fini = sample_end)
{
	struct memo memo = {.path = "memo"};
	uint8_t digest[DIGEST_SIZE], found[DIGEST_SIZE];
	sample_write("f", "x");
	age("f");
	struct stat st = old_stat("f");
	sha256_digest("x", 1, digest);
	cr_expect(!memo_find(&memo, absolute("f"), &st, found));
	memo_put(&memo, absolute("f"), &st, digest);
	memo_save(&memo);
	memo_fini(&memo);

	memo = (struct memo){.path = "memo"};
	cr_expect(memo_find(&memo, absolute("f"), &st, found));
	cr_expect_arr_eq(found, digest, DIGEST_SIZE);
	cr_expect(!memo_find(&memo, absolute("g"), &st, found));
	struct stat changed = st;
	changed.st_size++;
	cr_expect(!memo_find(&memo, absolute("f"), &changed, found));
	changed = st;
	changed.st_mtim.tv_nsec++;
	cr_expect(!memo_find(&memo, absolute("f"), &changed, found));
	changed = st;
	changed.st_ctim.tv_sec++;
	cr_expect(!memo_find(&memo, absolute("f"), &changed, found));
	changed = st;
	changed.st_ino++;
	cr_expect(!memo_find(&memo, absolute("f"), &changed, found));
	memo_fini(&memo);
}

Test(batch_memo, does_not_remember_what_was_just_touched, .init = sample_begin,
     .fini = sample_end)
{
	struct memo memo = {.path = "memo"};
	uint8_t digest[DIGEST_SIZE] = {1};
	struct stat st;
	sample_write("f", "x");
	cr_assert_eq(stat("f", &st), 0);
	memo_put(&memo, absolute("f"), &st, digest);
	cr_expect(!memo_find(&memo, absolute("f"), &st, digest));
	memo_save(&memo);
	cr_expect_neq(access("memo", F_OK), 0);
	memo_fini(&memo);
}

Test(batch_memo, a_damaged_memo_is_as_if_it_were_not_there, .init = sample_begin,
     .fini = sample_end)
{
	struct memo memo = {.path = "memo"};
	uint8_t digest[DIGEST_SIZE] = {1};
	CLEANUP_BUF struct buf file = {0};
	sample_write("f", "x");
	age("f");
	struct stat st = old_stat("f");
	memo_put(&memo, absolute("f"), &st, digest);
	memo_save(&memo);
	memo_fini(&memo);
	cr_assert_eq(fs_read_file("memo", 4096, &file), 0);
	for (size_t i = 0; i < file.size; i++) {
		file.data[i] ^= 1;
		sample_write_bytes("memo", file.data, file.size);
		memo = (struct memo){.path = "memo"};
		cr_expect(!memo_find(&memo, absolute("f"), &st, digest),
			  "flipped byte %zu", i);
		memo_fini(&memo);
		file.data[i] ^= 1;
	}
	for (size_t i = 0; i < file.size; i++) {
		sample_write_bytes("memo", file.data, i);
		memo = (struct memo){.path = "memo"};
		cr_expect(!memo_find(&memo, absolute("f"), &st, digest), "cut at %zu", i);
		memo_fini(&memo);
	}
}
