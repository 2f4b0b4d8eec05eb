/* specs.c - tasks of a batch as they were submitted, read from its recorded chunks without decoding
 * them whole.
 *
 * The broker notes in each chunk how many tasks, functions, groups and options are before it
 * (SubmitChunk.before). So any chunk that was read says where it is, and the one that holds a number
 * is found by guessing from its neighbours: chunks are about equally large, so the first or second
 * guess is right. In chunks of older brokers there is no such note; then all are read in order.
 * Functions, groups and options of a chunk that was read are kept; tasks are asked for in order, so
 * the chunk that was read last is kept whole. */
#include "broker/history/specs.h"

#include "common/pure/mem.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

/* fields of cashet.SubmitChunk, Function, TaskSpec */
enum {
	CHUNK_INFO = 3,
	CHUNK_OPTIONS = 4,
	CHUNK_FUNCTIONS = 5,
	CHUNK_GROUPS = 6,
	CHUNK_TASKS = 7,
	CHUNK_BEFORE = 11
};
enum { FUNCTION_OPTIONS = 3 };
enum { TASK_FUNCTION = 1, TASK_ARGS = 2, TASK_NONCE = 5 };

enum kind { TASKS, FUNCTIONS, GROUPS, OPTIONS, KINDS }; /* as fields of before, less 1 */

struct span {
	size_t at, size; /* in specs.bytes; size 0: not read yet */
};

struct items { /* by number; of tasks there are none */
	struct span *spans;
	uint32_t room;
};

struct place { /* of a chunk */
	bool known;
	uint32_t before[KINDS];
};

struct specs {
	uint64_t number;
	struct ledger_reader *reader;
	uint32_t chunk_count;
	struct place *places; /* of each chunk, and of what would follow the last */
	bool *scanned;
	struct items items[KINDS];
	struct buf bytes; /* packed functions, groups and options, behind each other */
	struct buf info;
	struct buf chunk; /* the last one that was read */
	uint32_t loaded;  /* its number; UINT32_MAX: none */
	uint32_t next_index;
	/* where in it the task with next_index, or a field before it, begins; NULL: its first */
	const uint8_t *next;
};

void specs_free(struct specs *s)
{
	if (!s)
		return;
	free(s->places);
	free(s->scanned);
	for (unsigned i = 0; i < KINDS; i++)
		free(s->items[i].spans);
	buf_fini(&s->info);
	buf_fini(&s->bytes);
	buf_fini(&s->chunk);
	free(s);
}

void specs_info(struct buf *out, const struct buf *chunk)
{
	const uint8_t *at = chunk->data, *end = at + chunk->size;
	struct pb_field f;
	/* Several parts of one message, behind each other, are that message. */
	while (pb_find(&at, end, CHUNK_INFO, &f))
		buf_add(out, f.data, f.size);
}

/* ---- a chunk that was read ---- */

/* Of a field that comes twice the last one counts: the broker's. */
static void read_before(struct place *place, const struct buf *chunk)
{
	const uint8_t *at = chunk->data, *end = at + chunk->size;
	struct pb_field before, f;
	while (pb_find(&at, end, CHUNK_BEFORE, &before)) {
		const uint8_t *in = before.data;
		place->known = true;
		while (pb_next(&in, before.data + before.size, &f))
			if (f.type == PB_VARINT && f.number >= 1 && f.number <= KINDS)
				place->before[f.number - 1] = (uint32_t)f.value;
	}
}

static void keep(struct specs *s, enum kind kind, uint32_t number,
		 const struct pb_field *f)
{
	struct items *items = &s->items[kind];
	if (number >= items->room) {
		uint32_t room = 2 * (number + 4);
		items->spans = mem_resize(items->spans, room * sizeof *items->spans);
		memset(items->spans + items->room, 0,
		       (room - items->room) * sizeof *items->spans);
		items->room = room;
	}
	items->spans[number] = (struct span){s->bytes.size, f->size};
	buf_add(&s->bytes, f->data, f->size);
}

