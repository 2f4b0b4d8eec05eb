/* builder.h - makes a batch: options, functions, groups and tasks go in, in order, and packed
 * SubmitChunk messages of about WIRE_CHUNK_TARGET bytes come out. Memory is bounded by one chunk,
 * whatever the size of the batch. What the batch file reader and cashet_submit_many() share.
 *
 * Numbers (of options, functions, groups, tasks) count up from 0 over the whole batch. Equal
 * options and equal functions (same description, name, options, tags, env) are given once. */
#pragma once

#include "common/err.h"
#include "common/format/function.h"
#include "proto/cashet.pb-c.h"

struct builder;

/** A local file or folder that tasks need in the store before the batch is sealed. */
struct builder_upload {
	const char *
		path; /* of a regular file; or NULL: @data is the blob (a tree or list) */
	const void *data;
	uint64_t size;
	uint8_t digest[DIGEST_SIZE];
};

struct builder_sink {
	void *arg;
	/** @packed: a SubmitChunk; request and chunk number are set; borrowed. Return 0 or ERR_*. */
	int (*chunk)(void *arg, const void *packed, size_t size, bool last,
		     struct err *e);
	/** May be called any time before the last chunk, at most once per digest; borrowed. */
	int (*upload)(void *arg, const struct builder_upload *upload, struct err *e);
};

/** builder_new() - @info is copied; @request: 16 bytes, drawn by the caller. */
struct builder *builder_new(const uint8_t request[16], const Cashet__BatchInfo *info,
			    const struct builder_sink *sink);
void builder_free(struct builder *b);
int builder_add_options(struct builder *b, const Cashet__Options *options,
			uint32_t *numberp);
/** builder_add_function() - @description: canonical bytes. @extra: tags and env, sorted by key by
 * the caller, param_order, source and params; its other fields are not looked at; or NULL. */
int builder_add_function(struct builder *b, const struct buf *description,
			 const char *name, uint32_t options,
			 const Cashet__Function *extra, uint32_t *numberp, struct err *e);
int builder_add_group(struct builder *b, const Cashet__Group *group, uint32_t *numberp,
		      struct err *e);
int builder_add_task(struct builder *b, const Cashet__TaskSpec *task, uint32_t *indexp,
		     struct err *e);
int builder_upload(struct builder *b, const struct builder_upload *upload, struct err *e);
/** builder_finish() - send the last chunk, which seals. @watch: SubmitChunk.watch. */
int builder_finish(struct builder *b, bool watch, struct err *e);
uint32_t builder_task_count(const struct builder *b);
