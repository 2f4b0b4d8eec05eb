/* why_subject.c - a task or a commit by what people call it, with all that is known of it. */
#include "broker/history/why.h"

#include "common/names.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

enum { FUNCTION_DESCRIPTION = 1, FUNCTION_NAME = 2, FUNCTION_SOURCE = 7 };

void subject_fini(struct subject *s)
{
	buf_fini(&s->body);
	buf_fini(&s->arena);
	buf_fini(&s->description);
	buf_fini(&s->packed);
	buf_fini(&s->args_bytes);
	buf_fini(&s->spec);
	buf_fini(&s->options);
	function_fini(&s->function);
	args_fini(&s->args);
	free(s->name);
	*s = (struct subject){0};
}

static char *function_name(const uint8_t *packed, size_t size)
{
	const uint8_t *at = packed;
	struct pb_field f;
	CLEANUP_BUF struct buf name = {0};
	if (packed && pb_find(&at, packed + size, FUNCTION_NAME, &f))
		buf_add(&name, f.data, f.size);
	return mem_strdup(buf_cstr(&name));
}

char *subject_name(struct history *h, const struct subject *s, uint32_t index)
{
	struct specs_task t;
	size_t size = 0;
	uint32_t options;
	const uint8_t *packed = NULL;
	struct specs *specs = s->has_row ? history_specs(h, &s->row) : NULL;
	if (specs && !specs_task(specs, index, &t))
		packed = specs_function(specs, t.function, &size, &options);
	return function_name(packed, size);
}

static void set_args(struct subject *s, const void *data, size_t size)
{
	buf_reset(&s->args_bytes);
	buf_add(&s->args_bytes, data, size);
	sha256_digest(data, size, s->args_hash);
	s->has_print = true;
	s->has_args = !args_decode(s->args_bytes.data, s->args_bytes.size, &s->args);
}

static void set_description(struct subject *s)
{
	s->has_function =
		s->description.size &&
		!function_decode(s->description.data, s->description.size, &s->function);
}

/* What was submitted: there as long as the batch's record is. */
static void load_spec(struct history *h, struct subject *s)
{
	struct specs_task t;
	size_t size;
	uint32_t options;
	struct specs *specs = history_specs(h, &s->row);
	if (!specs || specs_task(specs, s->index, &t))
		return;
	s->has_spec = true;
	s->has_nonce = t.nonce_size;
	buf_add(&s->spec, t.packed, t.packed_size);
	const uint8_t *packed = specs_function(specs, t.function, &size, &options);
	if (!packed)
		return;
	buf_add(&s->packed, packed, size);
	const uint8_t *at = packed;
	struct pb_field f;
	if (pb_find(&at, packed + size, FUNCTION_DESCRIPTION, &f) && !s->description.size)
		buf_add(&s->description, f.data, f.size);
	at = packed;
	if (!s->has_source && pb_find(&at, packed + size, FUNCTION_SOURCE, &f) &&
	    f.size == DIGEST_SIZE) {
		s->has_source = true;
		memcpy(s->source, f.data, DIGEST_SIZE);
	}
	if (!s->name)
		s->name = function_name(packed, size);
	packed = specs_options(specs, options, &size);
	if (packed && !s->options.size)
		buf_add(&s->options, packed, size);
}

static int load_commit(struct history *h, uint64_t seq, struct subject *s, struct err *e)
{
	s->seq = seq;
	int rc = ledger_read_commit(history_reader(h), seq, &s->body, s->hash);
	if (rc == 1) {
		err_set(e, ERR_NOT_FOUND,
			"what it came to is not in the store any more: its commit was "
			"removed");
		err_next(e, "cashet retry runs what was removed again, as a new batch");
		return ERR_NOT_FOUND;
	}
	if (rc || commit_decode(s->body.data, s->body.size, &s->commit, &s->arena)) {
		err_set(e, ERR_FAILED, "the commit's record cannot be read");
		err_next(e, "cashet fsck says what is wrong with the store");
		return ERR_FAILED;
	}
	const struct commit *c = &s->commit;
	free(s->name);
	s->name = mem_strdup(c->name);
	s->has_nonce = c->has_nonce;
	buf_add(&s->options, c->options, c->options_size);
	memcpy(s->func_hash, c->func_hash, DIGEST_SIZE);
	s->has_source = c->has_source;
	memcpy(s->source, c->source, DIGEST_SIZE);
	set_args(s, c->args, c->args_size);
	return 0;
}

