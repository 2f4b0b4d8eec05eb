/* What a task left becomes a report. */
#include "worker/collect.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/logs.h"
#include "worker/metrics.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
	char root[64];
	struct dirs dirs;
	struct dir *dir;
	struct function f;
	struct function_pair outputs[2];
	struct collect c;
	struct report *r;
};

static void set_up(struct rig *r)
{
	*r = (struct rig){0};
	strcpy(r->root, "/tmp/cashet-collect-XXXXXX");
	cr_assert_not_null(mkdtemp(r->root));
	dirs_init(&r->dirs, r->root);
	cr_assert_eq(dirs_take(&r->dirs, &r->dir), 0);
	r->outputs[0] = (struct function_pair){"data", "out/data.bin"};
	r->f = (struct function){.outputs = r->outputs};
	r->c = (struct collect){.function = &r->f,
				.dir = r->dir,
				.inline_max = 1024,
				.with_outputs = true};
	r->r = report_new();
}

static void tear_down(struct rig *r)
{
	report_free(r->r);
	dir_drop(r->dir);
	dirs_fini(&r->dirs);
	fs_remove_tree(r->root);
}

static const char *in_task(struct rig *r, const char *name)
{
	static char path[4][300];
	static int turn;
	char *p = path[turn++ % 4];
	snprintf(p, 300, "%s/%s", r->dir->paths[DIR_TASK], name);
	return p;
}

static void write_at(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(fs_write_all(fd, data, size), 0);
	close(fd);
}

static void write_text(const char *path, const char *text)
{
	write_at(path, text, strlen(text));
}

static void make_out(struct rig *r)
{
	cr_assert_eq(mkdir(in_task(r, "out"), 0755), 0);
	r->f.output_count = 1;
}

/* The reason of a failure, or "ok". */
static const char *collect(struct rig *r)
{
	cr_assert_eq(collect_run(&r->c, r->r), 0);
	if (r->r->outcome.kind == CASHET__OUTCOME__KIND__COMPLETED)
		return "ok";
	cr_assert_eq(r->r->outcome.kind, CASHET__OUTCOME__KIND__FAILED);
	cr_assert_eq(r->r->outcome.n_outputs, 0);
	return r->r->outcome.error;
}

static bool is_digest_of(const ProtobufCBinaryData *digest, const void *data, size_t size)
{
	uint8_t want[DIGEST_SIZE];
	sha256_digest(data, size, want);
	return digest->len == DIGEST_SIZE && !memcmp(digest->data, want, DIGEST_SIZE);
}

Test(collect, silent_tasks_have_empty_logs)
{
	struct rig r;
	set_up(&r);
	cr_assert(collect_is_small(&r.c));
	cr_assert_str_eq(collect(&r), "ok");
	cr_assert(is_digest_of(&r.r->outcome.stdout_content->digest, "", 0));
	cr_assert_eq(r.r->outcome.stdout_content->type, CONTENT_FILE);
	cr_assert_eq(r.r->outcome.n_blobs, 0);
	tear_down(&r);
}

Test(collect, small_logs_go_inside_and_large_ones_are_noted)
{
	struct rig r;
	static char large[5000];
	memset(large, 'x', sizeof large);
	set_up(&r);
	write_text(r.dir->paths[DIR_OUT], "hello\n");
	write_at(r.dir->paths[DIR_ERR], large, sizeof large);
	cr_assert_not(collect_is_small(&r.c));
	cr_assert_str_eq(collect(&r), "ok");
	cr_assert_eq(r.r->outcome.n_blobs, 1);
	cr_assert_eq(r.r->outcome.blobs[0]->data.len, 6);
	cr_assert(is_digest_of(&r.r->outcome.stdout_content->digest, "hello\n", 6));
	cr_assert_eq(r.r->blob_count, 1);
	cr_assert_eq(r.r->blobs[0].size, sizeof large);
	cr_assert_str_eq(r.r->blobs[0].path, r.dir->paths[DIR_ERR]);
	cr_assert_eq(r.r->outcome.stderr_content->size, sizeof large);
	tear_down(&r);
}

