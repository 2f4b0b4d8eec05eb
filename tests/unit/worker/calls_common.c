/* calls_common.c - see calls.h. */
#include "tests/unit/worker/calls.h"

#include "common/format/source.h"
#include "common/fs.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

void calls_start(struct fake *f)
{
	setenv("CASHET_RUNNER_PATH", FAKE_RUNNER_DIR, 1);
	whole_start(f);
}

void calls_make(struct fake *f, struct made *m, const char *name)
{
	CLEANUP_BUF struct buf blob = {0};
	char *text = (char *)(uintptr_t)name;
	struct source_file file = {.path = "a/code.fake", .size = strlen(name)};
	struct source_unit unit = {
		.language = "fake", .path = "a/code.fake", .name = text};
	struct source source = {
		.files = &file, .file_count = 1, .units = &unit, .unit_count = 1};
	fake_store(f, name, strlen(name), file.digest);
	memcpy(unit.identity, file.digest, DIGEST_SIZE);
	source_encode(&blob, &source);
	fake_store(f, blob.data, blob.size, m->source);
	m->f = (struct function){.language = "fake"};
	memcpy(m->f.identity, unit.identity, DIGEST_SIZE);
}

uint64_t calls_run_with(struct fake *f, const char *name, const struct fake_task *task)
{
	static struct call_args none;
	struct fake_task t = *task;
	struct made m;
	calls_make(f, &m, name);
	if (t.function) { /* what it sets beside */
		m.f.env = t.function->env;
		m.f.env_count = t.function->env_count;
	}
	t.function = &m.f;
	t.source = m.source;
	if (!t.call)
		t.call = &none;
	return fake_assign(f, &t);
}

uint64_t calls_run(struct fake *f, const char *name)
{
	return calls_run_with(f, name, &(struct fake_task){.call = NULL});
}

static bool came_back(struct fake *f, uint64_t epoch)
{
	for (size_t i = 0; i < f->handback_count; i++)
		if (f->handed_back[i] == epoch)
			return true;
	return false;
}

Cashet__Outcome *calls_outcome(struct fake *f, uint64_t epoch, const char *name)
{
	for (int i = 0; i < LONG_MS / 20; i++) {
		Cashet__Outcome *o = fake_outcome(f, epoch, 20);
		if (o)
			return o;
		if (came_back(f, epoch))
			epoch = calls_run(f, name);
	}
	cr_assert_fail("no outcome of %s", name);
	return NULL;
}

Cashet__Outcome *calls_fail(struct fake *f, const char *name, const char *error)
{
	Cashet__Outcome *o = calls_outcome(f, calls_run(f, name), name);
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__FAILED, "%s: kind %d, %s", name,
		     (int)o->kind, o->error);
	cr_assert_str_eq(o->error, error, "%s", name);
	return o;
}

static const char *text_of(struct fake *f, const Cashet__Outcome *o,
			   const Cashet__Content *c)
{
	static struct buf text;
	size_t size;
	const char *data = fake_content(f, o, c, &size);
	buf_reset(&text);
	buf_add(&text, data, size);
	return buf_cstr(&text);
}

const char *calls_result(struct fake *f, const Cashet__Outcome *o)
{
	cr_assert_eq(o->kind, CASHET__OUTCOME__KIND__COMPLETED, "%s", o->error);
	cr_assert_not_null(o->result);
	return text_of(f, o, o->result);
}

const char *calls_err(struct fake *f, const Cashet__Outcome *o)
{
	return text_of(f, o, o->stderr_content);
}

const char *calls_noted(struct fake *f)
{
	static struct buf text;
	buf_reset(&text);
	fs_read_file(whole_path(f, "noted"), 1 << 20, &text);
	return buf_cstr(&text);
}

const char *calls_wait_noted(struct fake *f)
{
	for (int i = 0; i < LONG_MS / 20; i++) {
		for (const char *line = calls_noted(f); strchr(line, '\n');
		     line = strchr(line, '\n') + 1)
			if (strncmp(line, "prepare ", 8))
				return line;
		fake_serve(f, 20);
	}
	cr_assert_fail("nothing was noted");
	return "";
}
