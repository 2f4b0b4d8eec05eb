/* whole.c - see whole.h. */
#include "tests/unit/worker/whole.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

void whole_start(struct fake *f)
{
	fake_start(f);
	fake_run_worker(f);
	cr_assert(fake_wait(f, &f->joined, LONG_MS), "the worker joins");
}

uint64_t whole_run(struct fake *f, const char *shell)
{
	struct function fn = {.shell = (char *)(uintptr_t)shell};
	return fake_assign(f, &(struct fake_task){.function = &fn});
}

uint64_t whole_run_with(struct fake *f, const char *shell, const Cashet__Options *options)
{
	struct function fn = {.shell = (char *)(uintptr_t)shell};
	return fake_assign(f, &(struct fake_task){.function = &fn, .options = options});
}

Cashet__Outcome *whole_outcome(struct fake *f, uint64_t epoch)
{
	Cashet__Outcome *o = fake_outcome(f, epoch, LONG_MS);
	cr_assert_not_null(o, "no outcome");
	return o;
}

const char *whole_out(struct fake *f, const Cashet__Outcome *o)
{
	static char text[4096];
	size_t size;
	const char *data = fake_content(f, o, o->stdout_content, &size);
	size = size < sizeof text ? size : sizeof text - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

const char *whole_path(struct fake *f, const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	return path;
}

const char *whole_telling(struct fake *f, const char *name, const char *then)
{
	static char text[2][600];
	static int turn;
	char *out = text[turn++ % 2];
	snprintf(out, 600, "echo $$ >%s/%s.tmp; mv %s/%s.tmp %s/%s; %s", f->dir, name,
		 f->dir, name, f->dir, name, then);
	return out;
}

pid_t whole_wait_for_pid(struct fake *f, const char *name)
{
	for (int i = 0; i < LONG_MS / 20; i++) {
		FILE *file = fopen(whole_path(f, name), "r");
		int pid = 0;
		if (file) {
			cr_assert_eq(fscanf(file, "%d", &pid), 1);
			fclose(file);
			return pid;
		}
		fake_serve(f, 20);
	}
	cr_assert_fail("%s did not begin", name);
	return 0;
}

bool whole_is_alive(pid_t pid)
{
	return kill(pid, 0) == 0;
}