Test(collect, a_log_of_just_the_inline_size_goes_inside)
{
	static char text[1025];
	memset(text, 'y', sizeof text);
	for (size_t size = 1023; size <= 1025; size++) {
		struct rig r;
		set_up(&r);
		write_at(r.dir->paths[DIR_OUT], text, size);
		cr_assert_str_eq(collect(&r), "ok");
		cr_assert_eq(r.r->outcome.n_blobs, size <= 1024);
		cr_assert(is_digest_of(&r.r->outcome.stdout_content->digest, text, size));
		tear_down(&r);
	}
}

Test(collect, long_output_is_trimmed_unless_it_is_the_result)
{
	for (int whole = 0; whole < 2; whole++) {
		struct rig r;
		set_up(&r);
		cr_assert_eq(truncate(r.dir->paths[DIR_OUT], 20 << 20), 0);
		r.c.stdout_is_result = whole;
		cr_assert_str_eq(collect(&r), "ok");
		cr_assert_eq(r.r->blob_count, 1);
		if (whole)
			cr_assert_eq(r.r->blobs[0].size, 20 << 20);
		else
			cr_assert_lt(r.r->blobs[0].size, (16 << 20) + 100);
		tear_down(&r);
	}
}

Test(collect, an_output_file)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	write_text(in_task(&r, "out/data.bin"), "result");
	cr_assert_str_eq(collect(&r), "ok");
	cr_assert_eq(r.r->outcome.n_outputs, 1);
	const Cashet__Output *o = r.r->outcome.outputs[0];
	cr_assert_str_eq(o->name, "data");
	cr_assert_str_eq(o->path, "out/data.bin");
	cr_assert_eq(o->content->type, CONTENT_FILE);
	cr_assert_eq(o->content->size, 6);
	cr_assert(is_digest_of(&o->content->digest, "result", 6));
	tear_down(&r);
}

Test(collect, an_executable_output_stays_one)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	write_text(in_task(&r, "out/data.bin"), "#!/bin/sh");
	chmod(in_task(&r, "out/data.bin"), 0755);
	cr_assert_str_eq(collect(&r), "ok");
	cr_assert_eq(r.r->outcome.outputs[0]->content->type, CONTENT_EXEC);
	tear_down(&r);
}

Test(collect, an_output_folder_becomes_a_tree)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	r.outputs[0].value = "out";
	r.c.inline_max = 4096;
	mkdir(in_task(&r, "out/empty"), 0755);
	mkdir(in_task(&r, "out/sub"), 0755);
	write_text(in_task(&r, "out/sub/b"), "bee");
	write_text(in_task(&r, "out/a"), "ay");
	cr_assert_eq(symlink("sub/b", in_task(&r, "out/link")), 0);
	cr_assert_str_eq(collect(&r), "ok");
	const Cashet__Content *c = r.r->outcome.outputs[0]->content;
	cr_assert_eq(c->type, CONTENT_TREE);
	const Cashet__InlineBlob *blob = r.r->outcome.blobs[r.r->outcome.n_blobs - 1];
	cr_assert(is_digest_of(&c->digest, blob->data.data, blob->data.len));
	struct content_entries e = {0};
	cr_assert_eq(content_decode_tree(blob->data.data, blob->data.len, &e), 0);
	cr_assert_eq(e.count, 4);
	cr_assert_str_eq(e.items[0].path, "a");
	cr_assert_str_eq(e.items[1].path, "empty");
	cr_assert_eq(e.items[1].content.type, CONTENT_DIR);
	cr_assert_str_eq(e.items[2].path, "link");
	cr_assert_str_eq(e.items[3].path, "sub/b");
	cr_assert_arr_eq(e.items[2].content.digest, e.items[3].content.digest,
			 DIGEST_SIZE);
	content_entries_fini(&e);
	tear_down(&r);
}

