/* Directories of attempts are used again only when they are as new; logs are bounded. */
#include "worker/dirs.h"
#include "worker/logs.h"

#include "common/fs.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
	char root[64];
	struct dirs dirs;
	struct dir *dir;
};

static void set_up(struct rig *r)
{
	strcpy(r->root, "/tmp/cashet-dirs-XXXXXX");
	cr_assert_not_null(mkdtemp(r->root));
	dirs_init(&r->dirs, r->root);
	cr_assert_eq(dirs_take(&r->dirs, &r->dir), 0);
}

static void tear_down(struct rig *r)
{
	dir_drop(r->dir);
	dirs_fini(&r->dirs);
	fs_remove_tree(r->root);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static size_t count_entries(const char *folder)
{
	DIR *d = opendir(folder);
	cr_assert_not_null(d);
	size_t n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void check_as_new(struct rig *r)
{
	struct stat st;
	cr_assert_eq(count_entries(r->dir->paths[DIR_SELF]), 5);
	cr_assert_eq(count_entries(r->dir->paths[DIR_TASK]), 0);
	cr_assert_eq(count_entries(r->dir->paths[DIR_TMP]), 0);
	cr_assert_eq(count_entries(r->dir->paths[DIR_CHECKPOINT]), 0);
	cr_assert_eq(stat(r->dir->paths[DIR_OUT], &st), 0);
	cr_assert_eq(st.st_size, 0);
	cr_assert_eq(stat(r->dir->paths[DIR_TASK], &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0700);
}

Test(dirs, an_untouched_one_is_used_again)
{
	struct rig r;
	set_up(&r);
	for (int i = 0; i < 3; i++) {
		dir_mark_start(r.dir);
		cr_assert(dir_refresh(r.dir));
		struct dir *before = r.dir;
		dirs_put(&r.dirs, r.dir);
		cr_assert_eq(dirs_take(&r.dirs, &r.dir), 0);
		cr_assert_eq(r.dir, before);
		usleep(30000); /* also when the clock of the file system moved on */
	}
	check_as_new(&r);
	tear_down(&r);
}

Test(dirs, output_alone_is_emptied)
{
	struct rig r;
	set_up(&r);
	dir_mark_start(r.dir);
	write_file(r.dir->paths[DIR_SELF], "out", "hello");
	cr_assert(dir_refresh(r.dir));
	check_as_new(&r);
	tear_down(&r);
}

static void in_task(const char *task)
{
	write_file(task, "left", "x");
}

static void in_task_and_removed(const char *task)
{
	char path[200];
	write_file(task, "gone", "x");
	snprintf(path, sizeof path, "%s/gone", task);
	chmod(task, 0755);
	unlink(path);
}

static void beside(const char *task)
{
	char path[200];
	snprintf(path, sizeof path, "%s/..", task);
	write_file(path, "extra", "x");
}

static void moved_away(const char *task)
{
	char path[200];
	snprintf(path, sizeof path, "%s-old", task);
	cr_assert_eq(rename(task, path), 0);
	cr_assert_eq(mkdir(task, 0700), 0);
}

static void mode_changed(const char *task)
{
	chmod(task, 0500);
}

static void output_replaced(const char *task)
{
	char path[200];
	snprintf(path, sizeof path, "%s/../out", task);
	unlink(path);
	cr_assert_eq(symlink("/etc/passwd", path), 0);
}

/* Outside of what the worker looks at. */
static const char *linked(void)
{
	static char path[64];
	snprintf(path, sizeof path, "/tmp/cashet-dirs-linked-%d", (int)getpid());
	return path;
}

static void output_linked(const char *task)
{
	char path[200], other[200];
	snprintf(path, sizeof path, "%s/../out", task);
	snprintf(other, sizeof other, "%s/mine", task);
	cr_assert_eq(link(path, other), 0);
	cr_assert_eq(rename(other, linked()), 0);
}

Test(dirs, any_trace_is_noticed_at_once_and_later)
{
	void (*const traces[])(const char *) = {
		in_task,      in_task_and_removed, beside,	 moved_away,
		mode_changed, output_replaced,	   output_linked};
	for (size_t i = 0; i < ARRAY_LEN(traces); i++)
		for (int wait = 0; wait < 2; wait++) {
			struct rig r;
			set_up(&r);
			if (wait)
				usleep(60000); /* the record is older than the clock's tick */
			dir_mark_start(r.dir);
			traces[i](r.dir->paths[DIR_TASK]);
			cr_assert_not(dir_refresh(r.dir), "trace %zu", i);
			cr_assert_eq(dir_rebuild(r.dir), 0);
			check_as_new(&r);
			cr_assert(dir_refresh(r.dir));
			unlink(linked());
			tear_down(&r);
		}
}

/* ---- logs */

static void fill(int fd, uint64_t size)
{
	static char piece[1 << 16];
	for (uint64_t at = 0; at < size; at += sizeof piece) {
		memset(piece, 'a' + (int)(at / sizeof piece % 26), sizeof piece);
		cr_assert_eq(write(fd, piece, sizeof piece), (ssize_t)sizeof piece);
	}
}

Test(logs, the_middle_of_a_long_one_is_given_back_while_it_grows)
{
	char path[] = "/tmp/cashet-log-XXXXXX";
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	uint64_t punched = 0, size = 0, total = 0;
	struct stat st;
	for (int i = 0; i < 8; i++) {
		fill(fd, 16 << 20);
		total += 16 << 20;
		log_bound(path, &punched);
		fstat(fd, &st);
		cr_assert_eq((uint64_t)st.st_size, total);
		if (punched) /* the file system can */
			cr_assert_lt((uint64_t)st.st_blocks * 512, 24u << 20);
	}
	CLEANUP_BUF struct buf text = {0};
	uint64_t offset = LOG_KEEP - 10;
	cr_assert_eq(log_read(path, &offset, punched, 100, &text, &size), 0);
	cr_assert_eq(text.size, punched ? 10 : 100);
	if (punched) {
		offset = LOG_KEEP;
		cr_assert_eq(log_read(path, &offset, punched, 100, &text, &size), 0);
		cr_assert_eq(offset, punched);
		cr_assert_neq(text.data[10], 0);
	}
	cr_assert_eq(size, total);
	close(fd);
	unlink(path);
}

Test(logs, a_long_one_keeps_its_ends_and_says_what_is_left_out)
{
	char path[] = "/tmp/cashet-log-XXXXXX", kept_path[] = "/tmp/cashet-log-XXXXXX";
	int fd = mkstemp(path), kept = mkstemp(kept_path);
	uint64_t size = 20 << 20;
	fill(fd, size);
	cr_assert(log_needs_trim(size));
	cr_assert_eq(log_trim(fd, size, kept), 0);
	struct stat st;
	fstat(kept, &st);
	static const char mark[] = "\n[cashet: 4194304 bytes left out here]\n";
	cr_assert_eq((size_t)st.st_size, 2 * (size_t)LOG_KEEP + sizeof mark - 1);
	char found[sizeof mark] = "";
	cr_assert_eq(pread(kept, found, sizeof mark - 1, LOG_KEEP),
		     (ssize_t)sizeof mark - 1);
	cr_assert_str_eq(found, mark);
	char last[2], want[2];
	cr_assert_eq(pread(kept, last, 1, st.st_size - 1), 1);
	cr_assert_eq(pread(fd, want, 1, (off_t)size - 1), 1);
	cr_assert_eq(last[0], want[0]);
	cr_assert_not(log_needs_trim(2 * (uint64_t)LOG_KEEP));
	close(fd);
	close(kept);
	unlink(path);
	unlink(kept_path);
}
