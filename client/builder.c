/* builder.c - see builder.h. Items are packed straight into the chunk that is being made: a
 * SubmitChunk's fields may come in any order, so an item is its tag, its length and its bytes,
 * and nothing is held as an unpacked message. Numbers of fields are those of cashet.proto.
 *
 * Invariant: @chunk always starts with the head (request, number, and in chunk 0 the info), and
 * a chunk is cut only before an item, so an item is never split and the last chunk is never
 * known too late. Out of memory is an error: this is part of libcashet. */
#include "client/builder.h"

#include "proto/wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum {
	CHUNK_REQUEST = 1,
	CHUNK_NUMBER,
	CHUNK_INFO,
	CHUNK_OPTIONS,
	CHUNK_FUNCTIONS,
	CHUNK_GROUPS,
	CHUNK_TASKS,
	CHUNK_SEAL,
	CHUNK_WATCH = 10
};
enum {
	FUNCTION_DESCRIPTION = 1,
	FUNCTION_NAME,
	FUNCTION_OPTIONS,
	FUNCTION_TAGS,
	FUNCTION_ENV,
	FUNCTION_PARAM_ORDER,
	FUNCTION_SOURCE,
	FUNCTION_PARAMS
};
enum { PAIR_KEY = 1, PAIR_VALUE };

#define VARINT_MAX 10
/* What one item may take: the broker's limit for a message, less the head and the envelope. */
#define ITEM_MAX (WIRE_MESSAGE_MAX - (64u << 10))

struct builder {
	struct builder_sink sink;
	uint8_t request[16];
	Cashet__BatchInfo *info; /* until chunk 0 has begun */
	struct buf chunk;	 /* the packed SubmitChunk so far */
	struct buf item;	 /* scratch for a function */
	size_t head_size;	 /* of @chunk: a chunk of this size holds nothing */
	uint32_t number;	 /* of @chunk */
	uint32_t options, functions, groups, tasks;
	uint8_t (*uploaded)
		[DIGEST_SIZE]; /* open hash table; the zero digest is an empty place */
	size_t upload_count, upload_places;
	bool finished;
};

static size_t varint_size(uint64_t value)
{
	size_t size = 1;
	while (value >= 0x80) {
		value >>= 7;
		size++;
	}
	return size;
}

static void add_varint(struct buf *b, uint64_t value)
{
	uint8_t *to = buf_reserve(b, VARINT_MAX);
	if (!to)
		return;
	while (value >= 0x80) {
		*to++ = (uint8_t)(value | 0x80);
		value >>= 7;
		b->size++;
	}
	*to = (uint8_t)value;
	b->size++;
}

static void add_tag(struct buf *b, unsigned field, unsigned type)
{
	add_varint(b, field << 3 | type);
}

static void add_bytes(struct buf *b, unsigned field, const void *data, size_t size)
{
	add_tag(b, field, WIRE_BYTES);
	add_varint(b, size);
	buf_add(b, data, size);
}

static void add_message(struct buf *b, unsigned field, const ProtobufCMessage *message,
			size_t size)
{
	add_tag(b, field, WIRE_BYTES);
	add_varint(b, size);
	uint8_t *to = buf_reserve(b, size);
	if (!to)
		return;
	protobuf_c_message_pack(message, to);
	b->size += size;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory while the batch was being packed");
}

static void begin_chunk(struct builder *b)
{
	buf_reset(&b->chunk);
	add_bytes(&b->chunk, CHUNK_REQUEST, b->request, sizeof b->request);
	if (b->number) {
		add_tag(&b->chunk, CHUNK_NUMBER, WIRE_VARINT);
		add_varint(&b->chunk, b->number);
	} else {
		add_message(&b->chunk, CHUNK_INFO, &b->info->base,
			    cashet__batch_info__get_packed_size(b->info));
	}
	b->head_size = b->chunk.size;
}

/* A copy by packing: the info is small and this needs no code per field. */
static Cashet__BatchInfo *copy_info(const Cashet__BatchInfo *info)
{
	Cashet__BatchInfo none = CASHET__BATCH_INFO__INIT;
	if (!info)
		info = &none;
	size_t size = cashet__batch_info__get_packed_size(info);
	uint8_t *packed = malloc(size + 1);
	if (!packed)
		return NULL;
	cashet__batch_info__pack(info, packed);
	Cashet__BatchInfo *copy = cashet__batch_info__unpack(NULL, size, packed);
	free(packed);
	return copy;
}

