/* dry_run.c - DryRunQuery: chunks come in, slices of work, pages. See dry_run.h. */
#include "broker/history/dry_run.h"

#include "common/clock.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define FORGET_NS (60 * NS_PER_S)
#define BYTES_MAX (1ull << 30) /* of descriptions */
#define TASKS_MAX 4000000u
#define ENTRIES_MAX 10000u /* names; the rest counts under the last */
#define DETAILED_PAGE 500  /* tasks of a page with specs */

enum { ENVELOPE_DRY_RUN_REPLY = 73 };

/* ---- digests ---- */

static size_t place_of(uint8_t (*items)[DIGEST_SIZE], size_t places,
		       const uint8_t digest[DIGEST_SIZE])
{
	static const uint8_t none[DIGEST_SIZE];
	uint64_t hash;
	memcpy(&hash, digest, sizeof hash);
	size_t at = hash & (places - 1);
	while (memcmp(items[at], none, DIGEST_SIZE) &&
	       memcmp(items[at], digest, DIGEST_SIZE))
		at = (at + 1) & (places - 1);
	return at;
}

bool digest_set_has(const struct digest_set *s, const uint8_t digest[DIGEST_SIZE])
{
	return s->places && !memcmp(s->items[place_of(s->items, s->places, digest)],
				    digest, DIGEST_SIZE);
}

void digest_set_add(struct digest_set *s, const uint8_t digest[DIGEST_SIZE])
{
	if (digest_set_has(s, digest))
		return;
	if (2 * s->count >= s->places) {
		size_t places = s->places ? 2 * s->places : 1024;
		uint8_t(*items)[DIGEST_SIZE] = mem_alloc(places * sizeof *items);
		static const uint8_t none[DIGEST_SIZE];
		for (size_t i = 0; i < s->places; i++)
			if (memcmp(s->items[i], none, DIGEST_SIZE))
				memcpy(items[place_of(items, places, s->items[i])],
				       s->items[i], DIGEST_SIZE);
		free(s->items);
		s->items = items;
		s->places = places;
	}
	memcpy(s->items[place_of(s->items, s->places, digest)], digest, DIGEST_SIZE);
	s->count++;
}

/* ---- runs ---- */

static void free_run(struct dry_run *r)
{
	if (!r)
		return;
	core_free(r->core);
	core_effects_fini(&r->fx);
	intake_fini(&r->intake);
	for (uint32_t i = 0; i < r->entry_count; i++) {
		struct dry_entry *entry = &r->entries[i];
		for (uint32_t k = 0; k < entry->cause_count; k++) {
			free(entry->causes[k].key);
			buf_fini(&entry->causes[k].changes);
		}
		nearest_free(entry->nearest);
		free(entry->name);
	}
	free(r->refused);
	free(r->tasks);
	free(r->functions);
	free(r->options);
	free(r->entries);
	free(r->lookups);
	free(r->grants);
	free(r->unseen.items);
	free(r->there.items);
	free(r->slots);
	function_fini(&r->decoded);
	buf_fini(&r->bytes);
	buf_fini(&r->body);
	buf_fini(&r->arena);
	free(r);
}

void history_forget_dry_runs(struct history *h, uint64_t now_ns)
{
	for (size_t i = 0; i < ARRAY_LEN(h->dry_runs); i++) {
		struct dry_run *r = h->dry_runs[i];
		if (!r || now_ns - r->used_ns < FORGET_NS)
			continue;
		free_run(r);
		h->dry_runs[i] = NULL;
	}
}

static struct dry_run **find(struct history *h, const ProtobufCBinaryData *id)
{
	for (size_t i = 0; i < ARRAY_LEN(h->dry_runs); i++)
		if (h->dry_runs[i] && !memcmp(h->dry_runs[i]->id, id->data, NONCE_SIZE))
			return &h->dry_runs[i];
	return NULL;
}

static struct dry_run *begin(struct history *h, const ProtobufCBinaryData *id,
			     struct err *e)
{
	size_t at = 0;
	while (at < ARRAY_LEN(h->dry_runs) && h->dry_runs[at])
		at++;
	if (at == ARRAY_LEN(h->dry_runs)) {
		err_set(e, ERR_FAILED, "%zu dry runs are going on here already", at);
		err_next(e, "try again in a minute");
		return NULL;
	}
	struct dry_run *r = h->dry_runs[at] = mem_alloc(sizeof *r);
	r->h = h;
	r->wall_ms = clock_wall_ms();
	memcpy(r->id, id->data, NONCE_SIZE);
	dry_begin(r);
	return r;
}

/* ---- chunks ---- */

const struct function *dry_function(struct dry_run *r, uint32_t number)
{
	const struct dry_function *f = &r->functions[number];
	if (!r->has_decoded || r->decoded_number != number) {
		function_fini(&r->decoded);
		r->decoded = (struct function){0};
		r->decoded_number = number;
		r->has_decoded = !function_decode(r->bytes.data + f->description, f->size,
						  &r->decoded);
	}
	return r->has_decoded ? &r->decoded : NULL;
}

