/* A whole worker: what tasks read and write, logs, and disks that run full. */
#include "tests/unit/worker/whole.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

Test(worker, brings_inputs_and_uploads_outputs)
{
	struct fake f;
	whole_start(&f);
	static char large[300000];
	for (size_t i = 0; i < sizeof large; i++)
		large[i] = (char)('a' + i % 26);
	struct function_code code[] = {{.path = "tool.sh", .executable = true}};
	fake_store(&f, "#!/bin/sh\ncat $1 $1 >$2; ls >>/dev/stderr\n", 43,
		   code[0].digest);
	char *inputs[] = {"data"}, *names[] = {"digits.csv"};
	struct args_input input = {
		.names = names, .name_count = 1, .content = {.type = CONTENT_FILE}};
	fake_store(&f, large, sizeof large, input.content.digest);
	char *argv[] = {"./tool.sh", "${inputs.data}", "${outputs.twice}"};
	struct function_pair outputs[] = {{"twice", "out/twice.csv"}};
	struct function fn = {.argv = argv,
			      .argc = 3,
			      .code = code,
			      .code_count = 1,
			      .inputs = inputs,
			      .input_count = 1,
			      .outputs = outputs,
			      .output_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	Cashet__Outcome *o = whole_outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn, .args = &args}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_eq(o->n_outputs, 1);
	size_t size;
	const char *data = fake_content(&f, o, o->outputs[0]->content, &size);
	cr_assert_eq(size, 2 * sizeof large);
	cr_assert_eq(memcmp(data, large, sizeof large), 0);
	cr_assert_eq(memcmp(data + sizeof large, large, sizeof large), 0);
	cr_assert_eq(f.puts, 1);

	/* Once more: the store has the blob already. */
	o = whole_outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn, .args = &args}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED);
	cr_assert_eq(f.puts, 1);
	fake_stop(&f);
}

Test(worker, names_the_input_that_the_store_does_not_have)
{
	struct fake f;
	whole_start(&f);
	char *inputs[] = {"data"}, *names[] = {"x"};
	struct args_input input = {
		.names = names,
		.name_count = 1,
		.content = {.type = CONTENT_FILE, .digest = {1, 2, 3}}};
	struct function fn = {.shell = "true", .inputs = inputs, .input_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	Cashet__Outcome *o = whole_outcome(
		&f, fake_assign(&f, &(struct fake_task){.function = &fn, .args = &args}));
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__INPUT_MISSING);
	cr_assert_eq(o->missing.len, DIGEST_SIZE);
	cr_assert_arr_eq(o->missing.data, input.content.digest, DIGEST_SIZE);
	fake_stop(&f);
}