Test(collect, a_missing_output_fails_the_task)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	write_text(r.dir->paths[DIR_OUT], "log");
	cr_assert_str_eq(collect(&r), "output data: out/data.bin was not created");
	cr_assert_eq(r.r->outcome.n_blobs, 1, "its log is kept");
	tear_down(&r);
}

/* A trap at the output's place, and what is said about it. */
static void check_refused(void (*trap)(struct rig *r), const char *error)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	trap(&r);
	cr_assert_str_eq(collect(&r), error);
	tear_down(&r);
}

static void link_out(struct rig *r)
{
	cr_assert_eq(symlink("/etc/passwd", in_task(r, "out/data.bin")), 0);
}

static void link_up(struct rig *r)
{
	write_text(r->dir->paths[DIR_OUT], "secret");
	cr_assert_eq(symlink("../../out", in_task(r, "out/data.bin")), 0);
}

static void link_to_nothing(struct rig *r)
{
	cr_assert_eq(symlink("nowhere", in_task(r, "out/data.bin")), 0);
}

static void folder_is_a_link(struct rig *r)
{
	cr_assert_eq(rmdir(in_task(r, "out")), 0);
	cr_assert_eq(symlink("/etc", in_task(r, "out")), 0);
	r->outputs[0].value = "out/passwd";
}

static void fifo(struct rig *r)
{
	cr_assert_eq(mkfifo(in_task(r, "out/data.bin"), 0644), 0);
}

static void link_in_folder(struct rig *r)
{
	r->outputs[0].value = "out";
	cr_assert_eq(symlink("/etc/passwd", in_task(r, "out/x")), 0);
}

static void loop_in_folder(struct rig *r)
{
	r->outputs[0].value = "out";
	cr_assert_eq(symlink(".", in_task(r, "out/x")), 0);
}

static void fifo_in_folder(struct rig *r)
{
	r->outputs[0].value = "out";
	cr_assert_eq(mkfifo(in_task(r, "out/x"), 0644), 0);
}

static void bad_name(struct rig *r)
{
	r->outputs[0].value = "out";
	write_text(in_task(r, "out/\xff"), "x");
}

static void the_task_removed_its_directory(struct rig *r)
{
	fs_remove_tree(r->dir->paths[DIR_TASK]);
}

Test(collect, links_that_lead_out_and_things_that_are_no_files_are_refused)
{
	check_refused(link_out,
		      "output data: out/data.bin leads out of the task's directory");
	check_refused(link_up,
		      "output data: out/data.bin leads out of the task's directory");
	check_refused(link_to_nothing, "output data: out/data.bin is a link to nothing");
	check_refused(folder_is_a_link,
		      "output data: out/passwd leads out of the task's directory");
	check_refused(fifo, "output data: out/data.bin is neither a file nor a folder");
	check_refused(link_in_folder,
		      "output data: out/x is a link that leaves the task's directory");
	check_refused(loop_in_folder, "output data: out/x is a link to a folder");
	check_refused(fifo_in_folder,
		      "output data: out/x is neither a file nor a folder");
	check_refused(bad_name, "output data: out/\\xff has a name that is not UTF-8");
	check_refused(the_task_removed_its_directory,
		      "output data: the task's directory is gone");
}

Test(collect, a_link_within_the_directory_is_followed)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	write_text(in_task(&r, "real"), "real");
	cr_assert_eq(symlink("../real", in_task(&r, "out/data.bin")), 0);
	cr_assert_str_eq(collect(&r), "ok");
	cr_assert(is_digest_of(&r.r->outcome.outputs[0]->content->digest, "real", 4));
	tear_down(&r);
}

Test(collect, nothing_of_a_failed_attempt_but_its_logs)
{
	struct rig r;
	set_up(&r);
	make_out(&r);
	r.c.with_outputs = false;
	report_fail(r.r, CASHET__OUTCOME__KIND__FAILED, "exit 3");
	write_text(in_task(&r, "out/data.bin"), "half");
	write_text(r.dir->paths[DIR_ERR], "oops");
	cr_assert_str_eq(collect(&r), "exit 3");
	cr_assert_eq(r.r->outcome.n_blobs, 1);
	tear_down(&r);
}