static uint32_t entry_of(struct dry_run *r, const char *name)
{
	/* Functions of one name mostly come behind each other. */
	for (uint32_t i = r->entry_count; i-- > 0;)
		if (!strcmp(r->entries[i].name, name))
			return i;
	if (r->entry_count == ENTRIES_MAX)
		return r->entry_count - 1;
	mem_grow(r->entries, r->entry_count, r->entry_room);
	r->entries[r->entry_count] = (struct dry_entry){.name = mem_strdup(name)};
	return r->entry_count++;
}

static int take_function(void *arg, const Cashet__Function *from,
			 struct core_function *to, bool *needs_sourcep)
{
	struct dry_run *r = arg;
	struct function f;
	if (function_decode(from->description.data, from->description.len, &f))
		return 1;
	sha256_digest(from->description.data, from->description.len, to->hash);
	to->output_count = (uint32_t)f.output_count;
	*needs_sourcep = function_has_source(&f);
	function_fini(&f);
	mem_grow(r->functions, r->function_count, r->function_room);
	struct dry_function *kept = &r->functions[r->function_count++];
	*kept = (struct dry_function){.description = r->bytes.size,
				      .size = from->description.len,
				      .options = from->options,
				      .output_count = to->output_count,
				      .entry = entry_of(r, from->name)};
	memcpy(kept->hash, to->hash, DIGEST_SIZE);
	kept->has_source = from->source.len == DIGEST_SIZE;
	if (kept->has_source)
		memcpy(kept->source, from->source.data, DIGEST_SIZE);
	buf_add(&r->bytes, from->description.data, from->description.len);
	return 0;
}

/* What the one worker has: more than all together ask for. */
static void note_resource(struct dry_run *r, const struct core_resource *resource)
{
	for (uint32_t i = 0; i < r->capacity_count; i++)
		if (!strcmp(r->capacity[i].name, resource->name))
			return;
	if (r->capacity_count == CORE_RESOURCES_MAX)
		return; /* what asks for it waits for ever, as WAITS */
	r->capacity[r->capacity_count] = *resource;
	r->capacity[r->capacity_count++].amount = 1ull << 62;
}

static void take_options(struct dry_run *r, const Cashet__SubmitChunk *c,
			 const struct core_event *event)
{
	for (uint32_t i = 0; i < event->chunk.option_count; i++) {
		const struct core_options *o = &event->chunk.options[i];
		struct dry_options kept = {.cache = c->options[i]->cache};
		for (uint32_t k = 0; k < o->resource_count; k++) {
			note_resource(r, &o->resources[k]);
			if (!strcmp(o->resources[k].name, "cpus"))
				kept.cpus_milli = o->resources[k].amount;
		}
		mem_grow(r->options, r->option_count, r->option_room);
		r->options[r->option_count++] = kept;
	}
}

static void take_tasks(struct dry_run *r, const struct core_event *event)
{
	for (uint32_t i = 0; i < event->chunk.task_count; i++) {
		mem_grow(r->tasks, r->task_count, r->task_room);
		r->tasks[r->task_count++] =
			(struct dry_task){.function = event->chunk.tasks[i].function,
					  .state = CASHET__DRY_RUN_TASK__STATE__WAITS};
	}
}

static int take_chunk(struct dry_run *r, const Cashet__SubmitChunk *c, struct err *e)
{
	struct intake_source source = {.function = take_function, .arg = r};
	struct core_event event;
	uint32_t functions = r->function_count;
	if (c->chunk != r->next_chunk || r->phase != DRY_CHUNKS)
		return 0; /* it came twice, or out of order: the answer says what is expected */
	if (r->bytes.size > BYTES_MAX || r->task_count + c->n_tasks > TASKS_MAX)
		return err_set(e, ERR_FAILED, "the batch is too large for a dry run");
	const char *wrong =
		intake_check(&r->intake, c, functions, r->option_count, &source, &event);
	if (wrong)
		return err_set(e, ERR_USAGE, "the batch cannot be taken: %s", wrong);
	event.batch = DRY_BATCH;
	take_options(r, c, &event);
	take_tasks(r, &event);
	r->next_chunk++;
	dry_step(r, &event);
	if (c->seal && !r->refused) {
		struct core_event seal = {.type = CORE_EV_BATCH_SEAL, .batch = DRY_BATCH};
		r->phase = DRY_LOOKUPS;
		dry_step(r, &seal);
	}
	return r->refused ? err_set(e, ERR_USAGE, "the batch cannot be taken: %s",
				    r->refused)
			  : 0;
}

/* ---- answers ---- */