Test(worker, a_task_that_changes_its_input_harms_nobody)
{
	struct fake f;
	whole_start(&f);
	char *inputs[] = {"data"}, *names[] = {"x"};
	struct args_input input = {
		.names = names, .name_count = 1, .content = {.type = CONTENT_FILE}};
	fake_store(&f, "pristine", 8, input.content.digest);
	struct function spoil = {.shell = "cat inputs/data/x; echo spoilt >inputs/data/x",
				 .inputs = inputs,
				 .input_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	for (int i = 0; i < 3; i++) {
		Cashet__Outcome *o = whole_outcome(
			&f, fake_assign(&f, &(struct fake_task){.function = &spoil,
								.args = &args}));
		cr_assert_str_eq(whole_out(&f, o), "pristine");
	}
	fake_stop(&f);
}

Test(worker, uploads_again_what_the_store_lost)
{
	struct fake f;
	whole_start(&f);
	struct function_pair outputs[] = {{"o", "o"}};
	struct function fn = {.shell = "head -c 5000 /dev/zero >o; echo made >>count",
			      .outputs = outputs,
			      .output_count = 1};
	f.forget_blobs = true;
	uint64_t epoch = fake_assign(&f, &(struct fake_task){.function = &fn});
	whole_outcome(&f, epoch);
	for (int i = 0; i < LONG_MS / 20 && f.outcomes->times < 2; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.outcomes->times, 2);
	cr_assert_eq(f.puts, 2);
	size_t size;
	fake_content(&f, f.outcomes->m, f.outcomes->m->outputs[0]->content, &size);
	cr_assert_eq(size, 5000);
	fake_stop(&f);
}

Test(worker, a_gigabyte_of_output_costs_neither_memory_nor_disk)
{
	struct fake f;
	whole_start(&f);
	uint64_t epoch = whole_run(
		&f, "head -c 300000000 /dev/zero | tr '\\0' x; sleep 0.6; echo end");
	Cashet__Outcome *o = fake_outcome(&f, epoch, 60000);
	cr_assert_not_null(o);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_geq(o->stdout_content->size, 16 << 20);
	cr_assert_lt(o->stdout_content->size, (16 << 20) + 200);
	size_t size;
	const char *data = fake_content(&f, o, o->stdout_content, &size);
	cr_assert_eq(size, o->stdout_content->size);
	cr_assert_eq(memcmp(data + size - 5, "xend\n", 5), 0);
	cr_assert_not_null(strstr(data + (8 << 20), "bytes left out here]\n"));
	fake_stop(&f);
}

Test(worker, shows_the_log_of_what_runs)
{
	struct fake f;
	whole_start(&f);
	char shell[700];
	snprintf(shell, sizeof shell, "echo first; echo err >&2; %s",
		 whole_telling(&f, "begun", "sleep 1000"));
	uint64_t epoch = whole_run(&f, shell);
	whole_wait_for_pid(&f, "begun");
	fake_ask_log(&f, epoch, false, 2);
	cr_assert(fake_wait(&f, &f.has_log, LONG_MS));
	cr_assert_str_eq(buf_cstr(&f.log), "rst\n");
	cr_assert(f.log_running);
	fake_ask_log(&f, epoch + 50, false, 0);
	cr_assert(fake_wait(&f, &f.has_log, LONG_MS));
	cr_assert_not(f.log_running);
	fake_stop(&f);
}

Test(worker, a_full_disk_costs_the_task_nothing_and_is_got_over)
{
	struct fake f;
	fake_start(&f);
	char work[120], filler[140];
	snprintf(work, sizeof work, "%s/small", f.dir);
	snprintf(filler, sizeof filler, "%s/filler", work);
	cr_assert_eq(mkdir(work, 0700), 0);
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", work, "tmpfs", 0, "size=12m") < 0) {
		fake_stop(&f);
		cr_skip_test("needs to mount a small file system");
	}
	struct options o = {.work_dir = work, .work_dir_given = true};
	fake_run_worker_on(&f, &o);
	cr_assert(fake_wait(&f, &f.joined, LONG_MS));
	static char large[4 << 20];
	char *inputs[] = {"data"}, *names[] = {"x"};
	struct args_input input = {
		.names = names, .name_count = 1, .content = {.type = CONTENT_FILE}};
	fake_store(&f, large, 3 << 20, input.content.digest);
	struct function fn = {
		.shell = "wc -c <${inputs.data}", .inputs = inputs, .input_count = 1};
	struct args args = {.inputs = &input, .input_count = 1};
	struct fake_task task = {.function = &fn, .args = &args};
	FILE *file = fopen(filler, "w");
	while (fwrite(large, 1 << 16, 1, file) == 1)
		;
	fclose(file);
	Cashet__Outcome *full = whole_outcome(&f, fake_assign(&f, &task));
	cr_assert_eq(full->kind, CASHET__OUTCOME__KIND__NO_ROOM, "%s", full->error);
	cr_assert_not_null(strstr(full->error, "No space left"), "%s", full->error);
	for (int i = 0; i < LONG_MS / 20 && !f.draining; i++)
		fake_serve(&f, 20);
	cr_assert(f.draining, "it takes nothing meanwhile");
	unsigned joins = f.joins;
	uint64_t back = fake_assign(&f, &task); /* sent before the broker heard of it */
	for (int i = 0; i < LONG_MS / 20 && !f.handback_count; i++)
		fake_serve(&f, 20);
	cr_assert_eq(f.handed_back[0], back);
	cr_assert_eq(unlink(filler), 0);
	for (int i = 0; i < LONG_MS / 20 && f.joins == joins; i++)
		fake_serve(&f, 20);
	cr_assert_gt(f.joins, joins, "it comes back by itself");
	cr_assert_str_eq(whole_out(&f, whole_outcome(&f, fake_assign(&f, &task))),
			 "3145728\n");
	kill(f.worker, SIGTERM);
	cr_assert_eq(fake_wait_exit(&f, LONG_MS), 0);
	umount2(work, MNT_DETACH);
	fake_stop(&f);
}
