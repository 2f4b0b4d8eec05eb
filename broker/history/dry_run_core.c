/* dry_run_core.c - the core's events and effects in a dry run. */
#include "broker/history/dry_run.h"

#include "common/clock.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define COMMITS_FIRST (1ull << 60) /* numbers of commits that the core gives here */
#define TREE_MAX (16u << 20)
#define CHECK_CLOCK_EVERY 16

static const uint64_t core_now = NS_PER_S; /* time stands still for it */

static void grants_push(struct dry_run *r, const struct dry_grant *g);

/* ---- effects ---- */

static void refuse(struct dry_run *r, const struct core_effect *fx)
{
	static const char *const texts[] = {
		[CORE_R_BAD_FUNCTION] = "a function's number is out of range",
		[CORE_R_BAD_REF] = "a reference points at no task or output",
		[CORE_R_SELF_REF] = "a task refers to itself",
		[CORE_R_CYCLE] = "tasks refer to each other in a circle",
		[CORE_R_BAD_NONCE] = "a nonce is missing or too much",
		[CORE_R_BAD_OPTIONS] = "options are out of range",
		[CORE_R_TOO_LARGE] = "it is too large",
	};
	if (!r->refused)
		r->refused = mem_strdup(texts[fx->refused.why]);
}

static void look_up_later(struct dry_run *r, const struct core_effect *fx)
{
	if (r->lookup_first == r->lookup_count)
		r->lookup_first = r->lookup_count = 0;
	mem_grow(r->lookups, r->lookup_count, r->lookup_room);
	struct dry_lookup *to = &r->lookups[r->lookup_count++];
	*to = (struct dry_lookup){.exec = fx->lookup.exec,
				  .need_bytes = fx->lookup.need_bytes,
				  .need_slots = fx->lookup.need_slots,
				  .parent_only = fx->lookup.parent_only};
	memcpy(to->func_hash, fx->lookup.func_hash, DIGEST_SIZE);
	memcpy(to->args_hash, fx->lookup.args_hash, DIGEST_SIZE);
}

/* A list with something never seen in it was never seen either. */
static void note_list(struct dry_run *r, const struct core_effect *fx)
{
	for (size_t at = 0; at + CONTENT_SIZE <= fx->blob.size; at += CONTENT_SIZE)
		if (digest_set_has(&r->unseen, fx->blob.data + at + 1)) {
			digest_set_add(&r->unseen, fx->blob.digest);
			return;
		}
}

static bool reads_unseen(const struct dry_run *r, const uint8_t *data, size_t size)
{
	struct args args;
	bool unseen = false;
	if (args_decode(data, size, &args))
		return true;
	for (size_t i = 0; !unseen && i < args.input_count; i++)
		unseen = digest_set_has(&r->unseen, args.inputs[i].content.digest);
	args_fini(&args);
	return unseen;
}

static void granted(struct dry_run *r, const struct core_effect *fx)
{
	struct dry_task *t = &r->tasks[fx->index];
	const struct dry_function *f = &r->functions[t->function];
	struct dry_entry *entry = &r->entries[f->entry];
	uint64_t cpus = r->options[f->options].cpus_milli;
	if (!t->runs)
		t->state = reads_unseen(r, fx->grant.args, fx->grant.args_size)
				   ? CASHET__DRY_RUN_TASK__STATE__WAITS
				   : CASHET__DRY_RUN_TASK__STATE__RUN_ALIKE;
	t->runs = true;
	dry_nearest(r, f->entry);
	entry->work_ns += entry->duration_ns / 1000 * cpus;
	struct dry_grant g = {.finish_ns = r->now_ns + entry->duration_ns,
			      .lease = fx->grant.lease,
			      .index = fx->index};
	if (g.finish_ns > r->chain_ns)
		r->chain_ns = g.finish_ns;
	grants_push(r, &g);
}

static void ended(struct dry_run *r, const struct core_effect *fx)
{
	struct dry_task *t = &r->tasks[fx->index];
	t->over = true;
	if (fx->ended.status != CORE_COMPLETED || (t->runs && !fx->ended.deduplicated))
		return;
	if (fx->ended.deduplicated || fx->ended.commit >= COMMITS_FIRST) {
		t->state = CASHET__DRY_RUN_TASK__STATE__JOINS;
		t->runs = false;
		return;
	}
	t->commit = fx->ended.commit;
	t->state = r->phase == DRY_ASSUME ? CASHET__DRY_RUN_TASK__STATE__CACHED_IF_SAME
					  : CASHET__DRY_RUN_TASK__STATE__CACHED;
}

