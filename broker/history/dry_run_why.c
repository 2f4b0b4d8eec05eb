/* dry_run_why.c - why what would run would run: as why_reason.c says it of what ran, with what an entry's
 * tasks have in common read once, and causes counted by entry. */
#include "broker/history/dry_run.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

struct nearest *dry_nearest(struct dry_run *r, uint32_t number)
{
	struct dry_entry *entry = &r->entries[number];
	if (!entry->nearest) {
		entry->nearest = nearest_load(r->h, entry->name, 0);
		entry->duration_ns = nearest_duration(entry->nearest);
	}
	return entry->nearest;
}

int dry_print(struct dry_run *r, uint32_t index, struct print *p, struct args *args)
{
	struct core_task_view view;
	*args = (struct args){0};
	if (core_view_task(r->core, DRY_BATCH, index, &view) || !view.has_fingerprint)
		return 1;
	const struct dry_function *f = &r->functions[r->tasks[index].function];
	*p = (struct print){.function = dry_function(r, r->tasks[index].function),
			    .index = index,
			    .source = f->has_source ? f->source : NULL};
	memcpy(p->func_hash, view.func_hash, DIGEST_SIZE);
	memcpy(p->args_hash, view.args_hash, DIGEST_SIZE);
	if (!args_decode(view.args, view.args_size, args))
		p->args = args;
	return 0;
}

static void write_changes(struct dry_run *r, const struct print *p, uint64_t earlier,
			  struct nearest *n, struct buf *out, unsigned field)
{
	uint8_t hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	struct commit c;
	struct args args;
	CLEANUP_BUF struct buf body = {0}, arena = {0};
	if (ledger_read_commit(history_reader(r->h), earlier, &body, hash) ||
	    commit_decode(body.data, body.size, &c, &arena))
		return;
	bool has_args = !args_decode(c.args, c.args_size, &args);
	sha256_digest(c.args, c.args_size, args_hash);
	struct compare_sink sink = {.out = out, .field = field, .only_changed = true};
	struct compare_side old = {.function = nearest_function(n, c.func_hash, c.batch,
								c.index),
				   .args = has_args ? &args : NULL,
				   .func_hash = c.func_hash,
				   .args_hash = args_hash,
				   .source = c.has_source ? c.source : NULL},
			    now = {.function = p->function,
				   .args = p->args,
				   .func_hash = p->func_hash,
				   .args_hash = p->args_hash,
				   .source = p->source};
	compare_write(&sink, &old, &now);
	if (has_args)
		args_fini(&args);
}

void dry_changes(struct dry_run *r, uint32_t index, struct buf *out, unsigned field)
{
	const struct dry_task *t = &r->tasks[index];
	struct print p;
	struct args args;
	if (t->reason == CASHET__WHY_REPLY__REASON__CHANGED && t->commit &&
	    !dry_print(r, index, &p, &args)) {
		write_changes(r, &p, t->commit,
			      dry_nearest(r, r->functions[t->function].entry), out,
			      field);
		args_fini(&args);
	}
}

/* ---- causes ---- */

/* What differs, without the values: tasks whose code changed in one file have one cause. Of
 * digests, as of code, both are part of it. */
static char *key_of(uint8_t reason, const struct buf *changes)
{
	CLEANUP_BUF struct buf key = {0};
	const uint8_t *at = changes->data;
	struct pb_field change, f;
	buf_printf(&key, "%u", reason);
	while (changes->size && pb_find(&at, changes->data + changes->size, 3, &change)) {
		const uint8_t *inside = change.data;
		while (pb_next(&inside, change.data + change.size, &f)) {
			if (f.type == PB_VARINT)
				buf_printf(&key, "/%u", (unsigned)f.value);
			else if (f.type == PB_BYTES && f.number == 2)
				buf_add(&key, f.data, f.size);
		}
	}
	return mem_strdup(buf_cstr(&key));
}

static void count_cause(struct dry_entry *entry, uint32_t index, uint8_t reason,
			struct buf *changes)
{
	char *key = key_of(reason, changes);
	uint32_t i = 0;
	while (i < entry->cause_count && strcmp(entry->causes[i].key, key))
		i++;
	if (i < entry->cause_count || i == DRY_RUN_CAUSES) {
		free(key);
		if (i ==
		    DRY_RUN_CAUSES) /* too many kinds: the last one stands for others */
			i--;
		entry->causes[i].count++;
		return;
	}
	entry->causes[i] = (struct dry_cause){
		.key = key, .reason = reason, .count = 1, .index = index};
	struct buf *to = &entry->causes[i].changes;
	buf_add(to, changes->data, changes->size);
	entry->cause_count++;
}

/* Most frequent first; few, so by insertion. */
static void sort_causes(struct dry_entry *entry)
{
	for (uint32_t i = 1; i < entry->cause_count; i++)
		for (uint32_t k = i;
		     k && entry->causes[k].count > entry->causes[k - 1].count; k--) {
			struct dry_cause was = entry->causes[k];
			entry->causes[k] = entry->causes[k - 1];
			entry->causes[k - 1] = was;
		}
}

static uint8_t find_reason(struct dry_run *r, struct dry_task *t, const struct print *p,
			   struct dry_entry *entry, uint32_t entry_number)
{
	const struct dry_function *f = &r->functions[t->function];
	struct same_work w = {.func_hash = p->func_hash,
			      .args_hash = p->args_hash,
			      .started_ms = r->wall_ms,
			      .cache = r->options[f->options].cache};
	Cashet__WhyReply__Reason reason = why_same_work(r->h, &w, &t->commit);
	if (reason != CASHET__WHY_REPLY__REASON__CHANGED || t->commit)
		return (uint8_t)reason;
	struct nearest *n = dry_nearest(r, entry_number);
	if (nearest_is_empty(n))
		return CASHET__WHY_REPLY__REASON__FIRST;
	if (entry->explained < DRY_RUN_DETAILED && nearest_find(n, p, false, &t->commit))
		t->commit = 0;
	return CASHET__WHY_REPLY__REASON__CHANGED;
}

void dry_explain(struct dry_run *r, uint32_t index)
{
	struct dry_task *t = &r->tasks[index];
	uint32_t number = r->functions[t->function].entry;
	struct dry_entry *entry = &r->entries[number];
	struct print p;
	struct args args;
	entry->total++;
	entry->counts[t->state]++;
	if (t->runs && t->state != CASHET__DRY_RUN_TASK__STATE__WAITS &&
	    !dry_print(r, index, &p, &args)) {
		CLEANUP_BUF struct buf changes = {0};
		t->reason = find_reason(r, t, &p, entry, number);
		if (t->reason == CASHET__WHY_REPLY__REASON__CHANGED && t->commit)
			write_changes(r, &p, t->commit, dry_nearest(r, number), &changes,
				      3);
		/* Beyond the detailed ones, the most frequent cause so far stands for all. */
		if (t->reason == CASHET__WHY_REPLY__REASON__CHANGED && !t->commit &&
		    entry->cause_count)
			entry->causes[0].count++;
		else
			count_cause(entry, index, t->reason, &changes);
		entry->explained++;
		sort_causes(entry);
		args_fini(&args);
	}
}
