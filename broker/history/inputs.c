/* inputs.c - where the inputs of a commit came from.
 *
 * The record of the task that made it says which task each reference stood for, and the record of
 * its batch with which commit that task ended: exactly what was read, be it a hit or a run. What is
 * no reference was supplied by the client. Where the batch's record is gone (gc, an import), the
 * commits made shortly before are compared with the contents that the arguments name. */
#include "broker/history/parts.h"

#include "common/format/function.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define NEARBY 4096 /* commits that are compared */
#define LIST_MAX (4u << 20)

/* fields of cashet.TaskSpec, Ref, Group, GroupRange, GraphInput, Content */
enum { TASK_REFS = 3 };
enum { REF_OFFSET = 1, REF_IS_GROUP = 2, REF_TARGET = 3 };
enum { GROUP_RANGES = 1 };
enum { RANGE_FIRST = 1, RANGE_COUNT = 2 };

/* ---- sources ---- */

void sources_fini(struct history_sources *s)
{
	free(s->seqs);
	free(s->slots);
}

static void rehash(struct history_sources *s)
{
	if (2 * (s->count + 1) < s->slot_count)
		return;
	s->slot_count = s->slot_count ? 2 * s->slot_count : 64;
	free(s->slots);
	s->slots = mem_alloc(s->slot_count * sizeof *s->slots);
	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t at = (uint32_t)s->seqs[i] * 2654435761u;
		while (s->slots[at & (s->slot_count - 1)])
			at++;
		s->slots[at & (s->slot_count - 1)] = i + 1;
	}
}

/* Return: the slot of commit @seq, or the free one where it belongs. */
static uint32_t *slot_of(struct history_sources *s, uint64_t seq)
{
	rehash(s);
	uint32_t at = (uint32_t)seq * 2654435761u;
	for (;; at++) {
		uint32_t *slot = &s->slots[at & (s->slot_count - 1)];
		if (!*slot || s->seqs[*slot - 1] == seq)
			return slot;
	}
}

uint32_t sources_number(struct history_sources *s, uint64_t seq)
{
	uint32_t *slot = slot_of(s, seq);
	if (*slot)
		return *slot - 1;
	if (s->count >= s->max) {
		s->cut = true;
		return UINT32_MAX;
	}
	mem_grow(s->seqs, s->count, s->room);
	s->seqs[s->count++] = seq;
	*slot = s->count;
	return s->count - 1;
}

/* ---- one input ---- */

struct origin { /* of one input */
	uint32_t *nodes;
	uint32_t count, room;
	uint32_t supplied, unknown, parts;
};

static void add_source(struct origin *o, struct history_sources *s, uint64_t seq)
{
	uint32_t number = sources_number(s, seq);
	if (number == UINT32_MAX)
		return;
	/* Lists often name one commit several times in a row. */
	if (o->count && o->nodes[o->count - 1] == number)
		return;
	mem_grow(o->nodes, o->count, o->room);
	o->nodes[o->count++] = number;
}

struct lookup {
	struct history *h;
	struct history_sources *sources;
	struct specs *specs; /* NULL: the batch's record is gone */
	const struct ends *ends;
	const uint8_t *task; /* packed TaskSpec */
	size_t task_size;
};

static void from_task(struct lookup *l, struct origin *o, uint64_t index)
{
	uint64_t seq = index < l->ends->count ? l->ends->items[index].commit : 0;
	o->parts++;
	/* It may have been removed since. */
	if (seq && (*slot_of(l->sources, seq) || history_has(l->h, seq)))
		add_source(o, l->sources, seq);
	else
		o->unknown++;
}

