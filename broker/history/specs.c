/* specs.c - tasks of a batch as they were submitted, read from its recorded chunks without
 * decoding them whole. Pages ask for tasks in order, so the chunk that was read last is kept. */
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
	CHUNK_TASKS = 7
};
enum { FUNCTION_OPTIONS = 3 };
enum { TASK_FUNCTION = 1, TASK_ARGS = 2, TASK_NONCE = 5 };

struct span {
	size_t at, size; /* in specs.bytes */
};

struct specs {
	uint64_t number;
	uint32_t *
		chunk_first; /* index of the first task of each chunk; one more at the end */
	uint32_t chunk_count;
	struct buf bytes; /* packed functions and options, behind each other */
	struct span *functions, *options, *groups;
	uint32_t *function_options;
	size_t function_count, function_room, option_count, option_room;
	size_t group_count, group_room;
	struct buf info;
	struct buf chunk; /* the last one */
	uint32_t loaded;  /* its number; UINT32_MAX: none */
	uint32_t next_index;
	/* where the task with next_index, or a field before it, begins */
	const uint8_t *next;
};

void specs_free(struct specs *s)
{
	if (!s)
		return;
	free(s->chunk_first);
	free(s->functions);
	free(s->options);
	free(s->groups);
	buf_fini(&s->info);
	free(s->function_options);
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

static struct span keep(struct specs *s, const struct pb_field *f)
{
	struct span span = {s->bytes.size, f->size};
	buf_add(&s->bytes, f->data, f->size);
	return span;
}

static uint32_t options_of(const struct pb_field *function)
{
	const uint8_t *at = function->data, *end = at + function->size;
	struct pb_field f;
	uint32_t number = 0;
	while (pb_next(&at, end, &f)) {
		if (f.number == FUNCTION_OPTIONS && f.type == PB_VARINT)
			number = (uint32_t)f.value;
	}
	return number;
}

static uint32_t scan(struct specs *s)
{
	const uint8_t *at = s->chunk.data, *end = at + s->chunk.size;
	struct pb_field f;
	uint32_t tasks = 0;
	while (pb_next(&at, end, &f)) {
		if (f.type != PB_BYTES)
			continue;
		if (f.number == CHUNK_TASKS) {
			tasks++;
		} else if (f.number == CHUNK_OPTIONS) {
			mem_grow(s->options, s->option_count, s->option_room);
			s->options[s->option_count++] = keep(s, &f);
		} else if (f.number == CHUNK_GROUPS) {
			mem_grow(s->groups, s->group_count, s->group_room);
			s->groups[s->group_count++] = keep(s, &f);
		} else if (f.number == CHUNK_FUNCTIONS) {
			if (s->function_count == s->function_room) {
				s->function_room =
					s->function_room ? 2 * s->function_room : 8;
				s->functions = mem_resize(s->functions,
							  s->function_room *
								  sizeof *s->functions);
				s->function_options = mem_resize(
					s->function_options,
					s->function_room * sizeof *s->function_options);
			}
			s->function_options[s->function_count] = options_of(&f);
			s->functions[s->function_count++] = keep(s, &f);
		}
	}
	return tasks;
}

static int load(struct specs *s, struct ledger_reader *r, uint32_t chunk)
{
	if (s->loaded == chunk)
		return 0;
	buf_reset(&s->chunk);
	s->loaded = UINT32_MAX;
	if (ledger_read_chunk(r, s->number, chunk, &s->chunk))
		return 1;
	s->loaded = chunk;
	s->next_index = s->chunk_first[chunk];
	s->next = s->chunk.data;
	return 0;
}

struct specs *specs_get(struct specs **cachep, struct ledger_reader *r, uint64_t number,
			uint32_t chunk_count)
{
	if (*cachep && (*cachep)->number == number)
		return *cachep;
	specs_free(*cachep);
	*cachep = NULL;
	struct specs *s = mem_alloc(sizeof *s);
	s->number = number;
	s->chunk_count = chunk_count;
	s->loaded = UINT32_MAX;
	s->chunk_first = mem_alloc(((size_t)chunk_count + 1) * sizeof *s->chunk_first);
	uint32_t index = 0;
	for (uint32_t i = 0; i < chunk_count; i++) {
		s->chunk_first[i] = index;
		if (load(s, r, i)) {
			specs_free(s);
			return NULL;
		}
		if (i == 0)
			specs_info(&s->info, &s->chunk);
		index += scan(s);
	}
	s->chunk_first[chunk_count] = index;
	*cachep = s;
	return s;
}

static uint32_t chunk_of(const struct specs *s, uint32_t index)
{
	uint32_t low = 0, high = s->chunk_count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (s->chunk_first[middle] <= index)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int specs_task(struct specs *s, struct ledger_reader *r, uint32_t index,
	       struct specs_task *out)
{
	if (!s->chunk_count || index >= s->chunk_first[s->chunk_count])
		return 1;
	/* Chunks without tasks share their first index with the next one. */
	uint32_t chunk = chunk_of(s, index);
	if (load(s, r, chunk))
		return 1;
	if (index < s->next_index) {
		s->next_index = s->chunk_first[chunk];
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

const uint8_t *specs_function(const struct specs *s, uint32_t number, size_t *sizep,
			      uint32_t *optionsp)
{
	if (number >= s->function_count)
		return NULL;
	*sizep = s->functions[number].size;
	*optionsp = s->function_options[number];
	return s->bytes.data + s->functions[number].at;
}

const uint8_t *specs_options(const struct specs *s, uint32_t number, size_t *sizep)
{
	if (number >= s->option_count)
		return NULL;
	*sizep = s->options[number].size;
	return s->bytes.data + s->options[number].at;
}

const uint8_t *specs_batch_info(const struct specs *s, size_t *sizep)
{
	*sizep = s->info.size;
	return s->info.size ? s->info.data : NULL;
}

const uint8_t *specs_group(const struct specs *s, uint32_t number, size_t *sizep)
{
	if (number >= s->group_count)
		return NULL;
	*sizep = s->groups[number].size;
	return s->bytes.data + s->groups[number].at;
}

uint32_t specs_function_count(const struct specs *s)
{
	return (uint32_t)s->function_count;
}
