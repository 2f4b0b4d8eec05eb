/* Secrets of a worker: from where, in what state, and what is said of those that are not there. */
#include "worker/secrets.h"

#include "common/pure/mem.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], what[sizeof(struct err)];
static struct buf strings;
static uint32_t count;

static void set_up(void)
{
	strcpy(dir, "/tmp/cashet-secrets-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(mkdir("secrets", 0700), 0);
	setenv("CASHET_CONFIG", dir, 1);
	unsetenv("TOKEN");
}

static void tear_down(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
	secrets_wipe(&strings);
}

TestSuite(secrets, .init = set_up, .fini = tear_down);

static void put(const char *name, const void *data, size_t size, mode_t mode)
{
	char path[200];
	snprintf(path, sizeof path, "secrets/%s", name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, data, size), (ssize_t)size);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static int get(const char *name, bool files_only)
{
	struct err e = {0};
	char *names[] = {(char *)(uintptr_t)name};
	struct secrets_want want = {names, 1, "node-7", files_only};
	buf_reset(&strings);
	count = 0;
	int rc = secrets_add(&strings, &count, &want, &e);
	snprintf(what, sizeof what, "%s", e.what);
	return rc;
}

static void is(const char *text)
{
	cr_assert_eq(count, 1);
	cr_assert_eq(strings.size, strlen(text) + 1);
	cr_assert_str_eq((const char *)strings.data, text);
}

Test(secrets, a_file_comes_first_and_loses_one_line_end)
{
	setenv("TOKEN", "of-the-environment", 1);
	static const char *const files[] = {"abc", "abc\n", "abc\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		put("TOKEN", files[i], strlen(files[i]), 0600);
		cr_assert_eq(get("TOKEN", false), 0, "%s", what);
		is("TOKEN=abc");
	}
	put("TOKEN", " a = b\n\n", 8, 0400);
	cr_assert_eq(get("TOKEN", true), 0, "%s", what);
	is("TOKEN= a = b\n");
}

Test(secrets, the_environment_is_next_but_not_with_a_private_broker)
{
	setenv("TOKEN", "of-the-environment", 1);
	cr_assert_eq(get("TOKEN", false), 0, "%s", what);
	is("TOKEN=of-the-environment");
	cr_assert_eq(get("TOKEN", true), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(what, "secret TOKEN on worker node-7"), "%s", what);
	cr_assert_not_null(strstr(what, "/secrets/TOKEN"), "%s", what);
	cr_assert_not_null(strstr(what, "private broker"), "%s", what);
	setenv("TOKEN", "", 1);
	cr_assert_eq(get("TOKEN", false), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(what, dir), "%s", what);
	cr_assert_eq(count, 0);
}

Test(secrets, a_file_that_others_can_read_is_refused_and_nothing_is_taken_instead)
{
	setenv("TOKEN", "of-the-environment", 1);
	static const mode_t modes[] = {0640, 0604, 0620, 0601, 0644};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		put("TOKEN", "canary", 6, modes[i]);
		cr_assert_eq(get("TOKEN", false), ERR_NOT_ALLOWED, "%o", modes[i]);
		cr_assert_not_null(strstr(what, "chmod 600"), "%s", what);
		cr_assert_null(strstr(what, "canary"));
		cr_assert_eq(strings.size, 0);
	}
}

Test(secrets, what_can_be_no_value_is_refused)
{
	static char large[65537];
	memset(large, 'x', sizeof large);
	put("TOKEN", "", 0, 0600);
	cr_assert_eq(get("TOKEN", false), ERR_USAGE);
	cr_assert_not_null(strstr(what, "is empty"), "%s", what);
	put("TOKEN", "\n", 1, 0600);
	cr_assert_eq(get("TOKEN", false), ERR_USAGE);
	put("TOKEN", "a\0b", 3, 0600);
	cr_assert_eq(get("TOKEN", false), ERR_USAGE);
	cr_assert_not_null(strstr(what, "NUL"), "%s", what);
	put("TOKEN", large, sizeof large, 0600);
	cr_assert_eq(get("TOKEN", false), ERR_USAGE);
	cr_assert_not_null(strstr(what, "64 KiB"), "%s", what);
	put("TOKEN", large, sizeof large - 1, 0600);
	cr_assert_eq(get("TOKEN", false), 0);
	cr_assert_eq(mkdir("secrets/FOLDER", 0700), 0);
	cr_assert_eq(get("FOLDER", false), ERR_USAGE);
	cr_assert_eq(mkfifo("secrets/PIPE", 0600), 0);
	cr_assert_eq(get("PIPE", false), ERR_USAGE);
	cr_assert_not_null(strstr(what, "not a file"), "%s", what);
}

Test(secrets, a_link_counts_as_the_file_that_it_leads_to)
{
	put("real", "abc", 3, 0600);
	cr_assert_eq(symlink("real", "secrets/TOKEN"), 0);
	cr_assert_eq(get("TOKEN", false), 0, "%s", what);
	is("TOKEN=abc");
	cr_assert_eq(chmod("secrets/real", 0644), 0);
	cr_assert_eq(get("TOKEN", false), ERR_NOT_ALLOWED);
}

Test(secrets, no_name_leads_out_of_the_folder)
{
	static const char *const names[] = {"../secrets/TOKEN", "..", "", "a/b", "PATH"};
	put("TOKEN", "abc", 3, 0600);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		cr_assert_eq(get(names[i], false), ERR_USAGE, "%s", names[i]);
}