/* scan() - learn what chunk @number holds. Return: 0; 1 if where it is in the batch is not known. */
static int scan(struct specs *s, uint32_t number, const struct buf *chunk)
{
	static const enum kind kinds[CHUNK_TASKS + 1] = {[CHUNK_OPTIONS] = OPTIONS,
							 [CHUNK_FUNCTIONS] = FUNCTIONS,
							 [CHUNK_GROUPS] = GROUPS,
							 [CHUNK_TASKS] = TASKS};
	struct place *place = &s->places[number];
	const uint8_t *at = chunk->data, *end = at + chunk->size;
	struct pb_field f;
	if (!place->known)
		read_before(place, chunk);
	if (!place->known)
		return 1;
	struct place after = *place;
	while (pb_next(&at, end, &f)) {
		if (f.type != PB_BYTES || f.number < CHUNK_OPTIONS ||
		    f.number > CHUNK_TASKS)
			continue;
		enum kind kind = kinds[f.number];
		if (kind != TASKS)
			keep(s, kind, after.before[kind], &f);
		after.before[kind]++;
	}
	s->places[number + 1] = after;
	s->scanned[number] = true;
	return 0;
}

/* load() - read chunk @number. Return: 0; 1 if that cannot be. */
static int load(struct specs *s, uint32_t number)
{
	if (s->loaded == number)
		return 0;
	buf_reset(&s->chunk);
	s->loaded = UINT32_MAX;
	if (ledger_read_chunk(s->reader, s->number, number, &s->chunk))
		return 1;
	s->loaded = number;
	s->next = NULL;
	return 0;
}

/* look() - have chunk @number scanned. Return: 0; 1 it cannot be read; 2 it does not say its place. */
static int look(struct specs *s, uint32_t number)
{
	if (s->scanned[number])
		return 0;
	if (load(s, number))
		return 1;
	if (number == 0)
		specs_info(&s->info, &s->chunk);
	return scan(s, number, &s->chunk) ? 2 : 0;
}

static int look_at_all(struct specs *s)
{
	for (uint32_t i = 0; i < s->chunk_count; i++)
		if (look(s, i)) /* never 2: the one before was scanned */
			return 1;
	return 0;
}

/* ---- finding ---- */

/* The next chunk to look at: [low, high) are those that may hold @number. */
static uint32_t guess(const struct specs *s, enum kind kind, uint32_t number,
		      uint32_t low, uint32_t high)
{
	const struct place *from = &s->places[low], *to = &s->places[high];
	uint32_t at = low + (high - low) / 2;
	if (from->known && to->known && to->before[kind] > from->before[kind])
		at = low +
		     (uint32_t)((uint64_t)(number - from->before[kind]) * (high - low) /
				(to->before[kind] - from->before[kind]));
	return at < low ? low : at >= high ? high - 1 : at;
}

/* find() - the chunk that holds item @number of @kind. Return: 0; 1 if there is none. */
static int find(struct specs *s, enum kind kind, uint32_t number, uint32_t *chunkp)
{
	uint32_t low = 0, high = s->chunk_count;
	while (low < high) {
		uint32_t at = guess(s, kind, number, low, high);
		int rc = look(s, at);
		if (rc == 2) {
			if (look_at_all(s))
				return 1;
			continue;
		}
		if (rc)
			return 1;
		if (number < s->places[at].before[kind]) {
			high = at;
		} else if (number >= s->places[at + 1].before[kind]) {
			low = at + 1;
		} else {
			*chunkp = at;
			return 0;
		}
	}
	return 1;
}