static void put_entry(struct buf *out, const struct dry_entry *entry)
{
	size_t mark = pb_open(out, 8);
	pb_text(out, 1, entry->name);
	pb_uint(out, 2, entry->total);
	pb_uint(out, 3, entry->counts[CASHET__DRY_RUN_TASK__STATE__CACHED]);
	pb_uint(out, 4, entry->counts[CASHET__DRY_RUN_TASK__STATE__RUN]);
	pb_uint(out, 5, entry->counts[CASHET__DRY_RUN_TASK__STATE__JOINS]);
	pb_uint(out, 6, entry->counts[CASHET__DRY_RUN_TASK__STATE__WAITS]);
	pb_uint(out, 7, entry->counts[CASHET__DRY_RUN_TASK__STATE__CACHED_IF_SAME]);
	pb_uint(out, 8, entry->counts[CASHET__DRY_RUN_TASK__STATE__RUN_ALIKE]);
	for (uint32_t i = 0; i < entry->cause_count; i++) {
		const struct dry_cause *cause = &entry->causes[i];
		size_t inside = pb_open(out, 9);
		pb_uint(out, 1, cause->reason);
		pb_uint(out, 2, cause->count);
		buf_add(out, cause->changes.data, cause->changes.size);
		pb_uint(out, 4, cause->index);
		pb_close(out, inside);
	}
	pb_uint(out, 10, entry->work_ns);
	pb_uint(out, 11, entry->duration_ns);
	pb_close(out, mark);
}

static void put_hash(struct dry_run *r, struct buf *out, unsigned field, uint64_t commit)
{
	uint8_t hash[DIGEST_SIZE];
	buf_reset(&r->body);
	if (commit && history_reader(r->h) &&
	    !ledger_read_commit(history_reader(r->h), commit, &r->body, hash))
		pb_bytes(out, field, hash, DIGEST_SIZE);
}

static void put_task(struct dry_run *r, struct buf *out, uint32_t index, bool specs)
{
	const struct dry_task *t = &r->tasks[index];
	size_t mark = pb_open(out, 7);
	pb_uint(out, 1, index);
	pb_uint(out, 2, t->state);
	put_hash(r, out, t->runs ? 5 : 3, t->commit);
	pb_uint(out, 4, t->reason);
	if (specs) {
		struct core_task_view view;
		if (t->runs && t->commit)
			dry_changes(r, index, out, 6);
		pb_uint(out, 7, t->function);
		if (!core_view_task(r->core, DRY_BATCH, index, &view))
			pb_bytes(out, 8, view.args, view.args_size);
	}
	pb_close(out, mark);
}

static void put_page(struct dry_run *r, struct buf *out, const Cashet__DryRunQuery *q)
{
	uint32_t at = q->first;
	pb_uint(out, 5, q->first);
	for (uint32_t n = 0; at < r->task_count && out->size < PAGE_BYTES; at++, n++) {
		if (q->specs && n == DETAILED_PAGE)
			break;
		put_task(r, out, at, q->specs);
	}
	pb_uint(out, 6, at);
}

static uint64_t done_of(const struct dry_run *r)
{
	switch (r->phase) {
	case DRY_REASONS:
	case DRY_MARK:
		return r->cursor;
	case DRY_READY:
		return r->task_count;
	case DRY_CHUNKS:
	case DRY_LOOKUPS:
	case DRY_ASSUME:
		break;
	}
	return 0;
}

static void put_reply(struct dry_run *r, struct buf *out, const Cashet__DryRunQuery *q,
		      const struct history_live *live)
{
	size_t mark = pb_open(out, ENVELOPE_DRY_RUN_REPLY);
	pb_uint(out, 1, r->next_chunk);
	pb_uint(out, 2, r->phase == DRY_READY);
	pb_uint(out, 3, done_of(r));
	pb_uint(out, 4, r->task_count);
	if (r->phase == DRY_READY && q->page) {
		put_page(r, out, q);
	} else if (r->phase == DRY_READY) {
		for (uint32_t i = 0; i < r->entry_count; i++)
			put_entry(out, &r->entries[i]);
		pb_uint(out, 9, r->chain_ns);
		pb_uint(out, 10, live->cpus_milli);
	}
	pb_close(out, mark);
}

int history_dry_run(struct history *h, const Cashet__Envelope *question,
		    const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__DryRunQuery *q = question->dry_run_query;
	uint64_t now = clock_mono_ns();
	if (!wire_is(&q->run, NONCE_SIZE))
		return err_set(e, ERR_USAGE, "DryRunQuery.run must be 16 bytes");
	history_forget_dry_runs(h, now);
	struct dry_run **found = find(h, &q->run);
	struct dry_run *r = found ? *found : NULL;
	if (q->forget) {
		free_run(r);
		if (found)
			*found = NULL;
		pb_close(out, pb_open(out, ENVELOPE_DRY_RUN_REPLY));
		return 0;
	}
	if (!r && !(q->chunk && q->chunk->chunk == 0)) {
		err_set(e, ERR_FAILED, "this dry run has been forgotten");
		err_next(e, "begin it again");
		return ERR_FAILED;
	}
	if (!r)
		r = begin(h, &q->run, e);
	if (!r)
		return ERR_FAILED;
	int rc = q->chunk ? take_chunk(r, q->chunk, e) : 0;
	if (rc == 0 && r->phase != DRY_CHUNKS)
		dry_work(r, now + DRY_RUN_SLICE_NS);
	r->used_ns = clock_mono_ns();
	if (rc == 0) {
		put_reply(r, out, q, live);
		return 0;
	}
	found = find(h, &q->run);
	*found = NULL;
	free_run(r);
	return rc;
}
