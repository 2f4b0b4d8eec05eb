/* history_rows.c - see history.h. What a broker sent is checked here: numbers are within what they
 * number, digests have their size. */
#include "client/history.h"

#include <stdlib.h>
#include <string.h>

struct keep_block {
	struct keep_block *next;
	_Alignas(max_align_t) uint8_t data[];
};

void *keep_alloc(struct keep *k, size_t count, size_t size)
{
	size_t bytes;
	struct keep_block *b = NULL;
	if (!__builtin_mul_overflow(count + 1, size, &bytes) &&
	    !__builtin_add_overflow(bytes, sizeof *b, &bytes))
		b = calloc(1, bytes);
	if (!b) {
		k->failed = true;
		return NULL;
	}
	b->next = k->blocks;
	k->blocks = b;
	return b->data;
}

void keep_fini(struct keep *k)
{
	for (struct keep_block *b = k->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	k->blocks = NULL;
}

static bool digest_from(uint8_t out[DIGEST_SIZE], const ProtobufCBinaryData *in)
{
	if (!wire_is(in, DIGEST_SIZE))
		return false;
	memcpy(out, in->data, DIGEST_SIZE);
	return true;
}

void commit_from(struct cashet_commit *out, const Cashet__CommitRow *row, struct keep *k)
{
	*out = (struct cashet_commit){
		.name = row->name,
		.failed = row->failed,
		.size = row->size,
		.duration_ns = row->duration_ns,
		.ended_wall_ms = row->ended_wall_ms,
		.expires_wall_ms = row->expires_wall_ms,
		.error = row->error,
		.worker = row->worker,
		.index = row->index,
		.attempts = row->attempts,
		.exit_code = row->exit_code,
		.current = row->current,
	};
	digest_from(out->commit, &row->commit);
	digest_from(out->func_hash, &row->func_hash);
	digest_from(out->args_hash, &row->args_hash);
	digest_from(out->batch, &row->batch);
	out->has_parent = digest_from(out->parent, &row->parent);
	struct cashet_pair *tags = keep_alloc(k, row->n_tags, sizeof *tags);
	if (!tags)
		return;
	for (size_t i = 0; i < row->n_tags; i++)
		tags[i] = (struct cashet_pair){.key = row->tags[i]->key,
					       .value = row->tags[i]->value};
	out->tags = tags;
	out->tag_count = row->n_tags;
}

struct cashet_content content_from(const Cashet__Content *in)
{
	struct cashet_content out = {0};
	if (!in || in->type == CASHET_CONTENT_NONE ||
	    !digest_from(out.digest, &in->digest))
		return out;
	out.type = (enum cashet_content_type)in->type;
	out.size = in->size;
	return out;
}

static void origin_from(struct cashet_origin *out, const Cashet__GraphInput *in,
			size_t source_count, struct keep *k)
{
	*out = (struct cashet_origin){
		.name = in->name,
		.files = (const char *const *)in->files,
		.file_count = in->n_files,
		.content = content_from(in->content),
		.parts = in->parts,
		.supplied = in->supplied,
		.unknown = in->unknown,
	};
	uint32_t *sources = keep_alloc(k, in->n_nodes, sizeof *sources);
	for (size_t i = 0; sources && i < in->n_nodes; i++)
		if (in->nodes[i] < source_count)
			sources[out->source_count++] = in->nodes[i];
	out->sources = sources;
}

const struct cashet_origin *origins_from(Cashet__GraphInput *const *inputs, size_t count,
					 size_t source_count, struct keep *k)
{
	struct cashet_origin *out = keep_alloc(k, count, sizeof *out);
	for (size_t i = 0; out && i < count; i++)
		origin_from(&out[i], inputs[i], source_count, k);
	return out;
}
