/* A checkpoint taken from one attempt's directory and laid out in another's. */
#include "worker/checkpoint.h"

#include "common/fs.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX 1000

static char root[64];
static struct dirs dirs;
static struct dir *from, *to;
static struct report *report;
static bool is_gone; /* the store has lost the files */

static void set_up(void)
{
	strcpy(root, "/tmp/cashet-checkpoint-XXXXXX");
	cr_assert_not_null(mkdtemp(root));
	dirs_init(&dirs, root);
	cr_assert_eq(dirs_take(&dirs, &from), 0);
	cr_assert_eq(dirs_take(&dirs, &to), 0);
	report = report_new();
}

static void tear_down(void)
{
	report_free(report);
	dir_drop(from);
	dir_drop(to);
	dirs_fini(&dirs);
	fs_remove_tree(root);
}

TestSuite(checkpoint, .init = set_up, .fini = tear_down);

static const char *in(const struct dir *dir, const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", dir->paths[DIR_CHECKPOINT], name);
	return path;
}

static void put(const char *name, const char *text)
{
	cr_assert_eq(fs_write_atomic(in(from, name), text, strlen(text), 0600), 0);
}

static const char *content(const char *path)
{
	static char text[5000];
	FILE *f = fopen(path, "r");
	if (!f)
		return NULL;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	return text;
}

/* The blobs that the report noted for upload are the store. */
static int open_noted(void *arg, const uint8_t digest[DIGEST_SIZE], int *fdp,
		      uint64_t *sizep, struct err *e)
{
	for (size_t i = 0; i < report->blob_count; i++) {
		const struct report_blob *b = &report->blobs[i];
		if (memcmp(b->digest, digest, DIGEST_SIZE) || (is_gone && b->path))
			continue;
		*sizep = b->size;
		*fdp = b->path ? open(b->path, O_RDONLY) : memfd_create("blob", 0);
		if (!b->path) {
			cr_assert_eq(write(*fdp, b->data, b->size), (ssize_t)b->size);
			lseek(*fdp, 0, SEEK_SET);
		}
		return LAYOUT_OK;
	}
	return LAYOUT_MISSING;
}

static enum layout_result lay_out(const char *left_out)
{
	const Cashet__Content *c = report->checkpoint.content;
	const struct layout_source source = {NULL, open_noted};
	const struct checkpoint_place place = {
		.dir = to->paths[DIR_CHECKPOINT],
		.err = to->paths[DIR_ERR],
		.digest = c ? c->digest.data : NULL,
		.left_out = left_out,
		.source = &source,
	};
	struct err e = {0};
	return checkpoint_lay_out(&place, &e);
}

Test(checkpoint, comes_back_as_it_was)
{
	struct stat st;
	put("a", "one");
	cr_assert_eq(mkdir(in(from, "deep"), 0700), 0);
	put("deep/b", "two");
	cr_assert_eq(chmod(in(from, "deep/b"), 0700), 0);
	cr_assert_eq(symlink("deep/b", in(from, "link")), 0);
	cr_assert_eq(mkdir(in(from, "hollow"), 0700), 0);
	cr_assert_eq(checkpoint_collect(from, MAX, report), 0);
	cr_assert_eq(report->outcome.checkpoint, &report->checkpoint);
	cr_assert_eq(report->outcome.n_blobs, 0, "nothing travels in the report");
	cr_assert_eq(lay_out(NULL), LAYOUT_OK);
	cr_assert_str_eq(content(in(to, "a")), "one");
	cr_assert_str_eq(content(in(to, "deep/b")), "two");
	cr_assert_eq(stat(in(to, "deep/b"), &st), 0);
	cr_assert(st.st_mode & S_IXUSR);
	cr_assert_eq(lstat(in(to, "link"), &st), 0);
	cr_assert(S_ISREG(st.st_mode));
	cr_assert_eq(stat(in(to, "hollow"), &st), 0);
	cr_assert_str_eq(content(to->paths[DIR_ERR]), "");
}

Test(checkpoint, an_empty_folder_says_so)
{
	cr_assert(checkpoint_is_empty(from));
	cr_assert_eq(checkpoint_collect(from, MAX, report), 0);
	cr_assert_not_null(report->outcome.checkpoint);
	cr_assert_null(report->checkpoint.content);
	cr_assert_str_eq(report->checkpoint.left_out, "");
	rmdir(from->paths[DIR_CHECKPOINT]);
	cr_assert(checkpoint_is_empty(from));
}

/* Left out whole, for this reason, and what the report had before stays. */
static void left_out(const char *why)
{
	uint8_t digest[DIGEST_SIZE] = {1};
	report_blob(report, digest, 3, "/before", NULL);
	cr_assert_eq(checkpoint_collect(from, MAX, report), 0);
	cr_assert_null(report->checkpoint.content);
	cr_assert_str_eq(report->checkpoint.left_out, why);
	cr_assert_eq(report->blob_count, 1);
}

Test(checkpoint, one_over_the_limit_is_left_out)
{
	char text[MAX];
	memset(text, 'x', MAX);
	text[MAX - 1] = '\0';
	put("a", text);
	put("b", "xy");
	left_out("more than 1000 B");
}

Test(checkpoint, one_of_just_the_limit_is_kept)
{
	char text[MAX];
	memset(text, 'x', MAX);
	text[MAX - 1] = '\0';
	put("a", text);
	put("b", "x");
	cr_assert_eq(checkpoint_collect(from, MAX, report), 0);
	cr_assert_not_null(report->checkpoint.content);
}

Test(checkpoint, a_hole_of_a_terabyte_is_not_read)
{
	put("a", "");
	cr_assert_eq(truncate(in(from, "a"), 1ll << 40), 0);
	left_out("more than 1000 B");
}

Test(checkpoint, a_way_out_is_left_out)
{
	cr_assert_eq(symlink("/etc/passwd", in(from, "out")), 0);
	left_out("out is a link that leaves the task's directory");
}

Test(checkpoint, a_folder_that_is_a_link_is_left_out)
{
	rmdir(from->paths[DIR_CHECKPOINT]);
	cr_assert_eq(symlink("/etc", from->paths[DIR_CHECKPOINT]), 0);
	left_out("it is not a folder any more");
}

Test(checkpoint, the_next_attempt_is_told_what_was_left_out)
{
	put("a", "older");
	cr_assert_eq(checkpoint_collect(from, MAX, report), 0);
	cr_assert_eq(lay_out("more than 1000 B"), LAYOUT_OK);
	cr_assert_str_eq(content(in(to, "a")), "older");
	cr_assert_str_eq(content(to->paths[DIR_ERR]),
			 "cashet: the checkpoint of the last attempt was left out: more "
			 "than 1000 B\n");
}

Test(checkpoint, what_is_gone_from_the_store_is_done_without)
{
	struct stat st;
	cr_assert_eq(mkdir(in(from, "first"), 0700), 0); /* it is laid out before */
	put("second", "text");
	cr_assert_eq(checkpoint_collect(from, MAX, report), 0);
	is_gone = true;
	cr_assert_eq(lay_out(NULL), LAYOUT_OK);
	cr_assert_neq(stat(in(to, "first"), &st), 0, "no half of it is left");
	cr_assert_eq(stat(to->paths[DIR_CHECKPOINT], &st), 0);
	cr_assert_not_null(strstr(content(to->paths[DIR_ERR]), "starting without"));
}
