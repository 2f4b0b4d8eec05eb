/* Files: whole or not at all, folders of any depth, locks, paths. */
#include "common/fs.h"
#include "common/clock.h"
#include "common/rand.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static void enter_temp_dir(void)
{
	strcpy(dir, "/tmp/cashet-fs-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void leave_temp_dir(void)
{
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(fs_remove_tree(dir), 0);
	cr_assert_eq(access(dir, F_OK), -1);
}

TestSuite(fs, .init = enter_temp_dir, .fini = leave_temp_dir);

static size_t entries(const char *path)
{
	size_t count = 0;
	DIR *d = opendir(path);
	cr_assert_not_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count - 2;
}

Test(fs, mkdir_p_makes_all_folders_and_accepts_those_that_are_there)
{
	struct stat st;
	cr_assert_eq(fs_mkdir_p("a//b/c/", 0700), 0);
	cr_assert_eq(fs_mkdir_p("a/b/c", 0700), 0);
	cr_assert_eq(stat("a/b/c", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_eq(fs_mkdir_p(dir, 0700), 0);
	cr_assert_eq(fs_mkdir_p("/", 0700), 0);
	cr_assert_eq(fs_write_atomic("file", "", 0, 0600), 0);
	cr_assert_eq(fs_mkdir_p("file", 0700), -ENOTDIR);
	cr_assert_eq(fs_mkdir_p("file/below", 0700), -ENOTDIR);
}

Test(fs, what_is_written_is_read_back)
{
	CLEANUP_BUF struct buf big = {0};
	CLEANUP_BUF struct buf back = {0};
	struct stat st;
	for (int i = 0; i < 100000; i++)
		buf_printf(&big, "%d ", i);
	cr_assert_eq(fs_write_atomic("f", big.data, big.size, 0444), 0);
	cr_assert_eq(stat("f", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0444);
	buf_add_str(&back, "before ");
	cr_assert_eq(fs_read_file("f", big.size, &back), 0);
	cr_assert_eq(back.size, big.size + 7);
	cr_assert_arr_eq(back.data + 7, big.data, big.size);
	cr_assert_eq(entries("."), 1);
}

Test(fs, read_file_refuses_more_than_the_maximum)
{
	CLEANUP_BUF struct buf out = {0};
	cr_assert_eq(fs_write_atomic("f", "12345", 5, 0600), 0);
	cr_assert_eq(fs_read_file("f", 4, &out), -EFBIG);
	cr_assert_eq(out.size, 0);
	cr_assert_eq(fs_read_file("f", 5, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "12345");
	cr_assert_eq(fs_read_file("none", 5, &out), -ENOENT);
	cr_assert_eq(fs_read_file(".", 5, &out), -EISDIR);
	cr_assert_eq(fs_read_file("/dev/zero", 5000, &out), -EFBIG, "no end, no size");
}

Test(fs, write_atomic_replaces_whole_or_not_at_all)
{
	CLEANUP_BUF struct buf out = {0};
	cr_assert_eq(fs_write_atomic("f", "old", 3, 0600), 0);
	cr_assert_eq(fs_write_atomic("f", "newer", 5, 0600), 0);
	cr_assert_eq(fs_read_file("f", 100, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "newer");
	cr_assert_eq(mkdir("d", 0700), 0);
	cr_assert_eq(fs_write_atomic("d", "x", 1, 0600), -EISDIR);
	cr_assert_eq(fs_write_atomic("none/f", "x", 1, 0600), -ENOENT);
	cr_assert_eq(entries("."), 2, "no temporary file stays");
}

/* made() - permissions of a new file, and then of what takes its place. */
static mode_t made(const char *real, int *firstp)
{
	struct stat st;
	int fd = open("new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		      fs_output_mode(real, 0666));
	cr_assert(fd >= 0 && fstat(fd, &st) == 0);
	*firstp = st.st_mode & 0777;
	fs_output_like(fd, real);
	cr_assert_eq(fstat(fd, &st), 0);
	close(fd);
	cr_assert_eq(unlink("new"), 0);
	return st.st_mode & 07777;
}

Test(fs, a_new_file_is_as_open_as_what_it_replaces)
{
	static const mode_t modes[] = {0600, 0644, 0664, 0400, 0755};
	int first;
	umask(022);
	cr_assert_eq(made("old", &first), 0644,
		     "a file that was not there: as the umask says");
	cr_assert_eq(first, 0644);
	cr_assert_eq(fs_write_atomic("old", "", 0, 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		cr_assert_eq(chmod("old", modes[i]), 0);
		cr_expect_eq(made("old", &first), modes[i]);
		cr_expect_eq(first, 0600, "nobody else opens it while it is written");
	}
	cr_assert_eq(chmod("old", 04755), 0);
	cr_expect_eq(made("old", &first), 0755,
		     "other bytes have no rights of their own");
}

Test(fs, what_was_closed_at_the_start_is_no_place_for_files)
{
	pid_t pid = fork();
	if (pid == 0) {
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		fs_standard_open();
		int next = open("file", O_RDWR | O_CREAT, 0600);
		char byte;
		_exit(next < 3 || read(0, &byte, 1) != -1 || write(1, "x", 1) != -1 ||
		      write(2, "x", 1) != 1);
	}
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
}

Test(fs, remove_tree_removes_every_kind_of_entry)
{
	cr_assert_eq(fs_mkdir_p("t/a/b/c", 0700), 0);
	cr_assert_eq(fs_mkdir_p("t/.rm-0000000000000000", 0700), 0);
	cr_assert_eq(fs_write_atomic("t/.rm-0000000000000000/f", "", 0, 0600), 0);
	cr_assert_eq(fs_write_atomic("t/a/b/c/f", "x", 1, 0400), 0);
	cr_assert_eq(fs_write_atomic("t/f", "x", 1, 0400), 0);
	cr_assert_eq(mkfifo("t/a/pipe", 0600), 0);
	cr_assert_eq(symlink("/nonexistent", "t/a/dangling"), 0);
	cr_assert_eq(fs_remove_tree("t"), 0);
	cr_assert_eq(access("t", F_OK), -1);
	cr_assert_eq(fs_remove_tree("t"), 0, "missing is fine");
	cr_assert_eq(fs_write_atomic("file", "x", 1, 0400), 0);
	cr_assert_eq(fs_remove_tree("file"), 0);
	cr_assert_eq(access("file", F_OK), -1);
}

Test(fs, remove_tree_never_follows_a_link)
{
	cr_assert_eq(fs_mkdir_p("kept", 0700), 0);
	cr_assert_eq(fs_write_atomic("kept/f", "x", 1, 0600), 0);
	cr_assert_eq(fs_mkdir_p("t/sub", 0700), 0);
	cr_assert_eq(symlink("../kept", "t/link"), 0);
	cr_assert_eq(symlink("../../kept", "t/sub/link"), 0);
	cr_assert_eq(fs_remove_tree("t"), 0);
	cr_assert_eq(access("kept/f", F_OK), 0);
	cr_assert_eq(symlink("kept", "link"), 0);
	cr_assert_eq(fs_remove_tree("link"), 0);
	cr_assert_eq(access("kept/f", F_OK), 0);
	cr_assert_eq(access("link", F_OK), -1);
}

static void remove_as_nobody(void)
{
	chmod("t/a/b", 0);
	chmod("t/a", 0555);
	chmod("t/a/c", 0);
	chmod("t", 0555);
	_exit(fs_remove_tree("t") == 0 && access("t", F_OK) < 0 ? 0 : 1);
}

Test(fs, remove_tree_opens_folders_that_are_closed)
{
	cr_assert_eq(chmod(".", 0777), 0);
	pid_t pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) { /* root may do everything, so the test is another */
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(2);
		if (fs_mkdir_p("t/a/b/deep", 0700) || fs_mkdir_p("t/a/c/d/e", 0700))
			_exit(3);
		remove_as_nobody();
	}
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "status %x", status);
}

Test(fs, remove_tree_has_no_depth_that_is_too_deep)
{
	int at = open(".", O_RDONLY | O_DIRECTORY);
	cr_assert_eq(mkdir("t", 0700), 0);
	const char *name = "t";
	for (int i = 0; i < 3000;
	     i++) { /* far beyond PATH_MAX and the descriptors we may have */
		int next = openat(at, name, O_RDONLY | O_DIRECTORY);
		cr_assert(next >= 0);
		close(at);
		at = next;
		name = "folder";
		cr_assert_eq(mkdirat(at, name, 0700), 0);
	}
	close(at);
	cr_assert_eq(fs_remove_tree("t"), 0);
	cr_assert_eq(access("t", F_OK), -1);
}

Test(fs, remove_tree_removes_folders_of_many_entries)
{
	char name[64];
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "t/%d/x/y", i);
		cr_assert_eq(fs_mkdir_p(name, 0700), 0);
	}
	cr_assert_eq(fs_remove_tree("t"), 0);
	cr_assert_eq(access("t", F_OK), -1);
}

Test(fs, a_lock_is_held_once_and_names_its_holder)
{
	int pid = -1, fd = fs_lock("lock", &pid);
	cr_assert(fd >= 0);
	int again = fs_lock("lock", &pid);
	cr_assert_eq(again, -EWOULDBLOCK);
	cr_assert_eq(pid, (int)getpid());
	struct stat st;
	cr_assert_eq(stat("lock", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	close(fd);
	fd = fs_lock("lock", NULL);
	cr_assert(fd >= 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	cr_assert_eq(fs_lock("none/lock", &pid), -ENOENT);
}

Test(fs, a_lock_ends_with_its_process)
{
	int ready[2];
	cr_assert_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = fs_lock("lock", NULL);
		if (fd < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	char byte;
	int holder = 0;
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_eq(fs_lock("lock", &holder), -EWOULDBLOCK);
	cr_assert_eq(holder, (int)pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	int fd = fs_lock("lock", NULL);
	cr_assert(fd >= 0);
	close(fd);
}

Test(fs, read_full_stops_at_the_end)
{
	char out[10];
	cr_assert_eq(fs_write_atomic("f", "12345", 5, 0600), 0);
	int fd = open("f", O_RDONLY);
	cr_assert_eq(fs_read_full(fd, out, 3), 3);
	cr_assert_eq(fs_read_full(fd, out, 10), 2);
	cr_assert_eq(fs_read_full(fd, out, 10), 0);
	close(fd);
	cr_assert_eq(fs_read_full(-1, out, 1), -EBADF);
	cr_assert_eq(fs_write_all(-1, out, 1), -EBADF);
}

Test(fs, tells_local_from_network)
{
	cr_assert_eq(fs_is_network("/proc"), 0);
	cr_assert_eq(fs_is_network("none"), -ENOENT);
	uint64_t bytes = 0;
	cr_assert_eq(fs_free_bytes(".", &bytes), 0);
	cr_assert(bytes > 0);
	cr_assert_eq(fs_free_bytes("none", &bytes), -ENOENT);
	cr_assert_eq(fs_sync_dir("."), 0);
	cr_assert_eq(fs_sync_dir("none"), -ENOENT);
}

Test(fs_path_is_inside, accepts_relative_paths_without_tricks)
{
	static const char *const inside[] = {"a",     "a/b", ".hidden", "..a",
					     "a../b", "...", "a b"};
	static const char *const outside[] = {"",     "/",    "/a",   "a/",
					      "a//b", ".",    "..",   "./a",
					      "a/.",  "a/..", "../a", "a/../b"};
	for (size_t i = 0; i < ARRAY_LEN(inside); i++)
		cr_assert(fs_path_is_inside(inside[i]), "%s", inside[i]);
	for (size_t i = 0; i < ARRAY_LEN(outside); i++)
		cr_assert(!fs_path_is_inside(outside[i]), "%s", outside[i]);
}

Test(clock, runs_forwards)
{
	uint64_t before = clock_mono_ns();
	cr_assert(clock_mono_ns() >= before);
	cr_assert(clock_wall_ms() > 1700000000000u);
}

Test(rand, draws_differ)
{
	uint8_t a[32], b[32];
	rand_bytes(a, sizeof a);
	rand_bytes(b, sizeof b);
	cr_assert(memcmp(a, b, sizeof a) != 0);
	rand_bytes(a, 0);
}
