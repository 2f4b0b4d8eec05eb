/* blobs.c - what arguments refer to: bytes that came with the frame, mapped where they lie. A call may
 * name thousands, so they are found by a table of digests. */
#include "runners/c/serve/task.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Digests are random: any bytes of them are a hash. */
static size_t slot_of(const struct cashet_task *t, const struct content *content)
{
	uint64_t hash;
	memcpy(&hash, content->digest, sizeof hash);
	return hash & t->blob_mask;
}

static void add_to_index(struct cashet_task *t, size_t number)
{
	size_t slot = slot_of(t, &t->blobs[number].content);
	while (t->blob_index[slot])
		slot = (slot + 1) & t->blob_mask;
	t->blob_index[slot] = (uint32_t)number + 1;
}

void blobs_read(struct cashet_task *t, const struct frame_call *call)
{
	struct frame_bytes rest = call->blobs;
	struct frame_blob blob;
	size_t size = 4;
	if (call->blob_count == 0)
		return;
	while (size < 2 * (size_t)call->blob_count)
		size *= 2;
	t->blob_mask = size - 1;
	t->blob_index = arena_alloc(&t->arena, size * sizeof *t->blob_index);
	t->blobs = arena_alloc(&t->arena, call->blob_count * sizeof *t->blobs);
	while (t->blob_count < call->blob_count && frame_next_blob(&rest, &blob)) {
		struct task_blob *to = &t->blobs[t->blob_count];
		to->from = blob;
		to->content.type = blob.type;
		memcpy(to->content.digest, blob.digest, DIGEST_SIZE);
		add_to_index(t, t->blob_count++);
	}
}

static bool ends_in(struct frame_bytes path, const char *name)
{
	size_t size = strlen(name);
	return path.size > size && path.data[path.size - size - 1] == '/' &&
	       !memcmp(path.data + path.size - size, name, size);
}

/* is_it() - as bytes, or for a file argument (@file) as the path that ends in its name. */
static bool is_it(const struct task_blob *b, const struct content *content,
		  const char *file)
{
	bool path =
		file || content->type == CONTENT_TREE || content->type == CONTENT_EXTERN;
	return !memcmp(&b->content, content, CONTENT_SIZE) &&
	       path == (b->from.where == FRAME_PATH) &&
	       (!file || ends_in(b->from.bytes, file));
}

static struct task_blob *find(struct cashet_task *t, const struct content *content,
			      const char *file)
{
	if (t->blob_count == 0)
		return NULL;
	for (size_t slot = slot_of(t, content); t->blob_index[slot];
	     slot = (slot + 1) & t->blob_mask) {
		struct task_blob *b = &t->blobs[t->blob_index[slot] - 1];
		if (is_it(b, content, file))
			return b;
	}
	return NULL;
}

void task_remember(struct cashet_task *t, void *data, size_t size)
{
	struct task_mapping *m = arena_alloc(&t->arena, sizeof *m);
	*m = (struct task_mapping){t->mappings, data, size};
	t->mappings = m;
}

const void *blobs_data(struct cashet_task *t, struct task_blob *blob)
{
	const struct frame_blob *from = &blob->from;
	if (blob->data)
		return blob->data;
	if (from->size == 0)
		return blob->data = "";
	if (from->where == FRAME_INLINE) /* aligned, unlike the frame */
		return blob->data =
			       arena_copy(&t->arena, from->bytes.data, from->bytes.size);
	if (from->descriptor >= t->descriptor_count) {
		task_fail(t, "refused", "the call came without a descriptor");
		return NULL;
	}
	void *data = mmap(NULL, from->size, PROT_READ, MAP_PRIVATE,
			  t->descriptors[from->descriptor], (off_t)from->offset);
	if (data == MAP_FAILED) {
		task_fail(t, "exception", "cannot map %zu bytes of an argument: %s",
			  (size_t)from->size, strerror(errno));
		return NULL;
	}
	task_remember(t, data, from->size);
	return blob->data = data;
}

/* list() - the placeholders of a list blob, one behind the other. */
static int list(struct cashet_task *t, struct cashet_arg *arg, struct task_blob *blob)
{
	const uint8_t *data = blobs_data(t, blob);
	if (!data || blob->from.size % CONTENT_SIZE)
		return 1;
	arg->type = CASHET_TYPE_LIST;
	arg->count = blob->from.size / CONTENT_SIZE;
	arg->items = arena_alloc(&t->arena, arg->count * sizeof *arg->items);
	for (size_t i = 0; i < arg->count; i++) {
		struct content member;
		memcpy(&member, data + i * CONTENT_SIZE, CONTENT_SIZE);
		arg->items[i] =
			(struct cashet_arg){.task = t, .parent = arg, .position = i};
		if (member.type == CONTENT_LIST ||
		    blobs_arg(t, &arg->items[i], &member, NULL))
			return 1;
	}
	return 0;
}

static int entries(struct cashet_task *t, struct cashet_arg *arg,
		   const struct content_entries *e)
{
	arg->type = CASHET_TYPE_MAP;
	arg->count = e->count;
	arg->items = arena_alloc(&t->arena, e->count * sizeof *arg->items);
	for (size_t i = 0; i < e->count; i++) {
		const char *name = e->items[i].name;
		arg->items[i] = (struct cashet_arg){
			.task = t,
			.parent = arg,
			.position = i,
			.key = arena_copy(&t->arena, name, strlen(name))};
		uint8_t type = e->items[i].content.type;
		if (type == CONTENT_LIST || type == CONTENT_RESULT ||
		    blobs_arg(t, &arg->items[i], &e->items[i].content, NULL))
			return 1;
	}
	return 0;
}

/* outputs() - the manifest of a command's named outputs. */
static int outputs(struct cashet_task *t, struct cashet_arg *arg, struct task_blob *blob)
{
	struct content_entries e = {0};
	const void *data = blobs_data(t, blob);
	if (!data || content_decode_result(data, blob->from.size, &e))
		return 1;
	int status = entries(t, arg, &e);
	content_entries_fini(&e);
	return status;
}

int blobs_arg(struct cashet_task *t, struct cashet_arg *arg,
	      const struct content *content, const char *file)
{
	struct task_blob *blob = find(t, content, file);
	if (!blob)
		return 1;
	if (blob->from.where == FRAME_PATH) {
		arg->type = CASHET_TYPE_PATH;
		arg->size = blob->from.bytes.size;
		arg->data = arena_copy(&t->arena, blob->from.bytes.data, arg->size);
		return 0;
	}
	switch (content->type) {
	case CONTENT_LIST:
		return list(t, arg, blob);
	case CONTENT_RESULT:
		return outputs(t, arg, blob);
	case CONTENT_JSON:
		arg->pending = ARG_JSON_BLOB;
		break;
	default:
		arg->type = CASHET_TYPE_BYTES;
	}
	arg->blob = blob;
	return 0;
}