struct specs *specs_get(struct specs **cachep, struct ledger_reader *r,
			const struct ledger_batch_row *row)
{
	struct specs *s = *cachep;
	if (s && s->number == row->batch.batch && s->chunk_count == row->chunk_count)
		return s;
	specs_free(steal(*cachep));
	s = mem_alloc(sizeof *s);
	s->number = row->batch.batch;
	s->reader = r;
	s->chunk_count = row->chunk_count;
	s->loaded = UINT32_MAX;
	s->places = mem_alloc(((size_t)s->chunk_count + 1) * sizeof *s->places);
	s->scanned = mem_alloc((size_t)s->chunk_count + 1);
	s->places[0].known = true;
	if (s->chunk_count && look(s, 0)) {
		specs_free(s);
		return NULL;
	}
	*cachep = s;
	return s;
}

static bool is_in(const struct specs *s, uint32_t chunk, uint32_t index)
{
	return chunk < s->chunk_count && index >= s->places[chunk].before[TASKS] &&
	       index < s->places[chunk + 1].before[TASKS];
}

int specs_task(struct specs *s, uint32_t index, struct specs_task *out)
{
	uint32_t chunk = s->loaded;
	if ((!is_in(s, chunk, index) && find(s, TASKS, index, &chunk)) || load(s, chunk))
		return 1;
	if (!s->next || index < s->next_index) {
		s->next_index = s->places[chunk].before[TASKS];
		s->next = s->chunk.data;
	}
	const uint8_t *end = s->chunk.data + s->chunk.size;
	struct pb_field task, f;
	do {
		if (!pb_find(&s->next, end, CHUNK_TASKS, &task))
			return 1;
	} while (s->next_index++ < index);
	*out = (struct specs_task){.packed = task.data, .packed_size = task.size};
	const uint8_t *at = task.data;
	while (pb_next(&at, task.data + task.size, &f)) {
		if (f.number == TASK_FUNCTION && f.type == PB_VARINT) {
			out->function = (uint32_t)f.value;
		} else if (f.number == TASK_ARGS && f.type == PB_BYTES) {
			out->args = f.data;
			out->args_size = f.size;
		} else if (f.number == TASK_NONCE && f.type == PB_BYTES) {
			out->nonce = f.data;
			out->nonce_size = f.size;
		}
	}
	return 0;
}

/* ---- what tasks refer to ---- */

static const uint8_t *get_item(struct specs *s, enum kind kind, uint32_t number,
			       size_t *sizep)
{
	struct items *items = &s->items[kind];
	uint32_t chunk;
	bool is_read = number < items->room && items->spans[number].size;
	if (!is_read && (find(s, kind, number, &chunk) || number >= items->room))
		return NULL;
	*sizep = items->spans[number].size;
	return s->bytes.data + items->spans[number].at;
}

static uint32_t options_of(const uint8_t *function, size_t size)
{
	const uint8_t *at = function, *end = at + size;
	struct pb_field f;
	uint32_t number = 0;
	while (pb_next(&at, end, &f)) {
		if (f.number == FUNCTION_OPTIONS && f.type == PB_VARINT)
			number = (uint32_t)f.value;
	}
	return number;
}

const uint8_t *specs_function(struct specs *s, uint32_t number, size_t *sizep,
			      uint32_t *optionsp)
{
	const uint8_t *packed = get_item(s, FUNCTIONS, number, sizep);
	if (packed)
		*optionsp = options_of(packed, *sizep);
	return packed;
}

const uint8_t *specs_options(struct specs *s, uint32_t number, size_t *sizep)
{
	return get_item(s, OPTIONS, number, sizep);
}

const uint8_t *specs_group(struct specs *s, uint32_t number, size_t *sizep)
{
	return get_item(s, GROUPS, number, sizep);
}

const uint8_t *specs_batch_info(const struct specs *s, size_t *sizep)
{
	*sizep = s->info.size;
	return s->info.size ? s->info.data : NULL;
}

uint32_t specs_count_functions(struct specs *s)
{
	return look_at_all(s) ? 0 : s->places[s->chunk_count].before[FUNCTIONS];
}