static void apply(struct dry_run *r, const struct core_effect *fx)
{
	switch (fx->type) {
	case CORE_FX_BATCH_REFUSED:
		refuse(r, fx);
		return;
	case CORE_FX_LOOKUP:
		look_up_later(r, fx);
		return;
	case CORE_FX_LIST_BLOB:
		note_list(r, fx);
		return;
	case CORE_FX_GRANT:
		granted(r, fx);
		return;
	case CORE_FX_TASK_ENDED:
		ended(r, fx);
		return;
	default: /* what only a broker cares about */
		return;
	}
}

void dry_step(struct dry_run *r, struct core_event *event)
{
	event->now = core_now;
	event->step = ++r->step;
	core_effects_reset(&r->fx);
	core_step(r->core, event, &r->fx);
	for (size_t i = 0; i < r->fx.count; i++)
		apply(r, &r->fx.items[i]);
}

void dry_begin(struct dry_run *r)
{
	struct core_config config = {.boot = 1, .next_commit = COMMITS_FIRST};
	struct core_event recovered = {.type = CORE_EV_RECOVERED};
	struct core_event open = {.type = CORE_EV_BATCH_OPEN, .batch = DRY_BATCH};
	r->core = core_new(&config);
	memcpy(open.open.id, r->id, NONCE_SIZE);
	dry_step(r, &recovered);
	dry_step(r, &open);
}

/* ---- is all of it there? As the broker's presence.c, without its memory of the past. ---- */

static bool has_blob(struct dry_run *r, const uint8_t digest[DIGEST_SIZE])
{
	uint64_t size;
	if (!memcmp(digest, sha256_empty, DIGEST_SIZE) ||
	    digest_set_has(&r->there, digest))
		return true;
	if (ledger_has_blob(history_reader(r->h), digest) &&
	    (!r->h->cas || cas_has(r->h->cas, digest, &size)))
		return false;
	digest_set_add(&r->there, digest);
	return true;
}

static bool has_tree(struct dry_run *r, const uint8_t digest[DIGEST_SIZE])
{
	CLEANUP_BUF struct buf data = {0};
	struct content_entries entries = {0};
	if (!has_blob(r, digest) ||
	    (ledger_find_blob(history_reader(r->h), digest, &data) &&
	     (!r->h->cas || cas_read(r->h->cas, digest, TREE_MAX, &data))) ||
	    content_decode_tree(data.data, data.size, &entries))
		return false;
	bool whole = true;
	for (size_t i = 0; whole && i < entries.count; i++)
		whole = entries.items[i].content.type == CONTENT_DIR ||
			has_blob(r, entries.items[i].content.digest);
	content_entries_fini(&entries);
	return whole;
}

static bool has_all(struct dry_run *r, const struct commit *c)
{
	bool whole = has_blob(r, c->result.digest);
	for (size_t i = 0; whole && i < c->output_count; i++)
		whole = c->outputs[i].content.type == CONTENT_TREE
				? has_tree(r, c->outputs[i].content.digest)
				: has_blob(r, c->outputs[i].content.digest);
	return whole;
}

/* ---- look-ups ---- */

static uint32_t set_slots(struct dry_run *r, const struct commit *c)
{
	size_t count = 2 + c->output_count;
	if (count > r->slot_room) {
		free(r->slots);
		r->slots = mem_alloc(count * sizeof *r->slots);
		r->slot_room = count;
	}
	r->slots[SLOT_RESULT] = c->result;
	memset(&r->slots[SLOT_STDOUT], 0, sizeof *r->slots);
	if (c->has_stdout) {
		r->slots[SLOT_STDOUT].type = CONTENT_FILE;
		memcpy(r->slots[SLOT_STDOUT].digest, c->stdout_digest, DIGEST_SIZE);
	}
	for (size_t i = 0; i < c->output_count; i++)
		r->slots[SLOT_OUTPUT + i] = c->outputs[i].content;
	return (uint32_t)count;
}

