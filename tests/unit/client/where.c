/* where.c - the order in which a broker or store may be named; starting a private one that fails. */
#include "client/where.h"
#include "client/private_broker.h"
#include "common/fs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void clean(void)
{
	unsetenv("CASHET_BROKER");
	unsetenv("CASHET_DIR");
}

TestSuite(where, .init = clean, .timeout = 240);

static void resolve(struct where *w, const char *broker, const char *store)
{
	struct err e;
	cr_assert_eq(where_resolve(w, broker, store, &e), 0, "%s", e.what);
}

Test(where, each_place_yields_to_the_ones_before_it)
{
	struct where w;
	char here[4096], want[5000];
	cr_assert_not_null(getcwd(here, sizeof here));

	resolve(&w, NULL, NULL);
	snprintf(want, sizeof want, "%s/.cashet", here);
	cr_assert_str_eq(w.dir, want);
	cr_assert_null(w.url);
	where_fini(&w);

	setenv("CASHET_DIR", "/srv/a", 1);
	resolve(&w, NULL, NULL);
	cr_assert_str_eq(w.dir, "/srv/a");
	cr_assert_str_eq(w.said_by, "CASHET_DIR");
	where_fini(&w);

	resolve(&w, NULL, "./b");
	snprintf(want, sizeof want, "%s/b", here);
	cr_assert_str_eq(w.dir, want);
	where_fini(&w);

	setenv("CASHET_BROKER", "tcp://host:7410", 1);
	resolve(&w, NULL, "/srv/b");
	cr_assert_str_eq(w.url, "tcp://host:7410");
	cr_assert_null(w.dir);
	where_fini(&w);

	resolve(&w, "ipc:///tmp/x", NULL);
	cr_assert_str_eq(w.url, "ipc:///tmp/x");
	cr_assert_str_eq(w.said_by, "--broker");
	where_fini(&w);

	setenv("CASHET_BROKER", "", 1); /* empty is not set */
	resolve(&w, NULL, NULL);
	cr_assert_str_eq(w.dir, "/srv/a");
	where_fini(&w);
}

Test(where, a_url_that_is_none_is_refused)
{
	struct where w;
	struct err e;
	cr_assert_eq(where_resolve(&w, "http://host", NULL, &e), ERR_USAGE);
	cr_assert_eq(where_resolve(&w, "tcp://host", NULL, &e), ERR_USAGE);
}

static char dir[] = "/tmp/cashet-test-XXXXXX";

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	fs_remove_tree(dir);
}

static void make_program(const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/program", dir);
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	cr_assert_eq(chmod(path, 0755), 0);
	setenv("CASHET_BROKER_PROGRAM", path, 1);
}

static int find(bool must_exist, bool may_start, struct err *e)
{
	char store[256], *url = NULL;
	snprintf(store, sizeof store, "%s/store", dir);
	struct private_broker p = {.dir = store,
				   .must_exist = must_exist,
				   .may_start = may_start,
				   .wait_ns = 10 * NS_PER_S};
	int r = private_broker_find(&p, &url, e);
	free(url);
	return r;
}

TestSuite(private_broker, .init = make_dir, .fini = remove_dir, .timeout = 240);

Test(private_broker, a_store_that_must_be_there_is_not_made)
{
	struct err e;
	char store[256];
	struct stat st;
	cr_assert_eq(find(true, true, &e), ERR_NOT_FOUND);
	snprintf(store, sizeof store, "%s/store", dir);
	cr_assert_neq(stat(store, &st), 0);
}

Test(private_broker, none_is_started_when_only_looking)
{
	struct err e;
	cr_assert_eq(find(false, false, &e), ERR_UNREACHABLE);
}

Test(private_broker, one_that_dies_at_once_is_reported_with_its_last_words)
{
	struct err e;
	make_program("#!/bin/sh\necho 'meta.db is of a newer version' >&2\nexit 1\n");
	cr_assert_eq(find(false, true, &e), ERR_UNREACHABLE);
	cr_assert_not_null(strstr(e.what, "meta.db is of a newer version"), "%s", e.what);
	cr_assert_not_null(strstr(e.next, "broker.log"), "%s", e.next);
}

Test(private_broker, one_that_could_not_even_say_why_has_its_reason_told)
{
	struct err e = {0};
	if (access("/dev/full", W_OK))
		cr_skip_test("there is no /dev/full");
	char run[256], log[300];
	snprintf(run, sizeof run, "%s/store/run", dir);
	snprintf(log, sizeof log, "%s/broker.log", run);
	cr_assert_eq(fs_mkdir_p(run, 0700), 0);
	cr_assert_eq(symlink("/dev/full", log), 0);
	make_program("#!/bin/sh\necho no room >&2\nexit 1\n");
	cr_assert_eq(find(false, true, &e), ERR_UNREACHABLE);
	cr_expect(strstr(e.what, "nothing can be written there: No space left on device"),
		  "%s", e.what);
	cr_expect(strstr(e.next, "make room"), "%s", e.next);
}

Test(private_broker, a_program_that_cannot_be_run_is_named)
{
	struct err e;
	make_program("#!/nonexistent/interpreter\n");
	cr_assert_eq(find(false, true, &e), ERR_UNREACHABLE);
	cr_assert_not_null(strstr(e.what, "cannot be run"), "%s", e.what);
	setenv("CASHET_BROKER_PROGRAM", "/nonexistent/cashet-broker", 1);
	cr_assert_eq(find(false, true, &e), ERR_UNREACHABLE);
	cr_assert_not_null(strstr(e.what, "/nonexistent/cashet-broker"), "%s", e.what);
}

/* It must not hold what its parent had open, and not be a child of ours. */
Test(private_broker, the_daemon_inherits_nothing)
{
	struct err e;
	make_program("#!/bin/sh\n"
		     "echo \"$@\" > \"$2/run/args\"\n"
		     "ls -l /proc/self/fd > \"$2/run/fds\"\n"
		     "pwd > \"$2/run/pwd\"\n"
		     "exit 1\n");
	cr_assert_eq(find(false, true, &e), ERR_UNREACHABLE);
	CLEANUP_BUF struct buf text = {0};
	char path[256], want[256];
	snprintf(path, sizeof path, "%s/store/run/args", dir);
	cr_assert_eq(fs_read_file(path, 4096, &text), 0);
	snprintf(want, sizeof want, "--store %s/store --private\n", dir);
	cr_assert_str_eq(buf_cstr(&text), want);
	buf_reset(&text);
	snprintf(path, sizeof path, "%s/store/run/fds", dir);
	cr_assert_eq(fs_read_file(path, 4096, &text), 0);
	/* stdin, stdout, stderr, and what ls itself and the redirection need */
	cr_assert_null(strstr(buf_cstr(&text), "socket:"), "%s", buf_cstr(&text));
	cr_assert_null(strstr(buf_cstr(&text), "pipe:"), "%s", buf_cstr(&text));
	buf_reset(&text);
	snprintf(path, sizeof path, "%s/store/run/pwd", dir);
	cr_assert_eq(fs_read_file(path, 4096, &text), 0);
	cr_assert_str_eq(buf_cstr(&text), "/\n");
}