struct builder *builder_new(const uint8_t request[16], const Cashet__BatchInfo *info,
			    const struct builder_sink *sink)
{
	struct builder *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->sink = *sink;
	memcpy(b->request, request, sizeof b->request);
	b->info = copy_info(info);
	if (!b->info) {
		builder_free(b);
		return NULL;
	}
	begin_chunk(b);
	return b;
}

void builder_free(struct builder *b)
{
	if (!b)
		return;
	if (b->info)
		cashet__batch_info__free_unpacked(b->info, NULL);
	buf_fini(&b->chunk);
	buf_fini(&b->item);
	free(b->uploaded);
	free(b);
}

static int flush(struct builder *b, bool last, struct err *e)
{
	if (b->chunk.failed || b->item.failed)
		return no_memory(e);
	int r = b->sink.chunk(b->sink.arg, b->chunk.data, b->chunk.size, last, e);
	if (r)
		return r;
	b->number++;
	if (!last)
		begin_chunk(b);
	return 0;
}

/* Room for an item of @size packed bytes: cuts the chunk before it if that is due. */
static int make_room(struct builder *b, size_t size, const char *what, uint32_t number,
		     struct err *e)
{
	assert(!b->finished);
	if (size > ITEM_MAX) {
		err_set(e, ERR_USAGE, "%s %" PRIu32 " takes %zu bytes; the limit is %u",
			what, number, size, ITEM_MAX);
		err_next(e,
			 "pass large data as an input file rather than as a parameter");
		return ERR_USAGE;
	}
	if (number == UINT32_MAX)
		return err_set(e, ERR_USAGE, "more than %" PRIu32 " %ss in one batch",
			       UINT32_MAX, what);
	if (b->chunk.size > b->head_size && b->chunk.size + size > WIRE_CHUNK_TARGET)
		return flush(b, false, e);
	return b->chunk.failed ? no_memory(e) : 0;
}

int builder_add_options(struct builder *b, const Cashet__Options *options,
			uint32_t *numberp)
{
	size_t size = cashet__options__get_packed_size(options);
	int r = make_room(b, size, "options", b->options, NULL);
	if (r)
		return r;
	add_message(&b->chunk, CHUNK_OPTIONS, &options->base, size);
	*numberp = b->options++;
	return b->chunk.failed ? ERR_FAILED : 0;
}

static void add_pairs(struct buf *b, unsigned field, Cashet__Pair *const *pairs,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t key = strlen(pairs[i]->key), value = strlen(pairs[i]->value);
		add_tag(b, field, WIRE_BYTES);
		add_varint(b, 2 + varint_size(key) + key + varint_size(value) + value);
		add_bytes(b, PAIR_KEY, pairs[i]->key, key);
		add_bytes(b, PAIR_VALUE, pairs[i]->value, value);
	}
}

/* Packed, as proto3 has it. */
static void add_numbers(struct buf *b, unsigned field, const uint32_t *numbers,
			size_t count)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += varint_size(numbers[i]);
	if (!count)
		return;
	add_tag(b, field, WIRE_BYTES);
	add_varint(b, size);
	for (size_t i = 0; i < count; i++)
		add_varint(b, numbers[i]);
}

/* By hand, since a batch of generated lines has as many functions as tasks. */
int builder_add_function(struct builder *b, const struct buf *description,
			 const char *name, uint32_t options,
			 const Cashet__Function *extra, uint32_t *numberp, struct err *e)
{
	struct buf *item = &b->item;
	buf_reset(item);
	add_bytes(item, FUNCTION_DESCRIPTION, description->data, description->size);
	if (name && *name)
		add_bytes(item, FUNCTION_NAME, name, strlen(name));
	if (options) {
		add_tag(item, FUNCTION_OPTIONS, WIRE_VARINT);
		add_varint(item, options);
	}
	if (extra) {
		add_pairs(item, FUNCTION_TAGS, extra->tags, extra->n_tags);
		add_pairs(item, FUNCTION_ENV, extra->env, extra->n_env);
		add_numbers(item, FUNCTION_PARAM_ORDER, extra->param_order,
			    extra->n_param_order);
		if (extra->source.len)
			add_bytes(item, FUNCTION_SOURCE, extra->source.data,
				  extra->source.len);
		for (size_t i = 0; i < extra->n_params; i++)
			add_bytes(item, FUNCTION_PARAMS, extra->params[i],
				  strlen(extra->params[i]));
	}
	if (item->failed || description->failed)
		return no_memory(e);
	int r = make_room(b, item->size, "function", b->functions, e);
	if (r)
		return r;
	add_bytes(&b->chunk, CHUNK_FUNCTIONS, item->data, item->size);
	*numberp = b->functions++;
	return b->chunk.failed ? no_memory(e) : 0;
}