static void from_range(struct lookup *l, struct origin *o, const struct pb_field *range)
{
	const uint8_t *at = range->data;
	struct pb_field f;
	uint64_t first = 0, count = 0;
	while (pb_next(&at, range->data + range->size, &f)) {
		if (f.type == PB_VARINT && f.number == RANGE_FIRST)
			first = f.value;
		else if (f.type == PB_VARINT && f.number == RANGE_COUNT)
			count = f.value;
	}
	if (!count) {
		o->supplied++;
		o->parts++;
	}
	for (uint64_t i = first; i < first + count && i < l->ends->count; i++) {
		/* Those that failed are passed over, where that was asked for. */
		if (l->ends->items[i].status == CORE_COMPLETED)
			from_task(l, o, i);
	}
}

static void from_group(struct lookup *l, struct origin *o, uint32_t number)
{
	size_t size;
	const uint8_t *group = specs_group(l->specs, number, &size), *at = group;
	struct pb_field f;
	while (group && pb_find(&at, group + size, GROUP_RANGES, &f))
		from_range(l, o, &f);
}

/* Return: true if the placeholder at @offset was a reference. */
static bool from_refs(struct lookup *l, struct origin *o, size_t offset)
{
	const uint8_t *at = l->task;
	struct pb_field ref, f;
	while (pb_find(&at, l->task + l->task_size, TASK_REFS, &ref)) {
		uint64_t values[REF_TARGET + 1] = {0};
		const uint8_t *in = ref.data;
		while (pb_next(&in, ref.data + ref.size, &f))
			if (f.type == PB_VARINT && f.number <= REF_TARGET)
				values[f.number] = f.value;
		if (values[REF_OFFSET] != offset)
			continue;
		if (values[REF_IS_GROUP])
			from_group(l, o, (uint32_t)values[REF_TARGET]);
		else
			from_task(l, o, values[REF_TARGET]);
		return true;
	}
	return false;
}

/* ---- without the batch's record ---- */

struct nearby { /* contents that are looked for among earlier commits */
	struct content *wanted;
	uint64_t *seqs; /* 0: not found yet */
	size_t count, left;
	uint32_t looks;
};

static bool produced(const struct commit *c, const struct content *content)
{
	if (c->status != COMMIT_COMPLETED)
		return false;
	if (!memcmp(c->result.digest, content->digest, DIGEST_SIZE) ||
	    (c->has_stdout && !memcmp(c->stdout_digest, content->digest, DIGEST_SIZE)))
		return true;
	for (size_t i = 0; i < c->output_count; i++)
		if (!memcmp(c->outputs[i].content.digest, content->digest, DIGEST_SIZE))
			return true;
	return false;
}

static int compare_nearby(void *arg, const struct ledger_commit_row *row)
{
	struct nearby *n = arg;
	CLEANUP_BUF struct buf arena = {0};
	struct commit c;
	if (commit_decode(row->body, row->size, &c, &arena))
		return 0;
	for (size_t i = 0; i < n->count; i++) {
		if (!n->seqs[i] && produced(&c, &n->wanted[i])) {
			n->seqs[i] = row->seq;
			n->left--;
		}
	}
	return !n->left || ++n->looks >= NEARBY;
}

static int add_bytes(void *arg, const void *data, size_t size)
{
	struct buf *out = arg;
	if (out->size + size > LIST_MAX)
		return -1;
	buf_add(out, data, size);
	return 0;
}

/* The contents that an input consists of: members of a list, else itself. */
static void add_wanted(struct history *h, struct buf *wanted,
		       const struct content *content)
{
	CLEANUP_BUF struct buf list = {0};
	bool is_list = content->type == CONTENT_LIST &&
		       !history_blob(h, content->digest, 0, 0, add_bytes, &list, NULL) &&
		       list.size % CONTENT_SIZE == 0;
	if (is_list)
		buf_add(wanted, list.data, list.size);
	else
		buf_add(wanted, content, CONTENT_SIZE);
}