static int read_commit(struct dry_run *r, uint64_t seq, struct commit *c)
{
	uint8_t hash[DIGEST_SIZE];
	buf_reset(&r->body);
	buf_reset(&r->arena);
	return ledger_read_commit(history_reader(r->h), seq, &r->body, hash) ||
	       commit_decode(r->body.data, r->body.size, c, &r->arena);
}

static void answer_lookup(struct dry_run *r, const struct dry_lookup *q)
{
	struct core_event event = {.type = CORE_EV_LOOKUP, .lookup = {.exec = q->exec}};
	struct ledger_hit hit;
	struct commit c;
	struct ledger_reader *reader = history_reader(r->h);
	if (reader && !ledger_find(reader, q->func_hash, q->args_hash, &hit)) {
		bool expired = hit.expires_wall_ms && hit.expires_wall_ms <= r->wall_ms;
		event.lookup.commit = hit.seq;
		if (!expired && !q->parent_only && !read_commit(r, hit.seq, &c) &&
		    c.status == COMMIT_COMPLETED && (!q->need_bytes || has_all(r, &c))) {
			event.lookup.hit = true;
			if (q->need_slots) {
				event.lookup.slot_count = set_slots(r, &c);
				event.lookup.slots = r->slots;
			}
		}
	}
	dry_step(r, &event);
}

/* ---- the worker ---- */

static bool before(const struct dry_grant *a, const struct dry_grant *b)
{
	return a->finish_ns != b->finish_ns ? a->finish_ns < b->finish_ns
					    : a->index < b->index;
}

static void swap(struct dry_grant *a, struct dry_grant *b)
{
	struct dry_grant was = *a;
	*a = *b;
	*b = was;
}