int subject_load_commit(struct history *h, uint64_t seq, struct subject *s, struct err *e)
{
	size_t count = 0;
	int rc = load_commit(h, seq, s, e);
	if (rc)
		return rc;
	const struct commit *c = &s->commit;
	memcpy(s->batch, c->batch, DIGEST_SIZE);
	s->has_batch = true;
	s->index = c->index;
	s->task = (struct page_task){
		.index = c->index,
		.status = c->status == COMMIT_COMPLETED ? CORE_COMPLETED : CORE_FAILED,
		.attempts = c->attempts,
		.commit = seq};
	history_description(h, c->func_hash, c->batch, c->index, &s->description,
			    &s->packed);
	set_description(s);
	s->has_row = !ledger_find_batch(history_reader(h), c->batch, 2 * DIGEST_SIZE,
					&s->row, 1, &count);
	return 0;
}

static int load_task(struct history *h, const Cashet__Target *target,
		     const struct history_live *live, struct subject *s, struct err *e)
{
	int rc = history_row(h, target->batch, live, &s->row, e);
	if (rc)
		return rc;
	s->has_row = s->has_batch = true;
	memcpy(s->batch, s->row.batch.id, DIGEST_SIZE);
	s->index = target->index;
	if (s->index >= s->row.task_count)
		return err_set(e, ERR_NOT_FOUND,
			       "the batch has no task %u: it has %u, from 0 on", s->index,
			       s->row.task_count);
	if (live->task) {
		s->task = live->task->task;
	} else {
		const struct ends *ends = history_ends(h, &s->row);
		page_from_end(&s->task, &ends->items[s->index]);
	}
	if (s->task.commit) {
		rc = load_commit(h, s->task.commit, s, e);
		if (rc)
			return rc;
	}
	load_spec(h, s);
	if (!s->description.size && s->task.commit)
		history_description(h, s->func_hash, s->commit.batch, s->commit.index,
				    &s->description, NULL);
	set_description(s);
	if (!s->name)
		s->name = mem_strdup("");
	if (s->task.commit || !s->description.size)
		return 0;
	sha256_digest(s->description.data, s->description.size, s->func_hash);
	if (live->task && live->task->args_size)
		set_args(s, live->task->args, live->task->args_size);
	return 0;
}

/* A task without references has its fingerprint from the start. */
static void complete_args(struct history *h, struct subject *s)
{
	struct deps deps;
	const uint8_t *at = s->spec.data;
	struct pb_field f;
	bool complete =
		s->has_spec && !deps_read(h, &s->row, s->spec.data, s->spec.size, &deps);
	if (!s->has_spec)
		return;
	for (size_t i = 0; complete && i < deps.count; i++)
		complete = !deps.items[i].is_input;
	deps_fini(&deps);
	if (complete && pb_find(&at, s->spec.data + s->spec.size, 2, &f))
		set_args(s, f.data, f.size);
}

int subject_load(struct history *h, const Cashet__Target *target,
		 const struct history_live *live, struct subject *s, struct err *e)
{
	uint64_t seq;
	*s = (struct subject){0};
	if (target->is_task) {
		int rc = load_task(h, target, live, s, e);
		if (!rc && !s->has_print)
			complete_args(h, s);
		return rc;
	}
	int rc = history_find_target(h, target, &seq, e);
	return rc ? rc : subject_load_commit(h, seq, s, e);
}