/* ---- metrics */

static const char *metrics(const char *text, struct report **rp)
{
	static struct err e;
	struct report *r = report_new();
	int rc = metrics_parse(r, text, strlen(text), &e);
	if (rc)
		cr_assert_eq(r->outcome.n_metrics, 0);
	if (rp)
		*rp = r;
	else
		report_free(r);
	return rc ? e.what : "ok";
}

Test(metrics, are_numbers_and_strings_sorted_by_name)
{
	struct report *r;
	cr_assert_str_eq(
		metrics("{\"val_loss\": 0.25, \"best\": \"adam\", \"n\": 3}", &r), "ok");
	cr_assert_eq(r->outcome.n_metrics, 3);
	cr_assert_str_eq(r->outcome.metrics[0]->name, "best");
	cr_assert(r->outcome.metrics[0]->is_text);
	cr_assert_str_eq(r->outcome.metrics[0]->text, "adam");
	cr_assert_str_eq(r->outcome.metrics[1]->name, "n");
	cr_assert_eq(r->outcome.metrics[1]->number, 3);
	cr_assert_eq(r->outcome.metrics[2]->number, 0.25);
	report_free(r);
	cr_assert_str_eq(metrics("{}", NULL), "ok");
	cr_assert_str_eq(metrics("{\"a\": NaN, \"b\": Infinity, \"c\": -Infinity}", &r),
			 "ok");
	cr_assert(isnan(r->outcome.metrics[0]->number));
	cr_assert_eq(r->outcome.metrics[1]->number, INFINITY);
	cr_assert_eq(r->outcome.metrics[2]->number, -INFINITY);
	report_free(r);
}

Test(metrics, anything_else_is_refused_with_its_place)
{
	cr_assert_str_eq(
		metrics("{\"a\": [1]}", NULL),
		"line 1, column 7: \"a\" is a list; metrics are numbers and strings");
	cr_assert_str_eq(
		metrics("{\"a\": {\"b\": 1}}", NULL),
		"line 1, column 7: \"a\" is an object; metrics are numbers and strings");
	cr_assert_str_eq(metrics("{\n \"a\": true}", NULL),
			 "line 2, column 7: \"a\" is true or false; metrics are numbers "
			 "and strings");
	cr_assert_str_eq(metrics("[1]", NULL),
			 "line 1, column 1: it holds a list; metrics are one object");
	cr_assert_str_eq(metrics("{\"a\": 1, \"a\": 2}", NULL), "\"a\" is there twice");
	cr_assert_str_eq(metrics("{\"a\": Nan}", NULL),
			 "line 1, column 7: 'N' where a value is expected");
	cr_assert_str_eq(metrics("", NULL),
			 "line 1, column 1: the text ends where a value is expected");
	cr_assert_str_eq(metrics("{} {}", NULL),
			 "line 1, column 4: '{' where the end of the text is expected");
}

Test(metrics, are_read_from_the_declared_file)
{
	struct rig r;
	set_up(&r);
	r.f.metrics = "metrics.json";
	cr_assert_str_eq(collect(&r), "metrics: metrics.json was not created");
	tear_down(&r);

	set_up(&r);
	r.f.metrics = "metrics.json";
	write_text(in_task(&r, "metrics.json"), "{\"acc\": 0.5}");
	cr_assert_str_eq(collect(&r), "ok");
	cr_assert_eq(r.r->outcome.n_metrics, 1);
	tear_down(&r);

	set_up(&r);
	r.f.metrics = "metrics.json";
	static char large[METRICS_MAX + 1];
	memset(large, ' ', sizeof large);
	write_at(in_task(&r, "metrics.json"), large, sizeof large);
	cr_assert_str_eq(collect(&r), "metrics: metrics.json is larger than 1 MiB");
	tear_down(&r);
}