static void grants_push(struct dry_run *r, const struct dry_grant *g)
{
	mem_grow(r->grants, r->grant_count, r->grant_room);
	size_t at = r->grant_count++;
	r->grants[at] = *g;
	while (at && before(&r->grants[at], &r->grants[(at - 1) / 2])) {
		swap(&r->grants[at], &r->grants[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

static struct dry_grant grants_pop(struct dry_run *r)
{
	struct dry_grant first = r->grants[0];
	r->grants[0] = r->grants[--r->grant_count];
	for (size_t at = 0;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < r->grant_count &&
			    before(&r->grants[child], &r->grants[least]))
				least = child;
		if (least == at)
			return first;
		swap(&r->grants[at], &r->grants[least]);
		at = least;
	}
}

static void join_worker(struct dry_run *r)
{
	struct core_event event = {
		.type = CORE_EV_WORKER_JOIN,
		.worker = 1,
		.join = {.process = 1, .capacity_count = r->capacity_count}};
	memset(event.join.key, 1, sizeof event.join.key);
	memcpy(event.join.capacity, r->capacity, sizeof r->capacity);
	dry_step(r, &event);
	/* It has no claims. */
	struct core_event credit = {.type = CORE_EV_WORKER_CREDIT, .worker = 1};
	dry_step(r, &credit);
}

static bool same_params(const struct function *f, const struct args *a,
			const struct function *g, const struct args *b)
{
	if (f->param_count != g->param_count || a->value_count != b->value_count ||
	    a->value_count != f->param_count)
		return false;
	for (size_t i = 0; i < f->param_count; i++)
		if (strcmp(f->params[i], g->params[i]) ||
		    !value_equal(&a->values[i], &b->values[i]))
			return false;
	return true;
}

/* Is commit @seq of what people take for the same task? Fills r->slots. Return: their number, or 0. */
static uint32_t use_earlier(struct dry_run *r, uint64_t seq, const struct print *p,
			    struct nearest *n, uint32_t output_count)
{
	struct commit c;
	struct args args;
	if (read_commit(r, seq, &c) || c.status != COMMIT_COMPLETED ||
	    c.output_count != output_count || args_decode(c.args, c.args_size, &args))
		return 0;
	const struct function *f = nearest_function(n, c.func_hash, c.batch, c.index);
	bool same = f && p->function && p->args &&
		    same_params(p->function, p->args, f, &args);
	for (uint32_t i = 0; same && i < output_count; i++)
		same = !strcmp(p->function->outputs[i].name, c.outputs[i].name);
	args_fini(&args);
	return same ? set_slots(r, &c) : 0;
}

/* What the same task gave last time. Return: number of slots; 0 if it is not known. */
static uint32_t earlier_slots(struct dry_run *r, uint32_t index)
{
	const struct dry_task *t = &r->tasks[index];
	const struct dry_function *f = &r->functions[t->function];
	struct print p;
	struct args args = {0};
	uint64_t seq;
	uint32_t count = 0;
	if (history_reader(r->h) && !dry_print(r, index, &p, &args)) {
		struct nearest *n = dry_nearest(r, f->entry);
		struct same_work w = {.func_hash = p.func_hash,
				      .args_hash = p.args_hash,
				      .started_ms = r->wall_ms,
				      .cache = r->options[f->options].cache};
		why_same_work(r->h, &w, &seq);
		if (seq)
			count = use_earlier(r, seq, &p, n, f->output_count);
		if (!count && !nearest_find(n, &p, false, &seq))
			count = use_earlier(r, seq, &p, n, f->output_count);
	}
	args_fini(&args);
	return count;
}

static uint32_t unseen_slots(struct dry_run *r, uint32_t index)
{
	uint32_t count = 2 + r->functions[r->tasks[index].function].output_count;
	if (count > r->slot_room) {
		free(r->slots);
		r->slots = mem_alloc(count * sizeof *r->slots);
		r->slot_room = count;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct sha256 sha;
		sha256_init(&sha);
		sha256_update(&sha, r->id, sizeof r->id);
		sha256_update(&sha, &index, sizeof index);
		sha256_update(&sha, &i, sizeof i);
		sha256_final(&sha, r->slots[i].digest);
		r->slots[i].type =
			i == SLOT_RESULT && count > 2 ? CONTENT_RESULT : CONTENT_FILE;
		digest_set_add(&r->unseen, r->slots[i].digest);
	}
	return count;
}

static void finish_one(struct dry_run *r)
{
	struct dry_grant g = grants_pop(r);
	struct core_event event = {.type = CORE_EV_RESULT, .worker = 1};
	r->now_ns = g.finish_ns;
	uint32_t count = core_wants_slots(r->core, DRY_BATCH, g.index)
				 ? earlier_slots(r, g.index)
				 : 0;
	event.result.slot_count = count ? count : unseen_slots(r, g.index);
	event.result.slots = r->slots;
	event.result.lease = g.lease;
	event.result.outcome = CORE_OUT_COMPLETED;
	event.result.token = 1;
	dry_step(r, &event);
}

/* ---- slices ---- */

static void mark_ready(struct dry_run *r)
{
	struct core_task_view view;
	uint32_t index = r->cursor++;
	struct dry_task *t = &r->tasks[index];
	if (t->over || core_view_task(r->core, DRY_BATCH, index, &view) ||
	    view.status != CORE_READY)
		return;
	t->state = CASHET__DRY_RUN_TASK__STATE__RUN;
	t->runs = true;
}

static void next_phase(struct dry_run *r, enum dry_phase phase)
{
	r->phase = phase;
	r->cursor = 0;
}

static void work_on(struct dry_run *r)
{
	struct core_event time = {.type = CORE_EV_TIME};
	if (r->lookup_first < r->lookup_count) {
		struct dry_lookup q = r->lookups[r->lookup_first++];
		answer_lookup(r, &q);
		return;
	}
	if ((r->phase == DRY_LOOKUPS || r->phase == DRY_ASSUME) &&
	    core_deadline(r->core) <= core_now) {
		dry_step(r, &time);
		return;
	}
	switch (r->phase) {
	case DRY_LOOKUPS:
		next_phase(r, DRY_MARK);
		return;
	case DRY_MARK:
		if (r->cursor < r->task_count) {
			mark_ready(r);
			return;
		}
		next_phase(r, DRY_ASSUME);
		join_worker(r);
		return;
	case DRY_ASSUME:
		if (r->grant_count)
			finish_one(r);
		else
			next_phase(r, DRY_REASONS);
		return;
	case DRY_REASONS:
		if (r->cursor < r->task_count)
			dry_explain(r, r->cursor++);
		else
			r->phase = DRY_READY;
		return;
	case DRY_CHUNKS:
	case DRY_READY:
		return;
	}
}

void dry_work(struct dry_run *r, uint64_t until_ns)
{
	for (unsigned n = 1; r->phase != DRY_READY; n++) {
		work_on(r);
		if (n % CHECK_CLOCK_EVERY == 0 && clock_mono_ns() >= until_ns)
			return;
	}
}