static void from_nearby(struct history *h, struct history_sources *s, uint64_t seq,
			const struct args *args, struct origin *origins)
{
	CLEANUP_BUF struct buf wanted = {0};
	CLEANUP_FREE size_t *counts = mem_alloc((args->input_count + 1) * sizeof *counts);
	for (size_t i = 0; i < args->input_count; i++) {
		size_t before = wanted.size;
		if (args->inputs[i].content.type != CONTENT_EXTERN)
			add_wanted(h, &wanted, &args->inputs[i].content);
		counts[i] = (wanted.size - before) / CONTENT_SIZE;
	}
	struct nearby n = {.wanted = (struct content *)wanted.data,
			   .count = wanted.size / CONTENT_SIZE};
	CLEANUP_FREE uint64_t *seqs = n.seqs = mem_alloc((n.count + 1) * sizeof *n.seqs);
	n.left = n.count;
	if (n.count)
		ledger_each_commit(history_reader(h), LEDGER_NEWEST_FIRST, seq,
				   compare_nearby, &n);
	for (size_t i = 0, at = 0; i < args->input_count; i++) {
		origins[i].parts = (uint32_t)counts[i];
		for (size_t k = 0; k < counts[i]; k++, at++) {
			if (seqs[at])
				add_source(&origins[i], s, seqs[at]);
			else
				origins[i].unknown++;
		}
	}
}

/* ---- all of them ---- */

static void add_input(struct buf *out, unsigned field, const char *name,
		      const struct args_input *input, const struct origin *o)
{
	size_t mark = pb_open(out, field);
	pb_text(out, 1, name);
	bool nameless = input->label && !strcmp(input->names[0], "value");
	for (size_t i = 0; i < input->name_count && !nameless; i++)
		pb_text(out, 2, input->names[i]);
	size_t content = pb_open(out, 3);
	pb_uint(out, 1, input->content.type);
	pb_bytes(out, 2, input->content.digest, DIGEST_SIZE);
	pb_close(out, content);
	size_t nodes = pb_open(out, 4);
	for (uint32_t i = 0; i < o->count; i++)
		pb_varint(out, o->nodes[i]);
	pb_close(out, nodes);
	pb_uint(out, 5, o->supplied);
	pb_uint(out, 6, o->unknown);
	pb_uint(out, 7, o->parts);
	pb_close(out, mark);
}

static bool find_batch(struct history *h, const struct commit *c, struct lookup *l)
{
	struct ledger_batch_row row;
	struct specs_task task;
	if (history_batch_of(h, c->batch, &row))
		return false;
	l->ends = history_ends(h, &row);
	l->specs = history_specs(h, &row);
	if (!l->specs || specs_task(l->specs, c->index, &task))
		return false;
	l->task = task.packed;
	l->task_size = task.packed_size;
	return true;
}

void history_add_inputs(struct history *h, struct buf *out, unsigned field,
			const struct history_commit *c, struct history_sources *s)
{
	struct args args = {0};
	struct function function = {0};
	CLEANUP_BUF struct buf description = {0};
	if (args_decode(c->c.args, c->c.args_size, &args))
		return;
	bool named = args.input_count &&
		     !history_description(h, c->c.func_hash, c->c.batch, c->c.index,
					  &description, NULL) &&
		     !function_decode(description.data, description.size, &function);
	named = named && function.input_count == args.input_count;
	struct origin *origins = mem_alloc((args.input_count + 1) * sizeof *origins);
	struct lookup l = {.h = h, .sources = s};
	bool known = args.input_count && find_batch(h, &c->c, &l);
	if (!known && args.input_count)
		from_nearby(h, s, c->row.seq, &args, origins);
	for (size_t i = 0; i < args.input_count; i++) {
		const struct args_input *input = &args.inputs[i];
		struct origin *o = &origins[i];
		if (known && !from_refs(&l, o, input->offset)) {
			o->supplied = input->content.type != CONTENT_EXTERN;
			o->parts = (uint32_t)input->name_count;
		}
		add_input(out, field,
			  input->label ? input->label
			  : named      ? function.inputs[i]
				       : "",
			  input, o);
		free(o->nodes);
	}
	free(origins);
	function_fini(&function);
	args_fini(&args);
}