int builder_add_group(struct builder *b, const Cashet__Group *group, uint32_t *numberp,
		      struct err *e)
{
	size_t size = cashet__group__get_packed_size(group);
	int r = make_room(b, size, "group", b->groups, e);
	if (r)
		return r;
	add_message(&b->chunk, CHUNK_GROUPS, &group->base, size);
	*numberp = b->groups++;
	return b->chunk.failed ? no_memory(e) : 0;
}

int builder_add_task(struct builder *b, const Cashet__TaskSpec *task, uint32_t *indexp,
		     struct err *e)
{
	size_t size = cashet__task_spec__get_packed_size(task);
	int r = make_room(b, size, "task", b->tasks, e);
	if (r)
		return r;
	add_message(&b->chunk, CHUNK_TASKS, &task->base, size);
	uint32_t index = b->tasks++;
	if (indexp)
		*indexp = index;
	return b->chunk.failed ? no_memory(e) : 0;
}

static const uint8_t no_digest[DIGEST_SIZE];

/* Where @digest is, or where it would go. The digest is its own hash. */
static size_t find_place(uint8_t (*table)[DIGEST_SIZE], size_t places,
			 const uint8_t digest[DIGEST_SIZE])
{
	uint64_t hash;
	memcpy(&hash, digest, sizeof hash);
	size_t at = hash & (places - 1);
	while (memcmp(table[at], no_digest, DIGEST_SIZE) &&
	       memcmp(table[at], digest, DIGEST_SIZE))
		at = (at + 1) & (places - 1);
	return at;
}

/* Return: 0 new and noted; 1 it was there; -1 out of memory. */
static int note_upload(struct builder *b, const uint8_t digest[DIGEST_SIZE])
{
	if (2 * b->upload_count >= b->upload_places) {
		size_t places = b->upload_places ? 2 * b->upload_places : 64;
		uint8_t(*table)[DIGEST_SIZE] = calloc(places, sizeof *table);
		if (!table)
			return -1;
		for (size_t i = 0; i < b->upload_places; i++)
			if (memcmp(b->uploaded[i], no_digest, DIGEST_SIZE))
				memcpy(table[find_place(table, places, b->uploaded[i])],
				       b->uploaded[i], DIGEST_SIZE);
		free(b->uploaded);
		b->uploaded = table;
		b->upload_places = places;
	}
	size_t at = find_place(b->uploaded, b->upload_places, digest);
	if (memcmp(b->uploaded[at], no_digest, DIGEST_SIZE))
		return 1;
	memcpy(b->uploaded[at], digest, DIGEST_SIZE);
	b->upload_count++;
	return 0;
}

int builder_upload(struct builder *b, const struct builder_upload *upload, struct err *e)
{
	assert(!b->finished);
	int r = note_upload(b, upload->digest);
	if (r < 0)
		return no_memory(e);
	return r ? 0 : b->sink.upload(b->sink.arg, upload, e);
}

int builder_finish(struct builder *b, bool watch, struct err *e)
{
	assert(!b->finished);
	add_tag(&b->chunk, CHUNK_SEAL, WIRE_VARINT);
	add_varint(&b->chunk, true);
	if (watch) {
		add_tag(&b->chunk, CHUNK_WATCH, WIRE_VARINT);
		add_varint(&b->chunk, true);
	}
	b->finished = true;
	return flush(b, true, e);
}

uint32_t builder_task_count(const struct builder *b)
{
	return b->tasks;
}
